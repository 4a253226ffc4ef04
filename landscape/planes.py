"""Whether the surfaces of two runs are on one plane, so that their difference means something."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from landscape.record import Figure1
from zarts.runs.runfile import Record, Run

__all__ = ["apart"]

_PARTS = {"origin": "the origin α", "basis": "the directions", "scale": "the scale"}


def apart(first: Run, second: Run, pair: tuple[Figure1, Figure1]) -> list[str]:
    """What of the planes of two runs is not the same, in words; empty: a difference can be taken.

    Numbers must be the same to the last bit: planes of equal settings are.

    Args:
        first: A run with a landscape.
        second: Another one.
        pair: What they hold.

    Raises:
        RunError: If a plane cannot be read.
    """
    planes = [run.parse("plane", _parts) for run in (first, second)]
    found = [
        words
        for name, words in _PARTS.items()
        if not np.array_equal(planes[0][name], planes[1][name])
    ]
    one, other = (record.surfaces[0] for record in pair)
    if not (np.array_equal(one.x, other.x) and np.array_equal(one.y, other.y)):
        found.append("the grid")
    return found


def _parts(record: Record) -> dict[str, NDArray[Any]]:
    return {name: record.arrays[name] for name in _PARTS}
