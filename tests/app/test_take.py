"""What one takes from each view: files that open again with the same numbers, and its origin."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from landscape.learn import toy
from landscape.record import load
from tests.app.conftest import Make, look, said
from zarts.runs.archive import zipped
from zarts.runs.epochs import trace
from zarts.runs.runfile import Run, RunError

pytestmark = pytest.mark.usefixtures("no_demo")


class Taken(dict[str, Callable[[], str | bytes]]):
    """The files that pages offer, by name, each made when it is asked for."""

    def __getitem__(self, name: str) -> bytes:
        made = super().__getitem__(name)()
        return made.encode() if isinstance(made, str) else made


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Taken:
    found = Taken()
    button = st.download_button

    def offered(label: str, make: Any, name: str, mime: str, **others: Any) -> bool:
        found[name] = make
        return button(label, make, name, mime, **others)

    monkeypatch.setattr(st, "download_button", offered)
    return found


def rows(text: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.decode())))


def page(text: bytes) -> str:
    found = text.decode()
    assert found.startswith("<!doctype html>")
    assert found.count("<script") == found.count("</script>") >= 2
    return found


def test_a_landscape_is_taken_whole(root: Path, make: Make, taken: Taken, tmp_path: Path) -> None:
    run = make()
    look(root, "landscape", run="quick-1")
    record = load(run)
    arrays = np.load(io.BytesIO(taken["quick-1_figure1.npz"]))
    for surface in record.surfaces:
        for name in ("x", "y", "loss", "error", "accuracy", "status"):
            expected = getattr(surface, name)
            np.testing.assert_array_equal(arrays[f"m{surface.inner_steps}/{name}"], expected)
    for path in record.paths:
        np.testing.assert_array_equal(arrays[f"paths/{path.method}/xy"], path.xy)
    zipfile.ZipFile(io.BytesIO(taken["quick-1.zip"])).extractall(tmp_path / "other")
    assert Run.open(tmp_path / "other" / "quick-1").content_hash() == run.content_hash()
    page(taken["quick-1_figure1_m10.html"])
    assert len(rows(taken["quick-1_figure1.csv"])) == 3 * 20 + 2 * 4


def test_links_are_left_out_of_the_folder_and_a_run_that_is_gone_is_said(
    make: Make, tmp_path: Path
) -> None:
    run = make()
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key.h5").write_text("secret")
    (run.path / "key.h5").symlink_to(tmp_path / "secret" / "key.h5")
    (run.path / "more").symlink_to(tmp_path / "secret")
    os.mkfifo(run.path / "pipe")
    names = zipfile.ZipFile(io.BytesIO(zipped(run.path))).namelist()
    assert "quick-1/run.h5" in names
    assert not [name for name in names if re.search(r"key|more|pipe|lock", name)]
    with pytest.raises(RunError, match="is gone"):
        zipped(tmp_path / "runs" / "gone")
    (tmp_path / "runs" / "linked").symlink_to(run.path)
    with pytest.raises(RunError, match="is gone"):
        zipped(tmp_path / "runs" / "linked")


def test_searches_are_taken_with_all_their_numbers(root: Path, search: Make, taken: Taken) -> None:
    runs = search("one"), search("two", "darts-1")
    look(root, "search", runs="one,two", show="α")
    assert "Cite" in page(taken["one_search.html"])
    assert {"one.zip", "two.zip", "one_search.pdf", "one_search.png"} <= set(taken)
    look(root, "search", runs="one,two")
    found = rows(taken["2-runs_search.csv"])
    assert [(row["run"], row["epoch"]) for row in found][1:3] == [("one", "2"), ("two", "1")]
    arrays = np.load(io.BytesIO(taken["2-runs_search.npz"]))
    for run in runs:
        told = trace(run).epochs
        np.testing.assert_array_equal(arrays[f"{run.name}/alpha"], [each.alpha for each in told])
        expected = [each.facts["val_loss"] for each in told]
        np.testing.assert_array_equal(arrays[f"{run.name}/val_loss"], expected)


def test_the_toy_is_taken_as_figure_1(root: Path, taken: Taken) -> None:
    look(root, "learn", steps="3", start="0.25,-0.5")
    known, axis = toy(), np.linspace(-1, 1, 61)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1)
    assert {"learn.svg", "learn.csv", "learn.npz"} <= set(taken)
    found = page(taken["learn.html"])
    for m in (0, 3):
        low = known.excess(grid, m).min() + known.lowest[known.steps.tolist().index(m)]
        assert re.search(rf"(★|\\u2605) {low:.4f} at", found)


def test_tables_and_pairs_are_taken(root: Path, make: Make, taken: Taken) -> None:
    one, two = (make(name, settings={"seed": 1, "name": "=x()"}) for name in ("one", "two"))
    look(root, "runs", ticked="two")
    assert "two.zip" in taken
    assert [row["run"] for row in rows(taken["runs.csv"])] == ["one", "two"]
    assert [row["run"] for row in json.loads(taken["runs.json"])] == ["one", "two"]
    taken.clear()
    look(root, "runs", view="Compare", a="one", b="two", m="10")
    arrays = np.load(io.BytesIO(taken["one_two_m10.npz"]))
    np.testing.assert_array_equal(arrays["b/m10/loss"], load(two).surfaces[-1].loss)
    assert len(rows(taken["one_two_m10.csv"])) == 40
    page(taken["one_two_m10.html"])
    assert {"one.zip", "two.zip", "one_two_m10.svg"} <= set(taken)
    look(root, "runs", view="Seeds", these="one,two")
    assert [row["seed"] for row in rows(taken["seeds.csv"])] == ["1", "1"]
    assert load(one).name == "one"


PAGES = (
    ("landscape", {}, "figure_1(record"),
    ("search", {"runs": "found"}, "figure_search(traces)"),
    ("search", {"runs": "found", "show": "α"}, "figure_alpha(traces[0])"),
    ("search", {"runs": "found", "show": "Fig. 2"}, "zarts.reproduce fig2"),
    ("runs", {}, "Index().facts"),
    ("runs", {"view": "Compare", "a": "one", "b": "two"}, "side_by_side(*records, 10)"),
    ("runs", {"view": "Seeds", "these": "one,two"}, "landscape.summary"),
    ("architecture", {"cells": "found"}, "zarts.genotype"),
)


@pytest.fixture
def runs(make: Make, search: Make) -> None:
    search("found")
    for seed, name in enumerate(("one", "two")):
        make(name, settings={"seed": seed, "name": "x"})


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize(("name", "query", "python"), PAGES)
def test_each_view_has_its_link_how_to_make_it_and_what_it_tells(
    root: Path, name: str, query: dict[str, str], python: str
) -> None:
    app: AppTest = look(root, name, **query)
    assert not app.warning
    words = said(app)
    assert any("copy-link" in str(each.proto) for each in app.get("bidi_component"))
    assert python in words
    assert "@inproceedings{wang2022zarts" in words
    assert [each for each in app.expander if re.match("What this .*can and cannot", each.label)]
    labels = [button.label for button in app.get("download_button")]
    assert "CSV" in labels or name == "architecture" or query.get("show") == "Fig. 2"
    # the link has every choice, so that it shows the same elsewhere: nothing is added by opening it
    link = dict(app.query_params)
    assert set(query) <= set(link)
    again = look(root, name, **link)
    assert dict(again.query_params) == link
    assert not again.warning
