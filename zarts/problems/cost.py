"""What a run will cost: seconds, from a measurement on this device."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import torch
from torch import Tensor

from zarts.bilevel.inner import single_thread
from zarts.bilevel.objective import Bilevel
from zarts.data.stream import Batch
from zarts.optimizers import gradient_cost
from zarts.problems.build import Problem, make_problem
from zarts.problems.facts import FACTS
from zarts.problems.memory import check_memory
from zarts.problems.optimizer import make_optimizer
from zarts.problems.parts import data_facts
from zarts.settings.config import Config
from zarts.settings.stages import epochs

__all__ = [
    "SearchPlan",
    "Timing",
    "measure",
    "plan_search",
    "seconds_per_image",
]

LONG = 1.5  # seconds that a step may be expected to take, to tell a rate


@dataclass(frozen=True)
class Timing:
    """Measured seconds of the pieces every cost is made of.

    Attributes:
        inner: One inner SGD step of a candidate.
        val: L_val of one candidate, all its batches, without inner steps.
        alone: How many times as long a candidate takes that is computed without others beside it.
    """

    inner: float
    val: float
    alone: float = 1.0

    def evaluation(self, inner_steps: int) -> float:
        """Seconds of one evaluation of L_M."""
        return inner_steps * self.inner + self.val

    def gradient(self, steps: int) -> float:
        """Seconds of one gradient that takes the time of so many inner steps and of L_val.

        A backward pass costs about twice its forward one.
        """
        return steps * self.inner * self.alone + 3 * self.val


@dataclass(frozen=True)
class SearchPlan:
    """The extent and the expected cost of a search.

    Attributes:
        iterations: α updates, warm-up included.
        updates: α updates after the warm-up.
        evaluations: Evaluations of L_M.
        seconds: Expected wall time.
        memory: Expected peak of one training step, bytes.
        dataset: Name of the data set.
        images: Its number of images.
        fingerprint: Its content.
        data: Its classes and pixels, see ``zarts.problems.parts.data_facts``.
    """

    iterations: int
    updates: int
    evaluations: int
    seconds: float
    memory: int
    dataset: str
    images: int
    fingerprint: str
    data: Mapping[str, Any]


def plan_search(config: Config) -> SearchPlan:
    """Plans a search; checks settings, data and memory on the way.

    Raises:
        ConfigError: If the settings cannot be used, or need more memory than there is.
    """
    optimizer = make_optimizer(config)
    memory = check_memory(config)
    search, cost = config.search, gradient_cost(optimizer, config.search.inner_steps)
    updates, seconds = 0, 0.0
    for stage in config.program.stages:
        problem: Problem = make_problem(config, stage)
        timing = measure(problem.objective, problem.alpha)
        size = problem.feed.iterations_per_epoch
        count = stage.epochs - stage.offset
        moves = (stage.epochs - max(stage.warmup, stage.offset)) * size
        outer = timing.inner * timing.alone * config.data.batch_size / search.inner_batch_size
        each = optimizer.evaluations * timing.evaluation(search.inner_steps)
        each += optimizer.gradients * timing.gradient(cost.steps)
        train = count * problem.feed.train.batches_per_epoch * outer
        images = count * len(problem.validation.indices)
        once = timing.val / search.draws  # D_val is seen with one draw of each batch
        seconds += train + moves * each + once * images / config.data.batch_size
        seconds += timing.val * sum(
            len(need.epochs) * FACTS[need.fact].passes(stage.space) for need in stage.needs
        )
        updates += moves
    return SearchPlan(
        iterations=epochs(config.program) * size,
        updates=updates,
        evaluations=updates * optimizer.evaluations,
        seconds=seconds,
        memory=memory,
        dataset=problem.dataset.name,
        images=len(problem.dataset.labels),
        fingerprint=problem.dataset.fingerprint,
        data=data_facts(config),
    )


def seconds_per_image(step: Callable[[int], object], most: int, device: str) -> float:
    """Seconds that a step takes for each of its images, measured in about a second.

    Small batches are no measure: there calls take the time. So it is as large a one as can be had.

    Args:
        step: Does a step over so many images.
        most: The images that it is about.
        device: Where it works.
    """
    count = min(2, most)
    with single_thread():
        step(count)  # prepares the kernels
        while True:
            _wait(device)
            before = time.perf_counter()
            step(count)
            _wait(device)
            took = time.perf_counter() - before
            more = min(most, 4 * count)
            if count == most or took * more / count > LONG:
                return took / count
            count = more


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize(device)


def measure(objective: Bilevel[Batch], alpha: Tensor, repeats: int = 3) -> Timing:
    """Measures the pieces of an evaluation on this device; medians of a few repeats."""

    def seconds(steps: int, lanes: int, repeats: int) -> float:
        problem, alphas = replace(objective, lanes=lanes).at(steps), alpha.expand(lanes, -1)
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            problem.evaluate(alphas)
            times.append(time.perf_counter() - start)
        return median(times) / lanes

    lanes = objective.lanes
    for warm in {1, lanes}:
        seconds(1, warm, 1)  # makes the batches and prepares the kernels
    val = seconds(0, 1, repeats)
    alone = max(seconds(1, 1, repeats) - val, 1e-6)
    if lanes == 1:
        return Timing(inner=alone, val=val)
    few = 3  # several steps instead of several repeats: a stack takes long enough to be timed once
    inner = max((seconds(few, lanes, 1) - val) / few, 1e-6)
    return Timing(inner=inner, val=val, alone=alone / inner)
