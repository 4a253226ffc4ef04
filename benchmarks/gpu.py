"""What steps and updates of α cost on a GPU, and how far its numbers are from those of a CPU.

Run as ``python -m benchmarks.gpu``, or by ``make gpu`` after the tests in ``tests/gpu``. It needs
torch, torchvision, numpy, h5py and tqdm alone. Prints as it goes: first the relative differences of
the quick preset from the CPU; then how long a step takes in each way that a run chooses from
(``zarts.runs.choices``); then, with the fastest, a row for each network and precision and each
method: the preset ``paper`` on random images of CIFAR's shape. A row takes up to 100 steps of ω,
fewer where time ends before, and says how many; rows for which there is no time left are named at
the end.
With ``--device cpu`` the same code runs on small sizes, as a trial: its numbers mean nothing.
bf16 is missing: the supernet computes in single and double precision only.
"""

from __future__ import annotations

import argparse
import gc
import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from statistics import median
from typing import TypeVar

import torch
from torch import Tensor

from zarts import register_dataset
from zarts.bilevel.rng import generator
from zarts.bilevel.search import search, take_step
from zarts.problems.build import make_problem
from zarts.problems.optimizer import make_optimizer
from zarts.runs.choices import choose, chosen
from zarts.settings.config import Config, Table, merge
from zarts.settings.presets import complete

METHODS = ("darts-1", "zarts-mgs", "zarts-rs", "zarts-gld", "darts-2", "implicit", "darts-m")
WAYS: Mapping[str, Table] = {
    "fast, fp32": {"tf32": "off"},
    "plain, fp32": {"tf32": "off", "supernet": {"network": "plain"}},
    "fast, TF32": {"tf32": "on"},
}
STEPS = 100
Found = TypeVar("Found")


@dataclass(frozen=True)
class Sizes:
    """How much is computed.

    Attributes:
        images: Number of random images, and their side.
        settings: What differs from the preset.
        inner: Inner steps at most.
        iterations: Of the search of the quick preset that is compared.
        first: Seconds for each row of the first way, not counting its first update; ...
        others: ... for each row of the others.
        total: Seconds after which no row is begun.
    """

    images: tuple[int, int]
    settings: Table
    inner: int
    iterations: int
    first: float
    others: float
    total: float


SIZES = {
    "cuda": Sizes((2 * 64 * (STEPS + 10), 32), {}, 10, 30, 18.0, 7.0, 270.0),
    "cpu": Sizes(
        (2 * 4 * 40, 8),
        {
            "data": {"batch_size": 4},
            "supernet": {"channels": 2, "cells": 1},
            "search": {"inner_batch_size": 4},
        },
        2,
        2,
        0.1,
        0.1,
        90.0,
    ),
}


@dataclass(frozen=True)
class Row:
    """What a method cost in one way of computing.

    Attributes:
        step: Seconds of a step of ω, the median over updates of the mean between two of them.
        update: Seconds of an update of α, the median.
        steps: Steps that were timed.
        updates: Updates that were.
        peak: Bytes of the GPU at most; 0 on a CPU.
    """

    step: float
    update: float
    steps: int
    updates: int
    peak: int


def timed(run: Callable[[], Found], device: str) -> tuple[Found, float]:
    """What a call gives, and seconds until the device has done what it was asked for."""
    start = time.perf_counter()
    found = run()
    if device != "cpu":
        torch.cuda.synchronize(device)
    return found, time.perf_counter() - start


def measure(config: Config, seconds: float) -> Row:
    """Searches from the beginning for so long; the first iteration is not timed."""
    device, period = config.device, config.search.period
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats(device)
    problem, optimizer = make_problem(config), make_optimizer(config)
    objective, alpha, memory = problem.objective, problem.alpha, {}
    updates: list[float] = []
    steps: list[float] = []
    end = math.inf
    for iteration in range(problem.feed.iterations_per_epoch):
        rng = generator(config.seed, "optimizer", iteration)
        step, update = timed(partial(take_step, optimizer, objective, alpha, memory, rng), device)
        alpha, memory = step.alpha, step.memory
        objective, moved = timed(partial(objective.advance, alpha), device)
        if iteration == 0:
            end = time.perf_counter() + seconds
            continue
        updates.append(update)
        steps.append(moved / period)
        if len(steps) * period >= STEPS or time.perf_counter() > end:
            break
    peak = 0 if device == "cpu" else torch.cuda.max_memory_allocated(device)
    return Row(median(steps), median(updates), len(steps) * period, len(updates), peak)


