"""How far the searches of a sweep are, told a line per search now and then. No torch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from zarts.cli import human_time
from zarts.runs.course import points_in
from zarts.runs.runfile import Run
from zarts.settings.stages import epochs
from zarts.sweep.results import Problem, Result
from zarts.sweep.settings import Search

__all__ = ["Progress", "epochs_done"]

LOOK_SECONDS = 2.0  # between two looks at the folders
SAY_SECONDS = 10.0  # between two lines on one search, and 5 % of its epochs at least


def epochs_done(search: Search) -> int:
    """The epochs that a search has on disk, whoever works on it; 0 if there is no run yet."""
    names = Run(search.folder, {}, {}).names()  # which needs no config
    return len(points_in(names, "search"))


@dataclass
class _State:
    """What is known of one search, and what was said of it."""

    search: Search
    done: int
    said: int
    when: float

    @property
    def epochs(self) -> int:
        return epochs(self.search.config.program)


class Progress:
    """Looks into the folders of the searches that run and says what is new, and what is left.

    Nothing has to be sent for this: every epoch is a file in its run, whichever machine wrote it.
    """

    def __init__(
        self,
        searches: Sequence[Search],
        seconds: Mapping[str, float],
        say: Callable[[str], None],
    ) -> None:
        """Begins to measure.

        Args:
            searches: Those that are to be done.
            seconds: Expected for each as a whole, by name.
            say: Given every line.
        """
        now = time.monotonic()
        self._seconds, self._print = seconds, say
        self._width = max((len(search.name) for search in searches), default=0)
        self._running: dict[str, _State] = {}
        for search in searches:
            done = epochs_done(search)
            self._running[search.name] = _State(search, done, done, now)
        self._total = sum(seconds[search.name] for search in searches)
        self._ended = 0.0
        self._first = self._reached()
        self._start = self._looked = now

    def look(self) -> None:
        """Says what is new, if it is time to look; may be called at any rate."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        for state in self._running.values():
            state.done = epochs_done(state.search)
        for state in self._running.values():
            fresh = state.done > state.said and 20 * (state.done - state.said) >= state.epochs
            if fresh and now - state.when >= SAY_SECONDS:
                state.said, state.when = state.done, now
                self._say(state.search, f"epoch {state.done}/{state.epochs}")

    def end(self, search: Search, what: Result | Problem) -> None:
        """Says how a search ended."""
        state, seconds = self._running.pop(search.name), self._seconds[search.name]
        if isinstance(what, Problem):
            # what is not done any more is neither behind us nor left
            done = seconds * min(1.0, state.done / state.epochs)
            self._total -= seconds - done
            self._ended += done
            text = f"{'skipped' if what.locked else 'failed'}, {what.reason}"
        else:
            self._ended += seconds
            text = f"done, validation loss {what.val_loss:.3f}, accuracy {what.val_accuracy:.1%}"
        self._say(search, text)

    def _reached(self) -> float:
        """How much of the expected seconds is behind us."""
        return self._ended + sum(
            self._seconds[name] * min(1.0, state.done / state.epochs)
            for name, state in self._running.items()
        )

    def _say(self, search: Search, text: str) -> None:
        reached, spent = self._reached(), time.monotonic() - self._start
        gained = reached - self._first
        if not self._running:
            tail = f", {human_time(spent)} in all"
        elif gained:
            tail = f", about {human_time(spent * (self._total - reached) / gained)} left"
        else:  # nothing was done that could be a measure
            tail = ""
        whole = f"[{reached / self._total if self._total else 1:.0%} of all{tail}]"
        self._print(f"{search.name:<{self._width}}  {text}  {whole}")
