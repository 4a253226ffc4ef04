"""How much of a figure is there: the one count of points, for page, panels and words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from landscape.record import Figure1, Status, Surface
from landscape.record.asked import FigureSettings

__all__ = ["Count", "count", "missing_paths", "unfinished"]


@dataclass(frozen=True)
class Count:
    """Points of some surfaces by what is known of them.

    Attributes:
        points: All of them.
        computed: Those with a result: a loss, or that it diverged.
        failed: Those that were tried and have no result; the same command tries them again.
    """

    points: int
    computed: int
    failed: int

    @property
    def pending(self) -> int:
        """Points that nobody has tried yet."""
        return self.points - self.computed - self.failed

    def __str__(self) -> str:
        """As in the title of a panel."""
        return f"{self.computed} of {self.points} computed"


def count(surfaces: Iterable[Surface]) -> Count:
    """The points of all the surfaces together."""
    status = np.concatenate([np.empty(0), *(surface.status.ravel() for surface in surfaces)])
    computed = np.isin(status, (Status.OK, Status.DIVERGED))
    failed = ~computed & (status != Status.PENDING)
    return Count(status.size, int(computed.sum()), int(failed.sum()))


def missing_paths(record: Figure1) -> list[str]:
    """The methods whose paths the settings ask for and that are not there."""
    there = {path.method for path in record.paths}
    asked = FigureSettings.of(record.config).methods or ()
    return [name for name in asked if name not in there]


def unfinished(record: Figure1) -> bool:
    """Whether surfaces or paths that the settings ask for are not there, or points not tried."""
    there = {surface.inner_steps for surface in record.surfaces}
    return (
        not there
        or not there.issuperset(FigureSettings.of(record.config).surface_steps)
        or bool(missing_paths(record))
        or count(record.surfaces).pending > 0
    )
