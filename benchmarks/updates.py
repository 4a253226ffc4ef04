"""What one update of α costs each method at the quick preset: time and memory.

Run as ``python -m benchmarks.updates``. Prints ``# name value`` per line: milliseconds, the same in
SGD steps of ω timed in turn with it, and MiB that the process grows by in its first update.
"""

from __future__ import annotations

import argparse
import resource

import torch

from benchmarks.supernet_step import in_a_process
from benchmarks.timing import medians, show
from zarts.bilevel.rng import generator
from zarts.optimizers import METHODS
from zarts.problems.build import make_problem
from zarts.problems.optimizer import make_optimizer
from zarts.settings.config import Config, merge
from zarts.settings.presets import preset

REPEAT = 5


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


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--channels", type=int, default=8, help="of the supernet (default: 8)")
    channels = parser.parse_args().channels
    for method in METHODS:
        update, step, grown = in_a_process(measure, method, channels)
        show(f"update_{method}_ms", 1e3 * update)
        show(f"update_{method}_in_steps_of_omega", update / step)
        show(f"update_{method}_memory_mib", grown / 2**20)


if __name__ == "__main__":
    main()
