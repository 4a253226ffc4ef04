"""What a table of runs says of each: how far it is, its settings, its numbers. Read once each."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias

from landscape import summary
from landscape.catalogue import Entry
from landscape.record.counts import unfinished
from zarts.optimizers import METHODS
from zarts.runs.course import RESULT, points_in, search_finished
from zarts.runs.runfile import RunError, flat
from zarts.settings.config import Config, ConfigError, filled
from zarts.text import printable

__all__ = ["KINDS", "STATES", "Facts", "Index", "Row", "against", "differing", "rows"]

Kind = Literal["landscape", "search", "retraining", "unreadable"]
KINDS: tuple[Kind, ...] = ("landscape", "search", "retraining", "unreadable")
STATES = ("finished", "running", "stopped", "unreadable", "…")  # the last one: not read yet
Row: TypeAlias = dict[str, str | float | None]
Stamp = tuple[int, int, int]

# Columns that say what a run is, and the settings that they are of; others come where they differ.
_SETTINGS = {
    "space": ("supernet.space", "space"),
    "data": ("data.name", "data"),
    "seed": ("seed",),
    "method": ("search.method",),
}
_HIDDEN = ("name", "source", *(key for keys in _SETTINGS.values() for key in keys))
_MOST = 20_000  # runs that are remembered


@dataclass(frozen=True)
class Facts:
    """What is known of one run.

    Attributes:
        name: Of the run, on one line.
        path: Its folder.
        kind: What it is a run of.
        state: One of ``STATES``.
        created: When it was made, in a form that sorts; empty if unknown.
        bundled: Whether it came with the package.
        settings: By dotted key, as JSON text.
        numbers: By the title of their column; of finished runs all, else what is there.
        cells: The genotype that a search found or that is retrained; empty if there is none.
        size: Bytes on disk.
        problem: Why it cannot be read; empty if it can.
    """

    name: str
    path: Path
    kind: Kind
    state: str = "…"
    created: str = ""
    bundled: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)
    cells: str = ""
    size: int = 0
    problem: str = ""

    def says(self, words: Sequence[str]) -> bool:
        """Whether all these words are in its name, kind, state, date or ``setting=value``."""
        said = [self.name, self.kind, self.state, self.created]
        said += [f"{key}={value}" for key, value in self.settings.items()]
        where = " ".join(said).lower().replace('"', "")
        return all(word.lower() in where for word in words)


class Index:
    """Facts of runs, kept by the size and the times of their files."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[Stamp, Facts]] = {}

    def facts(self, entries: Sequence[Entry], seconds: float = math.inf) -> list[Facts]:
        """Facts of all entries, in their order; ``…`` for what has not been read in so long.

        Args:
            entries: As ``catalogue`` gives them.
            seconds: After which nothing more is read. Who asks again gets more.
        """
        end = time.perf_counter() + seconds
        if len(self._known) > _MOST:
            self._known.clear()
        return [self._of(entry, end) for entry in entries]

    def _of(self, entry: Entry, end: float) -> Facts:
        path = entry.listed.path
        stamp = _stamp(path)
        known = self._known.get(path)
        if known and known[0] == stamp:
            found = known[1]
            if found.state == "…" and time.perf_counter() < end:
                found = _read(entry, found)
        else:
            found = replace(_told(entry), size=stamp[1])
            if time.perf_counter() < end:
                found = _read(entry, found)
        self._known[path] = (stamp, found)
        if found.state in ("stopped", "…") and entry.written:
            return replace(found, state="running")
        return found


def _stamp(folder: Path | str) -> Stamp:
    """Number, bytes and latest change of all files."""
    count = size = latest = 0
    try:
        with os.scandir(folder) as items:
            for item in items:
                if item.is_dir(follow_symlinks=False):
                    more = _stamp(item.path)
                    count, size, latest = count + more[0], size + more[1], max(latest, more[2])
                elif item.name.endswith(".h5"):
                    status = item.stat(follow_symlinks=False)
                    changed = max(status.st_mtime_ns, status.st_ctime_ns)
                    count, size, latest = count + 1, size + status.st_size, max(latest, changed)
    except OSError:  # it is gone, or nobody may look
        pass
    return count, size, latest


def _told(entry: Entry) -> Facts:
    """What ``run.h5`` alone says, which is open by now."""
    run, path, name = entry.listed.run, entry.listed.path, printable(entry.name)
    if run is None:
        problem = entry.listed.problem
        return Facts(name, path, "unreadable", "unreadable", problem=problem)
    kind: Kind = "landscape"
    if entry.retraining:
        kind = "retraining"
    elif entry.search_only:
        kind = "search"
    cells = str(run.config.get("genotype", "")) if kind == "retraining" else ""
    return Facts(
        name, path, kind, created=entry.created, bundled=entry.bundled,
        settings=flat(run.config), cells=cells,
    )  # fmt: skip


def _read(entry: Entry, told: Facts) -> Facts:
    read = {"landscape": _landscape, "search": _search, "retraining": _retraining}
    try:
        if told.kind == "unreadable":
            return told
        done, numbers = read[told.kind](entry)
        if told.kind == "search" and done:
            told = replace(told, cells=_cells(entry))
    except (RunError, ConfigError, LookupError, TypeError, ValueError) as error:
        return replace(told, state="unreadable", problem=str(error) or type(error).__name__)
    return replace(told, state="finished" if done else "stopped", numbers=numbers)


