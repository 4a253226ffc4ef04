"""From settings to Fig. 1: search, plane, surfaces, paths, each stored as it is done and never done twice."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from landscape.grid import empty_surface, fill
from landscape.paths import PILOTS, Ground, walk
from landscape.plane import Plane
from landscape.record import Figure1, Surface, load, save_path, save_surface, surface_from
from zarts.assembly import landscape_objective, load_dataset, make_problem
from zarts.config import Config, ConfigError
from zarts.optimizers import METHODS
from zarts.plan import Timing, check_memory, measure, plan_search
from zarts.recorder import Snapshot, last_snapshot, read_snapshot, record_search, write_snapshot
from zarts.rng import generator
from zarts.runfile import JSON, Run

__all__ = ["LandscapePlan", "compute", "origin_of", "plan_landscape", "surfaces_of"]

FLUSH_SECONDS = 10.0  # a kill costs at most this much of a surface, plus one point
Report = Callable[[int, str], None]


def surfaces_of(config: Config) -> list[int]:
    """The M of all surfaces: first order, second order, and the exact one."""
    return sorted({0, min(1, config.landscape.steps), config.landscape.steps})


@dataclass(frozen=True)
class LandscapePlan:
    """The extent and the expected cost of Fig. 1.

    Attributes:
        points: Grid points of all surfaces.
        evaluations: Evaluations of L_M, those of the paths included.
        iterations: Iterations of the search that is still to run.
        seconds: Expected wall time, the search's included.
        memory: Expected peak of one training step, bytes.
        size: Expected size of the run on disk, bytes.
        dataset: Name of the data set.
        images: Its number of images.
        fingerprint: Its content.
    """

    points: int
    evaluations: int
    iterations: int
    seconds: float
    memory: int
    size: int
    dataset: str
    images: int
    fingerprint: str


def plan_landscape(config: Config) -> LandscapePlan:
    """Plans Fig. 1 from a measurement on this device; checks settings, data and memory.

    Raises:
        ConfigError: If the settings cannot be used, or need more memory than there is.
    """
    memory = check_memory(config)
    search = None if config.source else plan_search(config)
    problem = make_problem(config)
    rate = config.search.learning_rate
    objective = landscape_objective(config, problem.objective.weights, rate)
    timing = measure(objective, problem.alpha)
    land = config.landscape
    points = land.rows * land.cols
    walking = [_walk_cost(config, method, timing) for method in config.paths.methods]
    surfaces = surfaces_of(config)
    seconds = sum(points * timing.evaluation(steps) for steps in surfaces)
    seconds += sum(cost for _, cost in walking) + (search.seconds if search else 0)
    weights = sum(
        weight.numel() * weight.element_size() for weight in problem.objective.weights.values()
    )
    dataset = load_dataset(config)
    return LandscapePlan(
        points=points * len(surfaces),
        evaluations=points * len(surfaces) + sum(count for count, _ in walking),
        iterations=search.iterations if search else 0,
        seconds=seconds,
        memory=memory,
        # measured: a self-contained HTML page is about 5 MB of plotly.js; ω, its velocity and copy; 25 bytes a point
        size=5_000_000 + 3 * weights + 25 * points * len(surfaces),
        dataset=dataset.name,
        images=len(dataset.labels),
        fingerprint=dataset.fingerprint,
    )


def _walk_cost(config: Config, method: str, timing: Timing) -> tuple[int, float]:
    """Evaluations and seconds of one path, with the losses it is judged by."""
    paths, steps = config.paths, config.landscape.steps
    judged = (paths.updates + 1) * timing.evaluation(steps)
    if METHODS[method][0] == "DARTS":
        order = int(method[-1])
        each = paths.updates + 1
        return 2 * each, each * (timing.gradient(order - 1) + timing.evaluation(order - 1)) + judged
    each = {
        "zarts-rs": 2 * max(1, paths.samples // 2),
        "zarts-mgs": paths.samples,
        "zarts-gld": paths.samples + 1,
    }[method]
    count = paths.updates * each + (PILOTS * each if method == "zarts-rs" else 0)
    return count + paths.updates + 1, count * timing.evaluation(steps) + judged


def compute(
    run: Run,
    config: Config,
    *,
    source: Run | None = None,
    report: Callable[[str, int, int], Report] | None = None,
    check: Callable[[], None] = lambda: None,
) -> Figure1:
    """Computes what the run does not hold yet and returns the whole.

    Args:
        run: An open run whose lock the caller holds.
        config: The run's settings.
        source: The run whose ω is used, where ``config.source`` says there is one.
        report: Given (phase, total, already done), returns what is told about progress in that phase.
        check: Asked between pieces of work; raises to stop. Everything done is on disk then.

    Returns:
        The finished figure as a record.

    Raises:
        ConfigError: If the settings do not fit the run.
        Diverged: If the training of ω diverges.
        RunError: If something cannot be read or written.
    """
    begin = report or (lambda phase, total, done: lambda count, note: None)
    snapshot = _snapshot(run, config, source, begin, check)
    ground = _ground(run, config, snapshot)
    for steps in surfaces_of(config):
        _surface(run, config, ground, steps, begin, check)
    for method in config.paths.methods:
        if f"paths/{method}" in run:
            continue
        tell = begin(f"path {method}", config.paths.updates, 0)
        for path in walk(ground, method):
            tell(int(len(path.xy) > 1), "")
            check()
        save_path(run, path)
    return load(run)


def origin_of(config: Config, run: Run) -> tuple[int, str]:
    """The epoch of a source run's snapshot, and the name of its content for ``config.source``.

    Raises:
        ConfigError: If the run holds no such snapshot.
    """
    epoch = config.landscape.epoch or last_snapshot(run)
    name = f"snapshot/epoch-{epoch:04d}"
    if name not in run:
        kept = [int(other[-4:]) for other in run.names() if other.startswith("snapshot/")]
        raise ConfigError(
            f"run {run.name!r} has no ω of epoch {epoch}; it keeps {kept or 'none yet'}; "
            "finish the search, or choose one with --set landscape.epoch=N"
        )
    arrays = run.read(name).arrays
    digest = hashlib.sha256()
    for key in sorted(arrays):
        digest.update(f"{key} {arrays[key].dtype} {arrays[key].shape} ".encode())
        digest.update(np.ascontiguousarray(arrays[key]).tobytes())
    return epoch, f"{run.name}/epoch-{epoch:04d}/{digest.hexdigest()[:16]}"


def _snapshot(
    run: Run,
    config: Config,
    source: Run | None,
    begin: Callable[[str, int, int], Report],
    check: Callable[[], None],
) -> Snapshot:
    if config.source:
        named = re.fullmatch(r"[^/]+/epoch-(\d{4,})/[0-9a-f]+", config.source)
        if not named:
            raise ConfigError(f"source is {config.source!r}; it is set by --run NAME")
        epoch = int(named[1])
        if f"snapshot/epoch-{epoch:04d}" not in run:
            if source is None:
                raise ConfigError(
                    f"the ω of {config.source} is not in this run; name its run with --run"
                )
            # a copy: the run explains itself even when its source is gone
            write_snapshot(run, read_snapshot(source, epoch))
        return read_snapshot(run, epoch)
    total = config.search.epochs
    if last_snapshot(run) < total:
        size = make_problem(config).feed.iterations_per_epoch
        record_search(run, config, report=begin("search", total * size, 0), check=check)
    return read_snapshot(run, config.landscape.epoch or total)


def _ground(run: Run, config: Config, snapshot: Snapshot) -> Ground:
    """The plane through the snapshot's α and the objective on it; stored, so that nothing is typed twice."""
    land = config.landscape
    rate = (
        snapshot.learning_rate
        if isinstance(land.inner_learning_rate, str)
        else land.inner_learning_rate
    )
    length = float(torch.linalg.vector_norm(snapshot.alpha.double()))
    scale = (
        {"unit": 1.0, "alpha": length}[land.scale] if isinstance(land.scale, str) else land.scale
    )
    plane = Plane.random(snapshot.alpha, generator(config.seed, "plane"), scale)
    dataset = load_dataset(config)
    objective = landscape_objective(config, snapshot.weights, rate)
    val_images = objective.feed.val_batches(0)
    facts: dict[str, JSON] = {
        "val_accuracy": snapshot.val_accuracy,
        "val_loss": snapshot.val_loss,
        "alpha_norm": length,
        "inner_learning_rate": rate,
        "epoch": snapshot.epoch,
        "dataset": dataset.name,
        "images": len(dataset.labels),
        "val_images": sum(len(batch.labels) for batch in val_images),
    }
    run.write(
        "plane",
        {
            "origin": plane.origin.numpy(),
            "basis": plane.basis.numpy(),
            "scale": np.array(scale),
            "inner_learning_rate": np.array(rate),
        },
        facts,
    )
    return Ground(objective, plane, land.range, config.paths, config.seed)


def _surface(
    run: Run,
    config: Config,
    ground: Ground,
    steps: int,
    begin: Callable[[str, int, int], Report],
    check: Callable[[], None],
) -> Surface:
    land, name = config.landscape, f"grid/m{steps:02d}"
    surface = empty_surface(steps, land.rows, land.cols, land.range)
    if name in run:
        surface = surface_from(run.read(name))
    else:
        save_surface(run, surface)  # from here on a reader sees an honest, empty picture
    if surface.done == surface.loss.size:
        return surface
    tell = begin(f"surface M = {steps}", surface.loss.size, surface.done)
    saved = time.monotonic()
    try:
        for surface in fill(ground.objective, ground.plane, surface):
            tell(1, "")
            check()
            if time.monotonic() - saved > FLUSH_SECONDS:
                save_surface(run, surface)
                saved = time.monotonic()
    finally:
        save_surface(run, surface)
    return surface
