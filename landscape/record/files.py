"""Surfaces and paths in a run: written, and read again if they are what they must be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from landscape.record.asked import FigureSettings, surface_name
from landscape.record.kinds import BESIDE, Figure1, OptimizerPath, Surface
from landscape.record.schema import path_problems, plane_problems, surface_problems
from zarts.bilevel.alpha import Space
from zarts.optimizers import method_of, record_name
from zarts.runs.kinds import refuse_retraining
from zarts.runs.runfile import JSON, Array, ForeignFile, Record, Run, RunError, run_path
from zarts.settings.stages import Stage

__all__ = ["load", "path_from", "read_surface", "save_path", "save_surface", "surface_from"]

T = TypeVar("T")


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
    """The surface stored in a record that ``surface_problems`` finds nothing wrong with."""
    arrays = record.arrays
    beside = {key: arrays[f"derived/{key}"] for key in BESIDE if f"derived/{key}" in arrays}
    names = ("x", "y", "loss")
    return Surface(
        inner_steps=record.whole("inner_steps"),
        status=arrays["status"],
        seconds=_floats(arrays["timing_seconds"]),
        **{key: _floats(arrays[key]) for key in names},
        **{key: _floats(array) for key, array in beside.items()},
    )


def read_surface(run: Run, name: str, asked: FigureSettings) -> Surface:
    """The surface of this name in a run, as the settings ask for it.

    Raises:
        ForeignFile: If it is none, or another one.
        RunError: If it cannot be read.
    """
    return run.parse(name, partial(_checked, surface_problems, surface_from, name, asked))


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
    """The path stored in a record that ``path_problems`` finds nothing wrong with."""
    arrays: Mapping[str, Array] = record.arrays
    facts: Mapping[str, Any] = record.attributes
    evaluations, gradients, weight_steps = arrays["budget"].tolist()
    return OptimizerPath(
        method=facts["method"],
        inner_steps=facts["inner_steps"],
        **{key: _floats(arrays[key]) for key in ("xy", "loss", "target_loss", "residual")},
        evaluations=evaluations,
        gradients=gradients,
        weight_steps=weight_steps,
        seconds=float(arrays["timing_seconds"]),
        note=facts["note"],
        length_ratio=facts.get("length_ratio"),
        moments=_floats(arrays["moments"]) if "moments" in arrays else None,
    )


def _plane_from(space: Space | None, record: Record) -> dict[str, Any]:
    """What a figure takes from the record of its plane.

    One of before origin and directions were needed to draw may lack them: then it says less.
    """
    arrays, stage = record.arrays, Stage.noted(record.attributes)
    found = {"scale": float(arrays["scale"]), "facts": record.attributes}
    if "origin" not in arrays or "basis" not in arrays:
        return found
    kept = {key: _floats(arrays[key]) for key in ("origin", "basis")}
    return found | kept | {"space": stage.space if stage else space}


def _floats(array: Array) -> NDArray[np.float64]:
    return array.astype(np.float64, copy=False)


def _checked(
    check: Callable[[str, Record, FigureSettings], Iterator[str]],
    make: Callable[[Record], T],
    name: str,
    asked: FigureSettings,
    record: Record,
) -> T:
    """What is made of a record, which raises ValueError if something is wrong with it."""
    for problem in check(name, record, asked):
        raise ValueError(problem)
    return make(record)


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
    plane_from = partial(_plane_from, asked.space)
    plane = run.parse("plane", partial(_checked, plane_problems, plane_from, "plane", asked))
    held = run.names()
    surfaces = {name: read_surface(run, name, asked) for name in asked.surfaces(held)}
    for name, surface in surfaces.items():
        if not surface.on_grid_of(first := next(iter(surfaces.values()))):
            raise ForeignFile(
                f"{run.path / name}.h5: is on another grid than M = {first.inner_steps}; "
                "surfaces of one run have the same x and y; restore or delete it"
            )
    paths = [
        run.parse(name, partial(_checked, path_problems, path_from, name, asked))
        for name in asked.paths(held)
    ]
    return Figure1(
        name=run.name,
        surfaces=tuple(sorted(surfaces.values(), key=lambda surface: surface.inner_steps)),
        paths=tuple(sorted(paths, key=lambda path: (method_of(path.method).rank, path.method))),
        config=run.config,
        provenance=run.provenance,
        **plane,
    )
