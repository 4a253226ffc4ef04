"""From settings to Fig. 1: search, plane, surfaces, paths; each stored once, never done twice."""

from __future__ import annotations

import hashlib
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import torch

from landscape.grid import empty_surface, evaluate_at, pending, with_point
from landscape.paths import Ground, walk
from landscape.plan import Item, all_items, surfaces_of, units
from landscape.plane import Plane
from landscape.record import (
    Figure1,
    Status,
    Surface,
    load,
    save_path,
    save_surface,
    surface_from,
)
from landscape.record import Path as Walked
from zarts.assembly import landscape_objective, make_problem, val_batch_count
from zarts.config import Config, ConfigError
from zarts.execute import Failure
from zarts.execute import run as execute
from zarts.parts import load_dataset
from zarts.provenance import provenance
from zarts.recorder import (
    Snapshot,
    iterations_done,
    last_snapshot,
    read_snapshot,
    record_search,
    search_finished,
    write_snapshot,
)
from zarts.rng import generator
from zarts.runfile import JSON, Run

__all__ = ["compute", "compute_run", "finished", "ground_of", "open_run", "origin_of"]

FLUSH_SECONDS = 10.0  # a kill costs at most this much of a surface, plus the points under way
Report = Callable[[int, str], None]
Begin = Callable[[str, int, int], Report]


def compute_run(config: Config, folder: Path | str, *, workers: int = 1) -> Figure1:
    """Fig. 1 of a config in a folder: computed, continued or just read, whatever is left to do.

    The Python twin of ``python -m landscape.compute``, for notebooks and scripts.

    Raises:
        ConfigError: If the settings cannot be used.
        RunError: If the folder holds a run of other settings, or cannot be written.
    """
    run = open_run(config, Path(folder), ["landscape.compute_run"])
    with run.lock():
        return compute(run, config, workers=workers)


def open_run(config: Config, folder: Path, command: Sequence[str]) -> Run:
    """Makes or reopens the run of a config, with where its numbers come from.

    Raises:
        RunError: If the folder holds a run of other settings, or cannot be written.
    """
    facts: dict[str, JSON] = {
        "seed": config.seed,
        "device": config.device,
        "data_fingerprint": load_dataset(config).fingerprint,
    }
    made = provenance(command) | facts
    return Run.create(folder, config.to_table(), made, toml=config.to_toml())


def compute(
    run: Run,
    config: Config,
    *,
    source: Run | None = None,
    workers: int = 1,
    report: Begin | None = None,
    check: Callable[[], None] = lambda: None,
) -> Figure1:
    """Computes what the run does not hold yet and returns the whole.

    Args:
        run: An open run whose lock the caller holds.
        config: The run's settings.
        source: The run whose ω is used, where ``config.source`` says there is one.
        workers: Processes for surfaces and paths; the values do not depend on it.
        report: Given (phase, total, already done), returns what is told about progress in that
            phase.
        check: Asked between pieces of work; raises to stop. Everything done is on disk then.

    Returns:
        The finished figure as a record.

    Raises:
        ConfigError: If the settings do not fit the run.
        Diverged: If the training of ω diverges.
        RunError: If something cannot be read or written.
        ChildProcessError: If no worker survived a path; all else is done then.
    """
    begin = report or (lambda phase, total, done: lambda count, note: None)
    snapshot = _snapshot(run, config, source, begin, check)
    if "plane" not in run:
        _lay_plane(run, config, snapshot)
    _surfaces_and_paths(run, config, workers, begin, check)
    return load(run)


def finished(run: Run, config: Config) -> bool:
    """Whether nothing is left to compute."""
    if "plane" not in run or not (config.source or search_finished(run, config)):
        return False
    held = f"snapshot/epoch-{int(str(run.read('plane').attributes['epoch'])):04d}" in run
    return held and not any(_todo(run, config, _surfaces(run, config)))


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
    if not search_finished(run, config):
        size = make_problem(config).feed.iterations_per_epoch
        tell = begin("search", total * size, iterations_done(run))
        record_search(run, config, report=tell, check=check)
    return read_snapshot(run, config.landscape.epoch or total)


def _lay_plane(run: Run, config: Config, snapshot: Snapshot) -> None:
    """Draws and stores the plane and the rate of the M steps, so that nothing is typed twice."""
    land = config.landscape
    rate, scale = land.inner_learning_rate, land.scale
    if isinstance(rate, str):
        rate = snapshot.learning_rate
    length = float(torch.linalg.vector_norm(snapshot.alpha.double()))
    if isinstance(scale, str):
        scale = {"unit": 1.0, "alpha": length}[scale]
    plane = Plane.random(snapshot.alpha, generator(config.seed, "plane"), scale)
    dataset = load_dataset(config)
    facts: dict[str, JSON] = {
        "val_accuracy": snapshot.val_accuracy,
        "val_loss": snapshot.val_loss,
        "alpha_norm": length,
        "inner_learning_rate": rate,
        "epoch": snapshot.epoch,
        "dataset": dataset.name,
        "images": len(dataset.labels),
        "val_images": land.val_batch_size * val_batch_count(config),
    }
    arrays = {
        "origin": plane.origin.numpy(),
        "basis": plane.basis.numpy(),
        "scale": np.array(scale),
        "inner_learning_rate": np.array(rate),
    }
    run.write("plane", arrays, facts)


