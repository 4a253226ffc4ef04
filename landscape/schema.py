"""Whether a record is one that this project writes: names, arrays, shapes, types, ranges."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from itertools import count

import numpy as np

from landscape.asked import axis_problems, own_steps, surface_name
from landscape.plan import surfaces_of
from landscape.record import Status
from zarts.config import Config
from zarts.optimizers import METHODS
from zarts.runfile import Array, Record
from zarts.stored import lanes_stored
from zarts.supernet.spaces import SPACES

__all__ = ["missing", "problems"]

Arrays = Mapping[str, Array]
Problems = Iterator[str]
Shape = tuple[int, ...]

PAIRED = 1e-4  # how far means of losses may be from the losses they are, for rounding


def problems(name: str, record: Record, config: Config) -> list[str]:
    """What is wrong with one record of a run of these settings; one line each."""
    check = _schema(name)
    if check is None:
        return ["is a record that this version does not know"]
    try:
        return list(check(name, record, config))
    except (LookupError, TypeError, ValueError) as error:  # e.g. an attribute that is no number
        return [f"cannot be understood ({type(error).__name__}: {error})"]


def missing(names: Iterable[str], config: Config) -> tuple[list[str], list[str]]:
    """What a run of these settings does not hold.

    Args:
        names: Its records.
        config: Its settings.

    Returns:
        What is still to be computed, and what cannot be missing from a run that nobody damaged:
        records are written after those they are made of.
    """
    held = set(names)
    still, gaps = ([], []) if config.source else _search_missing(held, config)
    drawn = [surface_name(steps) for steps in surfaces_of(config)]
    drawn += [f"paths/{method}" for method in dict.fromkeys(config.paths.methods)]
    if "plane" in held or config.source:
        still += [name for name in ("plane", *drawn) if name not in held]
    elif found := [name for name in drawn if name in held]:
        gaps.append(f"plane, which {found[0]} lies on")
    return still, gaps


def _search_missing(held: Set[str], config: Config) -> tuple[list[str], list[str]]:
    """The same of a search: epochs follow each other, and a plane follows the last one."""
    total = config.search.epochs
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
    kept = sorted({*config.search.snapshots, total})
    names = [f"snapshot/epoch-{epoch:04d}" for epoch in kept if epoch <= surely]
    return still, gaps + [name for name in names if name not in held]


def _schema(name: str) -> Callable[[str, Record, Config], Problems] | None:
    known: dict[str, Callable[[str, Record, Config], Problems]] = {
        r"run": _run,
        r"plane": _plane,
        r"grid/m\d{2,9}": _surface,
        r"paths/.+": _path,
        r"snapshot/epoch-\d{4,9}": _snapshot,
        r"search/epoch-\d{4,9}": _epoch,
        r"checkpoint": _checkpoint,
    }
    return next((check for text, check in known.items() if re.fullmatch(text, name)), None)


def _run(name: str, record: Record, config: Config) -> Problems:
    del name, config
    yield from _exactly(record.arrays, {})
    for key in ("config", "provenance"):
        if not isinstance(record.attributes.get(key), Mapping):
            yield f"has no {key}"


def _plane(name: str, record: Record, config: Config) -> Problems:
    del name
    dim = SPACES[config.supernet.space].dim
    wanted = {"origin": (dim,), "basis": (dim, 2), "scale": (), "inner_learning_rate": ()}
    yield from _exactly(record.arrays, {key: ("<f8", shape) for key, shape in wanted.items()})
    yield from _finite(record.arrays, wanted)
    record.whole("epoch")
    lanes_stored(record)


def _surface(name: str, record: Record, config: Config) -> Problems:
    land, arrays = config.landscape, record.arrays
    size = (land.rows, land.cols)
    wanted: dict[str, tuple[str, Shape]] = {
        "x": ("<f8", (land.cols,)),
        "y": ("<f8", (land.rows,)),
        "loss": ("<f8", size),
        "status": ("|u1", size),
        "timing_seconds": ("<f8", size),
    }
    found = list(_exactly(arrays, wanted))
    yield from found
    steps = int(name.removeprefix("grid/m"))
    asked = surfaces_of(config)
    if record.attributes.get("inner_steps") != steps or steps not in asked:
        yield (
            f"has M = {record.attributes.get('inner_steps')} under the name of M = {steps}, "
            f"the settings ask for M of {asked}"
        )
    elif name != surface_name(steps):
        yield f"is a second surface with M = {steps}, beside {surface_name(steps)}"
    if found:
        return
    for axis in ("x", "y"):
        yield from axis_problems(axis, arrays[axis], land.range)
    status, loss = arrays["status"], arrays["loss"]
    if odd := sorted(set(status.ravel().tolist()) - set(Status)):
        yield f"status has {odd[:3]}, expected 0 to {max(Status):d}"
    good = status == Status.OK
    for wrong, what in (
        (good & ~np.isfinite(loss), "status OK and a loss that is not finite"),
        (~good & ~np.isnan(loss), "a loss and a status that is not OK"),
    ):
        if count := int(wrong.sum()):
            row, col = np.argwhere(wrong)[0]
            yield f"{count} points, first [{row}, {col}], have {what}"
    if not (arrays["timing_seconds"] >= 0).all():
        yield "timing_seconds has a value that is no duration"


def _path(name: str, record: Record, config: Config) -> Problems:
    method, arrays, note = name.removeprefix("paths/"), record.arrays, record.attributes["note"]
    if method not in METHODS or record.attributes["method"] != method:
        yield f"is of {record.attributes['method']!r}; expected the method of its name"
    elif method not in config.paths.methods:
        yield f"is none of the paths that the settings ask for: {', '.join(config.paths.methods)}"
    expected = own_steps(method, config.landscape.steps)
    if record.attributes["inner_steps"] != expected:
        yield f"has M = {record.attributes['inner_steps']}, {method} descends M = {expected}"
    if not 0 <= float(str(record.attributes.get("length_ratio", 1))) < np.inf:
        yield f"length_ratio is {record.attributes['length_ratio']}, expected a number >= 0"
    count = len(arrays["xy"])
    whole = config.paths.updates + 1
    if not 1 <= count <= whole or (count < whole and not note):
        yield f"has {count} points and the note {note!r}, expected {whole} points"
    wanted: dict[str, tuple[str, Shape]] = {
        "xy": ("<f8", (count, 2)),
        "loss": ("<f8", (count,)),
        "target_loss": ("<f8", (count,)),
        "residual": ("<f8", (count,)),
        "budget": ("<i8", (3,)),
        "timing_seconds": ("<f8", ()),
    }
    if "moments" in arrays:  # later than the others
        wanted["moments"] = ("<f8", (6,))
    yield from _exactly(arrays, wanted)
    yield from _finite(arrays, ("xy", "residual", "timing_seconds", "moments"))
    if "moments" in arrays:
        yield from _moments(arrays["moments"], arrays["target_loss"])
    if not (arrays["budget"] >= 0).all():
        yield "budget has a negative number"
    if np.isinf(arrays["loss"]).any() or np.isinf(arrays["target_loss"]).any():
        yield "a loss is infinite; one that is not finite is stored as NaN"


def _moments(moments: Array, losses: Array) -> Problems:
    count, before, after, *variances, covariance = moments.tolist()
    for where, mean, loss in (("start", before, losses[0]), ("end", after, losses[-1])):
        if not abs(mean - loss) <= PAIRED * (1 + abs(loss)):
            yield f"moments have the mean {mean:.6g} at the {where}, target_loss {loss:.6g}"
    if not (count >= 2 and min(variances) >= 0 and covariance**2 <= 1.001 * math.prod(variances)):
        yield f"moments {moments.tolist()} are those of no two samples"


def _snapshot(name: str, record: Record, config: Config) -> Problems:
    kind = {"float32": "<f4", "float64": "<f8"}[config.dtype]
    arrays = record.arrays
    facts = ("learning_rate", "val_loss", "val_accuracy")
    wanted: dict[str, tuple[str, Shape]] = dict.fromkeys(facts, ("<f8", ()))
    wanted["alpha"] = (kind, (SPACES[config.supernet.space].dim,))
    weights = {key: array for key, array in arrays.items() if key.startswith("weights/")}
    wanted |= {key: (kind, array.shape) for key, array in weights.items()}
    yield from _exactly(arrays, wanted)
    yield from _finite(arrays, wanted)
    if not weights:
        yield "holds no ω"
    yield from _numbered(name, record, config)


def _epoch(name: str, record: Record, config: Config) -> Problems:
    arrays = record.arrays
    alpha = arrays["alpha"]
    if alpha.shape != (len(alpha), SPACES[config.supernet.space].dim):
        yield f"alpha is {alpha.shape}, expected (updates, {SPACES[config.supernet.space].dim})"
    if not len(alpha):
        yield "has no updates"
    for key, array in arrays.items():
        if key.startswith("epoch/"):
            if array.shape:
                yield f"{key} is {array.shape}, expected one number"
        elif array.shape[:1] != (len(alpha),):
            yield f"{key} is {array.shape}, expected {len(alpha)} rows, one per update"
    facts = ("val_loss", "val_accuracy", "learning_rate")
    yield from _finite(arrays, ("alpha", *(f"epoch/{fact}" for fact in facts)))
    if "loss" not in arrays:
        yield "has no loss"
    yield from _numbered(name, record, config)


def _numbered(name: str, record: Record, config: Config) -> Problems:
    epoch, last = record.whole("epoch"), config.search.epochs
    if epoch != int(name.rpartition("-")[2]) or not 1 <= epoch <= last:
        yield f"is of epoch {epoch}, expected that of its name, from 1 to {last}"


def _checkpoint(name: str, record: Record, config: Config) -> Problems:
    del name
    if record.arrays["alpha"].shape != (SPACES[config.supernet.space].dim,):
        yield f"alpha is {record.arrays['alpha'].shape}"
    for key in ("iteration", "epochs"):
        record.whole(key)
    lanes_stored(record)


def _exactly(arrays: Arrays, wanted: Mapping[str, tuple[str, Shape]]) -> Problems:
    for key in sorted(wanted.keys() | arrays.keys()):
        if key not in arrays:
            yield f"has no array {key}"
        elif key not in wanted:
            yield f"has an array {key}, which it should not"
        elif (found := (arrays[key].dtype.str, arrays[key].shape)) != wanted[key]:
            expected = f"expected {wanted[key][1]} of {wanted[key][0]}"
            yield f"{key} is {found[1]} of {found[0]}, {expected}"


def _finite(arrays: Arrays, keys: Iterable[str]) -> Problems:
    yield from (
        f"{key} is not finite"
        for key in keys
        if key in arrays and not np.isfinite(arrays[key]).all()
    )
