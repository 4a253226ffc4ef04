"""How much faster one training step of the supernet is than the plain per-edge twin.

Run as ``python -m benchmarks.supernet_step``. Prints ``name value target`` per line. Both networks
take their steps in turn in one process on one thread; the ratio is the median of several processes.
A step is the forward pass and the gradient of the loss by ω. Memory is that of the tensors of one
step, counted in a process for each. Operations are those that an outer
step asks of a GPU, the update included.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.dispatched import outer_step
from benchmarks.reference import Twin
from benchmarks.timing import medians, show
from zarts.bilevel.chance import Chance
from zarts.bilevel.rng import generator
from zarts.supernet.fast.kernels import Kernels
from zarts.supernet.fast.network import Supernet
from zarts.supernet.spaces import SPACES

# name, network, images (n, c, h, w), processes, repetitions in each, least ratio
CASES = (
    # so small a step takes some percent more or less time from one process to the next
    ("quick", Supernet(SPACES["s3"], 8, 3, image_channels=1), (32, 1, 9, 9), 5, 25, 2.85),
    ("s6_16x8", Supernet(SPACES["s6"]), (64, 3, 32, 32), 1, 5, 4.0),
)
Found = TypeVar("Found")
MOST_OPERATIONS = 5_000
LEAST_SHARE_OF_PEAK = 0.1  # the field's reference network reaches 0.02 to 0.1


def steps(net: Supernet, images: Tensor) -> dict[str, Callable[[], object]]:
    """Returns a training step of the supernet and of its twin, on the same numbers."""
    rng = generator(0, "benchmark")
    drawn = net.init(rng)
    twin = Twin(net, drawn)
    alpha = net.space.init(rng)
    weights = {name: value.requires_grad_() for name, value in drawn.items()}
    labels = torch.arange(len(images)) % net.classes

    def fast() -> object:
        loss = functional.cross_entropy(net(weights, alpha, images, Chance(0)), labels)
        return torch.autograd.grad(loss, list(weights.values()), allow_unused=True)

    def slow() -> object:
        loss = functional.cross_entropy(twin(alpha, images, Chance(0)), labels)
        return torch.autograd.grad(loss, list(twin.parameters()), allow_unused=True)

    return {"twin": slow, "fast": fast}


def peak_flops(size: int = 1024) -> float:
    """Floating-point operations per second of a square matrix product on one thread."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    best = float("inf")
    for _ in range(10):
        start = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def growth_of_memory(case: int, which: str) -> float:
    """Bytes that the largest resident set grows by in one step of one of the two networks."""
    torch.set_num_threads(1)
    _, net, shape, *_ = CASES[case]
    step = steps(net, torch.randn(shape, generator=generator(0, "images")))[which]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step()
    return 1024.0 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


def seconds(case: int) -> tuple[float, float, float]:
    """Medians of a step of the twin and of ours, and ours as a share of the peak."""
    torch.set_num_threads(1)
    _, net, shape, _, repeat, _ = CASES[case]
    images = torch.randn(shape, generator=generator(0, "images"))
    took = medians(steps(net, images), repeat)
    with FlopCounterMode(display=False) as counted:
        rng = generator(0, "flops")
        Twin(net, net.init(rng))(net.space.init(rng), images, Chance(0))
    # a backward pass is twice a forward one (its count by torch leaves groups out of account)
    share = 3 * counted.get_total_flops() / took["fast"] / peak_flops()
    return took["twin"], took["fast"], share


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="one case instead of all", choices=[c[0] for c in CASES])
    only = parser.parse_args().only
    for case, (name, _, _, processes, _, target) in enumerate(CASES):
        if only not in (None, name):
            continue
        if name == "s6_16x8":
            operations()
        found = [in_a_process(seconds, case) for _ in range(processes)]
        show(f"step_{name}_ms", 1e3 * median(fast for _, fast, _ in found))
        show(f"step_{name}_ratio", median(twin / fast for twin, fast, _ in found), target)
        share = median(share for _, _, share in found)
        show(f"step_{name}_share_of_matmul_peak", share, LEAST_SHARE_OF_PEAK)
        twin, fast = (in_a_process(growth_of_memory, case, which) for which in ("twin", "fast"))
        if min(twin, fast):  # a small step fits into what the imports once took
            show(f"step_{name}_memory_mib", fast / 2**20)
            show(f"step_{name}_memory_ratio", twin / fast, 1.0)


def operations() -> None:
    """Prints how many operations an outer step of the paper's network asks of a GPU."""
    _, net, shape, *_ = CASES[1]
    show("operations_s6_16x8_edge_by_edge", outer_step(net, shape))
    # launches cost a GPU more than a cache that is missed
    stacked = outer_step(replace(net, kernels=Kernels(stack_below=1 << 40)), shape)
    show("operations_s6_16x8", stacked)
    show("operations_s6_16x8_allowed", MOST_OPERATIONS / stacked, 1.0)


def in_a_process(measure: Callable[..., Found], *arguments: object) -> Found:
    """What a measurement gives in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        return pool.apply(measure, arguments)


if __name__ == "__main__":
    main()
