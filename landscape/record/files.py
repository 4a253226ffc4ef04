"""Surfaces and paths in a run: written, and read again with every check that drawing needs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landscape.record.asked import FigureSettings, axis_problems, own_steps, surface_name
from landscape.record.kinds import BESIDE, Figure1, OptimizerPath, Status, Surface
from zarts.optimizers import method_of, record_name
from zarts.runs.kinds import refuse_retraining
from zarts.runs.runfile import JSON, ForeignFile, Record, Run, RunError, run_path
from zarts.settings.stages import Stage
from zarts.supernet.spaces import SPACES

__all__ = ["load", "path_from", "save_path", "save_surface", "surface_from"]

MOST_POINTS = 2001**2  # of a surface, and ...
MOST_STEPS = 10_000  # ... of a path: more than anybody draws


def save_surface(run: Run, surface: Surface) -> None:
    """Writes one surface (finished or not) to the run, replacing its earlier state atomically."""
    beside = {f"derived/{name}": getattr(surface, name) for name in BESIDE}
    run.write(
        surface_name(surface.inner_steps),
        {
            "x": surface.x,
            "y": surface.y,
            "loss": surface.loss,
            "status": surface.status,
            "timing_seconds": surface.seconds,
            **{name: array for name, array in beside.items() if not np.isnan(array).all()},
        },
        {"inner_steps": surface.inner_steps},
    )


def surface_from(record: Record) -> Surface:
    """The surface stored in one record.

    Raises:
        ValueError: If the record has not the form of a surface (KeyError: lacks a part of it).
    """
    x, y = (_numbers(record, axis, (None,), finite=True) for axis in ("x", "y"))
    shape = (len(y), len(x))
    if not 1 <= x.size * y.size <= MOST_POINTS:
        raise ValueError(f"has {shape[0]}x{shape[1]} points, expected 1 to {MOST_POINTS:,}")
    if not ((np.diff(x) > 0).all() and (np.diff(y) > 0).all()):
        raise ValueError("x or y is not strictly increasing")
    loss = _numbers(record, "loss", shape)
    status = _numbers(record, "status", shape, "u")
    if odd := int((np.isinf(loss) | (~np.isnan(loss) & (status != Status.OK))).sum()):
        raise ValueError(f"{odd} points have a loss that is infinite, or one and are not OK")
    seconds = record.arrays["timing_seconds"]
    if seconds.size:  # of a surface made by hand there may be none
        seconds = _numbers(record, "timing_seconds", shape)
    beside = {
        name: _numbers(record, f"derived/{name}", shape)
        for name in BESIDE
        if f"derived/{name}" in record.arrays
    }
    return Surface(_count(record, "inner_steps"), x, y, loss, status, seconds, **beside)


def save_path(run: Run, path: OptimizerPath) -> None:
    """Writes one finished path to the run."""
    attributes: dict[str, JSON] = {
        "method": path.method, "inner_steps": path.inner_steps, "note": path.note
    }  # fmt: skip
    if path.length_ratio is not None:
        attributes["length_ratio"] = path.length_ratio
    moments = {} if path.moments is None else {"moments": path.moments}
    run.write(
        record_name(path.method),
        {
            **moments,
            "xy": path.xy,
            "loss": path.loss,
            "target_loss": path.target_loss,
            "residual": path.residual,
            "budget": np.array([path.evaluations, path.gradients, path.weight_steps]),
            "timing_seconds": np.array(path.seconds),
        },
        attributes,
    )


def path_from(record: Record) -> OptimizerPath:
    """The path stored in one record.

    Raises:
        ValueError: If the record has not the form of a path (KeyError: lacks a part of it).
    """
    xy = _numbers(record, "xy", (None, 2), finite=True)
    if not 1 <= len(xy) <= MOST_STEPS + 1:
        raise ValueError(f"has {len(xy)} points, expected 1 to {MOST_STEPS + 1:,}")
    evaluations, gradients, weight_steps = _numbers(record, "budget", (3,), "iu").tolist()
    method, note = record.attributes["method"], record.attributes["note"]
    if not isinstance(method, str) or not isinstance(note, str):
        raise ValueError(f"method is {method!r:.40} and note {note!r:.40}, expected text")
    loss, target_loss = (_numbers(record, key, (len(xy),)) for key in ("loss", "target_loss"))
    if np.isinf(loss).any() or np.isinf(target_loss).any():
        raise ValueError("a loss is infinite; one that is not finite is stored as NaN")
    ratio = record.attributes.get("length_ratio")
    if ratio is not None and not (isinstance(ratio, int | float) and 0 <= ratio < np.inf):
        raise ValueError(f"length_ratio is {ratio!r:.40}, expected a number >= 0")
    return OptimizerPath(
        method=method,
        inner_steps=_count(record, "inner_steps"),
        xy=xy,
        loss=loss,
        target_loss=target_loss,
        residual=_numbers(record, "residual", (len(xy),), finite=True),
        evaluations=evaluations,
        gradients=gradients,
        weight_steps=weight_steps,
        seconds=float(_numbers(record, "timing_seconds", ())),
        note=note,
        length_ratio=ratio,
        moments=_numbers(record, "moments", (6,)) if "moments" in record.arrays else None,
    )


def _numbers(
    record: Record,
    name: str,
    shape: tuple[int | None, ...],
    kinds: str = "f",
    *,
    finite: bool = False,
) -> NDArray[Any]:
    """An array of a record, if it has this shape (None: any length) and one of these kinds."""
    array = record.arrays[name]
    fits = array.ndim == len(shape) and all(
        asked in (None, found) for asked, found in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype.kind not in kinds:
        expected = ", ".join("any" if length is None else str(length) for length in shape)
        raise ValueError(f"{name} is {array.shape} of {array.dtype}, expected ({expected})")
    if finite and not np.isfinite(array).all():
        raise ValueError(f"{name} is not finite")
    return array.astype(np.float64, copy=False) if kinds == "f" else array


def _count(record: Record, name: str) -> int:
    if (value := record.whole(name)) < 0:
        raise ValueError(f"{name} is {value}, expected 0 or more")
    return value


def _plane_from(config: Mapping[str, JSON], record: Record) -> dict[str, Any]:
    """What a figure takes from the record of its plane, whose space the settings or a stage name.

    A plane of before origin and directions were needed to draw may lack them: then it says less.

    Raises:
        ValueError: If the record has not the form of a plane, or not of one of this space.
    """
    scale = float(_numbers(record, "scale", (), finite=True))
    if not scale > 0:
        raise ValueError(f"scale is {scale!r}, expected a number > 0")
    for name in ("val_accuracy", "val_loss", "alpha_norm"):
        fact = record.attributes.get(name, 0.0)
        if not isinstance(fact, int | float) or isinstance(fact, bool):
            raise ValueError(f"{name} is {fact!r:.40}, expected a number")
    found: dict[str, Any] = {"scale": scale, "facts": record.attributes}
    if "origin" not in record.arrays or "basis" not in record.arrays:
        return found
    origin = _numbers(record, "origin", (None,), finite=True)
    basis = _numbers(record, "basis", (len(origin), 2), finite=True)
    stage, supernet = Stage.noted(record.attributes), config.get("supernet")
    named = supernet.get("space") if isinstance(supernet, Mapping) else None
    space = stage.space if stage else SPACES.get(str(named))
    if space and space.dim != len(origin):
        raise ValueError(f"origin has {len(origin)} entries, space {space.name} has {space.dim}")
    return found | {"origin": origin, "basis": basis, "space": space}


def _asked_surface(name: str, asked: FigureSettings, record: Record) -> Surface:
    """The surface of a record of this name, if it is the one the settings ask for."""
    surface = surface_from(record)
    rows, cols = surface.loss.shape
    if name != surface_name(surface.inner_steps):
        raise ValueError(f"has M = {surface.inner_steps} under another name")
    if (rows, cols) != (wanted := (asked.rows or rows, asked.cols or cols)):
        raise ValueError(f"is {rows}x{cols}, the settings ask for {wanted[0]}x{wanted[1]}")
    if asked.range is not None:
        for axis, values in (("x", surface.x), ("y", surface.y)):
            if problem := next(axis_problems(axis, values, asked.range), ""):
                raise ValueError(problem)
    return surface


def _asked_path(name: str, asked: FigureSettings, record: Record) -> OptimizerPath:
    """The path of a record of this name, if it is the one the settings ask for."""
    path = path_from(record)
    if name != record_name(path.method):
        raise ValueError(f"is of {path.method!r:.40}, expected the method of its name")
    own = own_steps(path.method, asked.steps) if asked.steps is not None else None
    if own not in (None, path.inner_steps):
        raise ValueError(f"descends M = {path.inner_steps}, the settings say otherwise")
    if asked.updates is not None:
        count, whole = len(path.xy), asked.updates + 1
        if count > whole or (count < whole and not path.note):
            raise ValueError(f"has {count} points and the note {path.note!r:.40}, expected {whole}")
    return path


def load(run: Run | Path | str) -> Figure1:
    """Reads whatever of Fig. 1 a run holds so far; safe while another process computes it.

    Surfaces and paths are those that the settings ask for; records of other names are left out. Of
    a run whose settings do not say, as of one made by hand, they are all that there are.

    Args:
        run: The run, its folder, or its name in the folder of all runs.

    Example:
        >>> import landscape
        >>> from pathlib import Path
        >>> run = Path(landscape.__file__).parent / "demo" / "quick-ec257f9a"
        >>> [surface.inner_steps for surface in landscape.load(run).surfaces]
        [0, 1, 10]

    Raises:
        RunError: If the run holds no landscape, or a file is damaged.
        ForeignFile: If a record has not the form, or the settings not the sense, that drawing
            needs; names the file and the cause.
    """
    run = run if isinstance(run, Run) else Run.open(run_path(run))
    refuse_retraining(run)
    if "plane" not in run and any(name.startswith("search/") for name in run.names()):
        raise RunError(
            f"{run.path}: holds a search and no landscape yet; one around its α: "
            f"python -m landscape.compute --run {run.name}"
        )
    try:
        asked = FigureSettings.of(run.config)
    except ValueError as error:
        raise ForeignFile(f"{run.path / 'run.h5'}: {error}; restore it") from error
    plane = run.parse("plane", partial(_plane_from, run.config))
    held = run.names()
    surfaces = {
        name: run.parse(name, partial(_asked_surface, name, asked)) for name in asked.surfaces(held)
    }
    for name, surface in surfaces.items():
        first = next(iter(surfaces.values()))
        if not (np.array_equal(surface.x, first.x) and np.array_equal(surface.y, first.y)):
            raise ForeignFile(
                f"{run.path / name}.h5: is on another grid than M = {first.inner_steps}; "
                "surfaces of one run have the same x and y; restore or delete it"
            )
    paths = [run.parse(name, partial(_asked_path, name, asked)) for name in asked.paths(held)]
    return Figure1(
        name=run.name,
        surfaces=tuple(sorted(surfaces.values(), key=lambda surface: surface.inner_steps)),
        paths=tuple(sorted(paths, key=lambda path: (method_of(path.method).rank, path.method))),
        config=run.config,
        provenance=run.provenance,
        **plane,
    )
