"""``python -m zarts.reproduce``: a tiny study, planned, done, resumed, collected."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from landscape.verify.__main__ import main as verify
from tests.tiny import TINY, call
from tests.zarts.retrain.retraining import SMALL
from zarts.reproduce import running, studies
from zarts.reproduce.__main__ import main
from zarts.reproduce.studies import STUDIES, Arm, Study
from zarts.runs.runfile import Run
from zarts.settings.config import merge

SEARCH = {name: TINY[name] for name in ("data", "supernet", "search", "landscape")}
CHANGED = {name: table for name, table in SMALL.items() if name != "genotype"}


def arms(preset: str) -> list[Arm]:
    assert preset == "quick"
    shared: dict[str, Any] = {"preset": "quick", "retrain": "quick", "changed": CHANGED}
    kept = merge(SEARCH, {"search": {"epochs": 2, "snapshots": [1, 2]}})
    return [
        Arm("packaged", "DARTS-1st", method="darts-1", search=kept, seeds=(0,), epochs=(1, 2),
            **shared),
        Arm("packaged", "random cells", method="random", search=SEARCH, seeds=(3,), **shared),
    ]  # fmt: skip


@pytest.fixture(autouse=True)
def tiny_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZARTS_RUNS", str(tmp_path / "runs"))
    monkeypatch.setitem(STUDIES, "table3", Study("a tiny one", arms))
    monkeypatch.setattr("zarts.reproduce.condition.DIRECTIONS", 2)
    return tmp_path / "runs"


def test_a_study_is_planned_done_and_collected(tiny_study: Path) -> None:
    flags = ["table3", "--workers", "1"]
    plan = json.loads(call(main, *flags, "--dry-run", "--json", "-q").out)
    assert (plan["searches"], plan["retrainings"], plan["conditions"]) == (1, 3, 2)
    assert plan["condition_seconds"] > 0
    assert not tiny_study.exists()
    early = call(main, "table3", "--collect")
    assert early.code == 2
    assert "run `python -m zarts.reproduce table3 --preset quick` first" in early.err

    done = call(main, *flags)
    assert done.code == 0, done.err
    assert "condition  2 numbers to do, about" in done.err
    assert "condition numbers: 2 to do, 1 at a time" in done.err
    assert "at epoch 1: done  [1 of 2, about" in done.err
    assert "entries    packaged, DARTS-1st; packaged, random cells\n" in done.err  # for --only
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.out.splitlines()[3:]]
    assert [row[1:3] for row in rows[2:4]] == [["DARTS-1st", "2 of 2"], ["random cells", "1 of 1"]]
    assert "2.54 ± 0.07" in done.out  # quoted, and said to be of other data
    assert "quoted numbers are of the papers' own data" in done.out

    entries = json.loads(call(main, "table3", "--collect", "--json").out)["entries"]
    assert [entry["epoch"] for entry in entries] == [1, 2, None]
    assert all(entry["condition_number"] > 0 for entry in entries[:2])
    before = {path.name: Run.open(path).content_hash() for path in tiny_study.iterdir()}
    again = call(main, *flags)
    assert again.code == 0
    assert "1 search" not in again.err
    assert "to do" in again.err  # the plan alone
    assert {path.name: Run.open(path).content_hash() for path in tiny_study.iterdir()} == before

    (search,) = tiny_study.glob("darts-1-*")
    shutil.rmtree(search / "derived")
    with patch.object(running, "execute", wraps=running.execute) as execute:
        assert call(main, *flags).code == 0
    (items,) = [each.args[2] for each in execute.call_args_list]
    assert items == [(str(search.resolve()), (1, 2))]  # one process at a time writes a run

    (retraining, *_) = sorted(tiny_study.glob("retrain-*"))
    (retraining / "result.h5").unlink()
    partial = call(main, "table3", "--collect")
    assert partial.code == 0
    assert "1 of 2" in partial.out or "0 of 1" in partial.out
    assert call(verify, search, "-q").code == 0  # which knows the record of Q


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["table9"], "unknown study 'table9'; "),
        (["table3", "--preset", "huge"], "unknown preset 'huge'; "),
        (["table3", "--only", "s9"], "has 's9' in its row or column; they are packaged, DARTS-1st"),
        (["table3", "--workers", "0"], "got --workers 0, expected 1 or more"),
        (["fig1", "--collect"], "python -m landscape.summary RUN"),
    ],
)
def test_mistakes_are_one_line(words: list[str], message: str) -> None:
    answer = call(main, *words)
    assert answer.code == 2
    assert message in answer.err


def test_fig_1_is_the_command_of_landscapes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(
        "zarts.reproduce.__main__._other", lambda module, *words: asked.append([module, *words])
    )
    call(main, "fig1", "--preset", "paper", "--device", "cuda", "--dry-run")
    assert asked == [
        ["landscape.compute", "--steps", "10", "--preset", "paper", "--device", "cuda", "--dry-run"]
    ]
    assert studies.STUDIES["fig1"].arms("paper") == ()
