"""Tables of runs as pure functions; what is read again and what is not; planes; the difference."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import landscape.index
from landscape.catalogue import BUNDLED, catalogue
from landscape.figures import minus, side_by_side
from landscape.index import Index, Row, against, differing
from landscape.planes import apart
from landscape.record import load
from zarts.runs.runfile import Run

TABLE: list[Row] = [
    {"run": "a", "state": "finished", "seed": "1", "accuracy": 0.5, "size": 10.0, "x.y": "2"},
    {"run": "b", "state": "stopped", "seed": "1", "accuracy": None, "size": 20.0, "x.y": None},
]


def test_only_what_differs_and_differences_to_a_baseline() -> None:
    assert differing(TABLE) == ["run", "state", "accuracy", "size", "x.y"]
    assert differing(TABLE[:1]) == ["run"]
    assert differing([]) == []
    first, second = against(TABLE, "a")
    assert (first["differs in"], second["differs in"]) == (None, "x.y")
    assert (first["accuracy"], second["accuracy"], second["size"]) == (0.0, None, 20.0)
    assert against(TABLE, "b")[0]["accuracy"] is None  # nothing to subtract
    ends: list[Row] = [{"run": f"{m}", "M": f"{m}", "darts-1": 1.0} for m in (3, 5)]
    assert [row["darts-1"] for row in against(ends, "3")] == [0.0, None]  # L of another M
    with pytest.raises(LookupError, match="baseline 'c'"):
        against(TABLE, "c")


@pytest.fixture
def copies(tmp_path: Path) -> list[Path]:
    (demo,) = BUNDLED.iterdir()
    places = [tmp_path / f"run-{number}" for number in range(3)]
    for place in places:
        shutil.copytree(demo, place)
    return places


def test_runs_are_read_once_and_again_when_they_change(
    copies: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = catalogue(copies[0].parent)[:3]
    index, read = Index(), []
    whole = landscape.index._read
    monkeypatch.setattr(
        landscape.index, "_read", lambda entry, told: read.append(entry.name) or whole(entry, told)
    )
    assert {each.state for each in index.facts(entries, seconds=0)} == {"…"}
    assert not read
    assert {each.state for each in index.facts(entries)} == {"finished"}
    index.facts(entries)
    assert len(read) == 3
    (copies[1] / "grid" / "m10.h5").write_bytes(b"nothing")
    states = {each.name: each.state for each in index.facts(catalogue(copies[0].parent)[:3])}
    assert states == {"run-0": "finished", "run-1": "unreadable", "run-2": "finished"}
    assert read[3:] == ["run-1"]
    with Run.open(copies[0]).lock():  # a finished run that is verified is not running
        assert index.facts(entries)[0].state == "finished"


def test_planes_are_the_same_or_it_is_said_what_is_not(copies: list[Path]) -> None:
    one, other = (load(Run.open(copies[place])) for place in (0, 1))
    assert apart(one, other) == []
    assert one.origin is not None
    finer = replace(other.surfaces[0], x=other.surfaces[0].x * 2)
    moved = replace(other, origin=one.origin + 1, surfaces=(finer,))
    assert apart(one, moved) == ["the origin α", "the grid"]
    assert apart(one, replace(other, scale=1.0)) == ["the scale"]


def test_the_difference_is_of_the_second_and_the_first(copies: list[Path]) -> None:
    first = load(Run.open(copies[0]))
    ramp = np.linspace(-0.03, 0.01, 9)[None, :]
    moved = [replace(each, loss=each.loss + ramp) for each in first.surfaces]
    second = replace(first, name="<b>moved</b>", surfaces=tuple(moved))
    figure = minus(first, second, 10)
    filled, zero = figure.select_traces("contour")
    np.testing.assert_allclose(filled.z, np.repeat(ramp, 9, 0), atol=1e-6)
    assert zero.name == "zero"
    assert figure.layout.annotations[0].text.startswith("<b>Δ: B minus A</b>")
    pair = side_by_side(first, second, 10)
    assert "&lt;b&gt;moved" in pair.layout.annotations[1].text
    assert {trace.coloraxis for trace in pair.select_traces("contour")} == {"coloraxis"}
    other = replace(second, surfaces=tuple(replace(each, x=each.x * 2) for each in moved))
    assert side_by_side(first, other, 10).layout.xaxis2.range[1] > 2  # axes of its own
    with pytest.raises(ValueError, match="different grids"):
        minus(first, other, 10)
