"""What a grid point costs: against the plain twin, against independent processes, and by size.

Run as ``python -m benchmarks.points``. Prints ``name value target`` per line. Points are those of
the quick preset with freshly drawn ω; with ``--paper``, which takes a quarter of an hour, those of
the paper's network on packaged images of 28x28 and nothing else. The twin takes one α at a time in
one process, on one thread or on all, whichever is faster, from batches that are ready in memory.
Rates of processes are counted from the moment all of them are warm, and are medians of turns.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from multiprocessing.synchronize import Barrier
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.reference import Twin
from benchmarks.timing import medians, show
from zarts.bilevel.objective import Bilevel
from zarts.bilevel.rng import generator
from zarts.data.stream import Batch
from zarts.execute import run
from zarts.optimizers import DARTS, GLD, MGS, RandomSearch
from zarts.problems.build import landscape_objective, make_problem
from zarts.problems.image import ImageLoss
from zarts.settings.config import Config, merge
from zarts.settings.presets import preset
from zarts.supernet.skeleton import Skeleton

Sections = Mapping[str, Mapping[str, object]]

STEPS = {0: 4.0, 10: 3.0}  # M: least ratio to the twin at the quick preset
TURNS = 3
PAPER: Sections = {
    "data": {"downscale": 1},
    "supernet": {"space": "s6", "channels": 16, "cells": 8},
    "search": {"inner_batch_size": 48},
    "landscape": {"val_batches": 2, "val_batch_size": 64},
}


def chunk(problem: Bilevel[Batch]) -> int:
    """α per call, as the grid does."""
    return problem.lanes if problem.inner_steps else 8


def objective(steps: int, sections: Sections) -> Bilevel[Batch]:
    """L_M of the quick preset, with other settings in some sections, at freshly drawn ω."""
    config = Config.from_table(merge(preset("quick", "darts-1"), sections))
    weights = make_problem(config).objective.weights
    return landscape_objective(config, weights, config.search.learning_rate).at(steps)


def drawn(problem: Bilevel[Batch], count: int, number: int = 0) -> Tensor:
    """Some α (count, d)."""
    return torch.randn(count, problem.space.dim, generator=generator(number, "alphas"))


class TwinPoint:
    """L_M of the plain network, as it is usually written: load ω, M optimizer steps, validate."""

    def __init__(self, problem: Bilevel[Batch]) -> None:
        assert isinstance(problem.val_loss, ImageLoss)
        network = problem.val_loss.network
        assert isinstance(network, Skeleton)
        self.twin = Twin(network, problem.weights)
        self.state = {name: value.clone() for name, value in self.twin.state_dict().items()}
        steps = problem.inner_steps
        self.inner = problem.feed.inner_batches(0, steps) if steps else ()
        self.val = problem.val_batches()
        self.rule = problem.feed.inner_sgd(0)

    def __call__(self, alpha: Tensor) -> float:
        """The loss at one α."""
        self.twin.load_state_dict(self.state)
        rule = self.rule
        optimizer = torch.optim.SGD(
            self.twin.parameters(),
            rule.learning_rate,
            momentum=rule.momentum,
            weight_decay=rule.weight_decay,
        )
        for batch in self.inner:
            optimizer.zero_grad()
            self._loss(alpha, batch).backward()
            nn.utils.clip_grad_norm_(self.twin.parameters(), rule.clip or float("inf"))
            optimizer.step()
        with torch.no_grad():
            return sum(float(self._loss(alpha, batch)) for batch in self.val) / len(self.val)

    def _loss(self, alpha: Tensor, batch: Batch) -> Tensor:
        return functional.cross_entropy(self.twin(alpha, batch.images, batch.chance), batch.labels)


# An item is the number of a chunk; what runs in a worker yields who did it, and from when to when.
Span = tuple[int, float, float]


def work(problem: Bilevel[Batch], number: int) -> Iterator[Span]:
    """Evaluates one chunk."""
    start = time.monotonic()  # the same clock in all processes
    problem.evaluate(drawn(problem, chunk(problem), number))
    yield os.getpid(), start, time.monotonic()


def rate_of_workers(
    steps: int, sections: Sections, workers: int, chunks: int
) -> tuple[float, float]:
    """Chunks per second of worker processes, and the share of their time they spend on points."""
    warm = 2 * workers
    times, spans = [], []
    setup = partial(objective, steps, sections)
    for outcome in run(setup, work, range(chunks + warm), workers=workers):
        times.append(time.monotonic())
        assert isinstance(outcome.value, tuple)
        spans.append(outcome.value)
    return chunks / (times[-1] - times[warm - 1]), share_of_work(spans, times[warm - 1])


def share_of_work(spans: Sequence[Span], since: float) -> float:
    """Time that workers spent on chunks from a moment on, over the time until each had its last.

    What a worker waits for the others at the end is no overhead: it is left out.
    """
    last: dict[int, float] = {}
    for worker, _, end in spans:
        last[worker] = max(end, last.get(worker, since))
    spent = sum(max(0.0, end - max(start, since)) for _, start, end in spans)
    return spent / sum(end - since for end in last.values())


def alone(steps: int, sections: Sections, chunks: int, start: Barrier) -> float:
    """An independent process: chunks per second of a plain loop."""
    torch.set_num_threads(1)
    problem = objective(steps, sections)
    problem.evaluate(drawn(problem, chunk(problem)))
    start.wait()
    began = time.perf_counter()
    for number in range(chunks):
        next(work(problem, number))
    return chunks / (time.perf_counter() - began)


def rate_of_processes(steps: int, sections: Sections, count: int, chunks: int) -> float:
    """Chunks per second of independent processes that know nothing of each other."""
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(count) as pool:
        start = manager.Barrier(count)
        found = pool.starmap(alone, [(steps, sections, chunks, start)] * count)
    return sum(found)


def against_the_twin(steps: int, sections: Sections, workers: int, chunks: int) -> None:
    """Prints what a point costs, and how two ways of using all cores compare.

    The targets are those of the quick preset; with other settings the figures are for information.
    """
    problem = objective(steps, sections)
    twin, alpha = TwinPoint(problem), drawn(problem, 1)
    # the same loss; single precision loses digits with every step (in double they agree to 1e-15)
    assert abs(twin(alpha[0]) - float(problem(alpha[0]))) < (0.1 if steps else 1e-3)
    plain, rates, independent, busy = [], [], [], []
    for _ in range(1 if sections else TURNS):
        for threads in (1, len(os.sched_getaffinity(0))):
            torch.set_num_threads(threads)
            plain.append(medians({"twin": lambda: twin(alpha[0])}, 1)["twin"])
        rate, share = rate_of_workers(steps, sections, workers, chunks)
        rates.append(rate)
        busy.append(share)
        independent.append(rate_of_processes(steps, sections, workers, chunks // workers))
    best = min(median(plain[0::2]), median(plain[1::2]))
    rate, points = median(rates), chunk(problem)
    name = f"{'paper_' if sections else ''}point_m{steps:02d}"
    show(f"{name}_ms", 1e3 / (rate * points))
    targets = (None,) * 3 if sections else (STEPS[steps], 0.95, 0.97)
    show(f"{name}_ratio", best * rate * points, targets[0])
    show(f"{name}_workers_against_independent", rate / median(independent), targets[1])
    show(f"{name}_share_of_time_on_points", median(busy), targets[2])


def growth() -> None:
    """Prints work over time for sizes that should cost in proportion: 1 is in proportion."""
    torch.set_num_threads(1)
    base = objective(10, {})
    alphas, lanes = drawn(base, 2 * base.lanes), base.lanes
    wide = objective(0, {"supernet": {"channels": 16}})
    deep = objective(0, {"supernet": {"cells": 6}})
    narrow = objective(0, {})
    took = medians(
        {
            "M = 10": lambda: base.evaluate(alphas[:lanes]),
            "M = 5": lambda: base.at(5).evaluate(alphas[:lanes]),
            "M = 1": lambda: base.at(1).evaluate(alphas[:lanes]),
            "M = 0": lambda: narrow.evaluate(alphas[:1]),
            "twice": lambda: base.evaluate(alphas),
            "wide": lambda: wide.evaluate(alphas[:1]),
            "deep": lambda: deep.evaluate(alphas[:1]),
        },
        5,
    )
    step = (took["M = 10"] - took["M = 1"]) / 9
    show("growth_in_inner_steps", (took["M = 1"] + 4 * step) / took["M = 5"], 0.9)
    show("growth_in_points", 2 * took["M = 10"] / took["twice"], 0.9)
    show("growth_in_channels", 4 * took["M = 0"] / took["wide"], 0.9)  # pointwise: C squared
    show("growth_in_cells", 2 * took["M = 0"] / took["deep"], 0.9)
    alpha, optimizers = alphas[0], (DARTS(1), DARTS(2), RandomSearch(), MGS(), GLD())
    for optimizer in optimizers:
        problem = base.at(optimizer.order - 1) if isinstance(optimizer, DARTS) else base
        update = partial(optimizer.step, problem, alpha, {}, generator(0, "step"))
        spent = medians({"update": update, "points": lambda: base.evaluate(alphas[:lanes])}, 3)
        name = f"update_{type(optimizer).__name__.lower()}"
        name += f"_{optimizer.order}" if isinstance(optimizer, DARTS) else ""
        show(f"{name}_ms", 1e3 * spent["update"])
        if not isinstance(optimizer, DARTS):  # what an update asks for, over what it takes
            expected = -(-optimizer.evaluations // lanes) * spent["points"]
            show(f"{name}_efficiency", expected / spent["update"], 0.9)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--paper", action="store_true", help="the paper's network instead")
    chosen = parser.parse_args(arguments)
    # at M = 0 about as long as at M = 10: two chunks more or less are 2 % then
    for steps, chunks in ((0, 4), (10, 4)) if chosen.paper else ((0, 96), (10, 24)):
        against_the_twin(steps, PAPER if chosen.paper else {}, chosen.workers, chunks)
    if not chosen.paper:
        growth()


if __name__ == "__main__":
    main()
