"""How far the runs of a sweep are, told a line for each now and then. No torch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from zarts.cli import human_time
from zarts.runs.runfile import Run
from zarts.sweep.outcomes import Outcome, Problem, told
from zarts.sweep.tasks import Task

__all__ = ["Progress", "epochs_done"]

LOOK_SECONDS = 2.0  # between two looks at the folders
SAY_SECONDS = 10.0  # between two lines on one run, and 5 % of its epochs at least


def epochs_done(task: Task) -> int:
    """The epochs that a run has on disk, whoever works on it; 0 if there is none yet."""
    return task.done(Run(task.folder, {}, {}).names())  # which needs no config


@dataclass
class _State:
    """What is known of one run, and what was said of it."""

    task: Task
    done: int
    said: int
    when: float


class Progress:
    """Looks into the folders of the runs under way and says what is new, and what is left.

    Nothing has to be sent for this: every epoch is a file in its run, whichever machine wrote it.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        seconds: Mapping[str, float],
        say: Callable[[str], None],
    ) -> None:
        """Begins to measure.

        Args:
            tasks: Those that are to be done.
            seconds: Expected for each as a whole, by name.
            say: Given every line.
        """
        now = time.monotonic()
        self._seconds, self._print = seconds, say
        self._width = max((len(task.name) for task in tasks), default=0)
        self._running: dict[str, _State] = {}
        for task in tasks:
            done = epochs_done(task)
            self._running[task.name] = _State(task, done, done, now)
        self._total = sum(seconds[task.name] for task in tasks)
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
            state.done = epochs_done(state.task)
        for state in self._running.values():
            fresh = state.done > state.said and 20 * (state.done - state.said) >= state.task.epochs
            if fresh and now - state.when >= SAY_SECONDS:
                state.said, state.when = state.done, now
                self._say(state.task, f"epoch {state.done}/{state.task.epochs}")

    def end(self, task: Task, what: Outcome) -> None:
        """Says how a run ended."""
        state, seconds = self._running.pop(task.name), self._seconds[task.name]
        if isinstance(what, Problem):
            # what is not done any more is neither behind us nor left
            done = seconds * min(1.0, state.done / task.epochs)
            self._total -= seconds - done
            self._ended += done
        else:
            self._ended += seconds
        self._say(task, told(what))

    def _reached(self) -> float:
        """How much of the expected seconds is behind us."""
        return self._ended + sum(
            self._seconds[name] * min(1.0, state.done / state.task.epochs)
            for name, state in self._running.items()
        )

    def _say(self, task: Task, text: str) -> None:
        reached, spent = self._reached(), time.monotonic() - self._start
        gained = reached - self._first
        if not self._running:
            tail = f", {human_time(spent)} in all"
        elif gained:
            tail = f", about {human_time(spent * (self._total - reached) / gained)} left"
        else:  # nothing was done that could be a measure
            tail = ""
        whole = f"[{reached / self._total if self._total else 1:.0%} of all{tail}]"
        self._print(f"{task.name:<{self._width}}  {text}  {whole}")
