"""What the benchmarks make of their measurements."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.dispatched import Dispatched, outer_step
from benchmarks.gpu import measure
from benchmarks.points import share_of_work
from tests.tiny import tiny
from zarts.bilevel.inner import SGD
from zarts.supernet.fast.kernels import Kernels
from zarts.supernet.fast.network import Supernet
from zarts.supernet.spaces import SPACES


def test_time_between_chunks_is_overhead_and_the_wait_at_the_end_is_not() -> None:
    """From 10 on: worker 1 does 10 to 11, 11 to 14, then waits; worker 2 pauses from 15 to 16."""
    spans = [(1, 8.0, 11.0), (2, 9.0, 10.0), (1, 11.0, 14.0), (2, 10.0, 15.0), (2, 16.0, 20.0)]
    assert share_of_work(spans, 10.0) == pytest.approx((1 + 3 + 5 + 4) / (4 + 10))
    whole = [(worker, float(at), at + 1.0) for worker in (1, 2) for at in range(20)]
    assert share_of_work(whole, 3.5) == pytest.approx(1.0)


def operations_of_an_update(tensors: int) -> int:
    with torch.device("meta"):
        weights = {str(name): torch.empty(4, 3) for name in range(tensors)}
    with Dispatched() as seen, torch.no_grad():
        SGD(0.1).update(weights, weights, weights)
    return seen.count


def test_operations_are_counted_without_views_and_do_not_grow_with_the_tensors() -> None:
    with Dispatched() as seen:
        x = torch.empty(2, 3, device="meta")
        _ = (x.T + 1).T.view(6).sum()
    assert seen.count == 2
    assert operations_of_an_update(3) == operations_of_an_update(50) <= 12
    # a cell of the paper's network, of whose eight a step has at most 5,000
    cell = Supernet(SPACES["s6"], cells=1, kernels=Kernels(1 << 40))
    assert 100 < outer_step(cell, (4, 3, 8, 8)) <= 669


def test_a_search_is_timed_after_its_first_update() -> None:
    long = {"period": 2, "inner_steps": 20}  # so that no busy machine turns the two around
    row = measure(tiny("zarts-mgs", {"search": long}), seconds=0.0)
    assert (row.updates, row.steps, row.peak) == (1, 2, 0)
    assert row.update > row.step > 0


def test_the_tests_of_a_gpu_can_be_collected() -> None:
    """Nobody without a GPU runs them, so a name that moved would be found out there only."""
    root = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-c", "tests/gpu/pytest.ini"]
    asked = subprocess.run(
        [*command, "tests/gpu"], cwd=root, capture_output=True, text=True, check=False
    )
    assert asked.returncode == 0, asked.stdout[-2000:]
