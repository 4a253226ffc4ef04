"""The table of all runs in a terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from landscape.catalogue import BUNDLED
from landscape.runs import main, table
from tests.tiny import call, create, tiny
from zarts.retrain.presets import complete
from zarts.runs.recorder import record_search
from zarts.runs.runfile import Run
from zarts.supernet.published import NAMED


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZARTS_RUNS", str(tmp_path))
    for name in ("a", "b"):
        config = tiny("darts-1", {"seed": int(name == "b")}, {"search": {"epochs": 1}})
        record_search(create(tmp_path / name, config), config)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.h5").write_bytes(b"nothing")
    return tmp_path


def test_runs_are_listed_with_their_numbers(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    every = call(main)
    assert every.code == 0
    for name in ("a", "b", "broken", "quick-ec257f9a"):
        assert f"| {name} |" in every.out
    bundled, broken = every.err.splitlines()
    assert bundled == f"quick-ec257f9a came with the package: {BUNDLED / 'quick-ec257f9a'}"
    assert broken.startswith("broken: ")
    found = call(main, "--kind", "search", "seed=1")
    title, _, line = found.out.splitlines()
    assert title.startswith("| run | state | kind | space | data | seed | method | accuracy |")
    assert line.startswith("| b | finished | search |")
    assert "dtype" not in title
    first, _, *lines = call(main, "--kind", "search", "--differing").out.splitlines()
    assert len(lines) == 2
    assert first.startswith("| run | ")
    assert "seed" in first
    assert "space" not in first
    # words about how far a run is are asked once that is known, and many runs show their progress
    monkeypatch.setattr("landscape.runs.MANY", 2)
    done = call(main, "epochs=1", "FINISHED", "--json")
    assert {each["run"] for each in json.loads(done.out)} == {"a", "b"}
    assert "runs read: 2/2 (100%)" in done.err
    monkeypatch.setattr("landscape.runs.MANY", 1)
    assert "runs read: 1/1 (100%)" in call(main, "seed=1", "--kind", "search").err  # no others are
    told = json.loads(call(main, "seed=1", "epochs=1", "--json").out)
    assert [(each["run"], each["search.epochs"]) for each in told] == [("b", "1")]


def test_a_retraining_names_the_search_of_its_cells(runs: Path) -> None:
    cells = Run.open(runs / "a").read("search/epoch-0001").attributes["genotype"]
    for name, genotype in (("again", cells), ("other", str(NAMED["DARTS_V2"]))):
        Run.create(runs / name, complete("quick", {"genotype": genotype}).to_table(), {})
    alone = json.loads(call(main, "--json", "--kind", "retraining").out)
    assert {each["run"] for each in alone} == {"again", "other"}
    told = json.loads(call(main, "--json").out)
    assert {each["run"]: each["cells of"] for each in alone} == {"again": "a", "other": None}
    assert {each["run"]: each["cells of"] for each in told if each["kind"] == "retraining"} == {
        "again": "a", "other": None,
    }  # fmt: skip
    assert not [each for each in told if each["kind"] == "search" and each["cells of"]]


def test_no_such_run_is_one_line(runs: Path) -> None:
    found = call(main, "nowhere", "--kind", "retraining")
    assert found.code == 2
    assert "no run of the kind retraining with 'nowhere' in" in found.err


def test_text_of_runs_makes_no_columns() -> None:
    assert table([{"run": "a|b", "problem": None}]).splitlines()[2] == "| a\\|b |"
