"""How much faster one training step of the supernet is than the plain per-edge twin.

Run as ``python -m benchmarks.supernet_step``. Prints ``name value target`` per line. Both networks
take their steps in turn in one process on one thread, and the median of each is compared, so that
what else the machine does hits both alike. A step is the forward pass and the gradient of the loss
by ω.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.reference import Twin
from zarts.rng import generator
from zarts.supernet.network import Supernet
from zarts.supernet.spaces import SPACES

# name, network, images (n, c, h, w), repetitions, least ratio
CASES = (
    ("quick", Supernet(SPACES["s3"], 8, 3, image_channels=1), (32, 1, 14, 14), 25, 1.5),
    ("s6_16x8", Supernet(SPACES["s6"]), (64, 3, 32, 32), 3, 1.0),
)


def steps(net: Supernet, images: Tensor) -> dict[str, Callable[[], object]]:
    """Returns a training step of the supernet and of its twin, on the same numbers."""
    rng = generator(0, "benchmark")
    drawn = net.init(rng)
    twin = Twin(net)
    twin.load(drawn)
    alpha = net.space.init(rng)
    weights = {name: value.requires_grad_() for name, value in drawn.items()}
    labels = torch.arange(len(images)) % net.classes

    def fast() -> object:
        loss = functional.cross_entropy(net(weights, alpha, images, 0), labels)
        return torch.autograd.grad(loss, list(weights.values()), allow_unused=True)

    def slow() -> object:
        loss = functional.cross_entropy(twin(alpha, images, 0), labels)
        return torch.autograd.grad(loss, list(twin.parameters()), allow_unused=True)

    return {"twin": slow, "fast": fast}


def measure(timed: dict[str, Callable[[], object]], repeat: int) -> dict[str, float]:
    """Runs all in turn, ``repeat`` times after a warm-up; returns the median milliseconds."""
    taken: dict[str, list[float]] = {name: [] for name in timed}
    for turn in range(repeat + 1):
        for name, run in timed.items():
            start = time.perf_counter()
            run()
            if turn:
                taken[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in taken.items()}


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="one case instead of all", choices=[c[0] for c in CASES])
    only = parser.parse_args().only
    torch.set_num_threads(1)
    for name, net, shape, repeat, target in CASES:
        if only not in (None, name):
            continue
        images = torch.randn(shape, generator=generator(0, "images"))
        took = measure(steps(net, images), repeat)
        print(f"supernet_step_{name}_ms {took['fast']:.1f} -")
        print(f"supernet_step_{name}_ratio {took['twin'] / took['fast']:.2f} >={target}")
    print(f"peak_memory_mib {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} -")


if __name__ == "__main__":
    main()
