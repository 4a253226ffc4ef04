"""Work for the tests of the executor: importable from its workers, whatever they are."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from zarts.execute import Failure, Outcome


def setup(base: int = 10) -> int:
    return base


def visible() -> str:
    """The GPUs that CUDA would find."""
    return os.environ["CUDA_VISIBLE_DEVICES"]


def holding_visible(state: str, item: int) -> Iterator[str]:
    time.sleep(0.1)  # so that every worker gets some
    yield state


def square(state: int, item: int) -> Iterator[int]:
    yield from range(item % 3)  # progress
    yield state + item**2


def squares(state: int, items: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    yield tuple(value for item in items for value in poison(state, item))


def apart(items: tuple[int, ...]) -> list[tuple[int, ...]]:
    return [(item,) for item in items]


class Awkward(Exception):
    """Can be pickled, but not unpickled."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def poison(state: int, item: int) -> Iterator[float]:
    """Items 1 to 5 are bad, each in its own way; 6 is merely odd."""
    if item == 1:
        os._exit(3)
    if item == 2:
        os.kill(os.getpid(), signal.SIGSEGV)
    if item == 3:
        while True:
            pass
    if item == 4:
        raise KeyError("four")
    if item == 5:
        raise Awkward(5, 6)
    if item == 6:
        yield float("nan")
        return
    yield state + item**2


def nap(state: int, item: int) -> Iterator[float]:
    """As above, and 8 sleeps."""
    if item == 8:
        time.sleep(60)
    yield from poison(state, item)


def mute(state: int, item: int) -> Iterator[int]:
    yield from ()


def unsendable(state: int, item: int) -> Iterator[object]:
    yield threading.Lock()


def slow_setup() -> int:
    time.sleep(1.0)
    return setup()


def stuck_once(folder: str) -> str:
    """Stands still the first time."""
    try:
        (Path(folder) / "stuck").touch(exist_ok=False)
    except FileExistsError:
        return folder
    os.kill(os.getpid(), signal.SIGSTOP)
    return "woken"


def stuck_setup() -> str:
    os.kill(os.getpid(), signal.SIGSTOP)
    return "woken"


def deadly_setup() -> str:
    os._exit(5)


def folder_of(path: str) -> str:
    return path


def deadly_once(folder: str, item: int) -> Iterator[int]:
    mark = Path(folder) / str(item)
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    yield item


def holding_one(folder: str, names: tuple[str, ...]) -> Iterator[int]:
    """A chunk in which the item "bad" kills, and counts how often."""
    if "bad" in names:
        with (Path(folder) / "bad").open("a") as marks:
            marks.write("x")
        os.kill(os.getpid(), signal.SIGKILL)
    yield len(names)


def sleeping(folder: str, item: int) -> Iterator[int]:
    (Path(folder) / f"pid-{os.getpid()}").touch()
    time.sleep(60)
    yield item


def brief(folder: str, item: int) -> Iterator[tuple[int, int]]:
    """A short item that tells who does it: its value, and the process."""
    (Path(folder) / f"pid-{os.getpid()}").touch()
    time.sleep(0.02)
    yield item**2, os.getpid()


def brief_among_two(folder: str, item: int) -> Iterator[tuple[int, int]]:
    """The same, when two workers live beside those that were killed, so that each does some."""
    while len(list(Path(folder).glob("setup-*"))) < 2 + len(list(Path(folder).glob("killed-*"))):
        time.sleep(0.01)
    yield from brief(folder, item)


def on_machine(folder: str, item: int) -> Iterator[int]:
    """A short item with progress; on a cluster it leaves a mark of the machine it was on."""
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        with (Path(folder) / f"at-{item}").open("a") as marks:
            marks.write(ray.get_runtime_context().get_node_id() + "\n")
        time.sleep(0.1)
    yield -1
    yield item**2


def counted_setup(folder: str) -> str:
    with (Path(folder) / f"setup-{os.getpid()}").open("a") as marks:
        marks.write("x")
    return folder


def finals(outcomes: Iterator[Outcome]) -> dict:
    """The results by item, of which there must be one each."""
    found: dict[object, object | Failure] = {}
    for outcome in outcomes:
        if outcome.final:
            assert outcome.item not in found, "recorded twice"
            found[outcome.item] = outcome.value
    return found


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False


def descendants(pid: int) -> dict[int, str]:
    """The processes below one: their ids, and the names of their programs."""
    parents, names = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            head, _, tail = (folder / "stat").read_text().rpartition(")")
        except OSError:
            continue
        parents[int(folder.name)] = int(tail.split()[1])
        names[int(folder.name)] = head.partition("(")[2]
    found: dict[int, str] = {}
    queue = [pid]
    while queue:
        above = queue.pop()
        below = [child for child, parent in parents.items() if parent == above]
        found |= {child: names[child] for child in below}
        queue += below
    return found
