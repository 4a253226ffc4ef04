"""From settings to Fig. 1 and back: any interruption, any order, the same bits."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from landscape.compute import writer as writer
from landscape.compute.jobs import surfaces_of
from landscape.compute.pipeline import compute, origin_of
from landscape.geometry.plane import Plane
from landscape.record import Figure1, Status, load
from tests.landscape.conftest import Finished
from tests.tiny import Crash, crash_after, create, tiny
from zarts.bilevel.objective import Bilevel
from zarts.bilevel.rng import generator
from zarts.problems.build import landscape_objective
from zarts.runs.recorder import record_search
from zarts.runs.runfile import Run, RunError
from zarts.runs.snapshot import read_snapshot
from zarts.settings.config import Config, ConfigError, merge


def settings(run: Run, *changes: Mapping[str, Any]) -> Config:
    return Config.from_table(merge(dict(run.config), *map(dict, changes)))


def values(figure: Figure1) -> dict[int, list[list[float]]]:
    return {surface.inner_steps: surface.loss.tolist() for surface in figure.surfaces}


def test_a_figure_has_its_surfaces_and_its_paths(finished: Finished) -> None:
    figure = load(finished.run)
    assert [surface.inner_steps for surface in figure.surfaces] == [0, 1, 2]
    for surface in figure.surfaces:
        assert surface.loss.shape == (2, 3)
        assert (surface.status == Status.OK).all()
        assert np.isfinite(surface.loss).all()
        assert surface.x.tolist() == [-1, 0, 1]
        assert surface.y.tolist() == [-1, 1]
    assert tuple(path.method for path in figure.paths) == Config().paths.methods
    assert all(path.xy.shape == (2, 2) for path in figure.paths)
    assert {path.inner_steps for path in figure.paths} == {0, 1, 2}
    assert figure.scale == 5.0


def test_every_value_can_be_computed_again_from_what_is_stored(finished: Finished) -> None:
    """The plane, ω and the settings of the run file give each number of each surface and path."""
    run, config = finished.run, settings(finished.run)
    snapshot, stored = read_snapshot(run, 2), run.read("plane").arrays
    plane = Plane(*(torch.from_numpy(stored[name]) for name in ("origin", "basis")), 5.0)
    assert torch.equal(plane.origin, snapshot.alpha.double())
    assert torch.equal(
        plane.basis, Plane.random(snapshot.alpha, generator(config.seed, "plane")).basis
    )
    rate = float(stored["inner_learning_rate"])
    assert rate == snapshot.learning_rate
    objective = landscape_objective(config, snapshot.weights, rate)
    figure = load(run)
    for surface in figure.surfaces:
        for row, y in enumerate(surface.y):
            for col, x in enumerate(surface.x):
                alpha = plane.points(torch.tensor([[x, y]]))[0]
                expected = float(objective.at(surface.inner_steps)(alpha))
                assert surface.loss[row, col] == expected
    for path in figure.paths:
        points = plane.points(torch.from_numpy(path.xy))
        expected = objective.at(path.inner_steps).evaluate(points).numpy()
        np.testing.assert_allclose(path.loss, expected, rtol=2e-6)
        assert path.xy[0] == pytest.approx([-0.5, 0.5], abs=1e-12)


def test_facts_are_those_of_the_snapshot(finished: Finished) -> None:
    snapshot, figure = read_snapshot(finished.run, 2), load(finished.run)
    norm = float(torch.linalg.vector_norm(snapshot.alpha.double()))
    assert figure.facts["alpha_norm"] == pytest.approx(norm)
    assert figure.facts["val_accuracy"] == snapshot.val_accuracy
    assert figure.facts["val_loss"] == snapshot.val_loss
    assert figure.facts["inner_learning_rate"] == snapshot.learning_rate
    assert figure.facts["epoch"] == 2
    assert (figure.facts["images"], figure.facts["val_images"]) == (8000, 32)


@pytest.mark.parametrize(("batches", "size", "images"), [(0, 32, 64), (0, 20, 64), (2, 20, 40)])
def test_the_images_of_l_val_are_counted(
    tmp_path: Path, batches: int, size: int, images: int
) -> None:
    config = tiny("darts-1", {"search": {"epochs": 1}}, {"paths": {"methods": []}},
                  {"landscape": {"val_batches": batches, "val_batch_size": size}})  # fmt: skip
    assert compute(create(tmp_path / "run", config), config).facts["val_images"] == images


@pytest.mark.parametrize(("change", "scale"), [("unit", 1.0), ("alpha", None), (0.25, 0.25)])
def test_the_scale_is_what_was_asked(tmp_path: Path, change: object, scale: float | None) -> None:
    config = tiny("darts-1", {"search": {"epochs": 1}}, {"landscape": {"scale": change}},
                  {"paths": {"methods": []}})  # fmt: skip
    figure = compute(create(tmp_path / "run", config), config)
    assert figure.scale == pytest.approx(scale or figure.facts["alpha_norm"])


def test_a_number_is_the_inner_learning_rate(tmp_path: Path) -> None:
    config = tiny("darts-1", {"search": {"epochs": 1}}, {"paths": {"methods": []}},
                  {"landscape": {"inner_learning_rate": 1e-3}})  # fmt: skip
    run = create(tmp_path / "run", config)
    assert compute(run, config).facts["inner_learning_rate"] == 1e-3
    assert float(run.read("plane").arrays["inner_learning_rate"]) == 1e-3


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_lower_orders_do_not_depend_on_the_exact_one(
    steps: int, finished: Finished, tmp_path: Path
) -> None:
    config = settings(finished.run, {"landscape": {"steps": steps}})
    run = create(tmp_path / "run", config)
    for name in finished.run.names():
        if name.startswith(("search/", "snapshot/")):
            record = finished.run.read(name)
            run.write(name, record.arrays, record.attributes)
    figure = compute(run, config)
    before, after = values(load(finished.run)), values(figure)
    assert list(after) == surfaces_of(config)
    for common in set(before) & set(after):
        assert before[common] == after[common]
    assert [path.inner_steps for path in figure.paths] == [0, 1, steps, steps, steps]


def test_a_finished_figure_asks_for_nothing(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("asked again")

    before = finished.run.content_hash()
    monkeypatch.setattr(Bilevel, "evaluate", never)
    monkeypatch.setattr(Bilevel, "grad", never)
    monkeypatch.setattr(Bilevel, "advance", never)
    again = compute(finished.run, settings(finished.run), report=never)
    assert values(again) == values(load(finished.run))
    assert finished.run.content_hash() == before


def copy_search(finished: Finished, path: Path) -> Run:
    run = Run.create(path, finished.run.config, finished.run.provenance)
    for part in ("search", "snapshot"):
        shutil.copytree(finished.run.path / part, run.path / part)
    return run


# Chunks (corners, the rest) at M = 0, 1 and 2, and paths between the latter.
PIECES = [4, 2, 4, 2, 4, *5 * [1], 2]
WRITES = 1 + 3 + len(PIECES)  # the plane; three empty surfaces; what is computed


@pytest.mark.parametrize(
    "writes",
    [
        pytest.param(n, marks=() if n in {0, 1, 3, 5, 8, 11, WRITES - 1} else pytest.mark.slow)
        for n in range(WRITES)
    ],
)
def test_a_crash_between_any_two_writes_changes_nothing(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    monkeypatch.setattr(writer, "FLUSH_SECONDS", 0.0)
    monkeypatch.setattr(writer, "SAVES", 0.0)
    config, run = settings(finished.run), copy_search(finished, tmp_path / "run")
    with pytest.raises(Crash), crash_after(writes, monkeypatch):
        compute(run, config)
    done = sum(surface.done for surface in load(run).surfaces) if writes else 0
    assert done + len([n for n in run.names() if n.startswith("paths/")]) == sum(
        PIECES[: max(0, writes - 4)]
    )
    compute(Run.open(run.path), config)
    assert run.content_hash() == finished.run.content_hash()


def test_the_crashes_are_all_there_are(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "FLUSH_SECONDS", 0.0)
    monkeypatch.setattr(writer, "SAVES", 0.0)
    run = copy_search(finished, tmp_path / "run")
    with crash_after(WRITES, monkeypatch):
        compute(run, settings(finished.run))
    assert run.content_hash() == finished.run.content_hash()


def test_worker_processes_give_the_same_bits(finished: Finished, tmp_path: Path) -> None:
    run = copy_search(finished, tmp_path / "run")
    compute(run, settings(finished.run), workers=2)
    assert run.content_hash() == finished.run.content_hash()


def test_a_figure_may_stop_after_every_piece(finished: Finished, tmp_path: Path) -> None:
    config, run = settings(finished.run), copy_search(finished, tmp_path / "run")

    def stopping(after: int) -> Callable[[], None]:
        left = iter(range(after))

        def check() -> None:
            if next(left, None) is None:
                raise InterruptedError

        return check

    def sitting(checks: int) -> list[int]:
        with pytest.raises(InterruptedError):
            compute(run, config, check=stopping(checks))
        return [surface.done for surface in load(run).surfaces]

    # one piece per sitting: M = 0 and 1 come first, then the corners of the exact surface
    assert [sum(sitting(0)) for _ in range(5)] == [4, 6, 10, 12, 16]
    for done in range(5):  # a path is one piece; stopped in it, it starts again
        assert sitting(0) == [6, 6, 4]
        assert len(load(run).paths) == done
        assert sitting(1) == [6, 6, 4]
        assert len(load(run).paths) == done + 1
    assert sitting(0) == [6, 6, 6]
    assert run.content_hash() == finished.run.content_hash()


def test_a_reader_sees_an_honest_unfinished_picture(finished: Finished, tmp_path: Path) -> None:
    config, run = settings(finished.run), copy_search(finished, tmp_path / "run")
    seen: list[list[int]] = []

    def begin(phase: str, total: int, done: int) -> Callable[[int, str], None]:
        assert total > 0
        figure = load(Run.open(run.path))
        seen.append([surface.done for surface in figure.surfaces])
        for surface in figure.surfaces:
            pending = surface.status == Status.PENDING
            assert (np.isnan(surface.loss) == pending).all()
        return lambda count, note: None

    compute(run, config, report=begin)
    assert seen == [[0, 0, 0]]
    assert all(surface.done == 6 for surface in load(run).surfaces)


def test_progress_adds_up(tmp_path: Path) -> None:
    config = tiny("darts-1", {"paths": {"updates": 3}})
    told: dict[str, list[int]] = {}

    def begin(phase: str, total: int, done: int) -> Callable[[int, str], None]:
        told[phase] = [total, done]

        def tell(count: int, note: str) -> None:
            told[phase][1] += count

        return tell

    compute(create(tmp_path / "run", config), config, report=begin)
    assert told == {
        "search": [8, 8],
        "surfaces and paths": [told["surfaces and paths"][0]] * 2,
    }


def test_points_that_diverge_are_marked_and_the_rest_stands(tmp_path: Path) -> None:
    config = tiny("darts-1", {"search": {"epochs": 1, "inner_clip": 0.0}},
                  {"landscape": {"inner_learning_rate": 1e30}})  # fmt: skip
    run = create(tmp_path / "run", config)
    figure = compute(run, config)
    first, *tuned = figure.surfaces
    assert (first.status == Status.OK).all()
    for surface in tuned:
        assert (surface.status == Status.DIVERGED).all()
        assert np.isnan(surface.loss).all()
    assert len(figure.paths) == 5
    assert all(np.isfinite(path.xy).all() for path in figure.paths)
    by_name = {path.method: path for path in figure.paths}
    assert by_name["darts-2"].note.startswith("diverged")
    assert np.isfinite(by_name["darts-1"].loss).all()
    before = run.content_hash()
    compute(run, config)  # a result too: nothing is tried again
    assert run.content_hash() == before


def searched(tmp_path: Path, *changes: Mapping[str, Any]) -> Run:
    config = tiny("zarts-mgs", {"search": {"snapshots": [1]}}, *changes)
    run = create(tmp_path / "source", config)
    record_search(run, config)
    return run


def with_source(source: Run, epoch: int = 0) -> Config:
    config = settings(source, {"landscape": {"epoch": epoch}})
    epoch, name = origin_of(config, source)
    return settings(source, {"source": name, "landscape": {"epoch": epoch}})


def test_the_omega_of_another_run_is_copied(tmp_path: Path) -> None:
    source = searched(tmp_path)
    for epoch in (1, 2):
        config = with_source(source, epoch)
        run = create(tmp_path / f"run-{epoch}", config)
        compute(run, config, source=source)
        taken, given = read_snapshot(run, epoch), read_snapshot(source, epoch)
        assert torch.equal(taken.alpha, given.alpha)
        assert all(torch.equal(taken.weights[n], given.weights[n]) for n in given.weights)
        assert [name for name in run.names() if name.startswith("snapshot")] == [
            f"snapshot/epoch-000{epoch}"
        ]
        assert not [name for name in run.names() if name.startswith("search")]
    # and is all the run needs from then on
    before = run.content_hash()
    (run.path / "paths" / "darts-2.h5").unlink()
    (run.path / "grid" / "m01.h5").unlink()
    compute(run, config)
    assert run.content_hash() == before


def test_a_source_is_named_by_its_content(tmp_path: Path) -> None:
    source = searched(tmp_path)
    names = {origin_of(settings(source, {"landscape": {"epoch": e}}), source)[1] for e in (0, 1, 2)}
    assert len(names) == 2
    other = searched(tmp_path / "other", {"seed": 1})
    assert origin_of(settings(other), other)[1] not in names
    with pytest.raises(ConfigError, match=r"epoch 3.*\[1, 2\]"):
        origin_of(settings(source, {"search": {"epochs": 3}, "landscape": {"epoch": 3}}), source)
    with pytest.raises(ConfigError, match="none yet"):
        origin_of(tiny(), create(tmp_path / "empty", tiny()))


@pytest.mark.parametrize(
    "source", ["foo", "a/b", "a/epoch-x/00", "a/epoch-0001", "a/epoch-0001/00"]
)
def test_a_source_that_is_not_here_is_refused(tmp_path: Path, source: str) -> None:
    config = tiny("darts-1", {"source": source})
    with pytest.raises(ConfigError, match="--run"):
        compute(create(tmp_path / "run", config), config)


@pytest.mark.parametrize("record", ["snapshot/epoch-0002", "grid/m01", "paths/zarts-rs"])
def test_a_damaged_record_is_named(finished: Finished, tmp_path: Path, record: str) -> None:
    shutil.copytree(finished.run.path, tmp_path / "run")
    file = tmp_path / "run" / f"{record}.h5"
    file.write_bytes(file.read_bytes()[:-7])
    run = Run.open(tmp_path / "run")
    with pytest.raises(RunError, match=f"{record}.h5") as caught:
        compute(run, settings(run))
    assert "\n" not in str(caught.value)
