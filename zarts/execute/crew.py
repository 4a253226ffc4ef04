"""One loop for every engine: deals out items, watches the clock, counts attempts.

At least one attempt per item, exactly one result: a worker has one item at a time, and who is
given up is no longer listened to before its item is dealt out again. A late second result, which
could differ from the first, can therefore not arrive.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, Generic

from zarts.execute.messages import Message
from zarts.execute.outcome import ATTEMPTS, Failure, ItemT, Outcome

__all__ = ["Backlog", "Crew", "Engine", "Lost", "Worker"]

POLL_SECONDS = 0.2  # how long a request to stop, or a time limit, can go unnoticed
LONGEST_TICK = 1.0  # s between two looks at the clock that count; see `_overdue`
# Seconds to set up in: while none has been, and then ten times what the slowest took.
FIRST_SETUP, LEAST_SETUP = 900.0, 60.0


class Lost(Exception):
    """A worker is gone; the text says how, to follow "its worker ended"."""


class Worker(ABC, Generic[ItemT]):
    """Somebody who does an item at a time.

    Attributes:
        ready: Whether it is set up.
        begun: Whether it has a place to be set up in.
        item: What it works on.
        spent: Seconds it has worked on that, or on being set up.
        misses: How many before it were lost before they were ready.
    """

    def __init__(self) -> None:
        self.ready = False
        self.begun = True
        self.item: ItemT | None = None
        self.spent = 0.0
        self.misses = 0

    @abstractmethod
    def deal(self, item: ItemT) -> None:
        """Hands over an item."""

    @abstractmethod
    def hear(self) -> Message | None:
        """What it has to say, None if that does not concern the crew.

        Raises:
            Lost: If it is gone.
        """

    @abstractmethod
    def dismiss(self) -> None:
        """Ends it, at once; it holds nothing that is not already with the caller."""


class Engine(ABC, Generic[ItemT]):
    """Where workers come from."""

    @abstractmethod
    def size(self) -> int:
        """How many workers there is room for now."""

    @abstractmethod
    def hire(self) -> Worker[ItemT]:
        """A new worker, which becomes ready in its own time."""

    @abstractmethod
    def wait(self, workers: Sequence[Worker[ItemT]], seconds: float) -> Collection[Worker[ItemT]]:
        """All that have something to say, after waiting for the first."""

    @abstractmethod
    def hopeless(self, misses: int, how: str) -> Exception | None:
        """What to raise when so many in a row were lost before they were ready, the last like this.

        None while it is worth another attempt.
        """

    @abstractmethod
    def close(self) -> None:
        """Ends what the engine started."""


class Backlog(Generic[ItemT]):
    """Items to do, and how often each was tried in vain."""

    def __init__(self, items: Iterable[ItemT], split: Callable[[ItemT], Sequence[ItemT]]) -> None:
        self._items = deque(items)
        self._split = split
        self._tries: dict[ItemT, int] = {}

    def __len__(self) -> int:
        return len(self._items)

    def take(self) -> ItemT:
        """The next item."""
        return self._items.popleft()

    def lost(self, item: ItemT, how: str, *, timeout: bool = False) -> Failure | None:
        """Puts an item, or its pieces, to the front again; a failure once it had its attempts.

        A lost machine is an attempt like another: it cannot soon be told from a lost worker, and
        an item that takes machines down must end too. As a machine's end costs each item at most
        one attempt, it takes three of them to fail an item that is not to blame.
        """
        tries = self._tries.pop(item, 0) + 1
        if tries == ATTEMPTS:
            return Failure(f"its worker ended {ATTEMPTS} times, last {how}", timeout)
        pieces = self._split(item) or (item,)
        self._tries.update(dict.fromkeys(pieces, tries))
        self._items.extendleft(reversed(pieces))
        return None


class Crew(Generic[ItemT]):
    """The workers of one run."""

    def __init__(
        self, engine: Engine[ItemT], backlog: Backlog[ItemT], limit: Callable[[ItemT], float]
    ) -> None:
        self._engine = engine
        self._backlog = backlog
        self._limit = limit
        self._workers: list[Worker[ItemT]] = []
        self._setup = FIRST_SETUP
        self._slowest = 0.0
        self._error: BaseException | None = None

    def do(self, check: Callable[[], None]) -> Iterator[Outcome[ItemT, Any]]:
        """Deals out the items and yields what comes back.

        Raises:
            BaseException: What the work raised.
        """
        clock = time.monotonic()
        self._deal()
        while self._backlog or any(worker.item is not None for worker in self._workers):
            news = self._engine.wait(self._workers, POLL_SECONDS)
            outcomes = [outcome for worker in news for outcome in self._hear(worker)]
            now = time.monotonic()
            outcomes += self._overdue(now - clock)
            clock = now
            if self._error is None:
                self._deal()  # before the outcomes, over which the caller may take its time
            yield from outcomes  # before an error: what is done must reach the caller
            check()  # first: what stops this process may have ended the workers of its group too
            if self._error is not None:
                raise self._error

    def dismiss(self) -> None:
        """Ends all workers, at once."""
        for worker in self._workers:
            worker.dismiss()
        self._workers.clear()

    def _deal(self) -> None:
        """Hires whom there is work for, gives work to whom is free, and lets go who gets none.

        Nobody waits for work: a worker that dies while it waits would not be missed, and its next
        item would be blamed.
        """
        busy = sum(worker.item is not None for worker in self._workers)
        wanted = min(self._engine.size(), busy + len(self._backlog))
        while len(self._workers) < wanted:
            self._workers.append(self._engine.hire())
        for worker in list(self._workers):
            if not worker.ready or worker.item is not None:
                continue
            if self._backlog:
                worker.item, worker.spent = self._backlog.take(), 0.0
                worker.deal(worker.item)
            else:
                self._let_go(worker)

    def _hear(self, worker: Worker[ItemT]) -> Iterator[Outcome[ItemT, Any]]:
        try:
            message = worker.hear()
        except Lost as lost:
            yield from self._replace(worker, str(lost))
            return
        if message is None:
            return
        kind, value = message
        if kind == "ready":
            worker.ready = True
            self._slowest = max(self._slowest, worker.spent)
            self._setup = max(LEAST_SETUP, 10 * self._slowest)
        elif kind == "error":
            self._error = value
        else:
            assert worker.item is not None
            yield Outcome(worker.item, value, final=kind == "final")
            if kind == "final":
                worker.item = None

    def _overdue(self, tick: float) -> Iterator[Outcome[ItemT, Any]]:
        """Ends the workers that take too long over their item, or to be set up."""
        for worker in list(self._workers):
            if worker.item is None and (worker.ready or not worker.begun):
                continue
            # Not the time since it began: while this process was suspended, so was the worker.
            worker.spent += min(tick, LONGEST_TICK)
            seconds = self._setup if worker.item is None else self._limit(worker.item)
            if worker.spent > seconds:
                how = f"after more than the {seconds:.3g} s it may take"
                yield from self._replace(worker, how, timeout=True)

    def _replace(
        self, worker: Worker[ItemT], how: str, *, timeout: bool = False
    ) -> Iterator[Outcome[ItemT, Any]]:
        self._let_go(worker)
        if worker.item is not None:
            failure = self._backlog.lost(worker.item, how, timeout=timeout)
            if failure is not None:
                yield Outcome(worker.item, failure, final=True)
        if not worker.ready:
            misses = worker.misses + 1
            # one that hangs is no sign, as one that ends is, that all others will
            if not timeout or misses >= ATTEMPTS:
                self._error = self._error or self._engine.hopeless(misses, how)
            if self._error is None:
                successor = self._engine.hire()  # others are hired when there is work for them
                successor.misses = misses
                self._workers.append(successor)

    def _let_go(self, worker: Worker[ItemT]) -> None:
        worker.dismiss()
        self._workers.remove(worker)
