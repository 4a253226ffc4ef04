"""Work in this process and in workers: the same values, and an end when the caller wants it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from tests.zarts.execute.chores import (
    Awkward,
    alive,
    finals,
    folder_of,
    mute,
    poison,
    setup,
    sleeping,
    square,
    unsendable,
)
from zarts.execute import run


@pytest.mark.parametrize("workers", [1, 3])
def test_every_item_is_done_once(workers: int) -> None:
    outcomes = list(run(partial(setup, 7), square, range(8), workers=workers))
    assert finals(iter(outcomes)) == {item: 7 + item**2 for item in range(8)}
    assert len(outcomes) == sum(1 + item % 3 for item in range(8))


@pytest.mark.parametrize("cluster", [None, "local"])
def test_nothing_to_do_starts_nothing(cluster: str | None) -> None:
    def never() -> int:
        raise AssertionError

    assert list(run(never, square, [], workers=4, cluster=cluster)) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_reaches_the_caller(workers: int) -> None:
    with pytest.raises(KeyError, match="four") as caught:
        list(run(setup, poison, [0, 4], workers=workers))
    if workers > 1:
        assert "in poison" in caught.value.__notes__[0]


def test_what_is_done_reaches_the_caller_before_an_error() -> None:
    outcomes = run(setup, poison, [7, 4], workers=1, apart=True)  # of two, the bad one may be first
    first = next(outcomes)
    assert (first.item, first.value) == (7, 59)
    with pytest.raises(KeyError):
        next(outcomes)


def test_an_error_that_cannot_travel_is_told() -> None:
    with pytest.raises(RuntimeError, match="Awkward: 5 and 6"):
        list(run(setup, poison, [5], workers=2))
    with pytest.raises(Awkward):
        list(run(setup, poison, [5]))


def test_a_value_that_cannot_travel_is_told() -> None:
    with pytest.raises((TypeError, AttributeError), match="pickle"):
        list(run(setup, unsendable, [0], workers=2))


@pytest.mark.parametrize("workers", [1, 2])
def test_work_without_a_value_is_an_error(workers: int) -> None:
    with pytest.raises(ValueError, match="work yielded nothing"):
        list(run(setup, mute, [0], workers=workers))


@pytest.mark.parametrize("workers", [1, 2])
def test_setup_that_fails_reaches_the_caller(workers: int) -> None:
    with pytest.raises(ZeroDivisionError):
        list(run(partial(divmod, 1, 0), square, range(3), workers=workers))


@pytest.mark.parametrize("workers", [0, -1, None])
def test_workers_are_at_least_one(workers: int | None) -> None:
    with pytest.raises(ValueError, match="expected 1 or more"):
        list(run(setup, square, range(4), workers=workers))


def test_workers_of_a_cluster_are_not_negative() -> None:
    with pytest.raises(ValueError, match="expected 1 or more"):
        list(run(setup, square, range(4), workers=-1, cluster="local"))


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
from tests.zarts.execute.chores import folder_of, sleeping
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
from tests.zarts.execute.chores import setup, square
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
