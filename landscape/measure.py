"""Numbers about surfaces and paths: where a surface is lowest, how steep it is, where a path ends.

Only numpy, and only what was computed: a point without a finite loss is left out, never filled in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landscape.record import Figure1, OptimizerPath, Surface

__all__ = [
    "Comparison",
    "Ending",
    "Minimum",
    "Reading",
    "compare",
    "constant",
    "ending",
    "endings",
    "interpolate",
    "lowest",
    "minimum",
    "on_border",
    "rank_correlation",
    "read",
    "sharpness",
]

Floats = NDArray[np.float64]
SAME = 1e-6  # losses are computed in single precision; smaller relative differences say nothing


@dataclass(frozen=True)
class Minimum:
    """The lowest point of a grid.

    Attributes:
        loss: The value there.
        x: Column coordinate, in axis units.
        y: Row coordinate, in axis units.
        row: Index of the row.
        col: Index of the column.
    """

    loss: float
    x: float
    y: float
    row: int
    col: int

    def distance(self, x: float, y: float) -> float:
        """Distance from (x, y), in axis units."""
        return float(np.hypot(self.x - x, self.y - y))


@dataclass(frozen=True)
class Reading:
    """What the reading panel says about one surface.

    Attributes:
        inner_steps: M.
        minimum: The lowest point, or None if no loss is finite.
        span: Highest minus lowest finite loss; NaN if there is none.
        sharpness: Mean gradient norm over the grid, in loss per axis unit; NaN without one.
        points: Number of grid points.
        missing: Points without a finite loss.
        constant: Whether no point is lower than another, see ``constant``.
    """

    inner_steps: int
    minimum: Minimum | None
    span: float
    sharpness: float
    points: int
    missing: int

    constant: bool


@dataclass(frozen=True)
class Comparison:
    """What changes from one surface to the other; NaN where either side has no number.

    Attributes:
        shift: Distance between the two minima, in axis units; NaN where a surface is constant.
        length: The same distance in α-space.
        ratio: Sharpness of the second over that of the first, over the points finite in both.
        correlation: Spearman's rank correlation over the points finite in both.
    """

    shift: float
    length: float
    ratio: float
    correlation: float


@dataclass(frozen=True)
class Ending:
    """Where a path ends.

    Attributes:
        path: The path.
        step: Index of the last point with finite coordinates.
        x: Its column coordinate, in axis units.
        y: Its row coordinate, in axis units.
        target_loss: L_M at the end, with the M of the exact surface.
        losses: Loss at the end per surface of the record, in their order: the recorded one where
            the path recorded that M, otherwise read off the surface between grid points.
        distance: From the minimum of the exact surface, in axis units; NaN without one, as where
            that surface is constant.
        length: Length of the way, in axis units.
        residual: Share of the squared displacement outside the plane.
    """

    path: OptimizerPath
    step: int
    x: float
    y: float
    target_loss: float
    losses: tuple[float, ...]
    distance: float
    length: float
    residual: float


def minimum(surface: Surface) -> Minimum:
    """The lowest finite loss; of equal ones the first by row, then by column.

    Raises:
        ValueError: If no loss is finite.
    """
    finite = np.isfinite(surface.loss)
    if not finite.any():
        raise ValueError(
            f"the surface with M = {surface.inner_steps} has no finite loss among its "
            f"{surface.loss.size} points; compute some of them first"
        )
    flat = int(np.argmin(np.where(finite, surface.loss, np.inf)))
    row, col = divmod(flat, surface.loss.shape[1])
    x, y = float(surface.x[col]), float(surface.y[row])
    return Minimum(float(surface.loss[row, col]), x, y, row, col)


def constant(surface: Surface) -> bool:
    """Whether all finite losses, if there are two, are the same in single precision."""
    finite = surface.loss[np.isfinite(surface.loss)]
    if finite.size < 2:
        return False
    low, high = float(finite.min()), float(finite.max())
    return high - low <= SAME * max(abs(low), abs(high))


def lowest(surface: Surface) -> Minimum | None:
    """The minimum, if there is one: not on a constant surface, nor without a finite loss."""
    if constant(surface) or not np.isfinite(surface.loss).any():
        return None
    return minimum(surface)


def on_border(surface: Surface) -> bool:
    """Whether the lowest point lies at the border, so that the true minimum may lie outside.

    False on a constant surface and without a finite loss: no point is lower than another there.
    """
    low, (rows, cols) = lowest(surface), surface.loss.shape
    if low is None:
        return False
    return low.row in (0, rows - 1) or low.col in (0, cols - 1)


def sharpness(surface: Surface, where: NDArray[np.bool_] | None = None) -> float:
    """Mean norm of the gradient over the grid, in loss per axis unit.

    Differences are central inside and one-sided at the border. A point counts if it and the
    neighbours its differences use are finite.

    Args:
        surface: The surface, at least 2 x 2 points; a thinner one gives NaN.
        where: Points to use (rows, cols); all finite ones by default.

    Returns:
        The mean, or NaN if no point has its neighbours.
    """
    if min(surface.loss.shape) < 2:
        return float("nan")
    usable = np.isfinite(surface.loss) if where is None else where & np.isfinite(surface.loss)
    if not usable.any():
        return float("nan")
    # From the lowest loss up: differences of a constant are then exactly zero.
    loss = np.where(usable, surface.loss, np.nan) - surface.loss[usable].min()
    along_y, along_x = np.gradient(loss, surface.y, surface.x)
    norms = np.hypot(along_x, along_y)[usable]
    norms = norms[np.isfinite(norms)]
    return float(norms.mean()) if norms.size else float("nan")


def ranks(values: Floats) -> Floats:
    """Ranks from 0 of the values (n,); equal values share their mean rank."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(sizes) - 1
    mean_rank: Floats = last - (sizes - 1) / 2
    return mean_rank[group]


