"""A landscape: L_M at the points of a grid, coarse to fine, resumable at any of them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from landscape.geometry.levels import progressive
from landscape.record import Status, Surface

if TYPE_CHECKING:
    from landscape.geometry.plane import Plane
    from zarts.bilevel.objective import Objective

__all__ = ["Point", "copy_of", "empty_surface", "evaluate_at", "fill", "pending", "put_point"]


class Point(NamedTuple):
    """What was found at a grid point; NaN where there is nothing.

    Attributes:
        loss: L_M.
        error: Its standard error over the images of L_val.
        accuracy: Share of these images that are classified correctly.
    """

    loss: float
    error: float = math.nan
    accuracy: float = math.nan


def empty_surface(inner_steps: int, rows: int, cols: int, extent: float = 1.0) -> Surface:
    """A surface of pending points over [−extent, extent] on both axes.

    Example:
        >>> from landscape import empty_surface
        >>> surface = empty_surface(10, rows=3, cols=5, extent=2.0)
        >>> surface.x.tolist(), surface.done
        ([-2.0, -1.0, 0.0, 1.0, 2.0], 0)

    Raises:
        ValueError: If there are fewer than two rows or columns.
    """
    if rows < 2 or cols < 2:
        raise ValueError(f"the grid is {rows}x{cols}, expected at least 2 rows and 2 columns")
    return Surface(
        inner_steps=inner_steps,
        x=np.linspace(-extent, extent, cols),
        y=np.linspace(-extent, extent, rows),
        loss=np.full((rows, cols), np.nan),
        status=np.full((rows, cols), Status.PENDING, dtype=np.uint8),
        seconds=np.zeros((rows, cols)),
    )


def pending(surface: Surface) -> list[list[tuple[int, int]]]:
    """The (row, col) without a result, level by level (``geometry.levels``), coarse to fine.

    Points that failed for a reason outside the problem (a dead worker, no memory, no time) are
    tried again.
    """
    settled = np.isin(surface.status, (Status.OK, Status.DIVERGED))
    return [
        [point for point in level if not settled[point]] for level in progressive(*settled.shape)
    ]


def evaluate_at(
    objective: Objective, plane: Plane, surface: Surface, points: Sequence[tuple[int, int]]
) -> list[Point]:
    """L_M and what stands beside it at grid points (row, col), asked for in one call.

    A loss depends on (objective, plane, x, y) alone: not on the order of the points, nor on what
    was done before, so a surface finished in two sittings equals one finished in one.
    """
    import torch

    from zarts.bilevel.objective import Bilevel

    places = torch.tensor(
        [[surface.x[col], surface.y[row]] for row, col in points], dtype=torch.float64
    )
    problem, alphas = objective.at(surface.inner_steps), plane.points(places)
    if not isinstance(problem, Bilevel):  # other objectives have a loss and nothing else
        return [Point(loss) for loss in problem.evaluate(alphas).tolist()]
    found = problem.measure(alphas)
    return [Point(*row) for row in torch.stack(found, dim=1).tolist()]


def put_point(
    surface: Surface,
    row: int,
    col: int,
    found: Point,
    *,
    seconds: float,
    status: Status | None = None,
) -> None:
    """Enters one point in place; the status follows from the loss unless it is given."""
    if status is None:
        status = Status.OK if math.isfinite(found.loss) else Status.DIVERGED
    known = found if status == Status.OK else Point(math.nan)
    surface.loss[row, col] = known.loss
    surface.error[row, col] = known.error
    surface.accuracy[row, col] = known.accuracy
    surface.status[row, col] = status
    surface.seconds[row, col] = seconds


def copy_of(surface: Surface) -> Surface:
    """A surface whose points may be changed without changing those of the other."""
    return replace(
        surface,
        loss=surface.loss.copy(),
        status=surface.status.copy(),
        seconds=surface.seconds.copy(),
        error=surface.error.copy(),
        accuracy=surface.accuracy.copy(),
    )


def fill(objective: Objective, plane: Plane, surface: Surface) -> Iterator[Surface]:
    """Computes the pending points in this process; yields the surface after each.

    Example:
        >>> import torch
        >>> from landscape import Plane, empty_surface, fill
        >>> from zarts import Quadratic
        >>> toy = Quadratic.random()
        >>> plane = Plane(toy.center, torch.eye(3, 2, dtype=torch.float64))
        >>> [surface.done for surface in fill(toy.problem(), plane, empty_surface(0, 2, 2))]
        [1, 2, 3, 4]

    Args:
        objective: Asked at M = ``surface.inner_steps``.
        plane: Where the points are.
        surface: What is known so far; not changed.

    Yields:
        The surface with one more point.
    """
    for level in pending(surface):
        for point in level:
            start = time.monotonic()
            (found,) = evaluate_at(objective, plane, surface, [point])
            surface = copy_of(surface)
            put_point(surface, *point, found, seconds=time.monotonic() - start)
            yield surface
