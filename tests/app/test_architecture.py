"""The page of cells, for each place that they may come from."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from tests.app.conftest import Make, cells, look, read, said
from zarts.genotype.cost import cost
from zarts.runs.runfile import Run
from zarts.supernet.genotype import parse
from zarts.supernet.published import NAMED

pytestmark = pytest.mark.usefixtures("no_demo")


def drawings(app: AppTest) -> list[str]:
    """The SVG of each picture."""
    found = [url for image in app.get("image") for url in image.value]
    return [base64.b64decode(url.partition(",")[2]).decode() for url in found]


def test_cells_of_an_epoch_are_drawn_and_counted(root: Path, search: Make) -> None:
    search("one")
    app = look(root, "architecture", cells="one@1", network="8x16")
    assert not app.warning
    (drawing,) = drawings(app)
    assert drawing.count(">skip_connect</text>") == 8
    assert "one, epoch 1" in drawing
    size = cost(parse(cells()), channels=16, count=8).parameters
    assert app.metric[0].value == f"{size / 1e6:,.3f} M"
    assert "No run here has retrained them" in said(app)
    assert dict(app.query_params) == {"cells": "one@1", "cells2": "nothing", "network": "8x16"}
    labels = [button.label for button in app.get("download_button")]
    assert labels[:3] == ["Text", "DOT", "SVG"]
    assert labels[3].startswith("ZIP, ")
    assert "runs/one@1 --network 8x16" in said(app)


def test_two_show_what_was_added_and_removed(root: Path, search: Make) -> None:
    search("one")
    app = look(root, "architecture", cells="one@1", cells2="one")
    assert "1 of 16 edges are in A only, 1 in B only" in said(app)
    before, after = drawings(app)
    assert (before.count(">−</text>"), after.count(">+</text>")) == (2, 2)
    app = look(root, "architecture", cells="one@2", cells2="one")
    assert "Both have the same 16 edges" in said(app)
    numbers = app.dataframe[0].value
    assert numbers["B − A"].tolist() == ["+0"] * 4


def test_retrainings_of_these_cells_are_found_however_they_are_written(
    root: Path, search: Make, tmp_path: Path
) -> None:
    search("one")
    for name, text in (("same", cells().replace(", (", ",  (")), ("other", cells("dil_conv_5x5"))):
        settings = {"genotype": text, "training": {"epochs": 1}, "network": {"cells": 5}}
        run = Run.create(tmp_path / "runs" / name, settings, {})
        run.write("retrain/epoch-0001", {"timing_seconds": np.array(2.0)})
        numbers = {"test_accuracy": np.array(0.75), "parameters": np.array(1234)}
        run.write("result", numbers)
    app = look(root, "architecture", cells="one@1")
    (rows,) = (table.value for table in app.dataframe)
    assert rows["run"].tolist() == ["same"]
    assert rows["test accuracy"].tolist() == [75]
    assert drawings(look(root, "architecture", cells="same")) == [
        each.replace("one, epoch 1", "same") for each in drawings(app)
    ]


def test_a_pasted_text_and_its_mistakes(root: Path, search: Make) -> None:
    search("one")
    app = look(root, "architecture", cells=cells("dil_conv_5x5"))
    assert drawings(app)[0].count(">dil_conv_5x5</text>") == 1
    app.text_area[0].set_value("Genotype(normal=[1])").run()
    assert "expected Genotype(normal=" in read(app.error[0])
    assert not drawings(app)
    app = look(root, "architecture", cells="Genotype(normal=[1])", cells2="DARTS_V1")
    assert not drawings(app)  # those of B would be taken for A's
    app = look(root, "architecture", network="3xx")
    assert "got network '3xx'" in read(app.error[0])
    assert drawings(app)  # of the newest run
    assert not app.metric


def test_a_link_opens_no_file_and_unknown_cells_are_said(
    root: Path, search: Make, tmp_path: Path
) -> None:
    search("one")
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret words")
    for asked in (str(secret), "../one", "gone", "one@9", "one@x"):
        app = look(root, "architecture", cells=asked)
        assert " not here. Shown instead" in "".join(map(read, app.warning)) + said(app), asked
        assert "secret words" not in said(app)
        assert drawings(app)


def test_without_runs_published_cells_are_there(root: Path, make: Make) -> None:
    app = look(root, "architecture")
    assert drawings(app)
    assert not app.warning
    assert app.query_params["cells"] == next(iter(NAMED))
    app = look(root, "architecture", cells=cells("dil_conv_5x5"))
    assert drawings(app)[0].count(">dil_conv_5x5</text>") == 1
    run = make("empty", losses={}, methods=(), plane=False)
    assert look(root, "architecture").query_params["cells"] == next(iter(NAMED))
    app = look(root, "architecture", cells="empty")
    assert "has no finished epoch of a search" in read(app.error[0])
    (run.path / "run.h5").write_bytes(b"nothing")
    app = look(root, "architecture")
    assert drawings(app)[0].count("sep_conv_3x3</text>") == str(NAMED["DARTS_V1"]).count(
        "sep_conv_3"
    )
