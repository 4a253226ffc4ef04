"""Work in this process and in workers: the same values, and nothing lost when a worker dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from zarts.execute import ATTEMPTS, Failure, Outcome, run

# All of it is importable from a worker: the functions live in this module, on the test's own path.


def setup(base: int = 10) -> int:
    return base


def square(state: int, item: int) -> Iterator[int]:
    yield from range(item % 3)  # progress
    yield state + item**2


def deadly(state: int, item: int) -> Iterator[int]:
    if item == 2:
        os._exit(3)
    yield from square(state, item)


def deadly_once(folder: str, item: int) -> Iterator[int]:
    mark = Path(folder) / str(item)
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    yield item


def failing(state: int, item: int) -> Iterator[int]:
    if item == 2:
        raise KeyError("two")
    yield state


def sleeping(folder: str, item: int) -> Iterator[int]:
    (Path(folder) / f"pid-{os.getpid()}").touch()
    time.sleep(60)
    yield item


def folder_of(path: str) -> str:
    return path


def finals(outcomes: Iterator[Outcome[int, int]]) -> dict[int, int | Failure]:
    found: dict[int, int | Failure] = {}
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


@pytest.mark.parametrize("workers", [1, 3])
def test_every_item_is_done_once(workers: int) -> None:
    outcomes = list(run(partial(setup, 7), square, range(8), workers=workers))
    assert finals(iter(outcomes)) == {item: 7 + item**2 for item in range(8)}
    assert len(outcomes) == sum(1 + item % 3 for item in range(8))


def test_nothing_to_do_starts_nothing() -> None:
    def never() -> int:
        raise AssertionError

    assert list(run(never, square, [], workers=4)) == []


def test_a_poison_item_fails_alone() -> None:
    found = finals(run(setup, deadly, range(5), workers=2))
    poisoned = found.pop(2)
    assert isinstance(poisoned, Failure)
    assert f"ended {ATTEMPTS} times" in poisoned.reason
    assert found == {item: 10 + item**2 for item in (0, 1, 3, 4)}


def test_an_item_survives_the_death_of_its_worker(tmp_path: Path) -> None:
    found = finals(run(partial(folder_of, str(tmp_path)), deadly_once, range(4), workers=2))
    assert found == {item: item for item in range(4)}


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_reaches_the_caller(workers: int) -> None:
    with pytest.raises(KeyError, match="two"):
        list(run(setup, failing, range(4), workers=workers))


@pytest.mark.parametrize("workers", [0, -1])
def test_workers_are_at_least_one(workers: int) -> None:
    with pytest.raises(ValueError, match="expected 1 or more"):
        list(run(setup, square, range(4), workers=workers))


def test_a_stop_ends_the_workers_at_once(tmp_path: Path) -> None:
    class Halt(Exception):
        pass

    def check() -> None:
        if len(list(tmp_path.glob("pid-*"))) == 2:
            raise Halt

    start = time.monotonic()
    with pytest.raises(Halt):
        list(run(partial(folder_of, str(tmp_path)), sleeping, range(4), workers=2, check=check))
    assert time.monotonic() - start < 30
    assert not any(alive(int(path.name[4:])) for path in tmp_path.glob("pid-*"))


PARENT = """
import sys
from functools import partial
from tests.zarts.test_execute import folder_of, sleeping
from zarts.execute import run
if __name__ == "__main__":
    list(run(partial(folder_of, sys.argv[1]), sleeping, range(2), workers=2))
"""


def test_workers_do_not_outlive_a_killed_caller(tmp_path: Path, root: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": str(root)}
    parent = subprocess.Popen([sys.executable, str(script), str(tmp_path)], env=environment)
    deadline = time.monotonic() + 60
    while len(pids := list(tmp_path.glob("pid-*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(pids) == 2
    parent.kill()
    parent.wait()
    while any(alive(int(path.name[4:])) for path in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(alive(int(path.name[4:])) for path in pids)


UNGUARDED = """
from functools import partial
from tests.zarts.test_execute import setup, square
from zarts.execute import run
print(list(run(setup, square, range(4), workers=2)))
"""


def test_a_script_without_a_guard_is_told_so(tmp_path: Path, root: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0
    assert "if __name__ == '__main__'" in done.stderr.splitlines()[-1]
    assert not done.stdout
