"""What a finished picture consists of, and how it goes to disk and comes back."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from pathlib import Path as File
from typing import Any

import numpy as np
import pytest

from landscape.figures import figure_1
from landscape.geometry.grid import empty_surface
from landscape.record import OptimizerPath, Status, Surface, load, save_path, save_surface
from zarts.runs.runfile import Run, RunError
from zarts.settings.config import METHOD_NAMES


def surface(steps: int = 10, rows: int = 3, cols: int = 5) -> Surface:
    made = empty_surface(steps, rows, cols, 2.0)
    made.loss[:2] = np.random.default_rng(steps).random((2, cols))
    made.status[:2] = Status.OK
    made.loss[1, 1], made.status[1, 1] = np.nan, Status.DIVERGED
    made.seconds[:2] = 0.25
    return made


def path(method: str = "zarts-mgs") -> OptimizerPath:
    rng = np.random.default_rng(len(method))
    return OptimizerPath(
        method=method,
        inner_steps=10,
        xy=rng.normal(size=(4, 2)),
        loss=rng.random(4),
        target_loss=np.array([1.0, 0.5, np.nan, 0.25]),
        residual=np.array([0.0, 0.9, 0.95, 0.99]),
        evaluations=41,
        gradients=3,
        weight_steps=410,
        seconds=1.5,
        note="diverged at step 4",
        length_ratio=0.7,
        moments=np.array([9.0, 1.0, 0.25, 0.5, 0.7, 0.1]),
    )


@pytest.fixture
def run(tmp_path: File) -> Run:
    return by_hand(tmp_path, {"seed": 3})


def by_hand(folder: File, settings: dict[str, Any]) -> Run:
    run = Run.create(folder / f"run{len(settings)}", settings, {"command": ["a"]})
    run.write("plane", {"origin": np.zeros(4), "basis": np.eye(4)[:, :2], "scale": np.array(2.5)},
              {"val_accuracy": 0.75})  # fmt: skip
    return run


def assert_same(left: object, right: object) -> None:
    assert type(left) is type(right)
    for spec in fields(left):  # type: ignore[arg-type]
        ours, theirs = getattr(left, spec.name), getattr(right, spec.name)
        if isinstance(ours, np.ndarray):
            assert ours.dtype == theirs.dtype, spec.name
            np.testing.assert_array_equal(ours, theirs, err_msg=spec.name)
        else:
            assert ours == theirs
            assert type(ours) is type(theirs), spec.name


def test_surfaces_and_paths_come_back_as_they_were(run: Run) -> None:
    save_surface(run, surface())
    save_path(run, path())
    record = load(Run.open(run.path))
    assert_same(record.surfaces[0], surface())
    assert_same(record.paths[0], path())
    assert (record.name, record.scale) == ("run1", 2.5)
    assert record.config == {"seed": 3}
    assert record.provenance == {"command": ["a"]}
    assert record.facts == {"val_accuracy": 0.75}


def test_surfaces_are_sorted_by_steps_and_paths_as_legends_are(run: Run) -> None:
    for steps in (100, 10, 0, 2):
        save_surface(run, surface(steps))
    for method in sorted(METHOD_NAMES, reverse=True):
        save_path(run, path(method))
    record = load(run)
    assert len(repr(record)) < 200  # a line in a notebook
    assert record.name in repr(record)
    assert len(repr(run)) < len(str(run.path)) + 40
    assert [each.inner_steps for each in record.surfaces] == [0, 2, 10, 100]
    assert tuple(each.method for each in record.paths) == METHOD_NAMES


def test_what_older_paths_do_not_have_is_none(run: Run) -> None:
    old = replace(path(), length_ratio=None, moments=None)
    save_path(run, old)
    assert run.read("paths/zarts-mgs").attributes.keys() == {"method", "inner_steps", "note"}
    (back,) = load(run).paths
    assert (back.length_ratio, back.moments, back.change, back.remark) == (None, None, None, "")
    assert path().change == pytest.approx((-0.75, math.sqrt((0.5 + 0.7 - 2 * 0.1) / 9)))
    assert path().remark == "first updates of 0.7 times the matched length"


def test_saving_again_replaces(run: Run) -> None:
    save_surface(run, empty_surface(10, 3, 5))
    assert load(run).surfaces[0].done == 0
    save_surface(run, surface())
    (stored,) = load(run).surfaces
    assert stored.done == 10


def test_done_counts_results_and_no_accidents() -> None:
    made = empty_surface(0, 2, 3)
    made.status.ravel()[:] = list(Status)
    assert made.done == 2  # OK and DIVERGED; the same command tries the others again


def test_time_is_no_part_of_what_a_run_is(run: Run) -> None:
    save_surface(run, surface())
    save_path(run, path())
    before = run.content_hash()
    save_surface(run, replace(surface(), seconds=np.full((3, 5), 9.0)))
    save_path(run, replace(path(), seconds=9.0))
    assert run.content_hash() == before
    other = surface()
    other.status[2, 2] = Status.FAILED
    save_surface(run, other)
    assert run.content_hash() != before


def test_a_run_without_a_plane_is_no_landscape(tmp_path: File) -> None:
    empty = Run.create(tmp_path / "empty", {}, {})
    with pytest.raises(RunError, match=r"empty.*'plane'"):
        load(empty)
    empty.write("search/epoch-0001", {}, {})
    with pytest.raises(RunError, match=r"a search and no landscape yet.*compute --run empty$"):
        load(empty)


def test_a_run_is_named_as_people_name_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    save_surface(run, surface())
    monkeypatch.chdir("/")
    monkeypatch.setenv("ZARTS_RUNS", str(run.path.parent))
    for name in (run.path, str(run.path), run.name):
        assert load(name).name == load(run).name
    with pytest.raises(RunError, match=f"{run.path.parent}/nothing: holds no run"):
        load("nothing")


@pytest.mark.parametrize("swapped", ["loss", "status"])
def test_a_surface_of_another_shape_is_refused(swapped: str) -> None:
    with pytest.raises(ValueError, match=r"\(3, 5\)"):
        replace(surface(), **{swapped: getattr(surface(), swapped).T})


def _spoil(run: Run, name: str, arrays: dict[str, Any], attributes: dict[str, Any]) -> None:
    """Changes a record; None takes an array out."""
    record = run.read(name)
    changed = {key: array for key, array in (record.arrays | arrays).items() if array is not None}
    run.write(name, changed, {**record.attributes, **attributes})


MANY = np.zeros((10_002, 2))
SETTINGS = {
    "landscape": {"steps": 10, "rows": 3, "cols": 5, "range": 2.0},
    "paths": {"updates": 4, "methods": ["zarts-mgs"]},
}


@pytest.mark.parametrize(
    ("name", "arrays", "attributes", "said"),
    [
        ("plane", {"scale": None}, {}, "has no array scale"),
        ("plane", {"scale": np.array(-1.0)}, {}, "scale is -1.0"),
        ("plane", {"scale": np.zeros(2)}, {}, r"scale is \(2,\)"),
        ("plane", {}, {"val_accuracy": "high"}, "val_accuracy is 'high'"),
        ("plane", {}, {"val_accuracy": 10**400}, "val_accuracy is 1000"),
        ("grid/m10", {"status": None}, {}, "has no array status"),
        ("grid/m10", {"x": np.zeros(5)}, {}, "not strictly increasing"),
        ("grid/m10", {"x": np.full(5, np.nan)}, {}, "x is not finite"),
        ("grid/m10", {"loss": np.zeros((3, 5))}, {}, "have a loss and a status that is not OK"),
        ("grid/m10", {"loss": np.full((3, 5), np.inf)}, {}, "a loss that is not finite"),
        ("grid/m10", {"loss": np.zeros(15)}, {}, r"loss is \(15,\)"),
        ("grid/m10", {"status": np.full((3, 5), 9, np.uint8)}, {}, r"status has \[9\]"),
        ("grid/m10", {"timing_seconds": np.zeros(3)}, {}, r"timing_seconds is \(3,\)"),
        ("grid/m10", {}, {"inner_steps": "many"}, "inner_steps is 'many'"),
        ("grid/m10", {}, {"inner_steps": 9}, "M = 9 under another name"),
        ("grid/m10", {"y": np.array([-1.0, 0.0, 2.0])}, {}, "another grid"),
        ("paths/zarts-mgs", {"budget": None}, {}, "has no array budget"),
        ("paths/zarts-mgs", {"budget": np.zeros(3)}, {}, "budget is"),
        ("paths/zarts-mgs", {"xy": np.zeros((0, 2))}, {}, "has 0 points"),
        ("paths/zarts-mgs", {"xy": MANY}, {}, "has 10002 points"),
        ("paths/zarts-mgs", {"xy": np.full((4, 2), np.inf)}, {}, "xy is not finite"),
        ("paths/zarts-mgs", {"loss": np.zeros(3)}, {}, r"loss is \(3,\)"),
        ("paths/zarts-mgs", {"loss": np.full(4, np.inf)}, {}, "a loss is infinite"),
        ("paths/zarts-mgs", {}, {"method": "zarts-rs"}, "is of 'zarts-rs'"),
        ("paths/zarts-mgs", {}, {"inner_steps": None}, "inner_steps is None"),
        ("paths/zarts-mgs", {}, {"note": 3}, "note 3, expected text"),
    ],
)
def test_a_record_of_another_kind_is_one_clear_error(
    run: Run, name: str, arrays: Any, attributes: Any, said: str
) -> None:
    for steps in (10, 0):
        save_surface(run, surface(steps))
    save_path(run, path())
    load(run)
    _spoil(run, name, arrays, attributes)
    with pytest.raises(RunError, match=f"{name}.h5.*({said})") as caught:
        load(run)
    assert "\n" not in str(caught.value)


def test_more_points_than_anybody_draws_are_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_surface(run, surface())
    monkeypatch.setattr("landscape.record.schema.MOST_POINTS", 14)
    with pytest.raises(RunError, match=r"m10\.h5.*has 3x5 points, expected 1 to 14"):
        load(run)


@pytest.mark.parametrize(
    ("section", "settings", "said"),
    [
        ("landscape", {"rows": 4}, r"grid/m10.h5.*loss is \(3, 5\) of <f8, expected \(4, 5\)"),
        ("landscape", {"range": 1.0}, "grid/m10.h5.*not evenly spaced over ±1"),
        ("landscape", {"rows": "many"}, "run.h5: landscape.rows is 'many'"),
        ("landscape", {"range": True}, "run.h5: landscape.range is True"),
        ("landscape", {"range": 10**400}, "run.h5: landscape.range is 1000"),
        ("landscape", 3, "run.h5: landscape is 3, expected a table"),
        ("paths", {"updates": 2}, "paths/zarts-mgs.h5.*has 4 points"),
        ("paths", {"methods": "zarts-mgs"}, "run.h5: paths.methods is 'zarts-mgs'"),
    ],
)
def test_what_is_drawn_is_what_the_settings_ask_for(
    tmp_path: File, section: str, settings: Any, said: str
) -> None:
    changed = settings if settings == 3 else {**SETTINGS[section], **settings}
    run = by_hand(tmp_path, {**SETTINGS, section: changed})
    save_surface(run, surface())
    save_path(run, path())
    with pytest.raises(RunError, match=said):
        load(run)


def test_settings_say_which_are_drawn_and_without_them_all_are(tmp_path: File) -> None:
    for settings, steps, methods in (
        (SETTINGS, [0, 10], ["zarts-mgs"]),
        ({}, [0, 5, 10], ["zarts-mgs", "my-run"]),
    ):
        run = by_hand(tmp_path, settings)
        for each in (10, 5, 0):
            save_surface(run, surface(each))
        for method in ("my-run", "zarts-mgs"):
            save_path(run, path(method))
        record = load(run)
        assert [each.inner_steps for each in record.surfaces] == steps
        assert [each.method for each in record.paths] == methods
        names = {trace.name for trace in figure_1(record).data}
        found = any(str(name).startswith("my-run (diverged at step 4") for name in names)
        assert found == ("my-run" in methods)


def test_a_damaged_record_is_one_clear_error(run: Run) -> None:
    save_surface(run, surface())
    file = run.path / "grid" / "m10.h5"
    data = bytearray(file.read_bytes())
    data[-9] ^= 1
    file.write_bytes(data)
    with pytest.raises(RunError, match=r"m10\.h5"):
        load(run)