def ground_of(run: Run) -> Ground:
    """Objective and plane of a run, rebuilt from what it stores and from nothing else.

    Raises:
        RunError: If the run holds no plane or no ω yet.
    """
    config = Config.from_table(run.config)
    record = run.read("plane")
    arrays = {name: torch.from_numpy(array) for name, array in record.arrays.items()}
    snapshot = read_snapshot(run, int(str(record.attributes["epoch"])))
    return Ground(
        landscape_objective(config, snapshot.weights, float(arrays["inner_learning_rate"])),
        Plane(arrays["origin"], arrays["basis"], float(arrays["scale"])),
        config.landscape.range,
        config.paths,
        config.seed,
    )


def _surfaces(run: Run, config: Config) -> dict[int, Surface]:
    """What is known of every surface, by M."""
    land, known = config.landscape, {}
    for steps in surfaces_of(config):
        name = f"grid/m{steps:02d}"
        known[steps] = (
            surface_from(run.read(name))
            if name in run
            else empty_surface(steps, land.rows, land.cols, land.range)
        )
    return known


def _todo(run: Run, config: Config, surfaces: dict[int, Surface]) -> Iterator[Item]:
    """The work that is left: cheap surfaces, then paths (long pieces), then the exact surface."""
    exact = max(surfaces)
    for steps, surface in surfaces.items():
        if steps != exact:
            yield from ((steps, *point) for point in pending(surface))
    yield from (method for method in config.paths.methods if f"paths/{method}" not in run)
    yield from ((exact, *point) for point in pending(surfaces[exact]))


def _surfaces_and_paths(
    run: Run, config: Config, workers: int, begin: Begin, check: Callable[[], None]
) -> None:
    surfaces = _surfaces(run, config)
    todo = list(_todo(run, config, surfaces))
    if not todo:
        return
    for surface in surfaces.values():
        save_surface(run, surface)  # from here on a reader sees an honest, unfinished picture
    everything = units(config, all_items(config))
    tell = begin("surfaces and paths", everything, everything - units(config, todo))
    touched, told, saved = set[int](), Counter[Item](), time.monotonic()
    failed: list[str] = []
    work = execute(partial(_setup, str(run.path)), _work, todo, workers=workers, check=check)
    try:
        with closing(work) as outcomes:
            for item, value, final in outcomes:
                cost = units(config, [item])
                if isinstance(item, str):
                    share = cost // (config.paths.updates + 1)
                    tell(cost - told[item] if final else share, "")
                    told[item] += share
                    if isinstance(value, Failure):  # the others go on; it is told at the end
                        failed.append(f"{item} ({value.reason})")
                    elif final and isinstance(value, Walked):
                        save_path(run, value)
                    continue
                tell(cost, "")
                steps, row, col = item
                surfaces[steps] = _grown(surfaces[steps], row, col, value)
                touched.add(steps)
                if time.monotonic() - saved > FLUSH_SECONDS:
                    _save(run, surfaces, touched)
                    saved = time.monotonic()
    finally:
        _save(run, surfaces, touched)
    if failed:
        raise ChildProcessError(
            f"{run.path}: paths of {', '.join(failed)} failed, all else is done; "
            "run the same command again, with fewer --workers if memory is short"
        )


def _save(run: Run, surfaces: dict[int, Surface], touched: set[int]) -> None:
    for steps in touched:
        save_surface(run, surfaces[steps])
    touched.clear()


def _grown(surface: Surface, row: int, col: int, value: Value | Failure) -> Surface:
    if isinstance(value, Failure):
        return with_point(surface, row, col, np.nan, seconds=0.0, status=Status.FAILED)
    assert isinstance(value, tuple)
    loss, seconds, status = value
    return with_point(surface, row, col, loss, seconds=seconds, status=status)


# What runs in a worker, or in this process.

Value = tuple[float, float, Status | None] | Walked
Bench = tuple[Ground, dict[int, Surface]]


def _setup(folder: str) -> Bench:
    run = Run.open(Path(folder))
    config = Config.from_table(run.config)
    land = config.landscape
    return ground_of(run), {
        steps: empty_surface(steps, land.rows, land.cols, land.range)
        for steps in surfaces_of(config)
    }


def _work(bench: Bench, item: Item) -> Iterator[Value]:
    ground, surfaces = bench
    if isinstance(item, str):
        yield from walk(ground, item)
        return
    steps, row, col = item
    try:
        yield *evaluate_at(ground.objective, ground.plane, surfaces[steps], row, col), None
    except (MemoryError, RuntimeError) as error:
        # torch says so in words when an allocation on the CPU fails
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        yield np.nan, 0.0, Status.OOM
