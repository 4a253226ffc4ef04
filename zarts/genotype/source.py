"""Where a genotype comes from: its published name, a file, a run, or its text. No torch in here."""

from __future__ import annotations

import difflib
import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

from zarts.runs.course import chosen, points_in, search_finished
from zarts.runs.kinds import is_retraining
from zarts.runs.runfile import JSON, Run, runs_root, valid_name
from zarts.settings.config import Config, ConfigError, filled
from zarts.settings.stages import Point
from zarts.supernet.genotype import Genotype, parse
from zarts.supernet.published import NAMED

__all__ = ["EXPECTED", "Source", "read_source"]

EXPECTED = "NAME, FILE or RUN[@EPOCH]"
_MOST = 64 * 2**20  # bytes of a file: a log, at most


@dataclass(frozen=True)
class Source:
    """A genotype and where it comes from.

    Attributes:
        genotype: The cells.
        name: Short, and fit for the name of a run: ``DARTS_V2``, ``quick-1a2b3c4d-50``.
        origin: For people: ``epoch 50, which the search chose, of runs/quick-1a2b3c4d``.
        run: That it comes from, if any.
        point: The epoch of that run.
        facts: What is known of a source that is no run.
    """

    genotype: Genotype
    name: str
    origin: str
    run: Run | None = None
    point: Point | None = None
    facts: dict[str, JSON] = field(default_factory=dict)

    def provenance(self) -> dict[str, JSON]:
        """What a run that uses it keeps; of a run its hash as well, for which it is read whole.

        Raises:
            RunError: If a record of that run cannot be read.
        """
        if self.run is None or self.point is None:
            return {"from": self.origin, **self.facts}
        stage, epoch = self.point
        return {
            "from": self.origin,
            "run": self.run.name,
            "stage": stage,
            "epoch": epoch,
            "content_hash": self.run.content_hash(),
        }


def read_source(text: str) -> Source:
    """Reads the genotype that a text names or holds.

    Args:
        text: A published name; a file with ``Genotype(...)`` in it; ``RUN``, the folder of a run or
            its name, for the epoch that its search chose (of an unfinished one: the last so far);
            ``RUN@EPOCH`` or ``RUN@STAGE.EPOCH``; or a text with ``Genotype(...)`` itself.

    Raises:
        ConfigError: If there is no such thing, or no genotype of this kind in it.
        RunError: If the run cannot be read.
    """
    if re.search(r"\bGenotype\s*\(", text):
        return Source(_parsed("the text", text), "genotype", "its text")
    if text in NAMED:
        return Source(NAMED[text], text, f"published as {text}", facts={"published": text})
    path = Path(text).expanduser()
    if text and path.is_file():
        return _of_file(path)
    name, at, epoch = text.rpartition("@") if "@" in text else (text, "", "")
    folder = _run_folder(name)
    if folder is None:
        raise ConfigError(_unknown(name))
    found = re.fullmatch(r"(?:(\d{1,4})\.)?(\d{1,9})", epoch)
    if at and not found:
        raise ConfigError(f"got epoch {epoch!r}, expected RUN@EPOCH or RUN@STAGE.EPOCH")
    point = Point(int(found[1] or 0), int(found[2])) if found else None
    return _of_run(Run.open(folder), point)


def _parsed(where: str, text: str) -> Genotype:
    try:
        return parse(text)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error


def _of_file(path: Path) -> Source:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    if len(content) > _MOST:
        raise ConfigError(
            f"{path}: is larger than {_MOST >> 20} MiB, expected a text with Genotype(...) in it"
        )
    genotype = _parsed(str(path), content.decode(errors="replace"))
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", path.stem).strip("-")[:40] or "genotype"
    facts: dict[str, JSON] = {"file": path.name, "sha256": hashlib.sha256(content).hexdigest()}
    return Source(genotype, name, f"the file {path}", facts=facts)


def _run_folder(name: str) -> Path | None:
    """The folder of a run: as it is named, or below the folder of all runs."""
    places = [Path(name).expanduser()] if name else []
    places += [runs_root() / name] if valid_name(name) else []
    return next((place for place in places if place.is_dir()), None)


def _of_run(run: Run, point: Point | None) -> Source:
    if is_retraining(run.config):
        genotype = _parsed(str(run.path), str(run.config["genotype"]))
        facts: dict[str, JSON] = {"run": run.name}
        return Source(genotype, run.name[:60], f"what {run.path} retrained", facts=facts)
    there = sorted(points_in(run.names(), "search"))
    if not there:
        raise ConfigError(
            f"{run.path}: has no finished epoch of a search, so no genotype; run its command again"
        )
    which = ""
    if point is None:
        point, which = _choice(run, there)
    if point not in there:
        asked, last = _spoken(point), _spoken(there[-1])
        raise ConfigError(f"{run.path}: got {asked}, expected a finished one, up to {last}")
    genotype = run.parse(
        point.search_record, lambda record: parse(str(record.attributes["genotype"]))
    )
    tail = f"{point.stage}.{point.epoch}" if point.stage else str(point.epoch)
    origin = f"{_spoken(point)}{which} of {run.path}"
    return Source(genotype, f"{run.name[:60]}-{tail}", origin, run, point)


def _choice(run: Run, there: list[Point]) -> tuple[Point, str]:
    """The epoch of a run that is meant if none is named, and why."""
    config = Config.from_table(filled(run.config))
    if search_finished(run, config):
        return chosen(run, config), ", which the search chose,"
    return there[-1], ", the last so far,"


def _spoken(point: Point) -> str:
    return f"epoch {point.epoch}" + (f" of stage {point.stage}" if point.stage else "")


def _unknown(name: str) -> str:
    known = {each.lower(): each for each in NAMED}
    root = runs_root()
    if root.is_dir():
        known |= {each.name.lower(): each.name for each in root.iterdir() if each.is_dir()}
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    hint = f"did you mean {known[near[0]]}? " if near else ""
    return (
        f"got {name!r}, which is no published genotype, no file and no run in {root}; {hint}"
        f"expected {EXPECTED}, published are {', '.join(NAMED)}"
    )
