"""How far a run is in its program, by its records. No torch in here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import partial
from typing import overload

import numpy as np

from zarts.runs.runfile import Record, Run
from zarts.settings.config import Config, ConfigError
from zarts.settings.stages import Done, Epoch, Point, Program, Stage, epochs

__all__ = [
    "RESULT",
    "History",
    "Ran",
    "chosen",
    "deviations",
    "epochs_asked",
    "following",
    "last_snapshot",
    "left_behind",
    "points_in",
    "search_finished",
    "stage_at",
    "under",
    "write_result",
]

RESULT = "result"  # the record that ends a search, of programs that leave one
Ran = tuple[tuple[Stage, int], ...]  # stages in order, and the epoch that each reached

_NAME = r"(?:stage-([1-9]\d{0,3})/)?%s/epoch-(\d{4,9})"


class History(Sequence[Epoch]):
    """The epochs of a run so far, each read from its record when it is asked for."""

    def __init__(self, run: Run, ran: Ran) -> None:
        self._run = run
        self._points = [
            Point(stage.index, epoch) for stage, reached in ran for epoch in stage.numbers(reached)
        ]

    def __len__(self) -> int:
        return len(self._points)

    @overload
    def __getitem__(self, place: int) -> Epoch: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Epoch]: ...
    def __getitem__(self, place: int | slice) -> Epoch | Sequence[Epoch]:
        if isinstance(place, slice):
            return [self._read(point) for point in self._points[place]]
        return self._read(self._points[place])

    def _read(self, point: Point) -> Epoch:
        return self._run.parse(point.search_record, partial(_epoch, point))


def _epoch(point: Point, record: Record) -> Epoch:
    facts = {
        name.removeprefix("epoch/"): float(array)
        for name, array in record.arrays.items()
        if name.startswith("epoch/")
    }
    return Epoch(point, record.arrays["alpha"][-1], facts)


def following(program: Program, stage: Stage, history: Sequence[Epoch], epoch: int) -> Stage | Done:
    """What the program says after an epoch of a stage, if it can be done.

    Raises:
        ValueError: If it cannot.
    """
    found = program.after(stage, history)
    if isinstance(found, Done):
        if found.epoch not in stage.snapshots or found.epoch > epoch:
            raise ValueError(f"the program ends with epoch {found.epoch}, whose ω was not kept")
    elif found.index != stage.index + 1 and (found.index != stage.index or epoch == stage.epochs):
        raise ValueError(f"the program goes from stage {stage.index} to {found.index}")
    elif found.index != stage.index and found.offset and not found.start:
        raise ValueError(f"stage {found.index} goes on with epoch {found.offset} of no stage")
    return found


def stage_at(run: Run, program: Program, point: Point) -> tuple[Stage, Ran] | None:
    """The stage that a run is in at a point (epoch 0: its start), and those before it.

    None if a record of the way there is missing.

    Raises:
        RunError: If a record that the program asks for cannot be read.
        ValueError: If the program does not pass there.
    """
    stage, past, epoch = program.stages[0], Ran(), 0
    while (stage.index, epoch) != point:
        epoch += 1
        if any(name not in run for name in stage.left(epoch)):
            return None
        if (stage.index, epoch) == point:
            break
        ran = (*past, (stage, epoch))
        found = following(program, stage, History(run, ran), epoch)
        if isinstance(found, Done):
            raise ValueError(f"got epoch {point.epoch} of stage {point.stage}, after the end")
        if found.index != stage.index:
            stage, past, epoch = found, ran, found.offset
    return stage, past


def search_finished(run: Run, config: Config) -> bool:
    """Whether a run holds every record of its search; looks at names, and at ``result``.

    Raises:
        RunError: If there is one that cannot be read.
    """
    if config.program.leaves_result and RESULT not in run:
        return False
    return all(name in run for name in left_behind(run, config))


def left_behind(run: Run, config: Config) -> list[str]:
    """The names of all epochs and snapshots of a finished search.

    Raises:
        RunError: If the search leaves a ``result``, which is not there or cannot be read.
    """
    if config.program.leaves_result:
        return run.parse(RESULT, _records)
    (stage,) = config.program.stages
    return _left(((stage, stage.epochs),))


def _records(record: Record) -> list[str]:
    names = record.attributes["records"]
    if not isinstance(names, list) or not all(points_in([str(name)]) for name in names):
        raise ValueError(f"records is {names!r:.40}, expected the names of epochs and snapshots")
    return [str(name) for name in names]


def chosen(run: Run, config: Config) -> Point:
    """The epoch that is the result of a finished search.

    Raises:
        RunError: If the search leaves a ``result``, which is not there or cannot be read.
    """
    if config.program.leaves_result:
        return run.parse(RESULT, _chosen)
    (stage,) = config.program.stages
    return Point(stage.index, stage.epochs)


def _chosen(record: Record) -> Point:
    return Point(int(record.arrays["stage"]), int(record.arrays["epoch"]))


def deviations(run: Run, program: Program) -> list[str]:
    """Where a run is not as the program says of its records, as far as they are there; a line each.

    Raises:
        RunError: If a record on the way cannot be read.
    """
    found, passed = list[str](), list[str]()
    stage, past, epoch = program.stages[0], Ran(), 0
    while True:
        epoch += 1
        for name in stage.left(epoch):
            if name not in run:
                early = program.leaves_result and RESULT in run
                return (
                    [*found, f"has a result, but its program asks for {name}"] if early else found
                )
            passed.append(name)
            noted = run.parse(name, lambda record: Stage.noted(record.attributes))
            if noted != (stage if stage.index else None):
                found.append(f"{name} tells of another stage than its program")
        ran = (*past, (stage, epoch))
        try:
            then = following(program, stage, History(run, ran), epoch)
        except (LookupError, ValueError) as error:
            return [*found, f"its program cannot be asked after {passed[-1]} ({error})"]
        if isinstance(then, Done):
            break
        if then.index != stage.index:
            stage, past, epoch = then, ran, then.offset
    there = {name for name in run.names() if points_in([name])}
    found += [f"{name} is not on the way of its program" for name in sorted(there - {*passed})]
    if program.leaves_result and RESULT in run:
        end = Point(stage.index, then.epoch)
        if (told := run.parse(RESULT, _chosen)) != end:
            places = [f"epoch {each.epoch} of stage {each.stage}" for each in (told, end)]
            found.append(f"result is {places[0]}, but its program ends with {places[1]}")
        if run.parse(RESULT, _records) != passed:
            found.append("result names other records than those on the way of its program")
        genotype = run.read(end.search_record).attributes["genotype"]
        if run.read(RESULT).attributes["genotype"] != genotype:
            found.append("result has other cells than the epoch that it chose")
    return found


def epochs_asked(run: Run) -> int:
    """How many epochs the search of a run has in the end, as expected now; 0 where unknown."""
    points = points_in(run.names(), "search")
    if RESULT in run:
        return len(points)
    try:
        program = Config.from_table(run.config).program
    except ConfigError:  # of an objective of somebody's own
        return 0
    if not points:
        return epochs(program)
    index, epoch = max(points)
    now, *later = program.stages[index:] or program.stages[-1:]
    left = now.epochs - epoch + sum(stage.epochs - stage.offset for stage in later)
    return len(points) + max(0, left)


def write_result(run: Run, ran: Ran, done: Done) -> None:
    """Ends a search: which epoch it chose, its cells, and all records that it left."""
    point = Point(ran[-1][0].index, done.epoch)
    genotype = run.parse(point.search_record, lambda record: str(record.attributes["genotype"]))
    names = _left(ran)
    arrays = {"stage": np.array(point.stage), "epoch": np.array(point.epoch)}
    run.write(RESULT, arrays, {"genotype": genotype, "records": names})


def _left(ran: Ran) -> list[str]:
    """The records of all epochs, in order."""
    return [
        name
        for stage, reached in ran
        for epoch in stage.numbers(reached)
        for name in stage.left(epoch)
    ]


def last_snapshot(run: Run) -> Point | None:
    """The epoch that a search chose, else the latest one whose ω the run holds; None if none.

    Raises:
        RunError: If there is a ``result`` that cannot be read.
    """
    if RESULT in run:
        return run.parse(RESULT, _chosen)
    return max(points_in(run.names(), "snapshot"), default=None)


def points_in(names: Iterable[str], kind: str = "(?:search|snapshot|state)") -> list[Point]:
    """The epochs that records of a kind (``search``, ``snapshot``, ``state``) are of."""
    found = [re.fullmatch(_NAME % kind, name) for name in names]
    return [Point(int(each[1] or 0), int(each[2])) for each in found if each]


def under(plane: Record) -> Point:
    """The epoch whose ω is under a plane.

    Raises:
        ValueError: If the record does not say (LookupError, TypeError: likewise).
    """
    stage = Stage.noted(plane.attributes)
    return Point(stage.index if stage else 0, plane.whole("epoch"))
