"""Whether the surfaces of two runs are on one plane, so that their difference means something."""

from __future__ import annotations

import numpy as np

from landscape.record import Figure1

__all__ = ["apart"]


def apart(first: Figure1, second: Figure1) -> list[str]:
    """What of the planes of two runs is not the same, in words; empty: a difference can be taken.

    Numbers must be the same to the last bit: planes of equal settings are.

    Example:
        >>> from landscape import Figure1, empty_surface
        >>> one, other = (Figure1("", (empty_surface(0, 3, 5),), (), unit) for unit in (1.0, 2.0))
        >>> apart(one, other)
        ['the origin α, which one of them does not store', 'the scale']

    Args:
        first: What a run with a surface holds.
        second: What another one holds.
    """
    found = []
    for words, one, other in (
        ("the origin α", first.origin, second.origin),
        ("the directions", first.basis, second.basis),
    ):
        if one is None or other is None:
            found.append(f"{words}, which one of them does not store")
            break
        if not np.array_equal(one, other):
            found.append(words)
    if first.scale != second.scale:
        found.append("the scale")
    grids = [(record.surfaces[0].x, record.surfaces[0].y) for record in (first, second)]
    if not all(map(np.array_equal, *grids)):
        found.append("the grid")
    return found
