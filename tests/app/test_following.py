"""A run that is computed while one looks, or was left."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import streamlit
from streamlit.testing.v1 import AppTest

from landscape.measure import compare
from landscape.record import Status, Surface, save_surface
from tests.app.conftest import LOSSES, Make, X, Y, read, said
from tests.app.test_figure_1 import figure, show

pytestmark = pytest.mark.usefixtures("no_demo")


def test_a_run_in_progress_shows_what_is_there(root: Path, make: Make) -> None:
    run = make(status=Status.PENDING, methods=())
    with run.lock():
        app = show(root)
    assert not app.exception
    assert not app.warning
    assert app.progress[0].text == "55 of 60 points computed"
    assert "Not finished: 55 of 60 points are computed" in said(app)
    assert "sharpness (" not in said(app)
    title = figure(app)["layout"]["annotations"][1]["text"]
    assert "no level finished yet<br>15 of 20 computed" in title
    assert len(following(app)) == 1


def test_a_stopped_run_says_so_and_how_to_go_on(root: Path, make: Make, tmp_path: Path) -> None:
    make(status=Status.PENDING)
    app = show(root)
    text = read(app.warning[0])
    assert text.startswith("This run has stopped: no process is computing it, and ")
    assert text.endswith("what is left is 5 points. To go on with it:")
    folder = tmp_path / "runs" / "quick-1"
    command = f"python -m landscape.compute --config {folder}/config.toml --out {folder}"
    assert app.code[0].value == command


def test_only_unfinished_runs_are_followed(
    root: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    fragment = streamlit.fragment

    def noted(*, run_every: float) -> object:
        asked.append(run_every)
        return fragment(run_every=run_every)

    monkeypatch.setattr(streamlit, "fragment", noted)
    make("whole")
    assert not following(show(root))
    assert not asked
    make("begun", status=Status.PENDING, created="2026-03-01T00:00:00+00:00")
    app = show(root, run="begun")
    assert not app.exception
    assert asked == [3]
    following(app)[0].set_value(False).run()
    assert asked == [3]  # looked no more


def test_an_unfinished_run_is_compared_where_both_surfaces_are(root: Path, make: Make) -> None:
    # By then M = 0 is whole, and all corners and the middle column of M = 10 are there.
    run = make(methods=())
    status = np.full(LOSSES[10].shape, Status.PENDING, np.uint8)
    status[np.ix_((0, 3), (0, 4))] = Status.OK
    status[0, 2] = Status.OK
    loss = np.where(status == Status.OK, LOSSES[10], np.nan)
    save_surface(run, Surface(10, X, Y, loss, status, 0 * LOSSES[10]))
    app = show(root)
    assert not app.exception
    assert app.metric[3].label == "Lowest loss so far, M = 10"
    corner = np.ix_((0, 3), (0, 4))
    pair = [
        Surface(m, X[[0, 4]], Y[[0, 3]], LOSSES[m][corner], np.ones((2, 2), np.uint8))
        for m in (0, 10)
    ]
    assert app.metric[0].value == f"{compare(*pair, 3.2).ratio:.2f}"
    assert "finest level that all of them have finished" in said(app)
    assert app.dataframe[0].value["level"].tolist() == [
        "finished",
        "finished",
        "level 1 of 3, 2×2 points · 5 of 20 computed",
    ]


def test_a_run_that_only_started(root: Path, make: Make) -> None:
    run = make(losses={}, methods=())
    with run.lock():
        app = show(root)
    assert not app.exception
    assert "no surface is there yet" in app.info[0].value
    app = show(root)
    assert "has stopped" in app.warning[0].value
    assert app.code[0].value.startswith("python -m landscape.compute --config")


def following(app: AppTest) -> list:
    return [toggle for toggle in app.toggle if toggle.label == "Follow the run"]
