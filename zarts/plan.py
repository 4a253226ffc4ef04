"""What a run will cost: seconds from a measurement on this device, memory from a dry pass."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from zarts.assembly import Problem, make_optimizer, make_problem
from zarts.config import Config, ConfigError
from zarts.data.stream import Batch
from zarts.inner import single_thread
from zarts.objective import Bilevel
from zarts.parts import load_dataset, network_of

__all__ = [
    "SearchPlan",
    "Timing",
    "check_memory",
    "measure",
    "memory_needed",
    "plan_search",
    "workers_that_fit",
]


BASE_BYTES = 700 << 20  # measured: a process that has imported torch, and a small data set


@dataclass(frozen=True)
class Timing:
    """Measured seconds of the pieces every cost is made of.

    Attributes:
        inner: One inner SGD step.
        val: L_val of one candidate, all its batches, without inner steps.
    """

    inner: float
    val: float

    def evaluation(self, inner_steps: int) -> float:
        """Seconds of one evaluation of L_M."""
        return inner_steps * self.inner + self.val

    def gradient(self, inner_steps: int) -> float:
        """Seconds of one gradient of L_M: a backward pass costs about twice its forward one."""
        return 3 * self.evaluation(inner_steps)


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
    """

    iterations: int
    updates: int
    evaluations: int
    seconds: float
    memory: int
    dataset: str
    images: int
    fingerprint: str


def plan_search(config: Config) -> SearchPlan:
    """Plans a search; checks settings, data and memory on the way.

    Raises:
        ConfigError: If the settings cannot be used, or need more memory than there is.
    """
    optimizer = make_optimizer(config)
    memory = check_memory(config)
    problem: Problem = make_problem(config)
    timing = measure(problem.objective, problem.alpha)
    size, search = problem.feed.iterations_per_epoch, config.search
    updates = (search.epochs - search.warmup) * size
    outer = timing.inner * config.data.batch_size / search.inner_batch_size
    each = optimizer.evaluations * timing.evaluation(search.inner_steps)
    each += optimizer.gradients * timing.gradient(search.inner_steps)
    train = search.epochs * problem.feed.train.batches_per_epoch * outer
    check = search.epochs * timing.val * len(problem.validation.indices) / config.data.batch_size
    return SearchPlan(
        iterations=search.epochs * size,
        updates=updates,
        evaluations=updates * optimizer.evaluations,
        seconds=train + updates * each + check,
        memory=memory,
        dataset=problem.dataset.name,
        images=len(problem.dataset.labels),
        fingerprint=problem.dataset.fingerprint,
    )


def measure(objective: Bilevel[Batch], alpha: Tensor, repeats: int = 3) -> Timing:
    """Measures the pieces of an evaluation on this device; medians of a few repeats."""

    def seconds(steps: int) -> float:
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            objective.at(steps)(alpha)
            times.append(time.perf_counter() - start)
        return median(times)

    objective.at(1)(alpha)  # makes the batches and warms the kernels up
    val = seconds(0)
    return Timing(inner=max(seconds(1) - val, 1e-6), val=val)


def memory_needed(
    config: Config, classes: int, image: tuple[int, int, int], methods: Sequence[str] = ()
) -> int:
    """Peak bytes of one training step, from a pass over tensors without storage.

    What autograd keeps for the backward pass, plus ω five times (ω, its copy, gradient, velocity,
    update).

    Args:
        config: Settings.
        classes: Of the data set.
        image: (channels, height, width).
        methods: What will run besides the search.
    """
    network = network_of(config, classes, image[0])
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes()
        alive.append(tensor)  # a freed storage could lend its address to the next
        return tensor

    alive: list[Tensor] = []
    dtype = getattr(torch, config.dtype)
    with FakeTensorMode(), single_thread():
        weights = {
            name: torch.empty(shape, dtype=dtype, requires_grad=True)
            for name, shape in network.shapes().items()
        }
        alpha = torch.empty(network.space.dim, dtype=dtype)
        land, search = config.landscape, config.search
        size = max(config.data.batch_size, land.val_batch_size, search.inner_batch_size)
        images = torch.empty(size, *image, dtype=dtype)
        unpack: Callable[[Tensor], Tensor] = lambda tensor: tensor  # noqa: E731 - the hook's shape
        with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
            network(weights, alpha, images, 0)
        own = sum(weight.numel() * weight.element_size() for weight in weights.values())
    # a second derivative keeps the first backward pass too
    steps = 3 if "darts-2" in (config.search.method, *methods) else 1
    return steps * sum(kept.values()) + 5 * own


def check_memory(config: Config, methods: Sequence[str] = ()) -> int:
    """Peak bytes of one training step in one process.

    Args:
        config: Settings.
        methods: What will run besides the search.

    Raises:
        ConfigError: If that is more than this device has.
    """
    needed, there = _memory(config, methods), _available(config.device)
    if needed + BASE_BYTES > there:
        raise ConfigError(
            f"one training step needs about {needed / 2**30:.1f} GiB, {config.device} has "
            f"{there / 2**30:.1f} GiB; lower supernet.channels, supernet.cells or data.batch_size"
        )
    return needed


def workers_that_fit(config: Config, methods: Sequence[str] = ()) -> int:
    """How many processes the memory holds, one of them on the costliest of ``methods``."""
    plain, peak = _memory(config, ()), _memory(config, methods)
    room = _available(config.device) - peak - BASE_BYTES
    return max(0, 1 + int(room // (plain + BASE_BYTES)))


def _memory(config: Config, methods: Sequence[str]) -> int:
    dataset = load_dataset(config)
    channels, height, width = dataset.images.shape[1:]
    return memory_needed(config, dataset.classes, (channels, height, width), methods)


def _available(device: str) -> int:
    if torch.device(device).type == "cuda":
        return int(torch.cuda.mem_get_info(device)[1])
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
