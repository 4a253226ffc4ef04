"""A grid that is still being computed: which part of it is a grid, and what may be said of it.

Points come level by level (``landscape.geometry.levels``), so the finest finished level is a whole
grid, only coarser, and is drawn and measured as one. What was computed beyond it is shown point by
point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from landscape.geometry.levels import Level, completed, levels
from landscape.record import Status, Surface
from landscape.record.counts import Count, count

__all__ = ["LEGEND", "Stage", "comparable", "lost", "stage", "thinned"]

LEGEND = (
    "Not finished: contours join the points of the finished level only; squares are the computed "
    "points in their own colour; greyed is not computed yet, crossed out is missing"
)


@dataclass(frozen=True)
class Stage:
    """How far an unfinished surface is.

    Attributes:
        grid: The finest finished level as a surface of its own; None if not even the corners are
            there.
        number: Which level that is, counted from 1; 0 for none.
        levels: How many there are.
        count: Points of the whole grid.
    """

    grid: Surface | None
    number: int
    levels: int
    count: Count

    def __str__(self) -> str:
        """The stage in words, as in the title of a panel."""
        if self.grid is None:
            return f"no level finished yet · {self.count}"
        rows, cols = self.grid.loss.shape
        return f"level {self.number} of {self.levels}, {rows}×{cols} points · {self.count}"


def stage(surface: Surface) -> Stage | None:
    """How far a surface is; None if no point is pending.

    A point that was tried counts as there even if its loss is missing: it is a hole in its level,
    drawn as one, and not a reason to show nothing.
    """
    tried = surface.status != Status.PENDING
    if tried.all():
        return None
    counted = count([surface])
    if min(tried.shape) < 2:  # a line has no levels
        return Stage(None, 0, 0, counted)
    known, finest = levels(*tried.shape), completed(tried)
    if finest is None:
        return Stage(None, 0, len(known), counted)
    number = known.index(finest) + 1
    return Stage(_at(surface, finest), number, len(known), counted)


def lost(surface: Surface) -> int:
    """Number of points that were tried and have no finite loss."""
    return int(((surface.status != Status.PENDING) & ~np.isfinite(surface.loss)).sum())


def comparable(surfaces: Sequence[Surface]) -> tuple[Surface, ...]:
    """The surfaces on the finest level that all of them have finished, to be measured as one grid.

    They are what they were if nothing is pending. Without a common level there is nothing to
    compare: then they are corners whose losses are missing.

    Args:
        surfaces: All on the same grid, as those of a record are.
    """
    tried = [surface.status != Status.PENDING for surface in surfaces]
    whole = np.logical_and.reduce(tried)
    if whole.all() or min(whole.shape) < 2:
        return tuple(surfaces)
    level = completed(whole)
    if level is None:
        corners = [_at(surface, levels(*whole.shape)[0]) for surface in surfaces]
        return tuple(replace(each, loss=np.full_like(each.loss, np.nan)) for each in corners)
    return tuple(_at(surface, level) for surface in surfaces)


def thinned(surface: Surface, most: int) -> Surface:
    """The surface with every second point, or third, ..., so that ``most`` are along an axis.

    The last point of an axis stays, so that the extent does.
    """
    if max(surface.loss.shape) <= most:
        return surface
    lines = [range(0, size, -(-(size - 1) // (most - 1))) for size in surface.loss.shape]
    rows, cols = (
        tuple(sorted({*line, size - 1}))
        for line, size in zip(lines, surface.loss.shape, strict=True)
    )
    return _at(surface, Level(rows, cols))


def _at(surface: Surface, level: Level) -> Surface:
    points = np.ix_(level.rows, level.cols)
    return replace(
        surface,
        x=surface.x[list(level.cols)],
        y=surface.y[list(level.rows)],
        loss=surface.loss[points],
        status=surface.status[points],
        seconds=surface.seconds[points] if surface.seconds.size else surface.seconds,
        error=surface.error[points],
        accuracy=surface.accuracy[points],
    )
