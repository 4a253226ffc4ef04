"""What Fig. 1 consists of and what it will cost, before it is computed."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from landscape.asked import surface_steps
from landscape.levels import progressive
from landscape.paths import pilots, walking
from zarts.assembly import (
    build_optimizer,
    landscape_objective,
    loaded,
    make_problem,
    val_batch_count,
)
from zarts.config import Config, ConfigError
from zarts.optimizers import gradient_cost
from zarts.parts import data_facts, lanes_of, load_dataset
from zarts.plan import (
    Timing,
    check_memory,
    measure,
    plan_search,
    workers_by_default,
    workers_that_fit,
)

__all__ = [
    "Item",
    "LandscapePlan",
    "Points",
    "Shard",
    "all_items",
    "order",
    "plan_landscape",
    "share_of",
    "split",
    "surfaces_of",
    "units",
]

# A piece of work: grid points (M, ((row, col), ...)) of one call, or the method of a path.
Points = tuple[int, tuple[tuple[int, int], ...]]
Item = str | Points
Shard = tuple[int, int]  # k of n, counted from 1

_CHUNK = 8  # points per call at M = 0, which share the work that does not depend on α


def chunk_size(config: Config, inner_steps: int) -> int:
    """How many points are evaluated in one call: at M > 0 those that are computed side by side."""
    return _CHUNK if inner_steps == 0 else lanes_of(config)


def surfaces_of(config: Config) -> list[int]:
    """The M of all surfaces: first order, second order, and the exact one."""
    return surface_steps(config.landscape.steps)


def order(
    config: Config,
    pending: Mapping[int, list[list[tuple[int, int]]]],
    methods: Iterable[str],
) -> list[Item]:
    """All pending work in the order in which it is dealt out.

    The cheap surfaces come first and the exact one as far as its last but one level, so that there
    is something to look at soon. Then the paths, which are long and cannot be shared among workers,
    while there are still points left that can; the longest first.

    Args:
        config: Settings.
        pending: Points (row, col) by M, level by level.
        methods: Paths.
    """
    exact = max(pending)

    def chunks(steps: int, levels: Iterable[list[tuple[int, int]]]) -> Iterator[Points]:
        size = chunk_size(config, steps)
        for level in levels:
            for start in range(0, len(level), size):
                yield steps, tuple(level[start : start + size])

    items: list[Item] = []
    for steps in sorted(pending):
        items += chunks(steps, pending[steps][:-1] if steps == exact else pending[steps])
    items += sorted(methods, key=lambda method: -units(config, [method]))
    items += chunks(exact, pending[exact][-1:])
    return items


def split(item: Item) -> list[Item]:
    """The single points of a chunk; a path is one piece."""
    if isinstance(item, str):
        return [item]
    steps, points = item
    return [(steps, (point,)) for point in points]


def share_of(config: Config, shard: Shard) -> set[Item]:
    """The single points and paths that are shard k's of n: about an n-th of the cost.

    Dealt out to the shard with the least so far, the longest pieces first: it depends on the config
    alone, not on what is done.
    """
    rank, count = shard
    land = config.landscape
    pieces: list[Item] = [
        (steps, (point,))
        for steps in surfaces_of(config)
        for level in progressive(land.rows, land.cols)
        for point in level
    ]
    pieces = sorted([*config.paths.methods, *pieces], key=lambda item: -units(config, [item]))
    loads = [(0, number) for number in range(1, count + 1)]
    mine = set()
    for item in pieces:
        load, number = heapq.heappop(loads)
        heapq.heappush(loads, (load + units(config, [item]), number))
        if number == rank:
            mine.add(item)
    return mine


def all_items(config: Config) -> list[Item]:
    """All the work of a figure, none of it done."""
    land = config.landscape
    everything = {steps: progressive(land.rows, land.cols) for steps in surfaces_of(config)}
    return order(config, everything, config.paths.methods)


def units(config: Config, items: Iterable[Item]) -> int:
    """The cost of items in SGD steps of ω, for shares and remaining times; L_val counts as two."""
    timing = Timing(inner=1, val=2)
    return sum(
        round(walk_cost(config, item, timing)[1])
        if isinstance(item, str)
        else round(timing.evaluation(item[0])) * len(item[1])
        for item in items
    )


@dataclass(frozen=True)
class LandscapePlan:
    """The extent and the expected cost of Fig. 1.

    Attributes:
        workers: Processes for surfaces and paths.
        points: Grid points of all surfaces.
        evaluations: Evaluations of L_M, those of the paths included.
        iterations: Iterations of the search that is still to run.
        seconds: Expected wall time, the search's included, if every worker has a core.
        point_seconds: Seconds of one grid point by M, measured here.
        memory: Expected peak of one training step, bytes.
        size: Expected size of the run on disk, bytes.
        dataset: Name of the data set.
        images: Its number of images.
        fingerprint: Its content.
        data: Its classes and pixels, see ``zarts.parts.data_facts``.
    """

    workers: int
    points: int
    evaluations: int
    iterations: int
    seconds: float
    point_seconds: dict[int, float]
    memory: int
    size: int
    dataset: str
    images: int
    fingerprint: str
    data: Mapping[str, Any]


def plan_landscape(
    config: Config,
    workers: int | None = None,
    *,
    searched: bool = False,
    shard: Shard | None = None,
) -> LandscapePlan:
    """Plans Fig. 1 from a measurement on this device; checks settings, data and memory.

    Args:
        config: Settings.
        workers: Processes; None: one per core, or per GPU, as far as memory goes.
        searched: Whether the search is done, so that it costs nothing.
        shard: The share that is planned; None: the whole.

    Raises:
        ConfigError: If the settings cannot be used, or need more memory than there is.
    """
    memory = check_memory(config, config.paths.methods)
    fit = max(1, workers_that_fit(config, config.paths.methods))
    if workers is None:
        workers = workers_by_default(config, config.paths.methods)
    elif workers > fit:
        raise ConfigError(
            f"{workers} workers need more memory than {config.device} has; --workers {fit} fit"
        )
    search = None if searched else plan_search(config)
    problem = make_problem(config)
    rate = config.search.learning_rate
    land, weights = config.landscape, problem.objective.weights
    batches = val_batch_count(config)
    # one batch of L_val is measured, not all: at the paper's 390 a dry run would take half an hour
    single = replace(config, landscape=replace(land, val_batches=1))
    timing = measure(landscape_objective(single, weights, rate), problem.alpha)
    timing = replace(timing, val=batches * timing.val)
    surfaces, methods = surfaces_of(config), set(config.paths.methods)
    points = dict.fromkeys(surfaces, land.rows * land.cols)
    if shard:
        mine = share_of(config, shard)
        points = {steps: sum(item[0] == steps for item in mine) for steps in surfaces}
        methods &= mine
    walking = [walk_cost(config, method, timing) for method in methods]
    each = {steps: timing.evaluation(steps) for steps in surfaces}
    seconds = sum(points[steps] * each[steps] for steps in surfaces)
    seconds += sum(cost for _, cost in walking)
    seconds = seconds / workers + (search.seconds if search else 0)
    stored = sum(weight.numel() * weight.element_size() for weight in weights.values())
    dataset = load_dataset(config)
    return LandscapePlan(
        workers=workers,
        points=sum(points.values()),
        evaluations=sum(points.values()) + sum(count for count, _ in walking),
        iterations=search.iterations if search else 0,
        seconds=seconds,
        point_seconds=each,
        memory=memory,
        # measured: a page holds 5 MB of plotly.js; ω, its velocity and a copy; 25 bytes a point
        size=5_000_000 + 3 * stored + 25 * land.rows * land.cols * len(surfaces),
        dataset=dataset.name,
        images=len(dataset.labels),
        fingerprint=dataset.fingerprint,
        data=data_facts(config),
    )


def walk_cost(config: Config, method: str, timing: Timing) -> tuple[int, float]:
    """Evaluations and seconds of one path, with the losses it is judged by.

    With ``paths.step = update`` at most so many: how many trials its length takes is not known.
    """
    paths, steps, known = config.paths, config.landscape.steps, loaded(method)
    own = known.own_steps(steps)
    optimizer = build_optimizer(method, walking(paths, known, 2)[0])
    each = optimizer.evaluations * timing.evaluation(own)
    each += optimizer.gradients * timing.gradient(gradient_cost(optimizer, own).steps)
    updates, points = paths.updates + pilots(paths, known), paths.updates + 1
    judged = {own, steps}  # by these losses
    return (
        updates * optimizer.evaluations + points * len(judged),
        updates * each + points * sum(map(timing.evaluation, judged)),
    )
