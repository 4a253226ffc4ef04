"""The page of searches in each state that one can be in."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import landscape.catalogue
from tests.app.conftest import Make, look, read, said

pytestmark = pytest.mark.usefixtures("no_demo")


def figure(app: AppTest) -> dict:
    return json.loads(app.get("plotly_chart")[0].proto.spec)


def test_no_run_and_no_search(root: Path, make: Make) -> None:
    assert "No runs yet" in said(look(root, "search"))
    make("by-hand", plane=False)
    app = look(root, "search")
    assert "it has no finished epoch of a search" in said(app)
    assert not app.get("plotly_chart")


def test_a_search_in_curves_edges_and_alpha(root: Path, search: Make) -> None:
    search("one", epochs=2)
    app = look(root, "search", runs="one")
    words = said(app)
    assert "After 2 epochs the validation accuracy is 70.00%, and 2 of 16 edges are skip" in words
    assert "The cells last changed in epoch 2" in words
    titles = [note["text"] for note in figure(app)["layout"]["annotations"]]
    assert titles[-2:] == ["effective sample size of MGS", "distinct candidates per update"]
    assert app.dataframe[0].value["result"].tolist() == ["epoch 2"]
    assert app.dataframe[0].value["accuracy"].tolist() == pytest.approx([70])
    assert not app.warning
    for view, kind in (("Edges", "heatmap"), ("α", "heatmap")):
        spec = figure(look(root, "search", runs="one", show=view))
        assert [each["type"] for each in spec["data"]][:2] == [kind] * 2
    words = said(look(root, "search", show="Fig. 2"))
    assert "0 of 16 retrainings of Fig. 2 are here" in words
    assert "not of those that are chosen above" in words
    assert "the validation accuracy is" not in words


def test_several_and_what_is_not_there(root: Path, search: Make) -> None:
    search("one")
    search("two", "darts-1", val_accuracy=0.95)
    app = look(root, "search", runs="one,two,gone")
    assert "2 searches; the highest validation accuracy after the last epoch is 95.00%" in said(app)
    assert "No search is here for: gone" in read(app.warning[0])
    assert {each.get("name") for each in figure(app)["data"]} >= {"one", "two"}
    assert app.query_params["runs"] == "one,two"
    assert app.dataframe[0].value["space"].tolist() == ["s3", "s3"]


def test_stopped_damaged_and_running(root: Path, search: Make, make: Make) -> None:
    stopped = search("stopped", epochs=1)
    app = look(root, "search", runs="stopped")
    assert "has stopped after 1 of 2 epochs" in read(app.warning[0])
    assert "After 1 epoch the validation accuracy" in said(app)
    assert app.code[0].value.startswith("python -m zarts --config")
    with stopped.lock():
        app = look(root, "search", runs="stopped")
        assert not app.warning
        assert [each.label for each in app.toggle] == ["Follow the run"]
    file = stopped.path / "search" / "epoch-0001.h5"
    file.write_bytes(file.read_bytes()[:400])
    search("whole")
    app = look(root, "search", runs="stopped,whole")
    assert "epoch-0001.h5" in read(app.error[0])
    assert app.code[0].value.startswith("python -m landscape.verify")
    assert app.get("plotly_chart")


def test_the_search_of_the_landscape_that_was_looked_at(
    root: Path, search: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (demo,) = (root / "landscape" / "demo").iterdir()
    shutil.copytree(demo, tmp_path / "demo" / demo.name)
    monkeypatch.setattr(landscape.catalogue, "BUNDLED", tmp_path / "demo")
    search("newer")
    app = AppTest.from_file(str(root / "app" / "main.py"), default_timeout=30)
    app.query_params["run"] = demo.name
    app.run()
    app.switch_page("views/search.py").run()
    assert not app.exception
    assert app.query_params["runs"] == demo.name
    assert "After 3 epochs the validation accuracy is 83." in said(app)
