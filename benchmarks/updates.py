"""What one update of α costs each method at the quick preset: time and memory.

Run as ``python -m benchmarks.updates``. Prints ``# name value`` per line: milliseconds, the same in
SGD steps of ω timed in turn with it, and MiB that the process grows by in its first update. Then
what an update of MGS at the preset ``paper`` takes of its N·M inner steps and N passes over the
validation batch, each timed alone, in turn; on random images in place of CIFAR-10.
"""

from __future__ import annotations

import argparse
import resource

import torch
from torch import Tensor

from benchmarks.supernet_step import in_a_process
from benchmarks.timing import medians, show
from zarts import register_dataset
from zarts.bilevel.inner import Weights, descend
from zarts.bilevel.rng import generator
from zarts.data.stream import Batch
from zarts.optimizers import METHODS
from zarts.problems.build import make_problem
from zarts.problems.optimizer import make_optimizer
from zarts.settings.config import Config, merge
from zarts.settings.presets import complete, preset

REPEAT = 5
MOST = 1.1  # of the parts of an update, timed alone


def measure(method: str, channels: int) -> tuple[float, float, float]:
    """Seconds of an update, seconds of a step of ω, bytes."""
    torch.set_num_threads(1)
    table = merge(preset("quick", method), {"supernet": {"channels": channels}})
    config = Config.from_table(table)
    problem, optimizer = make_problem(config), make_optimizer(config)
    objective, alpha = problem.objective, problem.alpha

    def update() -> object:
        return optimizer.step(objective, alpha, {}, generator(0, "update"))

    objective.at(0).evaluate(alpha[None])  # loads the images and the kernels
    objective.advance(alpha)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    update()
    grown = 1024.0 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    took = medians({"update": update, "steps": lambda: objective.advance(alpha)}, REPEAT)
    return took["update"], took["steps"] / config.search.period, grown


def share_of_parts(images: int) -> float:
    """Seconds of an update of MGS over those of the steps and passes that it consists of."""
    torch.set_num_threads(1)
    count = 4 * images
    pixels = torch.randint(256, (count, 3, 32, 32), dtype=torch.uint8, generator=generator(0, "x"))
    register_dataset("random-images", pixels.numpy(), (torch.arange(count) % 10).numpy())
    sizes = {"batch_size": images, "name": "random-images"}
    inner = {"inner_batch_size": 3 * images // 4}
    config = complete("paper", "zarts-mgs", {"data": sizes, "search": inner})
    problem, optimizer = make_problem(config), make_optimizer(config)
    objective, alpha = problem.objective, problem.alpha
    (batch,), rule = objective.feed.inner_batches(0, 1), objective.feed.inner_sgd(0)

    def loss(weights: Weights, each: Batch) -> Tensor:
        return objective.train_loss(weights, alpha, each)

    parts = {
        "update": lambda: optimizer.step(objective, alpha, {}, generator(0, "update")),
        "step": lambda: descend(loss, objective.weights, [batch], rule),
        "pass": lambda: objective.at(0).evaluate(alpha[None]),
    }
    took = medians(parts, 1)
    samples = config.optimizer["samples"]
    alone = samples * (config.search.inner_steps * took["step"] + took["pass"])
    return took["update"] / alone


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--channels", type=int, default=8, help="of the supernet (default: 8)")
    parser.add_argument("--images", type=int, default=64, help="a batch at the preset paper")
    args = parser.parse_args()
    channels = args.channels
    show("update_paper_parts_over_whole", 1 / in_a_process(share_of_parts, args.images), 1 / MOST)
    for method in METHODS:
        update, step, grown = in_a_process(measure, method, channels)
        show(f"update_{method}_ms", 1e3 * update)
        show(f"update_{method}_in_steps_of_omega", update / step)
        show(f"update_{method}_memory_mib", grown / 2**20)


if __name__ == "__main__":
    main()
