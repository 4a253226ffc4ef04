"""How long a piece of work may take before its worker is given up."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Hashable
from statistics import median

from landscape.compute.jobs import Job, Points, units
from zarts.settings.config import Config

__all__ = ["FACTOR", "LEAST_SECONDS", "Patience"]

FACTOR = 10.0  # times what such a piece usually takes
LEAST_SECONDS = 60.0
_REMEMBERED = 101  # per M: enough for a median, however large the grid


class Patience:
    """Seconds that a piece of work may take: ten times the median of what is finished, at least 60.

    What a unit of cost (one SGD step of ω) takes is learnt for each M apart, and for paths from all
    of them. As long as nothing is known, nothing is given up.
    """

    def __init__(self, config: Config, per_point: float | None = None) -> None:
        """Starts without experience.

        Args:
            config: Of the run.
            per_point: Seconds for a point of the exact surface, instead of experience; what costs
                less or more gets in proportion.
        """
        self._config = config
        self._per_unit: dict[Hashable, deque[float]] = defaultdict(
            lambda: deque(maxlen=_REMEMBERED)
        )
        exact = Points(config.landscape.steps, ((0, 0),))
        self._fixed = per_point / units(config, [exact]) if per_point else None
        self._limits: dict[Hashable, float] = {}

    def finished(self, job: Job, seconds: float) -> None:
        """Takes note of a job that is done."""
        self._per_unit[job.alike].append(seconds / job.units(self._config))
        self._limits.clear()

    def __call__(self, job: Job) -> float:
        """The limit in seconds; infinite while nothing is known."""
        cost = job.units(self._config)
        if self._fixed is not None:
            return cost * self._fixed
        key = job.alike
        if key not in self._limits:
            known = (
                [seconds for each in self._per_unit.values() for seconds in each]
                if key is None
                else list(self._per_unit.get(key, ()))
            )
            self._limits[key] = median(known) if known else math.inf
        return max(LEAST_SECONDS, FACTOR * cost * self._limits[key])
