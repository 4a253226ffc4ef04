"""Records that are sealed and yet not such as this project writes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from landscape.compute import schema
from landscape.compute.pipeline import compute
from landscape.compute.work import problem_of
from landscape.record import Status, load
from tests.landscape.conftest import Finished
from zarts.runs.runfile import ForeignFile, Record, Run
from zarts.settings.config import Config

Arrays = dict[str, Any]
Change = Callable[[Arrays], None]


def problems(finished: Finished, name: str, change: Change, **attributes: Any) -> list[str]:
    record = finished.run.read(name)
    arrays: Arrays = {key: np.array(array) for key, array in record.arrays.items()}
    change(arrays)
    changed = Record(arrays, record.attributes | attributes)
    found = schema.problems(name, changed, Config.from_table(finished.run.config))
    if name.startswith(("grid/", "paths/", "plane")):
        refusal = refusal_by_load(finished.run, name, changed)
        assert bool(refusal) == bool(found)
        for text in found[:1]:
            assert f"{name}.h5: " in refusal
            assert text.removeprefix("cannot be understood (").removesuffix(")") in refusal
    return found


def refusal_by_load(whole: Run, name: str, record: Record) -> str:
    """What figures, page and summary say of the same record; empty if they draw it."""
    with TemporaryDirectory() as folder:
        run = Run.open(shutil.copytree(whole.path, Path(folder) / whole.name))
        run.write(name, record.arrays, record.attributes)
        try:
            load(run)
        except ForeignFile as error:
            return str(error)
    return ""


def nothing(arrays: Arrays) -> None:
    pass


def put(key: str, index: Any, value: object) -> Change:
    def change(arrays: Arrays) -> None:
        arrays[key][index] = value

    return change


def swap(key: str, function: Callable[[Any], Any]) -> Change:
    def change(arrays: Arrays) -> None:
        arrays[key] = np.ascontiguousarray(function(arrays[key]))

    return change


def drop(key: str) -> Change:
    return lambda arrays: arrays.pop(key)


def test_every_record_of_an_honest_run_fits(finished: Finished) -> None:
    names = finished.run.names()
    assert {name.partition("/")[0] for name in names} == {
        "checkpoint", "grid", "paths", "plane", "search", "snapshot"
    }  # fmt: skip
    for name in names:
        assert problems(finished, name, nothing) == []
    assert problems(finished, "paths/darts-2", drop("moments")) == []  # of before they were


@pytest.mark.parametrize("name", ["grid/m", "grid/m00/x", "search/epoch-1", "levels", "snapshot"])
def test_names_that_are_not_known(finished: Finished, name: str) -> None:
    found = schema.problems(name, Record({}, {}), Config.from_table(finished.run.config))
    assert found == ["is a record that this version does not know"]


@pytest.mark.parametrize(
    ("name", "of", "said"),
    [
        ("grid/m01", "grid/m001", "has M = 1 under another name than grid/m01"),
        ("paths/zarts-rs", "paths/zarts-rs", "is none of the paths that the settings ask for"),
    ],
)
def test_records_the_settings_do_not_ask_for(
    finished: Finished, name: str, of: str, said: str
) -> None:
    config = Config.from_table(finished.run.config)
    config = replace(config, paths=replace(config.paths, methods=("darts-1",)))
    assert said in schema.problems(of, finished.run.read(name), config)[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (swap("loss", np.transpose), "loss is (3, 2) of <f8, expected (2, 3) of <f8"),
        (swap("loss", lambda loss: loss.astype("f4")), "loss is (2, 3) of <f4"),
        (swap("status", lambda status: status.astype("i4")), "status is (2, 3) of <i4"),
        (drop("y"), "has no array y"),
        (drop("status"), "has no array status"),
        (drop("timing_seconds"), "has no array timing_seconds"),
        (put("status", (0, 1), 9), "status has [9], expected 0 to 5"),
        (put("loss", (0, 1), np.nan), "1 points, first [0, 1], have status OK"),
        (put("loss", (0, 1), np.inf), "1 points, first [0, 1], have status OK"),
        (put("status", (1, 2), Status.PENDING), "1 points, first [1, 2], have a loss"),
        (put("status", (1, 2), Status.DIVERGED), "1 points, first [1, 2], have a loss"),
        (swap("x", lambda x: x[::-1]), "x is not strictly increasing"),
        (put("x", 1, 0.1), "x is not symmetric"),
        (put("x", 1, np.nan), "x is not finite"),
        (swap("y", lambda y: 2 * y), "y is not evenly spaced over ±1"),
        (put("timing_seconds", (0, 0), -1), "no duration"),
        (lambda arrays: arrays.update(extra=np.zeros(1)), "has an array extra"),
    ],
)
def test_surfaces_that_are_none(finished: Finished, change: Change, said: str) -> None:
    found = problems(finished, "grid/m01", change)
    assert any(text.startswith(said) or said in text for text in found), found


@pytest.mark.parametrize(
    ("name", "change", "attributes", "said"),
    [
        ("grid/m01", nothing, {"inner_steps": 2}, "has M = 2 under another name"),
        ("grid/m01", nothing, {"inner_steps": None}, "inner_steps is None"),
        ("plane", swap("basis", np.transpose), {}, "basis is (2, "),
        ("plane", put("origin", 0, np.nan), {}, "origin is not finite"),
        ("plane", nothing, {"epoch": "two"}, "cannot be understood (ValueError"),
        ("plane", drop("scale"), {}, "has no array scale"),
        ("paths/darts-2", nothing, {"method": "darts-1"}, "is of 'darts-1'"),
        ("paths/darts-2", nothing, {"inner_steps": 0}, "darts-2 descends M = 1"),
        ("paths/darts-2", swap("xy", lambda xy: xy[:1]), {}, "has 1 points and the note ''"),
        ("paths/darts-2", put("xy", (1, 0), np.inf), {}, "xy is not finite"),
        ("paths/darts-2", put("loss", 1, np.inf), {}, "a loss is infinite"),
        ("paths/darts-2", put("budget", 0, -1), {}, "budget has a negative"),
        ("paths/darts-2", put("moments", 2, 9.0), {}, "moments have the mean 9 at the end"),
        ("paths/darts-2", put("moments", 5, 99.0), {}, "moments ["),
        ("paths/darts-2", put("moments", 5, 1e300), {}, "moments ["),
        ("paths/darts-2", nothing, {"length_ratio": -1.0}, "length_ratio is -1.0, expected"),
        ("paths/darts-2", drop("xy"), {}, "cannot be understood (KeyError"),
        ("snapshot/epoch-0002", put("alpha", 0, np.nan), {}, "alpha is not finite"),
        ("snapshot/epoch-0002", put("weights/head.bias", 0, np.inf), {}, "head.bias is not"),
        ("snapshot/epoch-0002", swap("alpha", lambda a: a.astype("f8")), {}, "alpha is ("),
        ("snapshot/epoch-0002", nothing, {"epoch": 1}, "is of epoch 1"),
        ("search/epoch-0001", swap("loss", lambda loss: loss[1:]), {}, "loss is (3,), expected 4"),
        ("search/epoch-0001", put("alpha", (0, 0), np.nan), {}, "alpha is not finite"),
        ("search/epoch-0001", drop("loss"), {}, "has no loss"),
        ("search/epoch-0001", swap("alpha", lambda a: a[:0]), {}, "has no updates"),
        ("search/epoch-0001", nothing, {"epoch": 3}, "is of epoch 3, expected"),
        ("checkpoint", swap("alpha", lambda a: a[1:]), {}, "alpha is ("),
        ("checkpoint", nothing, {"iteration": "x"}, "cannot be understood (ValueError"),
    ],
)
def test_records_that_are_none(
    finished: Finished, name: str, change: Change, attributes: dict[str, Any], said: str
) -> None:
    found = problems(finished, name, change, **attributes)
    assert any(said in text for text in found), found


@pytest.mark.parametrize("extent", [1e308, 1e-320])
def test_a_range_may_be_any_number(finished: Finished, extent: float) -> None:
    config = Config.from_table(finished.run.config)
    config = replace(config, landscape=replace(config.landscape, range=extent))  # unchecked
    found = schema.problems("grid/m01", finished.run.read("grid/m01"), config)
    assert [text[:24] for text in found] == ["x is not evenly spaced o", "y is not evenly spaced o"]


def test_a_path_may_end_early_with_a_note(finished: Finished) -> None:
    def cut(arrays: Arrays) -> None:
        for key in ("xy", "loss", "target_loss", "residual"):
            arrays[key] = arrays[key][:1]
        del arrays["moments"]  # of another end

    assert problems(finished, "paths/zarts-rs", cut, note="diverged at step 1") == []
    assert problems(finished, "paths/zarts-rs", cut)


def test_what_is_missing_is_told_apart_from_what_is_lost(finished: Finished) -> None:
    config, names = Config.from_table(finished.run.config), finished.run.names()
    assert schema.missing(names, config) == ([], [])
    assert schema.missing([], config) == (["2 of 2 search epochs"], [])
    still, lost = schema.missing([name for name in names if name != "plane"], config)
    assert (still, lost) == ([], ["plane, which grid/m00 lies on"])


def test_epochs_follow_each_other(finished: Finished) -> None:
    config = Config.from_table(finished.run.config)
    config = replace(config, search=replace(config.search, epochs=4, snapshots=(1, 3)))
    search = [f"search/epoch-{epoch:04d}" for epoch in (1, 2, 3, 4)]
    omega = [f"snapshot/epoch-{epoch:04d}" for epoch in (1, 3, 4)]
    assert schema.missing([*search[:3], *omega[:1]], config) == (["1 of 4 search epochs"], [])
    assert schema.missing(search[:3], config)[1] == ["snapshot/epoch-0001"]  # epoch 3 just ended
    assert schema.missing([*search[1:3], *omega[:2]], config)[1] == ["search/epoch-0001"]
    assert schema.missing([search[3], *omega], config)[1] == [
        "search/epoch-0001 and 2 more search epochs"
    ]
    lost = schema.missing(["plane", *search, omega[0]], config)[1]
    assert lost == ["snapshot/epoch-0003", "snapshot/epoch-0004"]


@pytest.mark.parametrize("lanes", [0, 10**6, True, "4"])
def test_lanes_that_nobody_chose_are_told_and_refused(
    finished: Finished, lanes: object, tmp_path: Path
) -> None:
    for name in ("plane", "checkpoint"):
        told = problems(finished, name, nothing, lanes=lanes)
        assert any("expected 1 to 64" in text for text in told)
    shutil.copytree(finished.run.path, tmp_path / "run")
    run = Run.open(tmp_path / "run")
    record = run.read("plane")
    run.write("plane", record.arrays, {**record.attributes, "lanes": lanes})  # type: ignore[dict-item]
    with pytest.raises(ForeignFile, match="expected 1 to 64"):
        problem_of(run)


def test_a_run_with_a_surface_that_is_none_is_not_gone_on_with(
    finished: Finished, tmp_path: Path
) -> None:
    run = Run.open(shutil.copytree(finished.run.path, tmp_path / "run"))
    record = run.read("grid/m00")
    run.write("grid/m00", {"x": record.arrays["x"]}, record.attributes)
    with pytest.raises(ForeignFile, match="grid/m00"):
        compute(run, Config.from_table(run.config))
