"""What the benchmarks make of their measurements."""

from __future__ import annotations

import pytest

from benchmarks.points import share_of_work


def test_time_between_chunks_is_overhead_and_the_wait_at_the_end_is_not() -> None:
    """From 10 on: worker 1 does 10 to 11, 11 to 14, then waits; worker 2 pauses from 15 to 16."""
    spans = [(1, 8.0, 11.0), (2, 9.0, 10.0), (1, 11.0, 14.0), (2, 10.0, 15.0), (2, 16.0, 20.0)]
    assert share_of_work(spans, 10.0) == pytest.approx((1 + 3 + 5 + 4) / (4 + 10))
    whole = [(worker, float(at), at + 1.0) for worker in (1, 2) for at in range(20)]
    assert share_of_work(whole, 3.5) == pytest.approx(1.0)
