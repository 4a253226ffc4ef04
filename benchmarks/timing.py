"""How the benchmarks time and print."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

__all__ = ["medians", "show"]


def medians(timed: Mapping[str, Callable[[], object]], repeat: int) -> dict[str, float]:
    """Runs all in turn, ``repeat`` times after a warm-up; returns the median seconds of each.

    In turn, so that what else the machine does hits all alike.
    """
    taken: dict[str, list[float]] = {name: [] for name in timed}
    for turn in range(repeat + 1):
        for name, run in timed.items():
            start = time.perf_counter()
            run()
            if turn:
                taken[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in taken.items()}


def show(name: str, value: float, target: float | None = None) -> None:
    """Prints ``name value target``, passed when value >= target; without one, a comment."""
    line = f"# {name} {value:.3g}" if target is None else f"{name} {value:.3g} {target:g}"
    print(line, flush=True)
