"""Which runs there are to look at, how far each is, and what to type to go on with it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from landscape.record import Figure1, load
from landscape.record.asked import by_hand
from landscape.record.counts import unfinished
from zarts.runs.course import epochs_asked, points_in
from zarts.runs.kinds import is_retraining, resuming_retraining
from zarts.runs.runfile import ListedRun, Run, RunError, being_written, list_runs

__all__ = ["BUNDLED", "Entry", "catalogue"]

BUNDLED = Path(__file__).parent / "demo"
_SHARE = re.compile(r"(.+)-shard-(\d+)-of-(\d+)")


@dataclass(frozen=True)
class Entry:
    """A run one can pick by its name.

    Attributes:
        listed: The run, or why it cannot be read.
        bundled: Whether it came with the package.
    """

    listed: ListedRun
    bundled: bool

    @property
    def name(self) -> str:
        """The name of the run."""
        return self.listed.name

    @property
    def created(self) -> str:
        """When it was made, in a form that sorts; empty if unknown."""
        run = self.listed.run
        return str(run.provenance.get("created", "")) if run else ""

    @property
    def finished(self) -> bool:
        """Whether all that its settings ask for is there, each point at least tried."""
        try:
            return "plane" in self._run() and not unfinished(self.figure())
        except (RunError, KeyError, ValueError):
            return False

    @property
    def written(self) -> bool:
        """Whether a process writes it now, as far as can be told."""
        return being_written(self.listed.path)

    @property
    def searching(self) -> tuple[int, int]:
        """Epochs of its training that are there, and how many are asked for; 0 where unknown."""
        run = self._run()
        if self.retraining:
            training = run.config["training"]
            assert isinstance(training, Mapping)
            epochs = training.get("epochs")
            there = sum(name.startswith("retrain/epoch-") for name in run.names())
            return there, epochs if isinstance(epochs, int) else 0
        return len(points_in(run.names(), "search")), epochs_asked(run)

    @property
    def retraining(self) -> bool:
        """Whether it is of a network of cells alone, which has no α and so no landscape."""
        return is_retraining(self._run().config)

    @property
    def search_only(self) -> bool:
        """Whether it was made by a search alone, which makes no landscape."""
        run = self._run()
        landscape = any(word.startswith("landscape") for word in _command(run)[:3])
        return "plane" not in run and not landscape

    def resuming(self) -> str:
        """The command that goes on with it: its own settings, whole, into its own folder."""
        run = self._run()
        if self.retraining:
            return resuming_retraining(run)
        if by_hand(run.config):
            return "# in Python: compute_surface(...) once more, with the same objective and folder"
        sharded = any(word.partition("=")[0] == "--shard" for word in _command(run))
        share = _SHARE.fullmatch(run.name) if sharded else None
        folder, flags = run.path, list[str]()
        # a copy of ω is kept as soon as there is one; only shares are asked for it each time
        kept = any("snapshot/epoch-" in name for name in run.names())
        source = str(run.config.get("source") or "").partition("/")[0]
        if source and (share or not kept):
            flags = ["--run", source]
        if share:  # its suffix is added by the command
            folder = folder.with_name(share[1])
            flags += ["--shard", f"{share[2]}/{share[3]}"]
        module = "zarts" if self.search_only else "landscape.compute"
        settings = str(run.path / "config.toml")
        words = ["python", "-m", module, "--config", settings, *flags, "--out", str(folder)]
        return shlex.join(words)

    def verifying(self) -> str:
        """The command that says what is wrong with it."""
        return shlex.join(["python", "-m", "landscape.verify", str(self.listed.path)])

    def computing(self) -> str:
        """The command that makes a landscape of its ω."""
        return shlex.join(["python", "-m", "landscape.compute", "--run", self.name])

    def figure(self) -> Figure1:
        """What the run holds of Fig. 1 by now.

        Raises:
            RunError: If it cannot be read, is gone, or holds no landscape.
        """
        run = self._run()
        if "plane" not in run:
            raise RunError(f"{self.name}: holds no landscape yet")
        return load(run)

    def _run(self) -> Run:
        if self.listed.run is None:
            raise RunError(self.listed.problem)
        return self.listed.run


def _command(run: Run) -> list[str]:
    """The words of the command that made a run."""
    words = run.provenance.get("command")
    return [str(word) for word in words] if isinstance(words, list) else []


def catalogue(folder: Path) -> list[Entry]:
    """All runs: those in the folder, the newest first, then the bundled; unreadable ones too.

    Raises:
        RunError: If the folder exists and cannot be listed.
    """
    own = [Entry(listed, bundled=False) for listed in list_runs(folder)]
    own.sort(key=lambda entry: entry.created, reverse=True)
    names = {entry.name for entry in own}
    bundled = [Entry(listed, bundled=True) for listed in list_runs(BUNDLED)]
    return own + [entry for entry in bundled if entry.name not in names]
