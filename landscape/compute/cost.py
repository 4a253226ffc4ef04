"""What Fig. 1 consists of and what it will cost, before it is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from landscape.compute.jobs import Points, Shard, Walk, jobs_of, surfaces_of
from landscape.geometry.walks import walk_cost
from zarts.problems.build import landscape_objective, make_problem, val_batch_count
from zarts.problems.cost import measure, plan_search
from zarts.problems.memory import check_memory, workers_by_default, workers_that_fit
from zarts.problems.parts import data_facts, load_dataset
from zarts.settings.config import Config, ConfigError

__all__ = [
    "LandscapePlan",
    "plan_landscape",
]


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
        data: Its classes and pixels, see ``zarts.problems.parts.data_facts``.
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
    stage = config.program.stages[-1]  # where the search ends
    problem = make_problem(config, stage)
    rate = config.search.learning_rate
    land, weights = config.landscape, problem.objective.weights
    batches = val_batch_count(config)
    # one batch of L_val is measured, not all: at the paper's 390 a dry run would take half an hour
    single = replace(config, landscape=replace(land, val_batches=1))
    timing = measure(landscape_objective(single, weights, rate, stage), problem.alpha)
    timing = replace(timing, val=batches * timing.val)
    surfaces = surfaces_of(config)
    work = jobs_of(config, shard=shard)
    points = {
        steps: sum(
            len(job.points) for job in work if isinstance(job, Points) and job.steps == steps
        )
        for steps in surfaces
    }
    walking = [walk_cost(config, job.method, timing) for job in work if isinstance(job, Walk)]
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
