"""What is known of a figure while it is computed, in memory and on disk: the only writer."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import numpy as np

from landscape.grid import copy_of, put_point
from landscape.plan import Item, units
from landscape.record import Path, Status, Surface, save_path, save_surface
from landscape.work import Losses, Value
from zarts.config import Config
from zarts.execute import Failure
from zarts.runfile import Run

__all__ = ["FLUSH_SECONDS", "SAVES", "Board", "Report"]

FLUSH_SECONDS = 10.0  # a kill costs about this much of a surface, plus the points under way
SAVES = 20.0  # times as long as a save takes, at least, is the time to the next one
Report = Callable[[int, str], None]
_BAD = (Status.FAILED, Status.TIMEOUT, Status.OOM)


class Board:
    """What is known so far, in memory and on disk."""

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
        self._run, self._config = run, config
        # copied once, not at every point, which would limit all workers together
        self._surfaces = {steps: copy_of(surface) for steps, surface in surfaces.items()}
        for surface in surfaces.values():
            save_surface(run, surface)  # from here on a reader sees an honest, unfinished picture
        self._tell = begin()
        self._touched = set[int]()
        self._told = Counter[str]()
        # Points by whether they failed. Those that did before are tried again first, and are no
        # sign of how the others will do: counted again, they would end every start.
        self._tally = Counter[bool]()
        self._failed_before = {
            (steps, int(row), int(col))
            for steps, surface in surfaces.items()
            for row, col in np.argwhere(np.isin(surface.status, _BAD))
        }
        self._saved, self._pause = time.monotonic(), FLUSH_SECONDS

    def add(self, item: Item, value: Value, *, final: bool) -> None:
        """Takes in an outcome."""
        cost = units(self._config, [item])
        if isinstance(item, str):
            share = cost // (self._config.paths.updates + 1)
            self._tell(cost - self._told[item] if final else share, "")
            self._told[item] += share
            if isinstance(value, Failure):  # the others go on; it is told at the end
                self.failed.append(f"{item} ({value.reason})")
            elif final and isinstance(value, Path):
                save_path(self._run, value)
            return
        self._tell(cost, "")
        steps, points = item
        if isinstance(value, Failure):
            bad = Status.TIMEOUT if value.timeout else Status.FAILED
            value = Losses([(np.nan, bad)] * len(points), 0.0, value.reason)
        assert isinstance(value, Losses)
        for point, (loss, status) in zip(points, value.of_points, strict=True):
            seconds = value.seconds / len(points)
            put_point(self._surfaces[steps], *point, loss, seconds=seconds, status=status)
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
            save_surface(self._run, self._surfaces[steps])
        self._touched.clear()
        self._saved = time.monotonic()
        self._pause = max(FLUSH_SECONDS, SAVES * (self._saved - start))

    def _give_up_early(self) -> None:
        """Raises ChildProcessError where going on would only burn time."""
        bad, good = self._tally[True], self._tally[False]
        if (bad >= 3 and not good) or (bad >= 10 and bad > 0.05 * (bad + good)):
            raise ChildProcessError(
                f"{self._run.path}: {bad} of {bad + good} points failed, so the rest was left; "
                f"what is done is kept. The last one: {self._reason or 'no reason is known'}. "
                "Run the same command again once that is mended"
            )
