"""How a GPU computes fast supernets: measured once, when a run begins, and kept with the run.

On a CPU the defaults hold, which are its fastest. A GPU differs from the next one, so there a step
of ω is timed in each way. A run that goes on, and each of its workers, reads what was chosen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any

import torch

from zarts.bilevel.inner import descend, single_thread
from zarts.problems.build import make_problem
from zarts.runs.runfile import JSON, Run
from zarts.settings.config import Config, SupernetConfig, merge
from zarts.supernet.protocol import network_record

__all__ = ["choose", "chosen", "settle"]

KEY = "kernels"  # of the provenance
# Settings of the section ``supernet``, and what is tried: all edges in one call or as on a CPU, ...
WAYS: Mapping[str, tuple[Any, ...]] = {
    "stack_below": (1 << 40, SupernetConfig.stack_below),
    "layout": ("last", "first"),
    "phases": ("on", "off"),
}
REPEATS = 3


def settle(run: Run, config: Config) -> Config:
    """The settings with what a run chose; on a GPU it chooses now if it holds nothing yet.

    Args:
        run: Its lock is held.
        config: Its settings.

    Raises:
        RunError: If the run cannot be written.
    """
    if config.device != "cpu" and KEY not in run.provenance and not run.names():
        run.amend({KEY: choose(config)})
    found = chosen(run.provenance)
    return Config.from_table(merge(config.to_table(), found)) if found else config


def chosen(provenance: Mapping[str, JSON]) -> dict[str, JSON]:
    """The settings that a run chose, as nested tables; none if it did not."""
    told = provenance.get(KEY)
    found = told.get("chosen") if isinstance(told, Mapping) else None
    kept = {key: found[key] for key in WAYS if key in found} if isinstance(found, Mapping) else {}
    return {"supernet": kept} if kept else {}


def choose(config: Config, seconds: Callable[[Config], float] | None = None) -> dict[str, JSON]:
    """Times a step of ω in each way.

    Args:
        config: Settings; where one of these is not the default, it stays.
        seconds: Of a step, given settings; None: measured.

    Returns:
        ``chosen``, the settings of the fastest way, and ``seconds`` of each; none if there is
        nothing to choose.
    """
    if not set(WAYS) <= set(network_record(config.supernet.network).settings):
        return {}
    took = []
    for way in _ways(config):
        tried = Config.from_table(merge(config.to_table(), {"supernet": way}))
        try:
            took.append(((seconds or _seconds)(tried), way))
        except torch.OutOfMemoryError:  # another way may fit
            continue
    if not took:
        return {}
    best = min(took, key=lambda each: each[0])[1]
    return {"chosen": best, "seconds": [{**way, "seconds": spent} for spent, way in took]}


def _ways(config: Config) -> Iterator[dict[str, JSON]]:
    net = config.supernet
    free = [key for key in WAYS if getattr(net, key) == getattr(SupernetConfig, key)]
    for values in product(*(WAYS[key] for key in free)):
        yield dict(zip(free, values, strict=True))


def _seconds(config: Config) -> float:
    """The least of a few repeats; ``descend`` ends with a look at ω, so the device is done then."""
    problem = make_problem(config)
    objective, batch = problem.objective, problem.feed.train.batch(0)
    some = next(iter(objective.weights.values()))
    alpha = problem.alpha.to(some)

    def step() -> float:
        start = time.perf_counter()
        descend(
            lambda weights, batch: problem.loss(weights, alpha, batch),
            objective.weights,
            [batch],
            objective.feed.outer_sgd(0),
        )
        return time.perf_counter() - start

    with single_thread():
        step()  # prepares the kernels
        return min(step() for _ in range(REPEATS))
