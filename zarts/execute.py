"""Where independent work runs: in this process or in workers, with the same values from each.

Items go in, results come out in any order, and the caller is the only one who writes. A worker that
dies takes nothing with it: its item is given to another, three times at most.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from multiprocessing.context import SpawnProcess
from typing import Generic, NamedTuple, TypeVar

__all__ = ["ATTEMPTS", "Failure", "Outcome", "default_workers", "run"]

ItemT = TypeVar("ItemT")
StateT = TypeVar("StateT")
ValueT = TypeVar("ValueT")

ATTEMPTS = 3  # of one item, before it counts as the cause of its workers' deaths
POLL_SECONDS = 0.2  # how long a request to stop can go unnoticed


@dataclass(frozen=True)
class Failure:
    """An item no worker survived.

    Attributes:
        reason: How the last one ended.
    """

    reason: str


class Outcome(NamedTuple, Generic[ItemT, ValueT]):
    """Something about an item.

    Attributes:
        item: The item.
        value: What its work yielded, or a failure.
        final: Whether this is the item's last value; earlier ones show progress.
    """

    item: ItemT
    value: ValueT | Failure
    final: bool


def default_workers(device: str) -> int:
    """One worker per core this process may use; one in all for a GPU."""
    if device != "cpu":
        return 1
    # macOS does not tell which cores a process may use
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def run(
    setup: Callable[[], StateT],
    work: Callable[[StateT, ItemT], Iterator[ValueT]],
    items: Iterable[ItemT],
    *,
    workers: int = 1,
    check: Callable[[], None] = lambda: None,
) -> Generator[Outcome[ItemT, ValueT], None, None]:
    """Does the work of every item; close it to end the workers early.

    Args:
        setup: Makes what ``work`` needs, once per worker. With several workers it is pickled.
        work: Yields at least one value per item; the last is its result. With several workers it
            and all items and values are pickled.
        items: Hashable; dealt out in this order, so put long ones first.
        workers: Processes; 1 works in this one.
        check: Asked several times a second; raises to stop, which ends the workers.

    Yields:
        Values of all items, in any order; every item ends with a final one.

    Raises:
        ValueError: If ``workers`` is less than 1.
        ChildProcessError: If workers cannot start, as from a script without a main guard.
    """
    if workers < 1:
        raise ValueError(f"got {workers} workers, expected 1 or more")
    queue = deque(items)
    if workers == 1 or len(queue) < 2:
        yield from _here(setup, work, queue, check)
        return
    crew = _Crew(setup, work, min(workers, len(queue)))
    try:
        yield from crew.do(queue, check)
    finally:
        crew.dismiss()


def _here(
    setup: Callable[[], StateT],
    work: Callable[[StateT, ItemT], Iterator[ValueT]],
    items: Iterable[ItemT],
    check: Callable[[], None],
) -> Iterator[Outcome[ItemT, ValueT]]:
    state: StateT | None = None
    for item in items:
        state = setup() if state is None else state
        last: ValueT | None = None
        for value in work(state, item):
            if last is not None:
                yield Outcome(item, last, final=False)
                check()
            last = value
        assert last is not None, "work yields at least one value"
        yield Outcome(item, last, final=True)
        check()  # not before: what is done must reach the caller


class _Worker(Generic[ItemT]):
    """A process, the pipe to it, and the item it works on."""

    def __init__(self, target: Callable[..., None], arguments: tuple[object, ...]) -> None:
        context = get_context("spawn")  # a fork would copy the threads' locks and break CUDA
        self.pipe, other = context.Pipe()
        self.process: SpawnProcess = context.Process(
            target=target, args=(other, *arguments), daemon=True
        )
        # Ctrl-C reaches the whole group, and must not print a traceback per worker that still
        # imports; the worker inherits the mask, then ignores the signal.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        other.close()  # so that the death of either side is an end of file for the other
        self.item: ItemT | None = None
        self.ready = False


class _Crew(Generic[StateT, ItemT, ValueT]):
    """The workers of one run."""

    def __init__(
        self,
        setup: Callable[[], StateT],
        work: Callable[[StateT, ItemT], Iterator[ValueT]],
        size: int,
    ) -> None:
        self._arguments = (setup, work)
        self._workers: list[_Worker[ItemT]] = [self._hire() for _ in range(size)]

    def _hire(self) -> _Worker[ItemT]:
        return _Worker(_serve, self._arguments)

    def do(
        self, queue: deque[ItemT], check: Callable[[], None]
    ) -> Iterator[Outcome[ItemT, ValueT]]:
        """Deals out the items and yields what comes back."""
        tries: Counter[ItemT] = Counter()
        while True:
            for worker in self._workers:
                if worker.item is None and queue:
                    worker.item = queue.popleft()
                    # a worker that is already dead is noticed below
                    with contextlib.suppress(OSError):
                        worker.pipe.send(worker.item)
            busy = {worker.pipe: worker for worker in self._workers if worker.item is not None}
            if not busy:
                return
            for pipe in connection.wait(list(busy), POLL_SECONDS):
                yield from self._hear(busy[pipe], queue, tries)  # type: ignore[index]
            check()

    def _hear(
        self, worker: _Worker[ItemT], queue: deque[ItemT], tries: Counter[ItemT]
    ) -> Iterator[Outcome[ItemT, ValueT]]:
        item = worker.item
        assert item is not None
        try:
            kind, value = worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.kill()
            worker.process.join()
            if not worker.ready:
                raise ChildProcessError(
                    f"a worker process ended with {worker.process.exitcode} before it could work; "
                    "in a script, start the work below `if __name__ == '__main__':`, "
                    "or use one worker"
                ) from None
            self._workers[self._workers.index(worker)] = self._hire()
            tries[item] += 1
            if tries[item] < ATTEMPTS:
                queue.appendleft(item)
                return
            how = f"its worker process ended {ATTEMPTS} times, last with {worker.process.exitcode}"
            yield Outcome(item, Failure(how), final=True)
            return
        if kind == "ready":
            worker.ready = True
            return
        if kind == "error":
            raise value
        if kind == "final":
            worker.item = None
        yield Outcome(item, value, final=kind == "final")

    def dismiss(self) -> None:
        """Ends all workers, at once."""
        for worker in self._workers:
            worker.pipe.close()
            worker.process.kill()  # they hold nothing that is not already with the caller
        for worker in self._workers:
            worker.process.join()


def _serve(
    pipe: connection.Connection[object, object],
    setup: Callable[[], StateT],
    work: Callable[[StateT, ItemT], Iterator[ValueT]],
) -> None:
    """A worker's life: set up, then an item at a time until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # what it means is up to the caller
    threading.Thread(target=_leave_with_caller, daemon=True).start()
    state: StateT | None = None
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        pipe.send(("ready", None))
        while True:
            item: ItemT = pipe.recv()  # type: ignore[assignment]
            try:
                state = setup() if state is None else state
                last: ValueT | None = None
                for value in work(state, item):
                    if last is not None:
                        pipe.send(("progress", last))
                    last = value
                pipe.send(("final", last))
            except (EOFError, BrokenPipeError, ConnectionResetError):
                raise
            except BaseException as error:  # noqa: BLE001 - raised again where the caller is
                pipe.send(("error", error))


def _leave_with_caller() -> None:
    """Ends this worker when the caller is gone, even in the middle of a long item."""
    caller = parent_process()
    assert caller is not None
    connection.wait([caller.sentinel])
    os._exit(1)
