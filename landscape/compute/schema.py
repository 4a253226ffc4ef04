"""Whether a record is one that this project writes: names, arrays, shapes, types, ranges.

What lies on a plane is described in ``landscape.record.schema``, where ``load`` asks for it too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from functools import partial
from itertools import count

from landscape.compute.jobs import KINDS
from landscape.record.asked import FigureSettings
from landscape.record.schema import exactly, finite, plane_problems
from zarts.runs.course import RESULT, points_in
from zarts.runs.runfile import Array, Record
from zarts.runs.stored import digest_of, lanes_stored
from zarts.settings.config import Config
from zarts.settings.stages import Point, Stage

__all__ = ["missing", "problems"]

Arrays = Mapping[str, Array]
Problems = Iterator[str]
Shape = tuple[int, ...]


def problems(name: str, record: Record, config: Config) -> list[str]:
    """What is wrong with one record of a run of these settings; one line each."""
    check = _schema(name, config)
    if check is None:
        return ["is a record that this version does not know"]
    try:
        return list(check(name, record))
    except (LookupError, TypeError, ValueError) as error:  # e.g. an attribute that is no number
        return [f"cannot be understood ({type(error).__name__}: {error})"]


def missing(
    names: Iterable[str], config: Config, left: Iterable[str] = ()
) -> tuple[list[str], list[str]]:
    """What a run of these settings does not hold.

    Args:
        names: Its records.
        config: Its settings.
        left: The records that its search left behind, by its ``result`` if it has one.

    Returns:
        What is still to be computed, and what cannot be missing from a run that nobody damaged:
        records are written after those they are made of.
    """
    held = set(names)
    if config.source:
        still, gaps = list[str](), list[str]()
    elif config.program.leaves_result:
        still, gaps = _stages_missing(held, left)
    else:
        still, gaps = _search_missing(held, config)
    if config.search.origin and not config.source and "start" not in held:
        gaps.append("start, which the search begins with")
    drawn = [name for kind in KINDS for name in kind.records(config)]
    if "plane" in held or config.source:
        still += [name for name in ("plane", *drawn) if name not in held]
    elif found := [name for name in drawn if name in held]:
        gaps.append(f"plane, which {found[0]} lies on")
    return still, gaps


def _stages_missing(held: Set[str], left: Iterable[str]) -> tuple[list[str], list[str]]:
    """The same of a search of several stages, or of one that may end early."""
    if RESULT in held:
        return [], [name for name in left if name not in held]
    points = set(points_in(held, "search"))
    # a stage that goes on from an epoch of another has no first one
    first = {each.stage: each.epoch for each in sorted(points, reverse=True)} | {0: 1}
    before = [
        Point(each.stage, epoch)
        for each in points
        for epoch in range(first[each.stage], each.epoch)
    ]
    gaps = sorted({each.search_record for each in before if each not in points})
    if "plane" in held:
        return [], [*gaps, RESULT]
    return ["the end of its search"], gaps


def _search_missing(held: Set[str], config: Config) -> tuple[list[str], list[str]]:
    """The same of a search of one stage: a plane follows its last epoch."""
    (stage,) = config.program.stages
    total = stage.epochs
    numbers = {int(name[-4:]) for name in held if re.fullmatch(r"search/epoch-\d{4}", name)}
    reached = total if "plane" in held else max(numbers, default=0)
    still, gaps = [], []
    if reached < total:
        still.append(f"{total - reached} of {total} search epochs")
    if (lost := reached - sum(1 <= number <= reached for number in numbers)) > 0:
        first = next(number for number in count(1) if number not in numbers)
        more = f" and {lost - 1} more search epochs" if lost > 1 else ""
        gaps.append(f"search/epoch-{first:04d}{more}")
    # the ω of an epoch is written right after the epoch's record
    surely = reached if "plane" in held else reached - 1
    names = [Point(0, epoch).snapshot_record for epoch in stage.snapshots if epoch <= surely]
    return still, gaps + [name for name in names if name not in held]


def _schema(name: str, config: Config) -> Callable[[str, Record], Problems] | None:
    searched = {
        r"run": _run,
        r"(stage-[1-9]\d{0,3}/)?snapshot/epoch-\d{4,9}": _snapshot,
        r"(stage-[1-9]\d{0,3}/)?search/epoch-\d{4,9}": _epoch,
        r"(stage-[1-9]\d{0,3}/)?state/epoch-\d{4,9}": _state,
        RESULT: _result,
        r"start": _start,
        r"checkpoint": _checkpoint,
        r"derived/condition/epoch-\d{4,9}": _condition,
    }
    drawn = {r"plane": plane_problems}
    for kind in KINDS:
        drawn |= kind.checks
    asked = FigureSettings.of(config.to_table())
    known = {text: partial(check, config=config) for text, check in searched.items()}
    known |= {text: partial(check, asked=asked) for text, check in drawn.items()}
    return next((check for text, check in known.items() if re.fullmatch(text, name)), None)


def _run(name: str, record: Record, config: Config) -> Problems:
    del name, config
    yield from exactly(record.arrays, {})
    for key in ("config", "provenance"):
        if not isinstance(record.attributes.get(key), Mapping):
            yield f"has no {key}"


def _start(name: str, record: Record, config: Config) -> Problems:
    del name
    yield from _kept(record, config)
    if (digest := digest_of(record.arrays)[:16]) != config.search.origin.rpartition("/")[2]:
        yield f"has the content {digest}, the settings say {config.search.origin or 'no such'}"


def _snapshot(name: str, record: Record, config: Config) -> Problems:
    yield from _kept(record, config)
    yield from _numbered(name, record, config)


def _kept(record: Record, config: Config) -> Problems:
    kind = {"float32": "<f4", "float64": "<f8"}[config.dtype]
    arrays = record.arrays
    facts = ("learning_rate", "val_loss", "val_accuracy")
    wanted: dict[str, tuple[str, Shape]] = dict.fromkeys(facts, ("<f8", ()))
    wanted["alpha"] = (kind, (_stage(record, config).space.dim,))
    weights = {key: array for key, array in arrays.items() if key.startswith("weights/")}
    wanted |= {key: (kind, array.shape) for key, array in weights.items()}
    yield from exactly(arrays, wanted)
    yield from finite(arrays, wanted)
    if not weights:
        yield "holds no ω"


def _epoch(name: str, record: Record, config: Config) -> Problems:
    arrays = record.arrays
    alpha, dim = arrays["alpha"], _stage(record, config).space.dim
    if alpha.shape != (len(alpha), dim):
        yield f"alpha is {alpha.shape}, expected (updates, {dim})"
    if not len(alpha):
        yield "has no updates"
    for key, array in arrays.items():
        if key.startswith("epoch/"):
            if array.shape:
                yield f"{key} is {array.shape}, expected one number"
        elif array.shape[:1] != (len(alpha),):
            yield f"{key} is {array.shape}, expected {len(alpha)} rows, one per update"
    facts = ["val_loss", "val_accuracy", "learning_rate"]
    facts += _stage(record, config).needed(record.whole("epoch"))
    yield from finite(arrays, ("alpha", *(f"epoch/{fact}" for fact in facts)))
    if "loss" not in arrays:
        yield "has no loss"
    yield from _numbered(name, record, config)


def _state(name: str, record: Record, config: Config) -> Problems:
    for key, array in record.arrays.items():
        if not key.startswith(("velocity/", "memory/")):
            yield f"has an array {key}, which it should not"
        elif array.dtype.kind == "f":
            yield from finite(record.arrays, (key,))
    yield from _numbered(name, record, config)


def _numbered(name: str, record: Record, config: Config) -> Problems:
    epoch, stage = record.whole("epoch"), _stage(record, config)
    (named,) = points_in([name])
    if named != (stage.index, epoch) or not stage.offset < epoch <= stage.epochs:
        where = f"stage {stage.index}, " if stage.index else ""
        yield f"is of {where}epoch {epoch}, expected that of its name, in its stage"


def _result(name: str, record: Record, config: Config) -> Problems:
    del name, config
    yield from exactly(record.arrays, {"stage": ("<i8", ()), "epoch": ("<i8", ())})
    point = Point(int(record.arrays["stage"]), int(record.arrays["epoch"]))
    names = record.attributes["records"]
    if not isinstance(names, list) or point.snapshot_record not in names:
        yield f"chose epoch {point.epoch} of stage {point.stage}, whose ω was not kept"
    if not isinstance(record.attributes["genotype"], str):
        yield "names no cells"


def _stage(record: Record, config: Config) -> Stage:
    """The stage that a record is of."""
    return Stage.noted(record.attributes) or config.program.stages[0]


def _checkpoint(name: str, record: Record, config: Config) -> Problems:
    del name
    if record.arrays["alpha"].shape != (_stage(record, config).space.dim,):
        yield f"alpha is {record.arrays['alpha'].shape}"
    for key in ("iteration", "epochs"):
        record.whole(key)
    lanes_stored(record)


def _condition(name: str, record: Record, config: Config) -> Problems:
    del name, config
    count = record.arrays["losses"].shape
    wanted = {"number": ("<f8", ()), "loss": ("<f8", ()), "losses": ("<f8", count)}
    yield from exactly(record.arrays, wanted)
