"""Which runs there are to look at: the bundled one and those in the folder of runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from landscape.record import Figure1, load
from zarts.runfile import ListedRun, RunError, list_runs

__all__ = ["BUNDLED", "Entry", "catalogue"]

BUNDLED = Path(__file__).parent / "demo"


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
    def complete(self) -> bool:
        """Whether the surfaces to compare are there; reads names only. M = 0 alone is one."""
        run = self.listed.run
        if run is None:
            return False
        land = run.config.get("landscape")
        alone = isinstance(land, dict) and land.get("steps") == 0
        return sum(name.startswith("grid/") for name in run.names()) >= (1 if alone else 2)

    def figure(self) -> Figure1:
        """What the run holds of Fig. 1 by now.

        Raises:
            RunError: If it cannot be read, is gone, or holds no landscape.
        """
        if self.listed.run is None:
            raise RunError(self.listed.problem)
        if "plane" not in self.listed.run:
            raise RunError(
                f"{self.name}: holds no landscape yet; if none is being computed, "
                f"make one of its ω with python -m landscape.compute --run {self.name}"
            )
        return load(self.listed.run)


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
