"""Points of surfaces: a few of one M at a time, coarse to fine."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from landscape.compute.jobs.job import FIRST, LAST, Check, Job, Store, Value, WorkerState
from landscape.geometry import grid
from landscape.record import Status, Surface
from landscape.record.asked import FigureSettings, surface_name
from landscape.record.files import read_surface
from landscape.record.schema import surface_problems
from zarts.execute import Failure
from zarts.runs.runfile import Run
from zarts.runs.runfile.disk import one_line
from zarts.settings.config import Config, ConfigError

__all__ = ["SURFACES", "Losses", "Points", "surfaces_of"]

_CHUNK = 8  # points per call at M = 0, which share the work that does not depend on α
VAL_UNITS = 2  # L_val counts as so many SGD steps

Place = tuple[int, int]  # row, column
Found = grid.Point
NOTHING = Found(np.nan)


def surfaces_of(config: Config) -> list[int]:
    """The M of all surfaces: first order, second order, those in between, and the exact one."""
    return FigureSettings.of(config.to_table()).surface_steps


class Losses(NamedTuple):
    """What some grid points gave.

    Attributes:
        of_points: What each gave, and its status; without one it follows from the loss.
        seconds: Wall time of all.
        reason: What the last point without a result died of.
    """

    of_points: list[tuple[Found, Status | None]]
    seconds: float
    reason: str = ""


@dataclass(frozen=True)
class Points:
    """Grid points of one surface that are computed in one call.

    Attributes:
        steps: M.
        points: (row, column) of each.
        rank: See ``Job``.
    """

    steps: int
    points: tuple[Place, ...]
    rank: int = field(default=FIRST, compare=False)

    @property
    def alike(self) -> int:
        """M."""
        return self.steps

    def units(self, config: Config) -> int:
        """M steps and L_val, per point."""
        del config
        return (self.steps + VAL_UNITS) * len(self.points)

    def parts(self, config: Config) -> int:
        """One value."""
        del config
        return 1

    def split(self) -> list[Job]:
        """The single points."""
        return [Points(self.steps, (point,)) for point in self.points]

    def run(self, worker: WorkerState) -> Iterator[Losses]:
        """Their losses; if the call fails, those of each point by itself.

        Raises:
            ConfigError: If the settings cannot be used.
        """
        start, reason = time.monotonic(), ""
        found: list[tuple[Found, Status | None]] = []
        try:
            found = self._losses(worker, self.points)
        except ConfigError:
            raise
        except Exception:  # noqa: BLE001 - one of them; the others of the call are not its fault
            for point in self.points:
                try:
                    found += self._losses(worker, (point,))
                except Exception as error:  # noqa: BLE001 - whatever it is, it is this point's
                    reason = f"{type(error).__name__}: {one_line(error)}"
                    found.append((NOTHING, Status.OOM if _is_memory(error) else Status.FAILED))
        yield Losses(found, time.monotonic() - start, reason)

    def _losses(
        self, worker: WorkerState, points: tuple[Place, ...]
    ) -> list[tuple[Found, Status | None]]:
        setup, surface = worker.setup, worker.surfaces[self.steps]
        found = grid.evaluate_at(setup.objective, setup.plane, surface, points)
        return [(point, None) for point in found]

    def store(self, writer: Store, value: Value, *, final: bool) -> None:
        """Hands the losses to the one that writes."""
        del final  # there is one value only
        if isinstance(value, Failure):
            bad = Status.TIMEOUT if value.timeout else Status.FAILED
            value = Losses([(NOTHING, bad)] * len(self.points), 0.0, value.reason)
        writer.put(self.steps, self.points, value)

    def seconds(self, value: Value) -> float | None:
        """Of all points together."""
        return value.seconds if isinstance(value, Losses) else None


def _is_memory(error: Exception) -> bool:
    # torch says so in words when an allocation on the CPU fails
    return isinstance(error, MemoryError) or "memory" in str(error)


class _Surfaces:
    """The surfaces of a figure; see ``landscape.compute.jobs.Kind``."""

    def records(self, config: Config) -> list[str]:
        """One per M."""
        return [surface_name(steps) for steps in surfaces_of(config)]

    @property
    def checks(self) -> Mapping[str, Check]:
        """Of surfaces."""
        return {r"grid/m\d{2,9}": surface_problems}

    def known(self, config: Config, run: Run | None) -> dict[int, Surface]:
        """What a run knows of every surface, by M."""
        land, asked, found = config.landscape, FigureSettings.of(config.to_table()), {}
        for steps in asked.surface_steps:
            name = surface_name(steps)
            found[steps] = (
                read_surface(run, name, asked)
                if run is not None and name in run
                else grid.empty_surface(steps, land.rows, land.cols, land.range)
            )
        return found

    def jobs(
        self, config: Config, run: Run | None = None, mine: Collection[Job] | None = None
    ) -> list[Job]:
        """The cheap surfaces, and the exact one as far as its last but one level; the rest last."""
        jobs: list[Job] = []
        known = self.known(config, run)
        for steps, surface in sorted(known.items()):
            size = chunk_size(config, steps)
            levels = grid.pending(surface)
            for number, level in enumerate(levels, 1):
                exact = steps == max(known) and number == len(levels)
                points = [p for p in level if mine is None or Points(steps, (p,)) in mine]
                for start in range(0, len(points), size):
                    some = tuple(points[start : start + size])
                    jobs.append(Points(steps, some, LAST if exact else FIRST))
        return jobs


SURFACES = _Surfaces()


def chunk_size(config: Config, inner_steps: int) -> int:
    """How many points are evaluated in one call: at M > 0 those that are computed side by side."""
    from zarts.problems.parts import lanes_of

    return _CHUNK if inner_steps == 0 else lanes_of(config)
