"""Checks of arrays that all records share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from zarts.runs.runfile import Array

__all__ = ["exactly", "finite"]

Shape = tuple[int, ...]


def exactly(arrays: Mapping[str, Array], wanted: Mapping[str, tuple[str, Shape]]) -> Iterator[str]:
    """What differs from the arrays that are wanted, by name: type and shape."""
    for key in sorted(wanted.keys() | arrays.keys()):
        if key not in arrays:
            yield f"has no array {key}"
        elif key not in wanted:
            yield f"has an array {key}, which it should not"
        elif (found := (arrays[key].dtype.str, arrays[key].shape)) != wanted[key]:
            expected = f"expected {wanted[key][1]} of {wanted[key][0]}"
            yield f"{key} is {found[1]} of {found[0]}, {expected}"


def finite(arrays: Mapping[str, Array], keys: Iterable[str]) -> Iterator[str]:
    """Which of these arrays hold something that is no finite number."""
    yield from (
        f"{key} is not finite"
        for key in keys
        if key in arrays and not np.isfinite(arrays[key]).all()
    )
