"""The table of runs, two side by side, and several seeds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from landscape.record import Status
from tests.app.conftest import LOSSES, Make, look, read, said
from zarts.runs.runfile import Run

pytestmark = pytest.mark.usefixtures("no_demo")


def plane(run: Run, turn: float = 0.0) -> None:
    """Gives a run a whole plane."""
    basis = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    arrays = {"scale": np.array(3.2), "origin": np.zeros(2), "basis": basis}
    run.write("plane", arrays, {"val_accuracy": 0.8})


def test_no_run_says_how_to_make_one(root: Path) -> None:
    assert "python -m landscape.compute" in said(look(root, "runs"))


def test_every_kind_of_run_is_listed(root: Path, make: Make) -> None:
    make("whole")
    make("part", status=Status.PENDING)
    broken = make("broken")
    (broken.path / "grid" / "m10.h5").write_bytes(b"nothing")
    newer = make("newer").path / "run.h5"
    newer.write_bytes(newer.read_bytes().replace(b"format 1", b"format 9", 1))
    search = make("search", losses={}, methods=(), plane=False)
    search.amend({"command": ["python", "-m", "zarts"]})
    made = {"genotype": "Genotype()", "training": {"epochs": 4}}
    Run.create(search.path.parent / "cells", made, {"created": "2027-01-01T00:00:00+00:00"})
    app = look(root, "runs")
    table = app.dataframe[0].value.set_index("run")
    assert table["state"].to_dict() == {
        "cells": "stopped", "whole": "finished", "part": "stopped", "broken": "unreadable",
        "newer": "unreadable", "search": "unreadable",
    }  # fmt: skip
    assert table["kind"]["cells"] == "retraining"
    assert table["kind"]["search"] == "search"
    assert table["accuracy"]["whole"] == 80
    assert table["darts-1"]["whole"] == pytest.approx(0.75)
    assert "has format 9, this version reads up to 1; upgrade zarts" in said(app)
    assert look(root, "runs", kind="landscape", state="stopped").dataframe[0].value[
        "run"
    ].tolist() == ["part"]


def test_the_link_holds_search_order_baseline_and_what_differs(root: Path, make: Make) -> None:
    make("one")
    higher = {m: loss + 0.1 for m, loss in LOSSES.items()}
    make("two", losses=higher, settings={"inner_learning_rate": 0.5})
    make("other")
    app = look(root, "runs", q="T inner_learning", base="one", order="run", only="on")
    table = app.dataframe[0].value
    assert table["run"].tolist() == ["one", "other", "two"]
    assert table["differs in"].fillna("").tolist() == ["", "", "inner_learning_rate"]
    assert "accuracy" not in table
    columns = json.loads(app.dataframe[0].proto.columns)
    forms = [columns[name]["type_config"]["format"] for name in ("sharpness ratio", "size")]
    assert forms == ["%+.3f", "%.2f"]
    assert "Numbers are those of a run minus those of one; the size is a run's own" in said(app)
    assert dict(app.query_params)["base"] == "one"
    assert not app.warning
    make("upside-down", losses={m: 3 * loss if m else -loss for m, loss in LOSSES.items()})
    for order, way in (("rank correlation", "highest"), ("sharpness ratio", "lowest")):
        app = look(root, "runs", order=order)
        assert f"{order}, {way} first" in app.selectbox(key="order").options
        values = app.dataframe[0].value[order].dropna()
        assert (
            values.is_monotonic_decreasing if way == "highest" else values.is_monotonic_increasing
        )
        assert values.nunique() > 1
    assert "No run is like this" in said(look(root, "runs", q="nothing such"))
    wrong = look(root, "runs", base="gone", view="Pie")
    assert [read(each) for each in wrong.warning] == [
        "The link asks for the view “Pie”, which is not here. Shown instead: Table",
        "The link asks for the differences to “gone”, which is not here. Shown instead: none",
    ]


def test_two_runs_have_a_difference_only_on_one_plane(root: Path, make: Make) -> None:
    for name, turn in (("one", 0.0), ("two", 0.0), ("turned", 0.3)):
        plane(
            make(name, losses={m: loss + 0.1 * (name == "two") for m, loss in LOSSES.items()}), turn
        )
    app = look(root, "runs", view="Compare", a="one", b="two")
    words = said(app)
    assert "At M = 10 the lowest loss of B is 0.1000 above that of A; the minima lie 0.00" in words
    chart = json.loads(app.get("plotly_chart")[1].proto.spec)
    assert chart["layout"]["coloraxis"]["colorbar"]["title"]["text"] == "Δ loss"
    assert "None: all 5 settings are the same" not in words  # their names are not settings
    assert "PDF, B − A" in [each.label for each in app.get("download_button")]
    app = look(root, "runs", view="Compare", a="one", b="turned")
    assert "because the planes differ in the directions." in said(app)
    assert "rank correlation" not in said(app)


def test_what_cannot_be_compared_says_why(root: Path, make: Make) -> None:
    make("one")
    make("low", losses={0: LOSSES[0]})
    make("high", losses={10: LOSSES[10]})
    search = make("search", losses={}, methods=(), plane=False)
    search.amend({"command": ["python", "-m", "zarts"]})
    assert "No M is in both" in said(look(root, "runs", view="Compare", a="low", b="high"))
    assert "the same run" in said(look(root, "runs", view="Compare", a="low", b="low"))
    words = said(look(root, "runs", view="Compare", a="search", b="one"))
    assert "is a search without a landscape" in words
    made = {"genotype": "Genotype()", "training": {"epochs": 4}}
    Run.create(search.path.parent / "cells", made, {"created": "2027-01-01T00:00:00+00:00"})
    pair = look(root, "runs", view="Compare").query_params  # the newest has nothing to be drawn
    assert not {"cells", "search"} & {pair["a"], pair["b"]}
    broken = make("broken")
    (broken.path / "run.h5").write_bytes(b"nothing")
    assert "cannot be shown" in said(look(root, "runs", view="Compare", a="broken", b="one"))


def test_seeds_have_mean_and_spread(root: Path, make: Make) -> None:
    make("one", settings={"name": "x", "seed": 1})
    steeper = {m: loss * (1 + 0.1 * (m == 10)) for m, loss in LOSSES.items()}
    make("two", losses=steeper, settings={"name": "x", "seed": 2})
    make("far", settings={"name": "x", "seed": 3, "space": "s1"})
    assert "No mean: the runs differ in space" in said(
        look(root, "runs", view="Seeds", these="one,far")
    )
    app = look(root, "runs", view="Seeds", these="one,two,gone")
    numbers, optimizers = (table.value for table in app.dataframe)
    assert numbers["seed"].tolist()[-1] == "mean ± std"
    assert "±" in numbers["sharpness ratio"].tolist()[-1]
    assert optimizers["optimizer"].tolist() == ["DARTS-1st", "ZARTS-MGS"]
    assert "No finished landscape here: gone" in read(app.warning[0])
    assert "python -m landscape.summary" in app.code[0].value
