"""Workers that are processes of this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import connection, get_context, parent_process, resource_tracker
from multiprocessing.context import SpawnProcess
from typing import Any, Generic, cast, final

from zarts.execute.crew import Engine, Lost, Worker
from zarts.execute.messages import Message, messages, portable
from zarts.execute.outcome import ATTEMPTS, ItemT, StateT

__all__ = ["Processes", "default_workers"]

GONE = (EOFError, BrokenPipeError, ConnectionResetError)  # the other end of the pipe
VISIBLE = "CUDA_VISIBLE_DEVICES"  # read by CUDA when it starts: a process sees these GPUs only


def default_workers(device: str) -> int:
    """One worker per core this process may use; one in all for a GPU."""
    if device != "cpu":
        return 1
    # macOS does not tell which cores a process may use
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


@final
class Processes(Engine[ItemT], Generic[StateT, ItemT]):
    """So many processes, each started afresh.

    Args:
        setup: Makes what ``work`` needs; called once in each.
        work: Yields the values of an item.
        size: How many.
        devices: GPUs by the names CUDA knows them by; each process sees the one that fewest have.
    """

    def __init__(
        self,
        setup: Callable[[], StateT],
        work: Callable[[StateT, ItemT], Iterator[object]],
        size: int,
        devices: Sequence[str] = (),
    ) -> None:
        self._job = (setup, work)
        self._size = size
        self._devices = tuple(devices)
        self._started: list[tuple[SpawnProcess, str]] = []
        self._alive = False  # whether any process came as far as our code

    def size(self) -> int:
        """The number asked for."""
        return self._size

    def hire(self) -> Worker[ItemT]:
        """Starts a process."""
        alive = Counter(device for process, device in self._started if process.is_alive())
        device = min(self._devices, key=lambda name: alive[name], default="")
        with _sees(device):
            worker = _Process[ItemT](self._job, self._came_alive)
        self._started.append((worker.process, device))
        return worker

    def wait(self, workers: Sequence[Worker[ItemT]], seconds: float) -> Collection[Worker[ItemT]]:
        """Waits for the pipes."""
        pipes = {cast("_Process[ItemT]", worker).pipe: worker for worker in workers}
        return [pipes[pipe] for pipe in connection.wait(list(pipes), seconds)]  # type: ignore[index]

    def hopeless(self, misses: int, how: str) -> Exception | None:
        """Before any process came alive, the cause is the caller's script: one is enough."""
        if not self._alive:
            return ChildProcessError(
                f"a worker process ended {how} before it could work; "
                "in a script, start the work below `if __name__ == '__main__':`, or use one worker "
                "without a time limit"
            )
        if misses < ATTEMPTS:
            return None
        return ChildProcessError(
            f"worker processes ended {how} while they were set up, {misses} in a row; "
            "use fewer workers if memory is short"
        )

    def close(self) -> None:
        """Waits for the ends of all processes, which were dismissed."""
        for process, _ in self._started:
            process.join()

    def _came_alive(self) -> None:
        self._alive = True


@final
class _Process(Worker[ItemT]):
    """A process and the pipe to it."""

    def __init__(self, job: tuple[object, object], came_alive: Callable[[], None]) -> None:
        super().__init__()
        self._job, self._came_alive = job, came_alive
        context = get_context("spawn")  # a fork would copy the threads' locks and break CUDA
        self.pipe, other = context.Pipe()
        # The job is sent once it lives: what does not fit into the pipe by which a process starts
        # holds up this one until it has imported all, and for ever if it dies before.
        self.process: SpawnProcess = context.Process(target=_serve, args=(other,), daemon=True)
        # Ctrl-C reaches the whole group, and must not print a traceback per worker that still
        # imports; the worker inherits the mask, then ignores the signal. The tracker of resources
        # would start with the first process otherwise, and lift the mask of SIGINT when it has.
        # SIGUSR1, with which batch systems warn, is the only one that would end the tracker.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        try:
            resource_tracker.ensure_running()
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        other.close()  # so that the death of either side is an end of file for the other

    def deal(self, item: ItemT) -> None:
        """Sends it the item."""
        with contextlib.suppress(OSError):  # that it is dead is heard next
            self.pipe.send(item)

    def hear(self) -> Message | None:
        """Reads a message.

        Raises:
            Lost: At the end of the pipe.
        """
        try:
            message: Message | None = self.pipe.recv()
        except (EOFError, OSError):
            self.process.kill()
            self.process.join()
            raise Lost(_ending(self.process.exitcode)) from None
        if message is None:
            self._came_alive()
            with contextlib.suppress(*GONE):  # that it is dead is heard next
                self.pipe.send(self._job)
        return message

    def dismiss(self) -> None:
        """Kills the process."""
        self.pipe.close()
        self.process.kill()


@contextmanager
def _sees(device: str) -> Iterator[None]:
    """What starts meanwhile sees this GPU only; an empty name changes nothing."""
    before = os.environ.get(VISIBLE)
    if device:
        os.environ[VISIBLE] = device
    try:
        yield
    finally:
        if device:
            os.environ.pop(VISIBLE)
            if before is not None:
                os.environ[VISIBLE] = before


def _ending(code: int | None) -> str:
    if code is None or code >= 0:
        return f"with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return f"by {name}"


def _serve(pipe: connection.Connection[Any, Any]) -> None:
    """A process's life: set up, then an item at a time until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # what it means is up to the caller
    threading.Thread(target=_leave_with_caller, daemon=True).start()
    with contextlib.suppress(*GONE):
        pipe.send(None)  # alive
        try:
            setup, work = pipe.recv()
            state = setup()
        except GONE:
            return
        except BaseException as error:  # noqa: BLE001 - raised again where the caller is
            pipe.send(("error", portable(error)))
            return
        pipe.send(("ready", None))
        while True:
            for message in messages(work, state, pipe.recv()):
                _tell(pipe, message)


def _tell(pipe: connection.Connection[Any, Any], message: Message) -> None:
    try:
        pipe.send(message)
    except GONE:
        raise
    except Exception as error:  # noqa: BLE001 - a value that cannot be pickled
        pipe.send(("error", portable(error)))


def _leave_with_caller() -> None:
    """Ends this process when the caller is gone, even in the middle of a long item."""
    caller = parent_process()
    assert caller is not None
    connection.wait([caller.sentinel])
    os._exit(1)
