"""Surfaces and paths of an objective of one's own, computed, kept and drawn like those of a search.

The objective is functions, which are not stored: a run says so, and nobody can check its numbers.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path as Folder

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from landscape.geometry.grid import empty_surface, evaluate_at, fill, pending
from landscape.geometry.plane import Plane
from landscape.record import Figure1, OptimizerPath, Status, Surface, load, save_path, save_surface
from zarts.bilevel.alpha import Space
from zarts.bilevel.objective import Bilevel, Objective
from zarts.bilevel.rng import generator
from zarts.runs.provenance import provenance
from zarts.runs.runfile import JSON, ConfigMismatch, Run, valid_name
from zarts.runs.runfile.folder import NAME_RULE

__all__ = ["compute_surface", "save"]

FLUSH_SECONDS = 10.0  # what a kill costs, and the point under way
# Relative: a loss that differs by more is of another objective, not of another machine.
SAME = 1e-4
SAME_AFTER_STEPS = 5e-3  # which multiply what one rounds
Report = Callable[[int, int], None]


def compute_surface(
    objective: Objective,
    origin: ArrayLike | Tensor,
    *,
    folder: Folder | str | None = None,
    steps: Sequence[int] = (0, 10),
    rows: int = 21,
    cols: int = 21,
    extent: float = 1.0,
    scale: float = 1.0,
    plane: Plane | None = None,
    paths: Mapping[str, ArrayLike | Tensor] | None = None,
    seed: int = 0,
    report: Report | None = None,
) -> Figure1:
    """L_M of any objective on a plane: computed, continued or just read, whatever is left to do.

    Drawn by ``figure_1``; with a folder also by the page. The objective itself is not stored: to
    continue, call this again with the same one.

    Example:
        >>> from zarts import Quadratic
        >>> toy = Quadratic.random(dim=4).problem()
        >>> record = compute_surface(toy, torch.ones(4), steps=(0, 3), rows=3, cols=3)
        >>> [surface.inner_steps for surface in record.surfaces]
        [0, 3]

    Args:
        objective: What is asked, for instance a ``Bilevel`` of two losses of one's own.
        origin: α (d,) in the middle.
        folder: Where it is kept; None: nowhere.
        steps: M of the surfaces.
        rows: Grid points along y.
        cols: Grid points along x.
        extent: The grid spans −extent to extent on both axes.
        scale: Length in α-space of one axis unit, where no plane is given.
        plane: Through the origin; None: the two coordinates where α has two, else a random one.
        paths: α (n, d) that somebody visited, by a name of one's own each, to be drawn on it.
        seed: Of the random plane.
        report: Told (done, points of all surfaces) after each point.

    Raises:
        ValueError: If something has not the shape it must have, or is not finite.
        ConfigMismatch: If the folder holds another grid, plane or objective: one point of each
            surface is computed again. A difference that rounding may have made is a warning.
        RunError: If the folder cannot be read or written.
    """
    alpha = _finite("origin", origin)
    objective.space.check(alpha)
    asked = [] if isinstance(steps, int) else sorted({int(each) for each in steps})
    if not asked or asked[0] < 0:
        raise ValueError(f"got steps={steps!r}, expected one M >= 0 or more such as (0, 10)")
    if plane is None:
        plane, kind = _plane(objective.space, alpha, scale, seed)
    else:
        kind = "A plane that was given"
    if not torch.equal(plane.origin.double(), alpha):
        raise ValueError("the plane has another origin; pass origin=plane.origin")
    walks = {name: _finite(f"paths[{name!r}]", points) for name, points in (paths or {}).items()}
    for name, points in walks.items():
        if points.ndim != 2 or points.shape[1:] != alpha.shape or not len(points):
            expected = f"expected (n, {len(alpha)})"
            raise ValueError(f"paths[{name!r}] has shape {tuple(points.shape)}, {expected}")
        if not valid_name(name):
            raise ValueError(f"paths has the name {name!r}; {NAME_RULE}")
    _check_losses(objective, alpha, asked[-1])
    record = Figure1(
        name=Folder(folder).name if folder else objective.space.name,
        surfaces=tuple(empty_surface(each, rows, cols, extent) for each in asked),
        paths=(),
        scale=plane.scale,
        config={
            "objective": {"space": objective.space.name, "dim": len(alpha)},
            "landscape": {"rows": int(rows), "cols": int(cols), "range": float(extent)},
            "surfaces": [*asked],
            "seed": seed,
        },
        provenance=provenance(["landscape.compute_surface"]) | {"seed": seed},
        facts={"plane": kind, "axes": _axes(objective.space, plane)},
        origin=plane.origin.double().numpy(),
        basis=plane.basis.numpy(),
    )
    if folder is None:
        surfaces = _fill(objective, plane, record.surfaces, lambda surface: None, report)
        walked = [_walk(objective.at(asked[-1]), plane, *walk) for walk in walks.items()]
        return replace(record, surfaces=surfaces, paths=tuple(walked))
    run = Run.create(Folder(folder), record.config, record.provenance)
    known = _known(run, record, objective, plane)
    left = {
        name: points
        for name, points in walks.items()
        if not any(_is(path, name, plane.project(points)) for path in known.paths)
    }
    if left or "plane" not in run or any(map(any, map(pending, known.surfaces))):
        with run.lock():
            _lay(run, known, plane)
            _fill(
                objective, plane, known.surfaces, lambda surface: save_surface(run, surface), report
            )
            for walk in left.items():
                save_path(run, _walk(objective.at(asked[-1]), plane, *walk))
    return load(run)


def save(record: Figure1, folder: Folder | str, plane: Plane | None = None) -> Run:
    """Keeps surfaces and paths that were made by hand, so that the page opens them.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from landscape import compute_surface, save
        >>> from zarts import Quadratic
        >>> toy = Quadratic.random()
        >>> record = compute_surface(toy.problem(), toy.center, steps=(0, 3), rows=3, cols=3)
        >>> with TemporaryDirectory() as folder:
        ...     save(record, folder).names()
        ['grid/m00', 'grid/m03', 'plane']

    Args:
        record: With paths under any names.
        folder: A new one.
        plane: Which they lie on, if it is to be kept too.

    Raises:
        ValueError: If the record asks for other surfaces or paths than it has, or for a name under
            which nothing can be stored.
        RunError: If the folder holds another run, or cannot be written.
    """
    said = record.provenance or provenance(["landscape.save"])
    run = Run.create(Folder(folder), record.config, said)
    with run.lock():
        _lay(run, record, plane)
        for path in record.paths:
            save_path(run, path)
    kept = load(run)
    if len(kept.surfaces) + len(kept.paths) < len(record.surfaces) + len(record.paths):
        raise ValueError(f"{run.path}: its settings ask for less than it has; save it without")
    return run


def _lay(run: Run, record: Figure1, plane: Plane | None) -> None:
    """Writes the plane if it is not there, and the surfaces as they are."""
    arrays = {} if plane is None else {"origin": plane.origin, "basis": plane.basis}
    if "plane" not in run:
        kept = {name: tensor.numpy() for name, tensor in arrays.items()}
        run.write("plane", {**kept, "scale": np.array(record.scale)}, record.facts)
    for surface in record.surfaces:
        save_surface(run, surface)


def _known(run: Run, record: Figure1, objective: Objective, plane: Plane) -> Figure1:
    """The record with what a run has of it already.

    Raises:
        ConfigMismatch: If that is of another plane or another objective.
    """
    if "plane" not in run:
        return record
    stored, arrays = load(run), run.read("plane").arrays
    same = plane.scale == stored.scale and all(
        np.array_equal(arrays.get(name, np.empty(0)), tensor.numpy())
        for name, tensor in (("origin", plane.origin), ("basis", plane.basis))
    )
    if not same:
        raise ConfigMismatch(run.path, ["plane: stored another origin, direction or scale"])
    there = {surface.inner_steps: surface for surface in stored.surfaces}
    surfaces = tuple(there.get(each.inner_steps, each) for each in record.surfaces)
    for surface in surfaces:  # what changed may change L_M of larger M alone
        for row, col in np.argwhere(surface.status == Status.OK)[:1].tolist():
            ((now, *_),) = evaluate_at(objective, plane, surface, [(row, col)])
            then = surface.loss[row, col]
            if now == then:
                continue
            found = f"loss at [{row}, {col}], M = {surface.inner_steps}: stored {then:.9g}"
            found += f", this objective gives {now:.9g}"
            rtol = SAME_AFTER_STEPS if surface.inner_steps else SAME
            if not np.isclose(now, then, rtol=rtol, atol=1e-12):
                raise ConfigMismatch(run.path, [found])
            told = "another machine may do that; if the objective is another, use another folder"
            warnings.warn(f"{run.path}: {found}; {told}", stacklevel=3)
    return replace(record, surfaces=surfaces, paths=stored.paths)


def _fill(
    objective: Objective,
    plane: Plane,
    surfaces: Iterable[Surface],
    keep: Callable[[Surface], None],
    report: Report | None,
) -> tuple[Surface, ...]:
    """The surfaces with all their points; each is kept now and then, and at its end of any kind."""
    found = list(surfaces)
    total = sum(surface.loss.size for surface in found)
    done = sum(surface.done for surface in found)
    for index, surface in enumerate(found):
        saved = time.monotonic()
        try:
            for found[index] in fill(objective, plane, surface):
                done += 1
                if report:
                    report(done, total)
                if time.monotonic() - saved > FLUSH_SECONDS:
                    keep(found[index])
                    saved = time.monotonic()
        finally:
            keep(found[index])
    return tuple(found)


def _walk(objective: Objective, plane: Plane, name: str, alphas: Tensor) -> OptimizerPath:
    """What was visited, seen on the plane, with the loss at each point."""
    losses = objective.evaluate(alphas).numpy()
    moved = alphas - alphas[0]
    length = torch.linalg.vector_norm(moved, dim=1)
    outside = torch.linalg.vector_norm(moved - moved @ plane.basis @ plane.basis.T, dim=1)
    # a shorter way than rounding errors is no way out of the plane
    share = torch.where(outside > 1e-9 * (1 + length), (outside / length) ** 2, 0.0)
    return OptimizerPath(
        method=name,
        inner_steps=objective.inner_steps,
        xy=plane.project(alphas).numpy(),
        loss=losses,
        target_loss=losses,
        residual=share.numpy(),
        evaluations=0,
        gradients=0,
        weight_steps=0,
        seconds=0.0,
    )


def _is(path: OptimizerPath, name: str, xy: Tensor) -> bool:
    return path.method == name and np.array_equal(path.xy, xy.numpy())


def _finite(name: str, values: ArrayLike | Tensor) -> Tensor:
    tensor = torch.as_tensor(values, dtype=torch.float64).detach().cpu()
    if not tensor.isfinite().all():
        raise ValueError(
            f"{name} has {int((~tensor.isfinite()).sum())} numbers that are not finite"
        )
    return tensor


def _plane(space: Space, alpha: Tensor, scale: float, seed: int) -> tuple[Plane, str]:
    if space.dim == 2:
        return Plane(alpha, torch.eye(2, dtype=torch.float64), scale), "The two coordinates of α"
    if space.dim < 2:
        raise ValueError(f"space {space.name!r} has {space.dim} dimension, a plane needs two")
    return Plane.random(alpha, generator(seed, "plane"), scale), "random"


def _axes(space: Space, plane: Plane) -> list[JSON]:
    """What the axes are where each is one coordinate of α; else nothing."""
    names = [edge[0] if len(edge) == 1 else "" for g in space.groups for edge in g.operations]
    said: list[JSON] = []
    for axis, column in zip("xy", plane.basis.T, strict=True):
        index = int(column.argmax())
        if float(column[index]) != 1 or len(names) != len(column):
            return []
        name = names[index] if names[index] not in ("", "value") else f"α[{index}]"
        start, unit = float(plane.origin[index]), "" if plane.scale == 1 else f"{plane.scale:.3g}·"
        base = f"{start:.4g} + ".replace("-", "−") if start else ""
        said.append(f"{name} = {base}{unit}{axis}")
    return said


def _check_losses(objective: Objective, alpha: Tensor, steps: int) -> None:
    """Asks each loss once, so that one that cannot be used is found before anything is made."""
    if not isinstance(objective, Bilevel):
        return
    asked = [("val_loss", objective.val_loss, objective.val_batches()[0])]
    if steps:
        batch = objective.feed.inner_batches(objective.iteration, 1)[0]
        asked.append(("train_loss", objective.train_loss, batch))
    point = alpha.to(next(iter(objective.weights.values())))
    for name, loss, batch in asked:
        value: object = loss(objective.weights, point, batch)
        if not isinstance(value, Tensor) or value.shape:
            got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"{name} gives {got}, expected a scalar tensor: one mean of the batch")
