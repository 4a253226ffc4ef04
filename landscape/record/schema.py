"""What the plane, surfaces and paths of a run must look like, as far as its settings say.

Whoever reads these records asks here: figures, page and summary by ``load``, and what continues,
merges or verifies a run by ``landscape.compute.schema``, which knows all its other records too.
Each check yields one line per problem, the gravest first.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from landscape.record.asked import FigureSettings, surface_name
from landscape.record.kinds import BESIDE, Status
from zarts.optimizers import METHODS, record_name
from zarts.runs.runfile import Array, Record
from zarts.runs.stored import lanes_stored
from zarts.settings.stages import Stage

__all__ = ["exactly", "finite", "path_problems", "plane_problems", "surface_problems"]

MOST_POINTS = 2001**2  # of a surface, and ...
MOST_STEPS = 10_000  # ... of a path: more than anybody draws
SPACING = 1e-9  # of the half-range: how far a coordinate may be from where the settings put it
PAIRED = 1e-4  # how far means of losses may be from the losses they are, for rounding

Arrays = Mapping[str, Array]
Problems = Iterator[str]
Wanted = dict[str, tuple[str, tuple[int, ...]]]


def exactly(arrays: Arrays, wanted: Wanted) -> Problems:
    """What differs from the arrays that are wanted, by name: type (or its kind) and shape."""
    for key in sorted(wanted.keys() | arrays.keys()):
        if key not in arrays:
            yield f"has no array {key}"
            continue
        if key not in wanted:
            yield f"has an array {key}, which it should not"
            continue
        (kind, shape), found = wanted[key], arrays[key]
        if kind not in (found.dtype.str, found.dtype.kind) or found.shape != shape:
            yield f"{key} is {found.shape} of {found.dtype.str}, expected {shape} of {kind}"


def finite(arrays: Arrays, keys: Iterable[str]) -> Problems:
    """Which of these arrays hold something that is no finite number."""
    yield from (
        f"{key} is not finite"
        for key in keys
        if key in arrays and not np.isfinite(arrays[key]).all()
    )


def plane_problems(name: str, record: Record, asked: FigureSettings) -> Problems:
    """What is wrong with a plane. Of a run made by hand it may say no more than its scale."""
    del name
    arrays, facts = record.arrays, record.attributes
    stage = Stage.noted(facts)
    space = stage.space if stage else asked.space
    dim = space.dim if space else len(arrays.get("origin", ()))
    shapes = {"origin": (dim,), "basis": (dim, 2), "scale": (), "inner_learning_rate": ()}
    must = shapes if space else {"scale"}
    found = [
        *exactly(arrays, {k: (asked.real, shapes[k]) for k in shapes if k in must or k in arrays}),
        *finite(arrays, shapes),
    ]
    yield from found
    if not found and not arrays["scale"] > 0:
        yield f"scale is {float(arrays['scale'])!r}, expected a number > 0"
    for fact in ("val_accuracy", "val_loss", "alpha_norm"):
        if not _is_number(value := facts.get(fact, 0.0)):
            yield f"{fact} is {value!r:.40}, expected a number"
    if space:
        record.whole("epoch")
    lanes_stored(record)


def surface_problems(name: str, record: Record, asked: FigureSettings) -> Problems:
    """What is wrong with a surface."""
    arrays, steps = record.arrays, record.whole("inner_steps")
    if steps < 0 or name != surface_name(steps):
        yield f"has M = {steps} under another name than {surface_name(steps)}"
    elif asked.surface_steps and steps not in asked.surface_steps:
        yield f"has M = {steps}, the settings ask for M of {asked.surface_steps}"
    size = (asked.rows or arrays["y"].size, asked.cols or arrays["x"].size)
    if not 1 <= math.prod(size) <= MOST_POINTS:
        yield f"has {size[0]}x{size[1]} points, expected 1 to {MOST_POINTS:,}"
        return
    later = [f"derived/{key}" for key in BESIDE if f"derived/{key}" in arrays]
    wanted: Wanted = dict.fromkeys(("loss", "timing_seconds", *later), (asked.real, size))
    wanted |= {axis: (asked.real, (length,)) for axis, length in zip("yx", size, strict=True)}
    wanted["status"] = (asked.code, size)
    if asked.space is None and not arrays["timing_seconds"].size:  # made by hand
        wanted["timing_seconds"] = (asked.real, (0, 0))
    found = [*exactly(arrays, wanted), *finite(arrays, "xy")]
    yield from found
    if found:
        return
    for axis in "xy":
        yield from _axis(axis, arrays[axis], asked.range)
    status, loss = arrays["status"], arrays["loss"]
    if odd := sorted(set(status.ravel().tolist()) - set(Status)):
        yield f"status has {odd[:3]}, expected 0 to {max(Status):d}"
    good = status == Status.OK
    for wrong, what in (
        (good & ~np.isfinite(loss), "status OK and a loss that is not finite"),
        (~good & ~np.isnan(loss), "a loss and a status that is not OK"),
        *((_outside(key, arrays[key]), f"{key} that cannot be") for key in later),
    ):
        if count := int(wrong.sum()):
            row, col = np.argwhere(wrong)[0]
            yield f"{count} points, first [{row}, {col}], have {what}"
    if not (arrays["timing_seconds"] >= 0).all():
        yield "timing_seconds has a value that is no duration"


def _axis(name: str, values: Array, extent: float | None) -> Problems:
    """What is wrong with the coordinates (n,) of an axis, which spans ±extent if that is known."""
    if not (np.diff(values) > 0).all():
        yield f"{name} is not strictly increasing"
    if extent is None:
        return
    with np.errstate(over="ignore", invalid="ignore"):  # a hostile range may be any number
        off = np.abs(values - np.linspace(-extent, extent, len(values))).max()
        lopsided = np.abs(values + values[::-1]).max()
    if not lopsided <= SPACING * extent:
        yield f"{name} is not symmetric about 0"
    elif not off <= SPACING * extent:
        yield f"{name} is not evenly spaced over ±{extent:g}"


def _outside(key: str, values: Array) -> NDArray[np.bool_]:
    """Where an error is below 0 or infinite, or an accuracy not from 0 to 1."""
    most = 1.0 if key.endswith("accuracy") else np.finfo(float).max
    outside: NDArray[np.bool_] = (values < 0) | (values > most)
    return outside


def path_problems(name: str, record: Record, asked: FigureSettings) -> Problems:
    """What is wrong with a path."""
    arrays, steps = record.arrays, record.whole("inner_steps")
    method, note = record.attributes["method"], record.attributes["note"]
    if not isinstance(method, str) or not isinstance(note, str):
        yield f"method is {method!r:.40} and note {note!r:.40}, expected text"
        return
    if record_name(method) != name:
        yield f"is of {method!r:.40}, expected the method of its name"
        return
    if asked.methods is not None and method not in asked.methods:
        yield f"is none of the paths that the settings ask for: {', '.join(asked.methods)}"
    own = steps
    if asked.steps is not None and method in METHODS:  # what others descend, their file says
        own = METHODS[method].own_steps(asked.steps)
    if steps < 0 or steps != own:
        yield f"has M = {steps}, {method} descends M = {max(own, 0)}"
    ratio = record.attributes.get("length_ratio", 1)
    if not _is_number(ratio) or ratio < 0:
        yield f"length_ratio is {ratio!r:.40}, expected a number >= 0"
    count = len(arrays["xy"])
    whole = MOST_STEPS + 1 if asked.updates is None else min(asked.updates, MOST_STEPS) + 1
    if not 1 <= count <= whole or (asked.updates is not None and count < whole and not note):
        yield f"has {count} points and the note {note!r:.40}, expected {whole}"
        return
    wanted: Wanted = dict.fromkeys(("loss", "target_loss", "residual"), (asked.real, (count,)))
    wanted["xy"], wanted["timing_seconds"] = (asked.real, (count, 2)), (asked.real, ())
    wanted["budget"] = ("<i8", (3,))
    if "moments" in arrays:  # later than the others
        wanted["moments"] = (asked.real, (6,))
    found = [
        *exactly(arrays, wanted),
        *finite(arrays, ("xy", "residual", "timing_seconds", "moments")),
    ]
    yield from found
    if found:
        return
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
    most = 1.0005 * math.prod(math.sqrt(max(0.0, each)) for each in variances)
    if not (count >= 2 and min(variances) >= 0 and abs(covariance) <= most):
        yield f"moments {moments.tolist()} are those of no two samples"


def _is_number(value: object) -> TypeGuard[int | float]:
    """Whether it is a finite number, which a whole one of many digits is not as a float."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) <= sys.float_info.max
