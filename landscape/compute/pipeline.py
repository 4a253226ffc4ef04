"""From settings to Fig. 1: search, plane, surfaces, paths; each stored once, never done twice."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from landscape.compute.axes import check_points, plane_of
from landscape.compute.jobs import KINDS, SURFACES, Shard, jobs_of, split, units
from landscape.compute.patience import Patience
from landscape.compute.schema import problems
from landscape.compute.work import WorkerInputs, do, problem_of, set_up
from landscape.compute.writer import Report, RunWriter
from landscape.record import Figure1, load, save_surface
from landscape.record.asked import surface_name
from zarts.execute import run as execute
from zarts.problems.build import make_problem, val_image_count
from zarts.problems.parts import data_facts, gpus_of, lanes_of, load_dataset
from zarts.runs.choices import settle
from zarts.runs.course import chosen, last_snapshot, search_finished, under
from zarts.runs.given import Given
from zarts.runs.origin import snapshot_name
from zarts.runs.provenance import note_environment, provenance
from zarts.runs.recorder import iterations_done, record_search
from zarts.runs.runfile import JSON, ForeignFile, Run, Unwritable
from zarts.runs.snapshot import Snapshot, read_snapshot, write_snapshot
from zarts.runs.stored import check_unchanged, code_of
from zarts.settings.config import Config, ConfigError, Table
from zarts.settings.stages import Point, epochs

__all__ = ["compute", "compute_run", "finished", "open_run", "origin_of", "problem_of"]

Begin = Callable[[str, int, int], Report]


def compute_run(
    config: Config | Table, folder: Path | str, *, workers: int = 1, points: Tensor | None = None
) -> Figure1:
    """Fig. 1 of a config in a folder: computed, continued or just read, whatever is left to do.

    The Python twin of ``python -m landscape.compute``, for notebooks and scripts.

    Example:
        >>> import landscape, shutil, tempfile
        >>> from pathlib import Path
        >>> from zarts import Config, Run
        >>> demo = Path(landscape.__file__).parent / "demo" / "quick-ec257f9a"
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run = Run.open(shutil.copytree(demo, folder, dirs_exist_ok=True))
        ...     record = landscape.compute_run(Config.from_table(run.config), folder)  # just read
        >>> len(record.paths)
        5

    Args:
        config: The settings, or their table, as ``preset`` gives it.
        folder: Where the run is, or will be.
        workers: Processes for surfaces and paths; the values do not depend on it.
        points: As for ``compute``.

    Raises:
        ConfigError: If the settings cannot be used.
        RunError: If the folder holds a run of other settings.
        Unwritable: If it cannot be written, and something is left to do.
    """
    config = config if isinstance(config, Config) else Config.from_table(config)
    run = open_run(config, Path(folder), ["landscape.compute_run"])
    with ExitStack() as stack:
        try:
            stack.enter_context(run.lock())
        except Unwritable:  # on a read-only disk, say
            if not finished(run, config):
                raise
            return load(run)
        return compute(run, config, workers=workers, points=points)


def open_run(config: Config, folder: Path, command: Sequence[str]) -> Run:
    """Makes or reopens the run of a config, with where its numbers come from.

    Raises:
        ConfigError: If data or an optimizer of a user's own are not those that the run began with.
        RunError: If the folder holds a run of other settings, or cannot be written.
    """
    facts: dict[str, JSON] = {
        "seed": config.seed,
        "device": config.device,
        "data_fingerprint": load_dataset(config).fingerprint,
        "data": data_facts(config),
    }
    if code := code_of(config):
        facts["code"] = code
    made = provenance(command, config.device) | facts
    run = Run.create(folder, config.to_table(), made, toml=config.to_toml())
    check_unchanged(run, config)
    return run


def compute(
    run: Run,
    config: Config,
    *,
    source: Run | Given | None = None,
    points: Tensor | None = None,
    workers: int | None = 1,
    cluster: str | None = None,
    shard: Shard | None = None,
    timeout: float | None = None,
    report: Begin | None = None,
    check: Callable[[], None] = lambda: None,
) -> Figure1:
    """Computes what the run does not hold yet and returns the whole.

    Args:
        run: An open run whose lock the caller holds.
        config: The run's settings.
        source: The run whose ω is used, or α and ω from files, where ``config.source`` says so.
        points: α (n, d) whose principal directions span the plane, where ``landscape.axes`` says so
            and the run has no plane yet.
        workers: Processes for surfaces and paths; the values do not depend on it. None: what the
            cluster offers.
        cluster: ``local`` or the address of a Ray cluster; None: this machine.
        shard: (k, n): the k-th of n shares of the points and paths only, counted from 1.
        timeout: Seconds that a point of the exact surface may take; None: by experience
            (``landscape.compute.patience``).
        report: Given (phase, total, already done), returns what is told about progress in that
            phase.
        check: Asked between pieces of work; raises to stop. Everything done is on disk then.

    Returns:
        The finished figure as a record.

    Raises:
        ConfigError: If the settings do not fit the run.
        Diverged: If the training of ω diverges.
        RunError: If something cannot be read or written.
        ChildProcessError: If a path failed, or no worker survived it (all else is done then); or if
            so many points failed that going on would only burn time.
    """
    begin = report or (lambda phase, total, done: lambda count, note: None)
    settle(run, config)
    if "plane" not in run:
        check_points(config, points)
    snapshot = _snapshot(run, config, source, begin, check)
    for name in ("plane", *(name for kind in KINDS for name in kind.records(config))):
        if name in run:
            _check_whole(run, config, name)
    if "plane" not in run:
        _lay_plane(run, config, snapshot, points)
    _surfaces_and_paths(run, config, Execution(workers, cluster, shard, timeout, check), begin)
    return load(run)


class Execution(NamedTuple):
    """Where work runs; see ``compute``."""

    workers: int | None
    cluster: str | None
    shard: Shard | None
    timeout: float | None
    check: Callable[[], None]


def finished(run: Run, config: Config, shard: Shard | None = None) -> bool:
    """Whether nothing is left to compute, of the whole or of a shard."""
    if "plane" not in run or not (config.source or search_finished(run, config)):
        return False
    held = run.parse("plane", under).snapshot_record in run
    return held and not jobs_of(config, run, shard)


def origin_of(config: Config, run: Run) -> tuple[int, str]:
    """The epoch of a source run's snapshot, and the name of its content for ``config.source``.

    The stage is the one that the search ended in, or is in.

    Raises:
        ConfigError: If the run holds no such snapshot.
    """
    last = last_snapshot(run) or Point(0, 0)
    point = Point(last.stage, config.landscape.epoch or last.epoch)
    advice = "finish the search, or choose one with --set landscape.epoch=N"
    return point.epoch, snapshot_name(run, point, advice)


def _snapshot(
    run: Run,
    config: Config,
    source: Run | Given | None,
    begin: Callable[[str, int, int], Report],
    check: Callable[[], None],
) -> Snapshot:
    if config.source:
        named = re.fullmatch(r"[^/]+/(?:stage-(\d+)/)?epoch-(\d{4,})/[0-9a-f]+", config.source)
        if not named:
            raise ConfigError(f"source is {config.source!r}; it is set by --run NAME")
        point = Point(int(named[1] or 0), int(named[2]))
        if point.snapshot_record not in run:
            if source is None:
                raise ConfigError(
                    f"the ω of {config.source} is not in this run; name its run with --run, "
                    "or its files with --alpha and --weights"
                )
            # a copy: the run explains itself even when its source is gone
            if isinstance(source, Given):
                write_snapshot(run, source.snapshot(config))
            else:
                write_snapshot(run, read_snapshot(source, point.epoch, point.stage))
        return read_snapshot(run, point.epoch, point.stage)
    if not search_finished(run, config):
        size = make_problem(config).feed.iterations_per_epoch
        tell = begin("search", epochs(config.program) * size, iterations_done(run))
        record_search(run, config, report=tell, check=check)
    last = chosen(run, config)
    return read_snapshot(run, config.landscape.epoch or last.epoch, last.stage)


def _lay_plane(run: Run, config: Config, snapshot: Snapshot, points: Tensor | None) -> None:
    """Lays and stores the plane and the rate of the M steps, so that nothing is typed twice."""
    land = config.landscape
    rate, scale = land.inner_learning_rate, land.scale
    if isinstance(rate, str):
        rate = snapshot.learning_rate
    length = float(torch.linalg.vector_norm(snapshot.alpha.double()))
    if isinstance(scale, str):
        scale = {"unit": 1.0, "alpha": length}[scale]
    plane, axes = plane_of(config, snapshot, scale, rate, points)
    dataset = load_dataset(config)
    facts: dict[str, JSON] = {
        "val_accuracy": snapshot.val_accuracy,
        "val_loss": snapshot.val_loss,
        "alpha_norm": length,
        "inner_learning_rate": rate,
        "lanes": lanes_of(config),
        "epoch": snapshot.epoch,
        "dataset": dataset.name,
        "images": len(dataset.labels),
        "val_images": val_image_count(config),
        **({"axes": [*axes]} if axes else {}),
    }
    if snapshot.stage:
        facts |= snapshot.stage.note()
    arrays = {
        "origin": plane.origin.numpy(),
        "basis": plane.basis.numpy(),
        "scale": np.array(scale),
        "inner_learning_rate": np.array(rate),
    }
    run.write("plane", arrays, facts)


def _check_whole(run: Run, config: Config, name: str) -> None:
    """Raises ForeignFile unless a record is as this project writes it, to be gone on with."""
    if found := problems(name, run.read(name), config):
        raise ForeignFile(f"{run.path / name}.h5: {found[0]}; restore or delete it")


def _surfaces_and_paths(run: Run, config: Config, execution: Execution, begin: Begin) -> None:
    surfaces = SURFACES.known(config, run)
    todo = jobs_of(config, run, execution.shard)
    if not todo:
        for steps, surface in surfaces.items():  # a shard may be left without any work
            if surface_name(steps) not in run:
                save_surface(run, surface)
        return
    note_environment(run)
    whole = jobs_of(config, shard=execution.shard)
    everything, left = units(config, whole), units(config, todo)
    writer = RunWriter(
        run, config, surfaces, partial(begin, "surfaces and paths", everything, everything - left)
    )
    patience = Patience(config, execution.timeout)
    work = execute(
        partial(set_up, WorkerInputs.of(run)),
        do,
        todo,
        workers=execution.workers,
        cluster=execution.cluster,
        gpus=0 if config.device == "cpu" else 1,
        devices=gpus_of(config.device),
        apart=execution.timeout is not None,
        limit=patience,
        split=split,
        check=execution.check,
    )
    try:
        with closing(work) as outcomes:
            for job, value, final in outcomes:
                writer.add(job, value, final=final)
                if (seconds := job.seconds(value)) is not None:
                    patience.finished(job, seconds)
    finally:
        writer.save()
    if writer.failed:
        raise ChildProcessError(
            f"{run.path}: {', '.join(writer.failed)} failed, all else is done; "
            "run the same command again, with fewer --workers if memory is short"
        )
