"""What one can do on the page of a landscape: compare any two M, pick, pin, look from elsewhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

import landscape.catalogue
from landscape.point import at
from landscape.record import load
from tests.app.conftest import LOSSES, Make, look, read, said
from tests.app.test_figure_1 import contours, figure, show
from zarts import SPACES, cost, derive
from zarts.runs.runfile import Run

DEMO = landscape.catalogue.BUNDLED / "quick-ec257f9a"
pytestmark = pytest.mark.usefixtures("no_demo")


def told(app: AppTest) -> dict:
    """What the player is told: marks and the path that stands out."""
    return json.loads(app.get("bidi_component")[-1].proto.json)


def test_any_m_against_any_other_and_their_difference(root: Path, make: Make) -> None:
    make()
    app = show(root, base="10", m="1", delta="on")
    assert not app.exception
    assert not app.warning
    assert app.metric[0].label == "Sharpness, M = 1 over M = 10"
    delta = contours(app)[2]
    assert delta["name"] == "M = 1"
    app.get("segmented_control")[0].set_value("1").run()  # the two change places
    assert not app.warning
    assert (app.query_params["base"], app.query_params["m"]) == ("1", "10")
    app.toggle(key="delta").set_value(False).run()
    assert app.query_params["delta"] == "off"
    assert len(contours(app)) == 2


def test_the_form_of_a_run_is_a_link_away(root: Path, make: Make, tmp_path: Path) -> None:
    make()  # its settings are none that anything asks for
    assert not show(root).get("page_link")
    shutil.copytree(DEMO, tmp_path / "runs" / DEMO.name)
    (way,) = show(root, run=DEMO.name).get("page_link")
    assert (way.proto.page, way.proto.label) == ("compute", "Compute another like it")
    form = look(root, "compute", **dict(parse_qsl(way.proto.query_string, True)))
    assert not form.warning
    assert "python -m landscape.compute --preset quick\n" in said(form) + "\n"
    assert f"quick-{DEMO.name.rpartition('-')[2]}" in said(form)  # where Start would put it


def test_a_point_in_the_link_has_its_card(root: Path, tmp_path: Path) -> None:
    shutil.copytree(DEMO, tmp_path / "runs" / DEMO.name)
    app = show(root, at="0.25,0.5", a="-0.5,0.5", b="0.3,-0.25", path="zarts-mgs")
    assert not app.exception
    assert not app.warning
    assert told(app) == {
        "points": {
            "x": [0.25, -0.5, 0.3], "y": [0.5, 0.5, -0.25], "text": ["", "A", "B"],
            "symbol": ["x", "circle", "circle"],
        },
        "line": {"x": [-0.5, 0.3], "y": [0.5, -0.25]},
        "path": "zarts-mgs",
        "step": None,
    }  # fmt: skip
    record = load(Run.open(DEMO))
    alphas = record.alphas(np.array([[0.25, 0.5]]))
    assert alphas is not None
    genotype = derive(SPACES["s3"], torch.from_numpy(alphas[0]))
    assert str(genotype) in said(app)
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown["Parameters"] == f"{cost(genotype).parameters / 1e6:.2f} M"
    values = at(record, 0.25, 0.5).values
    losses = [f"{value.node_loss:.4f} ± {value.error:.4f}" for value in values]
    assert app.dataframe[0].value["loss"].tolist() == losses
    accuracies = [f"{value.accuracy:.1%}" for value in values]
    assert app.dataframe[0].value["accuracy"].tolist() == accuracies
    assert [button.disabled for button in app.button] == [False] * 3
    assert "is a grid point" in said(app)
    line = json.loads(app.get("plotly_chart")[1].proto.spec)
    assert [trace["name"] for trace in line["data"]] == ["M = 0", "M = 10"]


def test_fields_and_pins_are_the_way_of_the_keyboard(root: Path, make: Make) -> None:
    make()
    app = show(root)
    before = figure(app)
    assert "Click a surface" in said(app)
    assert [button.disabled for button in app.button] == [True] * 3
    app.number_input(key="at-x").set_value(0.25).run()
    assert "at" not in app.query_params
    app.number_input(key="at-y").set_value(-1.0).run()
    assert app.query_params["at"] == "0.25,-1"
    assert "read off" in str(app.dataframe[0].proto)
    assert "does not store the plane" in said(app)
    app.button[0].click().run()
    app.number_input(key="at-x").set_value(1.0).run()
    app.button[1].click().run()
    assert (app.query_params["a"], app.query_params["b"]) == ("0.25,-1", "1,-1")
    assert len(app.get("plotly_chart")) == 3
    assert figure(app) == before  # so that zoom and play go on
    app.button[2].click().run()
    assert not {"at", "a", "b"} & set(app.query_params)
    assert told(app)["points"]["x"] == []


def test_what_the_link_cannot_have_is_said(root: Path, make: Make) -> None:
    make()
    app = show(root, at="7,0", a="<b>", path="nobody")
    assert not app.exception
    said = [read(each) for each in app.warning]
    assert len(said) == 3
    assert all("Shown instead: none" in each for each in said)
    assert "“7,0”" in "".join(said)


def test_three_dimensions_are_drawn_when_asked_for(root: Path, make: Make) -> None:
    make()
    assert "surface" not in {trace["type"] for trace in figure(show(root))["data"]}
    app = show(root, view="3-D", camera="top", at="0,0")
    assert not app.exception
    assert [trace["type"] for trace in figure(app)["data"]].count("surface") == 2
    layout = figure(app)["layout"]
    assert layout["scene"]["camera"] == layout["scene2"]["camera"]
    assert layout["scene"]["camera"]["up"]["y"] == 1
    assert app.query_params["camera"] == "top"


def test_another_run_begins_without_point_and_path(root: Path, make: Make) -> None:
    make("ten", created="2026-03-01T00:00:00+00:00")
    make("one", losses={m: LOSSES[m] for m in (0, 1)})
    app = show(root, at="0,0", path="darts-1")
    app.selectbox[0].set_value("one").run()
    assert not app.exception
    assert not app.warning
    assert told(app)["points"]["x"] == []
    assert told(app)["path"] is None
