"""The page of the toy: its numbers, its link, and what its picture is sent."""

from __future__ import annotations

import base64
import json
import math
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from landscape.learn import OPTIMIZERS, STEPS, toy
from landscape.learn.make import quadratic
from tests.app.conftest import look, read, said

pytestmark = pytest.mark.usefixtures("no_demo")  # it needs no run


def sent(app: AppTest) -> dict[str, object]:
    return json.loads(app.get("bidi_component")[-1].proto.json)


def test_it_opens_without_runs_and_says_what_is_seen(root: Path) -> None:
    app = look(root, "learn")
    assert dict(app.query_params) == {"steps": "10", "start": "-0.5,-0.75", "draw": "1"}
    known = toy()
    end = known.path("darts-1", 10, 0, (-0.5, -0.75))[-1]
    assert f"ends {known.excess(end, math.inf):.2f} above the true minimum" in said(app)
    assert not app.warning
    assert sent(app)["view"] == {"m": 3, "draw": 0, "start": [-0.5, -0.75]}


def test_the_link_chooses_and_the_table_has_its_numbers(root: Path) -> None:
    app = look(root, "learn", steps="3", start="0.25,-0.5", draw="2")
    assert not app.warning
    table, known = app.dataframe[0].value, toy()
    for name, (_, row) in zip(OPTIMIZERS, table.iterrows(), strict=True):
        end = known.path(name, 3, 1, (0.25, -0.5))[-1]
        assert (row["end α₁"], row["end α₂"]) == tuple(end)
        assert row["L₃ above its minimum"] == known.excess(end, 3)
        assert row["true loss L_∞ above its minimum"] == known.excess(end, math.inf)
    follows = ["gradient of L₀", "gradient of L₁", *(f"{n} values of L₃" for n in (8, 4, 6))]
    assert table["follows"].tolist() == follows


@pytest.mark.parametrize(("steps", "words"), [("0", "asks only L₀"), ("1", "after one step")])
def test_the_takeaway_is_of_this_m(root: Path, steps: str, words: str) -> None:
    assert words in said(look(root, "learn", steps=steps))


def test_what_the_link_cannot_have_is_told(root: Path) -> None:
    app = look(root, "learn", steps="7", start="<b>0.3</b>,0", draw="4")
    told = [read(warning) for warning in app.warning]
    assert [text.partition("“")[2].partition("”")[0] for text in told] == ["7", "<b>0.3</b>,0", "4"]
    shown = [text.partition("Shown instead: ")[2] for text in told]
    assert shown == ["10", "-0.5,-0.75", "1"]


def test_the_picture_is_sent_what_is_stored(root: Path) -> None:
    data = sent(look(root, "learn"))
    changes = np.frombuffer(zlib.decompress(base64.b64decode(data["packed"])), "<i2")
    paths = changes.reshape(data["shape"]).cumsum(-4, dtype="<i2").cumsum(-3, dtype="<i2")
    np.testing.assert_array_equal(paths, toy().paths)
    assert data["steps"] == list(STEPS)
    assert [method["label"] for method in data["methods"]][::4] == ["DARTS-1st", "ZARTS-GLD"]
    assert data["surfaces"][-1]["minimum"] == toy().minimum[-1].tolist()
    assert len(json.dumps(data)) < 250_000


def test_the_toy_is_told_exactly_and_symbols_have_their_equations(root: Path) -> None:
    words, exact = said(look(root, "learn")).replace("−", "-"), quadratic()
    matrix = ["; ".join(", ".join(f"{v:g}" for v in r) for r in m.tolist())
              for m in (exact.response, exact.curvature)]  # fmt: skip
    for name, text in zip("AH", matrix, strict=True):
        assert f"{name} = [{text}]" in words
    vectors = {"b": exact.center, "c": exact.target, "ω₀": exact.start}
    for name, vector in vectors.items():
        assert f"{name} = ({', '.join(f'{v:g}' for v in vector.tolist())})" in words
    assert "D = diag(0.6, 1.3)" in words
    assert set(re.findall(r"Eq\.\s(\d+)", words)) == {"1", "4", "5", "8", "9", "10"}


@pytest.mark.parametrize(
    "view",
    [
        {"m": 7, "draw": 0, "start": [0.0, 0.0]},
        {"m": 1, "draw": 3, "start": [0.0, 0.0]},
        {"m": 1, "draw": 0, "start": [0.3, "<b>"]},
        {"m": [], "draw": {}, "start": None},
        {"m": 1, "draw": 0, "start": [[], 0.0]},
        "text",
    ],
)
def test_a_picture_that_tells_nonsense_is_not_believed(root: Path, view: object) -> None:
    app = look(root, "learn", steps="0")
    app.session_state["toy"] = {"view": view}
    app.run()
    assert not app.exception
    assert dict(app.query_params) == {"steps": "0", "start": "-0.5,-0.75", "draw": "1"}


def test_what_is_moved_in_the_picture_comes_into_the_link(root: Path) -> None:
    app = look(root, "learn")
    app.session_state["toy"] = {"view": {"m": 1, "draw": 2, "start": [0.125, -1]}}
    app.run()
    assert not app.exception
    assert dict(app.query_params) == {"steps": "1", "start": "0.125,-1", "draw": "3"}
    assert sent(app)["view"]["m"] == 3  # what it began with: the same data, which is not sent again
