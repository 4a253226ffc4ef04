"""What is known of a figure while it is computed, in memory and on disk: the only writer."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from landscape.compute.jobs import Job, Losses
from landscape.compute.jobs.job import Value
from landscape.geometry.grid import copy_of, put_point
from landscape.record import Status, Surface, save_surface
from zarts.runs.runfile import Run
from zarts.settings.config import Config

__all__ = ["FLUSH_SECONDS", "SAVES", "Report", "RunWriter"]

_FIRST_SECONDS = 1.0  # to the first save, a first picture; each takes twice as long to come as ...
FLUSH_SECONDS = 10.0  # ... the last, at most this: a kill costs about as much, and points under way
SAVES = 20.0  # times as long as a save takes, at least, is the time to the next one
Report = Callable[[int, str], None]
_BAD = (Status.FAILED, Status.TIMEOUT, Status.OOM)


class RunWriter:
    """What is known so far, in memory and on disk.

    Attributes:
        run: Where jobs store what they found.
        failed: What did not come about and holds nothing else up, in words.
    """

    def __init__(
        self,
        run: Run,
        config: Config,
        surfaces: dict[int, Surface],
        begin: Callable[[], Report],
    ) -> None:
        """Puts what is known on disk.

        Args:
            run: Its lock is held.
            config: Its settings.
            surfaces: By M; unfinished ones are saved at once, so that a reader sees them.
            begin: Asked once they are; gives what is told the units of cost of each outcome.
        """
        self.failed: list[str] = []
        self._reason = ""
        self.run, self._config = run, config
        # copied once, not at every point, which would limit all workers together
        self._surfaces = {steps: copy_of(surface) for steps, surface in surfaces.items()}
        for surface in surfaces.values():
            save_surface(run, surface)  # from here on a reader sees an honest, unfinished picture
        self._tell = begin()
        self._touched = set[int]()
        self._told = Counter[Job]()
        # Points by whether they failed. Those that did before are tried again first, and are no
        # sign of how the others will do: counted again, they would end every start.
        self._tally = Counter[bool]()
        self._failed_before = {
            (steps, int(row), int(col))
            for steps, surface in surfaces.items()
            for row, col in np.argwhere(np.isin(surface.status, _BAD))
        }
        self._saved, self._pause = time.monotonic(), min(_FIRST_SECONDS, FLUSH_SECONDS)

    def add(self, job: Job, value: Value, *, final: bool) -> None:
        """Takes in what a job yielded; ``final``: its last value, or a ``Failure``."""
        cost = job.units(self._config)
        share = cost - self._told[job] if final else cost // job.parts(self._config)
        self._tell(share, "")
        self._told[job] += share
        if final:
            del self._told[job]
        job.store(self, value, final=final)

    def put(self, steps: int, points: Sequence[tuple[int, int]], value: Losses) -> None:
        """Enters points (row, col) of a surface; on disk they are after a while.

        Raises:
            ChildProcessError: If so many points failed that going on would only burn time.
        """
        for point, (found, status) in zip(points, value.of_points, strict=True):
            seconds = value.seconds / len(points)
            put_point(self._surfaces[steps], *point, found, seconds=seconds, status=status)
            if status not in _BAD or (steps, *point) not in self._failed_before:
                self._tally[status in _BAD] += 1
        self._reason = value.reason or self._reason
        self._touched.add(steps)
        self._give_up_early()
        if time.monotonic() - self._saved > self._pause:
            self.save()

    def save(self) -> None:
        """Puts all that is new on disk; at most a twentieth of the time is spent on it."""
        start = time.monotonic()
        for steps in self._touched:
            save_surface(self.run, self._surfaces[steps])
        self._touched.clear()
        self._saved = time.monotonic()
        slower = min(2 * self._pause, FLUSH_SECONDS)
        self._pause = max(slower, SAVES * (self._saved - start))

    def _give_up_early(self) -> None:
        """Raises ChildProcessError where going on would only burn time."""
        bad, good = self._tally[True], self._tally[False]
        if (bad >= 3 and not good) or (bad >= 10 and bad > 0.05 * (bad + good)):
            raise ChildProcessError(
                f"{self.run.path}: {bad} of {bad + good} points failed, so the rest was left; "
                f"what is done is kept. The last one: {self._reason or 'no reason is known'}. "
                "Run the same command again once that is mended"
            )