def rank_correlation(first: Surface, second: Surface) -> float:
    """Spearman's rank correlation of two surfaces over the points finite in both.

    Returns:
        A number from -1 to 1; NaN if less than two points are shared or one surface is constant.

    Raises:
        ValueError: If the surfaces are on different grids.
    """
    shared = shared_points(first, second)
    a, b = ranks(first.loss[shared]), ranks(second.loss[shared])
    if a.size < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.clip(np.corrcoef(a, b)[0, 1], -1, 1))


def shared_points(first: Surface, second: Surface) -> NDArray[np.bool_]:
    """Where both surfaces are finite (rows, cols).

    Raises:
        ValueError: If the surfaces are on different grids.
    """
    if not first.on_grid_of(second):
        raise ValueError(
            f"the surfaces have different grids: {first.loss.shape} and {second.loss.shape} points "
            "or other coordinates; compare surfaces of one plane and one grid"
        )
    return np.isfinite(first.loss) & np.isfinite(second.loss)


def interpolate(surface: Surface, xy: Floats) -> Floats:
    """Bilinear value of the surface at points.

    Args:
        surface: The surface, with increasing coordinates.
        xy: Points (n, 2), in axis units.

    Returns:
        Losses (n,); NaN outside the grid and in cells with a corner that is not finite.
    """
    col, across = cell(surface.x, xy[:, 0])
    row, up = cell(surface.y, xy[:, 1])
    total = np.zeros(len(xy))
    for step_y, share_y in ((0, 1 - up), (1, up)):
        for step_x, share_x in ((0, 1 - across), (1, across)):
            share = share_y * share_x
            rows = np.minimum(row + step_y, len(surface.y) - 1)
            cols = np.minimum(col + step_x, len(surface.x) - 1)
            # A corner without weight is not asked, so a point on a grid line needs that line only.
            total += np.where(share == 0, 0.0, share * surface.loss[rows, cols])
    return total


def cell(axis: Floats, values: Floats) -> tuple[NDArray[np.intp], Floats]:
    """Index of the cell of each value (n,), and how far through it as a share; NaN outside."""
    index = np.clip(np.searchsorted(axis, values, side="right") - 1, 0, max(len(axis) - 2, 0))
    width = axis[np.minimum(index + 1, len(axis) - 1)] - axis[index]
    share: Floats = (values - axis[index]) / np.where(width > 0, width, 1.0)
    inside = (values >= axis[0]) & (values <= axis[-1])
    return index, np.where(inside, share, np.nan)


def read(surface: Surface) -> Reading:
    """All that the reading panel says about one surface."""
    finite = surface.loss[np.isfinite(surface.loss)]
    return Reading(
        inner_steps=surface.inner_steps,
        minimum=minimum(surface) if finite.size else None,
        span=float(np.ptp(finite)) if finite.size else float("nan"),
        sharpness=sharpness(surface),
        points=surface.loss.size,
        missing=surface.loss.size - finite.size,
        constant=constant(surface),
    )


def compare(first: Surface, second: Surface, scale: float) -> Comparison:
    """What changes from the first surface to the second.

    Args:
        first: Usually the first-order surface.
        second: Usually the exact one, on the same grid.
        scale: Length in α-space of one axis unit.

    Raises:
        ValueError: If the surfaces are on different grids.
    """
    shared = shared_points(first, second)
    before, after = lowest(first), lowest(second)
    shift = before.distance(after.x, after.y) if before and after else float("nan")
    base = sharpness(first, shared)
    ratio = sharpness(second, shared) / base if base > 0 else float("nan")
    return Comparison(shift, shift * scale, ratio, rank_correlation(first, second))


def ending(path: OptimizerPath, surfaces: Sequence[Surface]) -> Ending:
    """Where a path ends: its last point with finite coordinates.

    Args:
        path: The path; its first point must be finite.
        surfaces: By increasing M; the last one is the target.

    Raises:
        ValueError: If no point of the path has finite coordinates.
    """
    finite = np.flatnonzero(np.isfinite(path.xy).all(axis=1))
    if not finite.size:
        raise ValueError(f"the path of {path.method} has no point with finite coordinates")
    step = int(finite[-1])
    way = path.xy[finite]
    x, y = (float(value) for value in way[-1])
    target = lowest(surfaces[-1]) if surfaces else None
    return Ending(
        path=path,
        step=step,
        x=x,
        y=y,
        target_loss=float(path.target_loss[step]),
        losses=tuple(loss_at(path, step, surface, surfaces[-1]) for surface in surfaces),
        distance=target.distance(x, y) if target else float("nan"),
        length=float(np.hypot(*np.diff(way, axis=0).T).sum()),
        residual=float(path.residual[step]),
    )


def loss_at(path: OptimizerPath, step: int, surface: Surface, target: Surface) -> float:
    """Loss of a surface's M at one point of a path: recorded, or else read off the surface."""
    if surface.inner_steps == path.inner_steps:
        return float(path.loss[step])
    if surface.inner_steps == target.inner_steps:
        return float(path.target_loss[step])
    return float(interpolate(surface, path.xy[step : step + 1])[0])


def endings(record: Figure1) -> tuple[Ending, ...]:
    """Where every path of a record ends; paths without a finite point are left out."""
    drawable = (path for path in record.paths if np.isfinite(path.xy).all(axis=1).any())
    return tuple(ending(path, record.surfaces) for path in drawable)
