"""What a worker checks and survives, and how long it is waited for."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from landscape.compute import patience
from landscape.compute.jobs import Losses, Points, Walk, jobs_of, split, units
from landscape.compute.patience import Patience
from landscape.compute.pipeline import compute
from landscape.compute.work import WorkerInputs, do, set_up
from landscape.geometry import grid
from landscape.geometry import walks as paths
from landscape.geometry.grid import evaluate_at
from landscape.record import OptimizerPath, Status, load
from tests.landscape.conftest import Finished
from tests.tiny import tiny
from zarts.problems import parts
from zarts.runs.runfile import Run
from zarts.settings.config import Config, ConfigError

POISON = (1, 2)


def without_figure(finished: Finished, folder: Path) -> Run:
    path = folder / "run"
    shutil.copytree(finished.run.path, path)
    for part in ("grid", "paths"):
        shutil.rmtree(path / part)
    return Run.open(path)


def test_a_worker_computes_as_the_run_chose(finished: Finished, tmp_path: Path) -> None:
    run = without_figure(finished, tmp_path)
    run.amend({"kernels": {"chosen": {"layout": "first", "phases": "off"}}})
    section = WorkerInputs.of(Run.open(run.path)).config["supernet"]
    assert isinstance(section, dict)
    assert (section["layout"], section["phases"]) == ("first", "off")


def poisoned(error: Exception, everywhere: bool = False):  # type: ignore[no-untyped-def]
    def evaluate(objective, plane, surface, points: Sequence[tuple[int, int]]):  # type: ignore[no-untyped-def]
        if everywhere or POISON in points:
            raise error
        return evaluate_at(objective, plane, surface, points)

    return evaluate


@pytest.mark.parametrize(
    ("error", "status"),
    [(RuntimeError("bad luck"), Status.FAILED), (MemoryError("no room"), Status.OOM)],
)
def test_a_point_that_fails_is_marked_and_the_rest_stands(
    finished: Finished,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    status: Status,
) -> None:
    run = without_figure(finished, tmp_path)
    config = Config.from_table(run.config)
    monkeypatch.setattr(grid, "evaluate_at", poisoned(error))
    figure = compute(run, config)
    for surface, whole in zip(figure.surfaces, load(finished.run).surfaces, strict=True):
        assert surface.status[POISON] == status  # also where it was one of a chunk
        assert surface.done == 5
        others = surface.status == Status.OK
        assert (surface.loss[others] == whole.loss[others]).all()
    monkeypatch.setattr(grid, "evaluate_at", evaluate_at)
    compute(run, config)
    assert run.content_hash() == finished.run.content_hash()


def test_when_all_points_fail_the_work_stops_early(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = without_figure(finished, tmp_path)
    monkeypatch.setattr(grid, "evaluate_at", poisoned(RuntimeError("broken"), everywhere=True))
    with pytest.raises(ChildProcessError, match=r"4 of 4 points failed.*RuntimeError: broken"):
        compute(run, Config.from_table(run.config))
    assert (load(run).surfaces[0].status == Status.FAILED).sum() == 4  # kept, and tried again


def test_points_that_fail_at_every_start_do_not_hold_up_the_others(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = without_figure(finished, tmp_path)
    config = Config.from_table(run.config)
    corners = {(0, 0), (0, 2), (1, 0), (1, 2)}

    def evaluate(objective, plane, surface, points: Sequence[tuple[int, int]]):  # type: ignore[no-untyped-def]
        if surface.inner_steps == 0 and corners & set(points):
            raise RuntimeError("always")
        return evaluate_at(objective, plane, surface, points)

    monkeypatch.setattr(grid, "evaluate_at", evaluate)
    with pytest.raises(ChildProcessError, match="4 of 4 points failed"):
        compute(run, config)
    first, *others = compute(run, config).surfaces  # they are tried first, and known to be bad
    assert {tuple(at) for at in np.argwhere(first.status == Status.FAILED)} == corners
    assert first.done == 2
    assert [surface.done for surface in others] == [6] * len(others)


def test_a_path_that_fails_does_not_hold_up_the_others(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = without_figure(finished, tmp_path)
    config = Config.from_table(run.config)

    walk = paths.walk

    def falls(setup: paths.PlaneProblem, method: str) -> Iterator[OptimizerPath]:
        for count, path in enumerate(walk(setup, method)):
            if method == "darts-2" and count:
                raise RuntimeError("can't allocate memory\nat all")
            yield path

    monkeypatch.setattr(paths, "walk", falls)
    told = r"path darts-2 \(RuntimeError: can't allocate memory at all\) failed, all else is done"
    with pytest.raises(ChildProcessError, match=told):
        compute(run, config)
    figure = load(run)
    assert {path.method for path in figure.paths} == set(config.paths.methods) - {"darts-2"}
    assert all(surface.done == 6 for surface in figure.surfaces)
    monkeypatch.setattr(paths, "walk", walk)
    compute(run, config)
    assert run.content_hash() == finished.run.content_hash()


def test_a_shard_may_be_left_without_work(finished: Finished, tmp_path: Path) -> None:
    run = without_figure(finished, tmp_path)
    config = Config.from_table(run.config)
    figure = compute(run, config, shard=(400, 400))
    assert [surface.done for surface in figure.surfaces] == [0, 0, 0]
    assert not figure.paths


def test_a_landscape_goes_on_with_the_lanes_it_began_with(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where another number would be chosen today: the last digits stay what they were."""
    assert finished.run.read("plane").attributes["lanes"] == 4
    run = without_figure(finished, tmp_path)
    monkeypatch.setattr(parts, "_CPU_LANES", 8)
    assert parts.lanes_of(Config.from_table(run.config)) == 8
    assert WorkerInputs.of(run).setup().objective.lanes == 4
    compute(run, Config.from_table(run.config))
    assert run.content_hash() == finished.run.content_hash()


