"""Time and memory of a training step of the sampled and the merged supernet against the full one.

Run as ``python -m benchmarks.variants``. Prints ``name value target`` per line. All networks take
their steps in turn in one process on one thread: s6, 16 channels, 8 cells, 64 images of 32x32. A
step is the forward pass and the gradient of the loss by ω; of the sampled network it is the mean
over several draws. Memory is what the largest resident set grows by in such steps, in a process for
each network.
"""

from __future__ import annotations

import argparse
import resource
from collections.abc import Callable

import torch
from torch.nn import functional

from benchmarks.supernet_step import in_a_process
from benchmarks.timing import medians, show
from zarts.bilevel.chance import Chance
from zarts.bilevel.rng import generator
from zarts.supernet.protocol import NETWORKS
from zarts.supernet.spaces import SPACES

DRAWS = 8
# of the plain network's time, at most (the paper's memory: 3.1 and 4.4 of 9.4 GB)
BOUNDS = {"sampled": 0.25, "merged": 0.75}


def stepper(name: str, images: int) -> Callable[[int], object]:
    """A training step of a network, given the key of its chance."""
    torch.set_num_threads(1)
    record = NETWORKS[name]
    network = record.load()(SPACES["s6"])
    rng = generator(0, "benchmark")
    weights = {key: weight.requires_grad_() for key, weight in network.init(rng).items()}
    alpha = network.space.init(rng)
    batch = torch.randn(images, 3, 32, 32, generator=generator(0, "images"))
    labels = torch.arange(images) % network.classes

    def step(key: int) -> object:
        loss = functional.cross_entropy(network(weights, alpha, batch, Chance(key)), labels)
        return torch.autograd.grad(loss, list(weights.values()), allow_unused=True)

    return step


def seconds(images: int, repeat: int) -> dict[str, float]:
    """Of a step of each network."""
    steps = {name: stepper(name, images) for name in NETWORKS}

    def timed(name: str) -> Callable[[], object]:
        keys = range(DRAWS if NETWORKS[name].redraws else 1)
        return lambda: [steps[name](key) for key in keys]

    took = medians({name: timed(name) for name in steps}, repeat)
    return {name: took[name] / (DRAWS if NETWORKS[name].redraws else 1) for name in steps}


def memory(name: str, images: int) -> float:
    """Bytes that the largest resident set grows by in the largest step of some draws."""
    step = stepper(name, images)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for key in range(DRAWS if NETWORKS[name].redraws else 1):
        step(key)
    return 1024.0 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=64, help="of a batch (default: 64)")
    parser.add_argument("--repeat", type=int, default=3, help="timed steps (default: 3)")
    images, repeat = parser.parse_args().images, parser.parse_args().repeat
    took = in_a_process(seconds, images, repeat)
    needed = {name: in_a_process(memory, name, images) for name in NETWORKS}
    for name, bound in BOUNDS.items():
        show(f"step_{name}_ms", 1e3 * took[name])
        show(f"step_{name}_faster_than_plain", took["plain"] / took[name], 1 / bound)
        show(f"step_{name}_faster_than_fast", took["fast"] / took[name])
        show(f"step_{name}_memory_mib", needed[name] / 2**20)
        show(f"step_{name}_less_memory_than_plain", needed["plain"] / needed[name], 1.0)
        show(f"step_{name}_less_memory_than_fast", needed["fast"] / needed[name], 1.0)


if __name__ == "__main__":
    main()