def _landscape(entry: Entry) -> tuple[bool, dict[str, float]]:
    if "plane" not in entry.listed.run:  # type: ignore[operator]
        return False, _last_epoch(entry)
    record = entry.figure()
    spent = sum(float(each.seconds.sum()) for each in record.surfaces if each.seconds.size)
    numbers = {"seconds": spent + sum(path.seconds for path in record.paths)}
    if unfinished(record):
        said = record.facts.get("val_accuracy")
        return False, ({"accuracy": float(said)} if isinstance(said, float) else {}) | numbers
    if len({surface.inner_steps for surface in record.surfaces}) < 2:
        return True, numbers
    return True, summary.row(record) | numbers


def _search(entry: Entry) -> tuple[bool, dict[str, float]]:
    run = entry.listed.run
    assert run is not None
    done = search_finished(run, Config.from_table(filled(run.config)))
    return done, _last_epoch(entry)


def _cells(entry: Entry) -> str:
    """What a finished search ends with: the cells that it chose, else those of its last epoch."""
    run = entry.listed.run
    assert run is not None
    record = RESULT if RESULT in run else max(points_in(run.names(), "search")).search_record
    return str(run.read(record).attributes["genotype"])


def _last_epoch(entry: Entry) -> dict[str, float]:
    """Accuracy and loss after the last epoch; its seconds stand for those of all others."""
    run = entry.listed.run
    assert run is not None
    points = points_in(run.names(), "search")
    if not points:
        return {"epochs": 0}
    found = run.read(max(points).search_record).arrays
    return {
        "accuracy": float(found["epoch/val_accuracy"]),
        "search loss": float(found["epoch/val_loss"]),
        "skips": 16 * float(found["epoch/skip_share"]),
        "epochs": len(points),
        "seconds": len(points) * float(found["timing_seconds"].sum()),
    }


def _retraining(entry: Entry) -> tuple[bool, dict[str, float]]:
    run = entry.listed.run
    assert run is not None
    epochs = [name for name in run.names() if name.startswith("retrain/epoch-")]
    numbers: dict[str, float] = {"epochs": len(epochs)}
    if epochs:
        last = float(run.read(epochs[-1]).arrays["timing_seconds"])
        numbers["seconds"] = len(epochs) * last
    if RESULT not in run:
        return False, numbers
    found = run.read(RESULT).arrays
    accuracy, size = float(found["test_accuracy"]), float(found["parameters"])
    return True, {"test accuracy": accuracy, "parameters": size} | numbers


def _setting(facts: Facts, *keys: str) -> str:
    """A setting in words; empty if the run does not say it."""
    return next((facts.settings[key].strip('"') for key in keys if key in facts.settings), "")


def rows(found: Sequence[Facts], among: Sequence[Facts] | None = None) -> list[Row]:
    """A row per run, all with the same columns: what it is, its numbers, and its other settings.

    What a run does not have is None. The columns of settings are dotted keys.

    Args:
        found: The runs.
        among: Where the searches are looked for that found what is retrained; None: among these.
    """
    searches: dict[str, list[str]] = {}
    for each in found if among is None else among:
        if each.kind == "search" and each.cells:
            searches.setdefault(each.cells, []).append(each.name)
    titles = dict.fromkeys(title for each in found for title in each.numbers)
    titles.pop("seconds", None)
    keys = sorted({key for each in found for key in each.settings if key not in _HIDDEN})
    table = []
    for facts in found:
        row: Row = {"run": facts.name, "state": facts.state, "kind": facts.kind}
        row |= {"created": facts.created[:19].replace("T", " ") or None}
        row |= {title: _setting(facts, *names) or None for title, names in _SETTINGS.items()}
        those = searches.get(facts.cells, []) if facts.kind == "retraining" else []
        row["cells of"] = ", ".join(those[:2]) + " …" * (len(those) > 2) or None
        row["M"] = _setting(facts, "landscape.steps") if facts.kind == "landscape" else None
        shape = [_setting(facts, f"landscape.{side}") for side in ("rows", "cols")]
        row["grid"] = "×".join(shape) if all(shape) and facts.kind == "landscape" else None
        row |= {title: _finite(facts.numbers.get(title)) for title in titles}
        row |= {"seconds": _finite(facts.numbers.get("seconds")), "size": float(facts.size)}
        row["problem"] = facts.problem or None
        table.append(row | {key: facts.settings.get(key) for key in keys if key not in row})
    return table


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def differing(table: Sequence[Row], always: Collection[str] = ("run",)) -> list[str]:
    """The columns in which rows differ, in their order; one that all rows lack is none."""
    return [
        title
        for title in (table[0] if table else {})
        if title in always or len({row[title] for row in table}) > 1
    ]


def against(table: Sequence[Row], baseline: str) -> list[Row]:
    """Each number minus that of the baseline, and a column with the settings that are not as there.

    Raises:
        LookupError: If no row is of the baseline.
    """
    base = next((row for row in table if row["run"] == baseline), None)
    if base is None:
        raise LookupError(f"got the baseline {baseline!r}, expected a run of the table")

    def less(row: Row, title: str) -> str | float | None:
        value, from_ = row[title], base[title]
        if title == "size" or not isinstance(value, float | int):
            return value
        if (title in METHODS or title.startswith("L_")) and row["M"] != base["M"]:
            return None  # losses after other numbers of steps
        return value - from_ if isinstance(from_, float | int) else None

    told = ("run", "state", "kind", "created", "cells of", "problem")
    numbers = {t for row in table for t, value in row.items() if isinstance(value, float | int)}
    named = [title for title in base if title not in told and title not in numbers]
    found = []
    for row in table:
        other = [title for title in named if row[title] != base[title]]
        new: Row = {"run": row["run"], "differs in": ", ".join(other) or None}
        found.append(new | {title: less(row, title) for title in row if title != "run"})
    return found
