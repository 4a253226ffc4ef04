"""What the settings of a run say about its figure: read without torch, as far as they say it.

A run made by hand may have no settings, or some of them; what they do not say is not checked.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zarts.optimizers import METHODS, record_name
from zarts.runs.runfile import JSON

__all__ = [
    "FigureSettings",
    "axis_problems",
    "by_hand",
    "own_steps",
    "surface_name",
    "surface_steps",
]

SPACING = 1e-9  # of the half-range: how far a coordinate may be from where the settings put it


def by_hand(config: Mapping[str, JSON]) -> bool:
    """Whether a run is of an objective that no settings describe: of functions of the user's."""
    return not config or "objective" in config


def surface_steps(steps: int, more: Sequence[int] = ()) -> list[int]:
    """The M of all surfaces: first order, second order, ``more``, and the exact one."""
    return sorted({0, min(1, steps), *more, steps})


def surface_name(steps: int) -> str:
    """The record of the surface with this M."""
    return f"grid/m{steps:02d}"


def own_steps(method: str, steps: int) -> int | None:
    """The M of the loss that a method descends; ``steps`` is that of the exact surface.

    None of a user's own: what it descends is known only where it is imported.
    """
    return METHODS[method].own_steps(steps) if method in METHODS else None


@dataclass(frozen=True)
class FigureSettings:
    """What the settings ask for; None where they do not say.

    Attributes:
        steps: M of the exact surface.
        more_steps: M of more surfaces.
        rows: Grid points along y.
        cols: Grid points along x.
        range: The grid spans −range to range.
        updates: Updates of each path.
        methods: The optimizers that walk.
    """

    steps: int | None = None
    rows: int | None = None
    cols: int | None = None
    range: float | None = None
    updates: int | None = None
    methods: tuple[str, ...] | None = None
    more_steps: tuple[int, ...] = ()

    @classmethod
    def of(cls, config: Mapping[str, JSON]) -> FigureSettings:
        """What stored settings ask for.

        Raises:
            ValueError: If one of them is no such setting.
        """
        land, paths = (_section(config, name) for name in ("landscape", "paths"))
        extent, methods = land.get("range"), paths.get("methods")
        if extent is not None and not (
            isinstance(extent, int | float) and 0 < extent < math.inf and extent is not True
        ):
            raise ValueError(f"landscape.range is {extent!r:.40}, expected a number > 0")
        if methods is not None and not (
            isinstance(methods, list) and all(isinstance(name, str) for name in methods)
        ):
            raise ValueError(f"paths.methods is {methods!r:.40}, expected a list of names")
        more = land.get("more_steps", [])
        if not (isinstance(more, list) and all(type(each) is int and each >= 0 for each in more)):
            raise ValueError(f"landscape.more_steps is {more!r:.40}, expected a list of M")
        return cls(
            more_steps=tuple(each for each in more if isinstance(each, int)),
            steps=_whole(land, "landscape.steps"),
            rows=_whole(land, "landscape.rows"),
            cols=_whole(land, "landscape.cols"),
            range=None if extent is None else float(extent),
            updates=_whole(paths, "paths.updates"),
            methods=None if methods is None else tuple(dict.fromkeys(map(str, methods))),
        )

    def surfaces(self, held: Collection[str]) -> list[str]:
        """Which of the records that a run holds are its surfaces."""
        if self.steps is None:
            return [name for name in held if name.startswith("grid/")]
        names = map(surface_name, surface_steps(self.steps, self.more_steps))
        return [name for name in names if name in held]

    def paths(self, held: Collection[str]) -> list[str]:
        """Which of the records that a run holds are its paths."""
        if self.methods is None:
            return [name for name in held if name.startswith("paths/")]
        return [name for name in map(record_name, self.methods) if name in held]


def axis_problems(name: str, values: NDArray[np.float64], extent: float) -> Iterator[str]:
    """What is wrong with the coordinates (n,) of an axis that spans −extent to extent."""
    with np.errstate(over="ignore", invalid="ignore"):  # a hostile range may be any number
        even = np.linspace(-extent, extent, len(values))
        off = np.abs(values - even).max()
        lopsided = np.abs(values + values[::-1]).max()
    if not (np.diff(values) > 0).all():
        yield f"{name} is not strictly increasing"
    elif not lopsided <= SPACING * extent:
        yield f"{name} is not symmetric about 0"
    elif not off <= SPACING * extent:
        yield f"{name} is not evenly spaced over ±{extent:g}"


def _section(config: Mapping[str, JSON], name: str) -> Mapping[str, JSON]:
    section = config.get(name, {})
    if not isinstance(section, Mapping):
        raise ValueError(f"{name} is {section!r:.40}, expected a table of settings")
    return section


def _whole(section: Mapping[str, JSON], key: str) -> int | None:
    value = section.get(key.partition(".")[2])
    if value is not None and (not isinstance(value, int) or value < 0 or isinstance(value, bool)):
        raise ValueError(f"{key} is {value!r:.40}, expected a whole number")
    return value
