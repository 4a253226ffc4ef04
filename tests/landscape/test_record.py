"""What a finished picture consists of, and how it goes to disk and comes back."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path as File

import numpy as np
import pytest

from landscape.grid import empty_surface
from landscape.record import Path, Status, Surface, load, save_path, save_surface
from zarts.config import METHOD_NAMES
from zarts.runfile import Run, RunError


def surface(steps: int = 10, rows: int = 3, cols: int = 5) -> Surface:
    made = empty_surface(steps, rows, cols, 2.0)
    made.loss[:2] = np.random.default_rng(steps).random((2, cols))
    made.status[:2] = Status.OK
    made.loss[1, 1], made.status[1, 1] = np.nan, Status.DIVERGED
    made.seconds[:2] = 0.25
    return made


def path(method: str = "zarts-mgs") -> Path:
    rng = np.random.default_rng(len(method))
    return Path(
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
    )


@pytest.fixture
def run(tmp_path: File) -> Run:
    run = Run.create(tmp_path / "run", {"seed": 3}, {"command": ["a"]})
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
    assert (record.name, record.scale) == ("run", 2.5)
    assert record.config == {"seed": 3}
    assert record.provenance == {"command": ["a"]}
    assert record.facts == {"val_accuracy": 0.75}


def test_surfaces_are_sorted_by_steps_and_paths_as_legends_are(run: Run) -> None:
    for steps in (100, 10, 0, 2):
        save_surface(run, surface(steps))
    for method in sorted(METHOD_NAMES, reverse=True):
        save_path(run, path(method))
    record = load(run)
    assert [each.inner_steps for each in record.surfaces] == [0, 2, 10, 100]
    assert tuple(each.method for each in record.paths) == METHOD_NAMES


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


@pytest.mark.parametrize("swapped", ["loss", "status"])
def test_a_surface_of_another_shape_is_refused(swapped: str) -> None:
    with pytest.raises(ValueError, match=r"\(3, 5\)"):
        replace(surface(), **{swapped: getattr(surface(), swapped).T})


def _spoil(run: Run, name: str, drop: str | None = None, **attributes: object) -> None:
    record = run.read(name)
    arrays = {key: array for key, array in record.arrays.items() if key != drop}
    run.write(name, arrays, {**record.attributes, **attributes})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("name", "drop", "attributes"),
    [
        ("plane", "scale", {}),
        ("grid/m10", "status", {}),
        ("grid/m10", None, {"inner_steps": "many"}),
        ("paths/zarts-mgs", "budget", {}),
        ("paths/zarts-mgs", None, {"method": "cma"}),
        ("paths/zarts-mgs", None, {"inner_steps": None}),
    ],
)
def test_a_record_of_another_kind_is_one_clear_error(
    run: Run, name: str, drop: str | None, attributes: dict[str, object]
) -> None:
    save_surface(run, surface())
    save_path(run, path())
    _spoil(run, name, drop, **attributes)
    with pytest.raises(RunError, match=f"{name}.h5") as caught:
        load(run)
    assert "\n" not in str(caught.value)


def test_a_damaged_record_is_one_clear_error(run: Run) -> None:
    save_surface(run, surface())
    file = run.path / "grid" / "m10.h5"
    data = bytearray(file.read_bytes())
    data[-9] ^= 1
    file.write_bytes(data)
    with pytest.raises(RunError, match=r"m10\.h5"):
        load(run)
