"""What the settings of a run say about its figure: read without torch, as far as they say it.

A run made by hand may have no settings, or some of them; what they do not say is not checked.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from zarts.bilevel.alpha import Space
from zarts.optimizers import record_name
from zarts.runs.runfile import JSON
from zarts.supernet.spaces import SPACES

__all__ = ["FigureSettings", "by_hand", "surface_name"]


def by_hand(config: Mapping[str, JSON]) -> bool:
    """Whether a run is of an objective that no settings describe: of functions of the user's."""
    return not config or "objective" in config


def surface_name(steps: int) -> str:
    """The record of the surface with this M."""
    return f"grid/m{steps:02d}"


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
        space: What α means; None also of a run made by hand, whose records may say less.
    """

    steps: int | None = None
    rows: int | None = None
    cols: int | None = None
    range: float | None = None
    updates: int | None = None
    methods: tuple[str, ...] | None = None
    more_steps: tuple[int, ...] = ()
    space: Space | None = None

    @classmethod
    def of(cls, config: Mapping[str, JSON]) -> FigureSettings:
        """What stored settings ask for.

        Raises:
            ValueError: If one of them is no such setting.
        """
        land, paths, net = (_section(config, name) for name in ("landscape", "paths", "supernet"))
        extent, methods = land.get("range"), paths.get("methods")
        if extent is not None and not (
            isinstance(extent, int | float)
            and 0 < extent <= sys.float_info.max
            and extent is not True
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
            space=SPACES.get(str(net.get("space"))),
        )

    @property
    def surface_steps(self) -> list[int]:
        """The M of all surfaces: first order, second order, those in between, and the exact one."""
        if self.steps is None:
            return []
        return sorted({0, min(1, self.steps), *self.more_steps, self.steps})

    @property
    def real(self) -> str:
        """Type of numbers; of a run made by hand any kind of floats."""
        return "<f8" if self.space else "f"

    @property
    def code(self) -> str:
        """Type of ``Status``; likewise."""
        return "|u1" if self.space else "u"

    def surfaces(self, held: Collection[str]) -> list[str]:
        """Which of the records that a run holds are its surfaces."""
        if self.steps is None:
            return [name for name in held if name.startswith("grid/")]
        return [name for name in map(surface_name, self.surface_steps) if name in held]

    def paths(self, held: Collection[str]) -> list[str]:
        """Which of the records that a run holds are its paths."""
        if self.methods is None:
            return [name for name in held if name.startswith("paths/")]
        return [name for name in map(record_name, self.methods) if name in held]


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
