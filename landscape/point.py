"""What is at one point of a plane: losses, the architecture there, its cost, the nearest step.

Only numpy, and only what a run stores: between grid points a loss is read off, never computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landscape.measure import interpolate
from landscape.record import Figure1, OptimizerPath, Status, Surface
from zarts.bilevel.alpha import Space
from zarts.genotype.cost import Cost, cost
from zarts.supernet.derivation import RULES, derive_from
from zarts.supernet.genotype import Genotype
from zarts.supernet.layout import EDGES

__all__ = ["Here", "Profile", "Step", "Value", "at", "genotype_at", "nearest_step", "profile"]

Floats = NDArray[np.float64]
CELLS = ("normal", "reduce")  # the groups of a space that has a genotype


@dataclass(frozen=True)
class Value:
    """What one surface has at a point.

    Attributes:
        inner_steps: M.
        loss: L_M between the grid points around it, bilinear; NaN outside the grid, and where one
            of these is missing.
        node_loss: L_M at the nearest grid point, as it was computed; NaN if it is missing.
        error: Its standard error over the images of L_val; NaN if that is not stored.
        accuracy: Of the supernet on these images; NaN likewise.
        status: Of the nearest grid point.
    """

    inner_steps: int
    loss: float
    node_loss: float
    error: float
    accuracy: float
    status: Status


@dataclass(frozen=True)
class Step:
    """The step of a path that is nearest to a point.

    Attributes:
        path: The path.
        step: Its index; 0 is the start.
        x: Where it is, in axis units.
        y: Likewise.
        distance: From the point, in axis units, within the plane.
        residual: Share of the squared displacement from the start that lies outside the plane.
    """

    path: OptimizerPath
    step: int
    x: float
    y: float
    distance: float
    residual: float


@dataclass(frozen=True)
class Here:
    """What is at a point.

    Attributes:
        x: The point, in axis units.
        y: Likewise.
        node_x: The nearest grid point.
        node_y: Likewise.
        values: Of each surface, by increasing M.
        alpha: α at the point (d,); None if the run does not store its plane.
        genotype: Of that α, by the rule of the run's settings; None if α stands for no cells.
        rule: The name of that rule.
        cost: Of the network of that genotype for CIFAR-10: 20 cells, 36 channels.
        nearest: The nearest step of all paths; None without a path.
        on_node: Whether the point is a grid point, so that its losses are those that were computed.
    """

    x: float
    y: float
    node_x: float
    node_y: float
    values: tuple[Value, ...]
    alpha: Floats | None
    genotype: Genotype | None
    rule: str
    cost: Cost | None
    nearest: Step | None
    on_node: bool


@dataclass(frozen=True)
class Profile:
    """Surfaces along the line between two points.

    Attributes:
        distance: From the first point (n,), in axis units.
        xy: The points (n, 2).
        losses: L_M there (n,) by M: bilinear between grid points, NaN where one is missing.
    """

    distance: Floats
    xy: Floats
    losses: Mapping[int, Floats]


def at(record: Figure1, x: float, y: float) -> Here:
    """Reads all that a run says about a point of its plane.

    Example:
        >>> from pathlib import Path
        >>> import landscape
        >>> from landscape.point import at
        >>> from zarts import Run
        >>> run = Run.open(Path(landscape.__file__).parent / "demo" / "quick-ec257f9a")
        >>> here = at(landscape.load(run), -0.5, 0.5)
        >>> here.on_node, here.nearest.step, here.cost.parameters
        (True, 0, 3141334)

    Args:
        record: What the run holds.
        x: The point, in axis units; outside the grid its losses are NaN.
        y: Likewise.

    Raises:
        ValueError: If the record has no surface, or the point is not finite.
    """
    if not record.surfaces or not np.isfinite([x, y]).all():
        raise ValueError(f"got ({x}, {y}), expected a finite point of a run that has a surface")
    point, grid = np.array([[x, y]]), record.surfaces[0]
    row, col = int(np.abs(grid.y - y).argmin()), int(np.abs(grid.x - x).argmin())
    alphas, rule = record.alphas(point), _rule(record)
    found = None if alphas is None else genotype_at(record.space, alphas[0], rule)
    return Here(
        x=x,
        y=y,
        node_x=float(grid.x[col]),
        node_y=float(grid.y[row]),
        values=tuple(_value(surface, point, row, col) for surface in record.surfaces),
        alpha=None if alphas is None else alphas[0],
        genotype=found,
        rule=rule,
        cost=cost(found) if found else None,
        nearest=nearest_step(record.paths, x, y),
        on_node=_on(grid.x, col, x) and _on(grid.y, row, y),
    )


def genotype_at(space: Space | None, alpha: Floats, rule: str = "darts") -> Genotype | None:
    """The genotype of α (d,) without torch: as ``derive`` gives it; None if α stands for no cells.

    Weights are equal to those of torch but for rounding, so the two may differ only where two
    operations weigh the same to the last bits.
    """
    if space is None or tuple(group.name for group in space.groups) != CELLS:
        return None
    if any(group.edges != len(EDGES) for group in space.groups):
        return None
    tables = space.weights(alpha)
    return derive_from(space, {name: table.tolist() for name, table in tables.items()}, rule)


def nearest_step(paths: Sequence[OptimizerPath], x: float, y: float) -> Step | None:
    """The step of all paths that is nearest to a point; of equal ones that of the first path."""
    found: list[Step] = []
    for path in paths:
        away = np.hypot(path.xy[:, 0] - x, path.xy[:, 1] - y)
        step = int(away.argmin())
        there, residual = path.xy[step].tolist(), float(path.residual[step])
        found.append(Step(path, step, there[0], there[1], float(away[step]), residual))
    return min(found, key=lambda each: each.distance, default=None)


def profile(
    record: Figure1, first: tuple[float, float], second: tuple[float, float], points: int = 201
) -> Profile:
    """Reads all surfaces along the line from one point to another.

    Args:
        record: What a run holds.
        first: Where the line begins, in axis units.
        second: Where it ends.
        points: How many, both ends among them.
    """
    share = np.linspace(0.0, 1.0, points)[:, None]
    xy = (1 - share) * np.array(first) + share * np.array(second)
    length = float(np.hypot(second[0] - first[0], second[1] - first[1]))
    losses = {surface.inner_steps: interpolate(surface, xy) for surface in record.surfaces}
    return Profile(length * share[:, 0], xy, losses)


def _value(surface: Surface, point: Floats, row: int, col: int) -> Value:
    return Value(
        inner_steps=surface.inner_steps,
        loss=float(interpolate(surface, point)[0]),
        node_loss=float(surface.loss[row, col]),
        error=float(surface.error[row, col]),
        accuracy=float(surface.accuracy[row, col]),
        status=Status(int(surface.status[row, col])),
    )


def _on(axis: Floats, index: int, value: float) -> bool:
    """Whether a value is that of the axis, but for what rounding in a link or a field leaves."""
    spacing = float(np.diff(axis).min()) if len(axis) > 1 else 1.0
    return abs(float(axis[index]) - value) < 1e-4 * spacing


def _rule(record: Figure1) -> str:
    """``search.derivation`` of the settings; what came before there was a choice."""
    search = record.config.get("search")
    rule = search.get("derivation") if isinstance(search, Mapping) else None
    return rule if isinstance(rule, str) and rule in RULES else "darts"
