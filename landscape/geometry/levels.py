"""In which order a grid is computed: corners first, then lattices of half the spacing each.

Every level contains the former, so each finished level is a valid coarser grid of the same plane.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Level", "completed", "levels", "progressive"]


class Level(NamedTuple):
    """A lattice of grid points.

    Attributes:
        rows: Indices of its rows, increasing; the first and the last row of the grid are among
            them.
        cols: Indices of its columns, likewise.
    """

    rows: tuple[int, ...]
    cols: tuple[int, ...]

    @property
    def points(self) -> list[tuple[int, int]]:
        """All its (row, col), row by row."""
        return [(row, col) for row in self.rows for col in self.cols]


def levels(rows: int, cols: int) -> tuple[Level, ...]:
    """The lattices of a grid, coarse to fine: the corners, ..., every point.

    Spacings are powers of two, but for the last interval where the size does not divide.

    Raises:
        ValueError: If there are fewer than two rows or columns.
    """
    if rows < 2 or cols < 2:
        raise ValueError(f"the grid is {rows}x{cols}, expected at least 2 rows and 2 columns")
    found: list[Level] = []
    spacing = 1 << (max(rows, cols) - 2).bit_length()  # the least power of two that spans an axis
    while spacing:
        level = Level(_every(rows, spacing), _every(cols, spacing))
        if not found or level != found[-1]:
            found.append(level)
        spacing //= 2
    return tuple(found)


def _every(size: int, spacing: int) -> tuple[int, ...]:
    return tuple(sorted({*range(0, size, spacing), size - 1}))


def progressive(rows: int, cols: int) -> list[list[tuple[int, int]]]:
    """The points (row, col) that each level adds to the former ones; together the whole grid.

    Inside a level they come row by row: a level is drawn as a grid only when it is whole, so no
    order shows it sooner, and on the way there one sees a front that moves.

    Raises:
        ValueError: If there are fewer than two rows or columns.
    """
    seen: set[tuple[int, int]] = set()
    added = []
    for level in levels(rows, cols):
        new = [point for point in level.points if point not in seen]
        seen.update(new)
        added.append(new)
    return added


def completed(done: NDArray[np.bool_]) -> Level | None:
    """The finest level all of whose points are done (rows, cols); None if not even the corners."""
    best = None
    for level in levels(*done.shape):
        if not done[np.ix_(level.rows, level.cols)].all():
            break
        best = level
    return best
