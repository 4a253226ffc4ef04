"""A landscape: L_M at the points of a grid, one by one, resumable at any of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from landscape.plane import Plane
from landscape.record import Status, Surface
from zarts.objective import Objective

__all__ = ["empty_surface", "fill"]


def empty_surface(inner_steps: int, rows: int, cols: int, extent: float = 1.0) -> Surface:
    """A surface of pending points over [−extent, extent] on both axes.

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


def fill(objective: Objective, plane: Plane, surface: Surface) -> Iterator[Surface]:
    """Computes the pending points, row by row from the smallest y; yields after each point.

    Every value depends on (objective, plane, x, y) alone: not on the order, nor on what was done before, so
    a surface finished in two sittings equals one finished in one.

    Args:
        objective: Asked at M = ``surface.inner_steps``.
        plane: Where the points are.
        surface: What is known so far; not changed.

    Yields:
        The surface with one more point.
    """
    objective = objective.at(surface.inner_steps)
    for row, col in np.argwhere(surface.status == Status.PENDING):
        start = time.monotonic()
        point = torch.tensor([[surface.x[col], surface.y[row]]], dtype=torch.float64)
        loss = float(objective.evaluate(plane.points(point))[0])
        surface = replace(
            surface,
            loss=surface.loss.copy(),
            status=surface.status.copy(),
            seconds=surface.seconds.copy(),
        )
        surface.loss[row, col] = loss if np.isfinite(loss) else np.nan
        surface.status[row, col] = Status.OK if np.isfinite(loss) else Status.DIVERGED
        surface.seconds[row, col] = time.monotonic() - start
        yield surface
