"""Processes that die, hang or stand still: their items are done elsewhere, and only once."""

from __future__ import annotations

import math
import os
import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from tests.zarts.execute.chores import (
    alive,
    apart,
    brief,
    deadly_once,
    deadly_setup,
    finals,
    folder_of,
    holding_one,
    holding_visible,
    nap,
    poison,
    setup,
    slow_setup,
    squares,
    stuck_once,
    stuck_setup,
    visible,
)
from zarts.execute import ATTEMPTS, Failure, run


def test_poison_items_fail_alone_and_tell_how() -> None:
    found = finals(run(setup, poison, [0, 1, 2, 6, 7], workers=2))
    assert found[1] == Failure(f"its worker ended {ATTEMPTS} times, last with exit code 3")
    assert found[2] == Failure(f"its worker ended {ATTEMPTS} times, last by SIGSEGV")
    assert math.isnan(found.pop(6))
    assert (found[0], found[7]) == (10, 59)


def test_an_item_survives_the_death_of_its_worker(tmp_path: Path) -> None:
    found = finals(run(partial(folder_of, str(tmp_path)), deadly_once, range(4), workers=2))
    assert found == {item: item for item in range(4)}


@pytest.mark.parametrize("bad", [3, 8])  # 3 computes for ever, 8 sleeps
def test_an_item_that_takes_too_long_is_ended(bad: int) -> None:
    start = time.monotonic()
    found = finals(run(setup, nap, [bad, 0, 9], workers=2, limit=lambda item: 0.3))
    failure = found.pop(bad)
    assert failure.timeout
    assert "after more than the 0.3 s it may take" in failure.reason
    assert found == {0: 10, 9: 91}
    assert 3 * 0.3 < time.monotonic() - start < 30


def test_one_worker_is_ended_too_if_it_is_a_process() -> None:
    found = finals(run(setup, nap, [0, 8], workers=1, apart=True, limit=lambda item: 0.3))
    assert found[8].timeout
    assert found[0] == 10


def test_processes_share_out_the_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    seen = finals(run(visible, holding_visible, range(9), workers=3, devices=["5", "GPU-ab"]))
    assert set(seen.values()) == {"5", "GPU-ab"}
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    assert set(finals(run(visible, holding_visible, range(2), workers=2)).values()) == {"7"}
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "7"


def test_a_stop_that_also_ends_workers_is_a_stop() -> None:
    class Stop(Exception):
        pass

    def check() -> None:
        raise Stop

    with pytest.raises(Stop):  # not that a worker ended, which is what is heard first
        list(run(deadly_setup, squares, [(0,)] * 2, workers=2, check=check))


def test_a_worker_that_dies_while_it_starts_holds_nobody_up(tmp_path: Path, root: Path) -> None:
    """However large the job is: more than fits into a pipe."""
    script = tmp_path / "script.py"
    script.write_text(
        "import os\n"
        "from functools import partial\n"
        "from tests.zarts.execute.chores import setup, square\n"
        "from zarts.execute import run\n"
        "if __name__ == '__main__':\n"
        "    list(run(partial(setup, 1 << (1 << 23)), square, range(3), workers=2))\n"
        "else:\n"
        "    os.kill(os.getpid(), 15)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=environment, timeout=60
    )
    assert done.returncode == 1
    assert "a worker process ended by SIGTERM before it could work" in done.stderr


def test_the_time_limit_is_asked_for_each_item_and_may_grow() -> None:
    asked = []

    def limit(item: int) -> float:
        asked.append(item)
        return 0.05 if len(asked) == 1 else 30.0

    assert finals(run(setup, nap, [7, 9], workers=2, limit=limit)) == {7: 59, 9: 91}
    assert set(asked) <= {7, 9}


def test_a_slow_setup_is_not_held_against_an_item() -> None:
    found = finals(run(slow_setup, poison, [7, 9], workers=2, limit=lambda item: 0.5))
    assert found == {7: 59, 9: 91}


@pytest.mark.parametrize("bad", [1, 2, 3])
def test_a_chunk_is_split_to_find_the_bad_point(bad: int) -> None:
    chunks = [(0, bad, 7), (8, 9)]
    found = finals(run(setup, squares, chunks, workers=2, limit=lambda item: 1.0, split=apart))
    assert isinstance(found.pop((bad,)), Failure)
    assert found == {(0,): (10,), (7,): (59,), (8, 9): (74, 91)}


def test_a_bad_point_costs_its_attempts_and_no_more(tmp_path: Path) -> None:
    chunks = [("a", "bad", "c"), ("d",)]
    found = finals(
        run(partial(folder_of, str(tmp_path)), holding_one, chunks, workers=2, split=apart)
    )
    assert isinstance(found.pop(("bad",)), Failure)
    assert found == {("a",): 1, ("c",): 1, ("d",): 1}
    assert len((tmp_path / "bad").read_text()) == ATTEMPTS


def test_killed_workers_change_nothing(tmp_path: Path) -> None:
    rng = random.Random(7)
    kills = set(rng.sample(range(100), 10))
    found: dict[int, int] = {}
    for outcome in run(partial(folder_of, str(tmp_path)), brief, range(100), workers=2):
        assert outcome.final
        assert not isinstance(outcome.value, Failure)
        assert outcome.item not in found, "recorded twice"
        if len(found) in kills:
            os.kill(outcome.value[1], signal.SIGKILL)
        found[outcome.item] = outcome.value[0]
    assert found == {item: item**2 for item in range(100)}
    assert len(list(tmp_path.glob("pid-*"))) >= 2 + 9  # the last may have had no successor


def test_a_worker_that_stands_still_does_not_hold_up_the_others(tmp_path: Path) -> None:
    stopped: list[int] = []
    order, start = [], time.monotonic()
    for outcome in run(
        partial(folder_of, str(tmp_path)), brief, range(60), workers=2, limit=lambda item: 3.0
    ):
        order.append(outcome.item)
        if len(order) == 5:
            stopped.append(outcome.value[1])
            os.kill(stopped[0], signal.SIGSTOP)
    assert sorted(order) == list(range(60))
    assert order[-1] == sorted(set(range(60)) - set(order[:-1]))[0]
    assert time.monotonic() - start < 20
    assert not alive(stopped[0])


def test_workers_that_die_in_setup_do_not_go_on_for_ever() -> None:
    with pytest.raises(ChildProcessError, match="while they were set up, 3 in a row"):
        list(run(deadly_setup, brief, range(3), workers=2))


def test_a_worker_that_stands_still_in_setup_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zarts.execute.crew.FIRST_SETUP", 2.0)
    setup = partial(stuck_once, str(tmp_path))
    found = finals(run(setup, brief, range(3), workers=1, apart=True))
    assert {item: value[0] for item, value in found.items()} == {0: 0, 1: 1, 2: 4}
    monkeypatch.setattr("zarts.execute.crew.FIRST_SETUP", 1.0)
    with pytest.raises(ChildProcessError, match="after more than the 1 s it may take"):
        list(run(stuck_setup, brief, range(3), workers=1, apart=True))
