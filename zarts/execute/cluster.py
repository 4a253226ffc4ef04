"""Workers that are actors of a Ray cluster, on any of its machines."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from types import ModuleType
from typing import Any, Generic, cast, final

from zarts import __version__
from zarts.execute.connect import ClusterError, connected
from zarts.execute.crew import Engine, Lost, Worker
from zarts.execute.messages import Message, messages, portable
from zarts.execute.outcome import ATTEMPTS, ItemT, StateT

__all__ = ["Cluster"]

LOOK_SECONDS = 2.0  # between two looks at what the cluster offers
START_SECONDS = 120.0  # for the first worker to come to life


def versions() -> dict[str, str]:
    """What must be the same everywhere, for the results to be; found without importing torch."""
    from importlib import metadata  # takes a while, and is needed with a cluster alone

    try:
        torch = metadata.version("torch")
    except metadata.PackageNotFoundError:
        torch = "none"
    major, minor, _ = platform.python_version_tuple()
    return {"Python": f"{major}.{minor}", "torch": torch, "zarts": __version__}


@final
class Cluster(Engine[ItemT], Generic[StateT, ItemT]):
    """Actors of a Ray cluster: as many as asked for, or as it has room for at the time.

    Ray neither restarts actors nor repeats their work (both are its defaults): attempts are counted
    by the crew, and an item that kills its worker would be repeated for ever.

    Args:
        setup: Makes what ``work`` needs; called once in each.
        work: Yields the values of an item.
        address: ``local`` or HOST:PORT.
        workers: How many; None for what the cluster offers.
        gpus: Of one actor.

    Raises:
        ClusterError: If there is no such cluster to work on.
    """

    def __init__(
        self,
        setup: Callable[[], StateT],
        work: Callable[[StateT, ItemT], Iterator[object]],
        address: str,
        workers: int | None,
        gpus: int,
    ) -> None:
        self._workers, self._address = workers, address
        self._needs = {"CPU": 1, "GPU": gpus} if gpus else {"CPU": 1}
        self._stack = ExitStack()
        self._ray = self._stack.enter_context(connected(address, workers))
        try:
            self._actor = self._ray.remote(_Actor).options(
                num_cpus=1, num_gpus=gpus, max_restarts=0, max_task_retries=0
            )
            self._job = self._ray.put((setup, work))  # once, however many actors there will be
        except BaseException:
            self._stack.close()
            raise
        self._alive = False
        self._began = time.monotonic()
        self._looked, self._offer = float("-inf"), 0

    def size(self) -> int:
        """The number asked for, or the actors for which the cluster's machines have room now.

        Raises:
            ClusterError: If none has come to life for a long time.
        """
        now = time.monotonic()
        if not self._alive and now - self._began > START_SECONDS:
            raise ClusterError(
                f"no worker started on the cluster at {self._address} in {START_SECONDS:.0f} s; "
                f"it has room for {self._offered()}, or fewer if others use it"
            )
        if self._workers is not None:
            return self._workers
        if now - self._looked > LOOK_SECONDS:
            self._looked, self._offer = now, self._offered()
        return self._offer

    def _offered(self) -> int:
        has: Mapping[str, float] = self._ray.cluster_resources()
        return min(int(has.get(name, 0.0) // need) for name, need in self._needs.items())

    def hire(self) -> Worker[ItemT]:
        """Asks for an actor; it starts when a machine has room."""
        return _Hand(self._ray, self._actor.remote(), self._job, self._came_alive)

    def _came_alive(self) -> None:
        self._alive = True

    def wait(self, workers: Sequence[Worker[ItemT]], seconds: float) -> Collection[Worker[ItemT]]:
        """Waits for the answers."""
        answers = {cast("_Hand[ItemT]", worker).answer: worker for worker in workers}
        if not answers:
            time.sleep(seconds)
            return []
        found, rest = self._ray.wait(list(answers), num_returns=1, timeout=seconds)
        if rest:  # one at a time would starve the last of them
            found += self._ray.wait(rest, num_returns=len(rest), timeout=0)[0]
        return [answers[answer] for answer in found]

    def hopeless(self, misses: int, how: str) -> Exception | None:
        """Machines may go while actors start on them, but not for ever."""
        if misses < ATTEMPTS:
            return None
        return ClusterError(
            f"workers on the cluster at {self._address} ended {how}, {misses} in a row before they "
            "could work; look at Ray's logs there, and at its memory"
        )

    def close(self) -> None:
        """Leaves the cluster; ends it if it is our own."""
        self._stack.close()


@final
class _Hand(Worker[ItemT]):
    """An actor and the answer awaited from it: its versions, then its setup, then values.

    Every answer is a call of its own, also that to progress, so that no value is awaited from an
    actor that has not been asked for it.
    """

    def __init__(
        self, ray: ModuleType, actor: object, job: object, came_alive: Callable[[], None]
    ) -> None:
        super().__init__()
        self._ray, self._job, self._came_alive = ray, job, came_alive
        self._actor = cast("Any", actor)
        self._greeted = False
        self.begun = False  # it waits until a machine has room
        self.answer = self._actor.versions.remote()

    def deal(self, item: ItemT) -> None:
        """Calls for the item's first value."""
        self.answer = self._actor.begin.remote(item)

    def hear(self) -> Message | None:
        """Fetches the answer, and calls for the next unless an item must be dealt first.

        Raises:
            Lost: If actor, machine or answer are gone.
        """
        failures = self._ray.exceptions
        try:
            answer = self._ray.get(self.answer)
        except failures.RayError as error:
            line = str(error).strip().splitlines()[-1]
            raised = isinstance(error, failures.RayTaskError) or "creation task" in str(error)
            if raised and not self._greeted:
                return "error", ClusterError(
                    f"workers of the cluster cannot load zarts: {line}; "
                    "install the same versions on all its machines"
                )
            if raised:  # outside of the work, so by what went in or out
                return "error", RuntimeError(f"the cluster cannot pass items or values: {line}")
            raise Lost(f"with {type(error).__name__}: {line.split('. ')[0]}") from None
        if not self._greeted:
            return self._greet(answer)
        message = cast("Message", answer)
        if message[0] == "progress":
            self.answer = self._actor.next.remote()
        return message

    def _greet(self, theirs: Mapping[str, str]) -> Message | None:
        if theirs != (ours := versions()):
            return "error", ClusterError(
                f"got a worker with {_listed(theirs)}, expected {_listed(ours)} as here; "
                "install the same versions on all machines of the cluster"
            )
        self._greeted = self.begun = True
        self._came_alive()
        self.answer = self._actor.prepare.remote(self._job)
        return None

    def dismiss(self) -> None:
        """Kills the actor."""
        self._ray.kill(self._actor, no_restart=True)


def _listed(found: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in found.items())


class _Actor:
    """What lives in a worker of the cluster."""

    def __init__(self) -> None:
        os.environ["OMP_NUM_THREADS"] = "1"  # before setup imports torch: sums depend on it
        self._job: tuple[Any, Callable[[Any, Any], Iterator[object]]]
        self._messages: Iterator[Message] = iter(())

    def versions(self) -> dict[str, str]:
        return versions()

    def prepare(
        self, job: tuple[Callable[[], Any], Callable[[Any, Any], Iterator[Any]]]
    ) -> Message:
        setup, work = job
        try:
            self._job = setup(), work
        except BaseException as error:  # noqa: BLE001 - raised again where the caller is
            return "error", portable(error)
        return "ready", None

    def begin(self, item: object) -> Message:
        state, work = self._job
        self._messages = messages(work, state, item)
        return next(self._messages)

    def next(self) -> Message:
        return next(self._messages)