def show_costs(device: str, sizes: Sizes, start: float) -> None:
    """Prints a row for each way of computing and each method."""
    count, side = sizes.images
    rng = generator(0, "images")
    pixels = torch.randint(256, (count, 3, side, side), generator=rng, dtype=torch.uint8)
    register_dataset("random", pixels, torch.arange(count) % 10)
    settings = merge(sizes.settings, {"device": device, "data": {"name": "random"}})
    made = choose(complete("paper", "darts-1", settings))
    for way in made["seconds"]:
        said = ", ".join(f"{key}={value}" for key, value in way.items() if key != "seconds")
        print(f"a step of the fast network, {said}: {1e3 * way['seconds']:.1f} ms", flush=True)
    settings = merge(settings, chosen({"kernels": made}))
    print("\n| method | network | ms a step of ω | ms an update of α | peak, GiB | timed |")
    print("|---|---|---|---|---|---|", flush=True)
    left = []
    for way, method in product(WAYS, METHODS):
        if time.perf_counter() - start > sizes.total:
            left.append(f"{method} ({way})")
            continue
        seconds = sizes.first if way == next(iter(WAYS)) else sizes.others
        config = complete("paper", method, merge(settings, WAYS[way]))
        inner = replace(config.search, inner_steps=min(config.search.inner_steps, sizes.inner))
        config = replace(config, search=inner)
        print(f"| {method} | {way} | {_costs(config, seconds)} |", flush=True)
    if left:
        print(f"\nNo time was left for: {', '.join(left)}")


def _costs(config: Config, seconds: float) -> str:
    try:
        row = measure(config, seconds)
    except (RuntimeError, ArithmeticError) as error:  # memory that ran out; the next row may fit
        return f"{str(error).splitlines()[0][:60]} | | | "
    finally:
        gc.collect()
        if config.device != "cpu":
            torch.cuda.empty_cache()
    peak = f"{row.peak / 2**30:.2f}" if row.peak else ""
    timed = f"{row.steps} steps, {row.updates} updates"
    return f"{1e3 * row.step:.1f} | {1e3 * row.update:.1f} | {peak} | {timed}"


def show_agreement(device: str, iterations: int) -> None:
    """Prints how far losses of the quick preset on a device are from those on the CPU."""
    here, there = (quick(each, iterations) for each in (device, "cpu"))
    for name, found in here.items():
        apart = ((found - there[name]).abs() / there[name].abs()).max()
        print(f"quick preset, {name}: largest relative difference {float(apart):.1e}", flush=True)


def quick(device: str, iterations: int) -> dict[str, Tensor]:
    """Losses of the quick preset: at 8 α around the start, and along a search of DARTS-1st."""
    config = complete("quick", "darts-1", {"device": device})
    problem = make_problem(config)
    shape = (8, len(problem.alpha))
    alphas = problem.alpha + torch.randn(shape, generator=generator(0, "alphas"))
    found = {f"L_M at M = {m}": problem.objective.at(m).evaluate(alphas) for m in (0, 1, 10)}
    optimizer = make_optimizer(config)
    walk = search(problem.objective, optimizer, problem.alpha, iterations=iterations, seed=0)
    losses = [objective.at(0)(step.alpha) for step, objective in walk]
    return found | {f"L_0 along a search of {iterations} updates": torch.stack(losses)}


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", help="cuda (default), cuda:1 or cpu")
    device = parser.parse_args().device
    if device != "cpu" and not torch.cuda.is_available():
        sys.exit("no CUDA device is here; for a trial of the code: --device cpu")
    start = time.perf_counter()
    name = "a CPU" if device == "cpu" else torch.cuda.get_device_name(device)
    print(f"torch {torch.__version__} on {name}", flush=True)
    sizes = SIZES[device.partition(":")[0]]
    show_agreement(device, sizes.iterations)
    show_costs(device, sizes, start)
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