def test_a_worker_gets_all_it_needs_and_checks_it(finished: Finished) -> None:
    inputs = WorkerInputs.of(finished.run)
    losses = next(do(set_up(inputs), Points(1, ((0, 1), (1, 0)))))
    assert isinstance(losses, Losses)
    stored = load(finished.run).surfaces[1].loss
    assert [found.loss for found, _ in losses.of_points] == [stored[0, 1], stored[1, 0]]
    name = next(iter(inputs.weights))
    damaged = {**inputs.weights, name: inputs.weights[name] + 1}
    with pytest.raises(ConfigError, match="ω arrived with SHA-256"):
        set_up(replace(inputs, weights=damaged))
    with pytest.raises(ConfigError, match=r"data set packaged has fingerprint .*, the run's is x;"):
        set_up(replace(inputs, fingerprint="x"))


def test_patience_is_ten_times_the_median_and_at_least_a_minute() -> None:
    config = tiny("darts-1")
    limits = Patience(config)
    exact, path = Points(config.landscape.steps, ((0, 0),)), Walk("zarts-mgs")
    assert limits(exact) == limits(path) == math.inf  # nothing is known yet
    for seconds in (1.0, 20.0, 900.0):
        limits.finished(exact, seconds)
    assert limits(exact) == pytest.approx(200)
    share = units(config, [path]) / units(config, [exact])
    assert limits(path) == pytest.approx(200 * share)
    assert limits(Points(0, ((0, 0),))) == math.inf  # of M = 0 nothing is known
    limits.finished(Points(0, ((0, 0),) * 4), 0.4)
    assert limits(Points(0, ((0, 0), (0, 1)))) == patience.LEAST_SECONDS
    fixed = Patience(config, 7.0)
    assert fixed(exact) == 7.0
    assert fixed(path) == pytest.approx(7.0 * share)


def test_all_work_is_dealt_out_once_in_an_order_with_something_to_see() -> None:
    config = tiny("darts-1", {"landscape": {"rows": 5, "cols": 9}})
    jobs = jobs_of(config)
    points = [(job.steps, point) for job in jobs if isinstance(job, Points) for point in job.points]
    assert len(points) == len(set(points)) == 3 * 45
    walks = [job for job in jobs if isinstance(job, Walk)]
    assert {walk.method for walk in walks} == set(config.paths.methods)
    costs = [walk.units(config) for walk in walks]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > costs[-1]
    assert isinstance(jobs[0], Points)
    assert jobs[0].steps == 0
    assert isinstance(jobs[-1], Points)  # long paths are not last
    assert jobs[-1].steps == config.landscape.steps
    first = [point for steps, point in points if steps == 2][:4]
    assert set(first) == {(0, 0), (0, 8), (4, 0), (4, 8)}
    assert max(len(job.points) for job in jobs if isinstance(job, Points)) == 8
    assert split(Points(0, ((0, 0), (1, 1)))) == [Points(0, ((0, 0),)), Points(0, ((1, 1),))]
    assert split(walks[0]) == [walks[0]]
    wide = replace(config, supernet=replace(config.supernet, lanes=4))
    exact = [job for job in jobs_of(wide) if isinstance(job, Points) and job.steps == 2]
    assert max(len(job.points) for job in exact) == 4
    assert np.isfinite(units(config, jobs))
