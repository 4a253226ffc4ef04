"""What a run on a GPU chooses when it begins, and that it keeps it. Measured on a CPU here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny import create, tiny
from zarts.runs import choices, recorder
from zarts.runs.choices import choose, chosen, settle
from zarts.runs.runfile import Run
from zarts.settings.config import Config

BEST = {"stack_below": 1 << 40, "layout": "first", "phases": "off"}
ON_GPU = tiny("darts-1", {"device": "cuda"})


def fake(config: Config) -> float:
    """Seconds: fewer the more of the settings are those of BEST."""
    return 1.0 + sum(getattr(config.supernet, key) != value for key, value in BEST.items())


def test_the_fastest_of_all_ways_is_taken() -> None:
    found = choose(ON_GPU, fake)
    assert found["chosen"] == BEST
    assert sorted(way["seconds"] for way in found["seconds"]) == [1, 2, 2, 2, 3, 3, 3, 4]
    assert choose(tiny("darts-1", {"supernet": {"network": "plain"}}), fake) == {}


def test_what_somebody_asked_for_is_no_choice() -> None:
    found = choose(tiny("darts-1", {"supernet": {"stack_below": 7}}), fake)
    assert found["chosen"] == {"layout": "first", "phases": "off"}


def test_ways_are_measured() -> None:
    found = choose(tiny("darts-1", {"supernet": {"stack_below": 7, "space": "s6"}}))
    assert len(found["seconds"]) == 4
    assert all(0 < way["seconds"] < 60 for way in found["seconds"])


def test_a_run_of_a_gpu_chooses_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(choices, "choose", lambda config: asked.append(1) or {"chosen": BEST})
    run = create(tmp_path / "run", ON_GPU)
    settled = settle(run, ON_GPU)
    again = Run.open(tmp_path / "run")
    assert settle(again, ON_GPU) == settled != ON_GPU
    assert fake(settled) == 1
    assert settled.hash() != ON_GPU.hash()  # but what is stored is as it was
    assert again.config == ON_GPU.to_table()
    assert len(asked) == 1
    begun = create(tmp_path / "begun", ON_GPU)  # by a version that chose nothing
    begun.write("checkpoint", {})
    here = tiny("darts-1")
    assert (settle(begun, ON_GPU), settle(create(tmp_path / "here", here), here)) == (ON_GPU, here)
    assert len(asked) == 1


def test_a_search_computes_as_its_run_chose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, seen = tiny("darts-1"), []

    def making(config: Config, stage: object) -> object:
        seen.append(config.supernet.layout)
        raise InterruptedError

    monkeypatch.setattr("zarts.runs.state.make_problem", making)
    told = {"kernels": {"chosen": BEST}}
    run = Run.create(tmp_path / "run", config.to_table(), told)
    with pytest.raises(InterruptedError):
        recorder.record_search(run, config)
    assert seen == ["first"]


@pytest.mark.parametrize("told", [None, 3, {}, {"chosen": []}, {"chosen": {"lanes": 9}}])
def test_what_is_no_choice_changes_nothing(told: object) -> None:
    assert chosen({"kernels": told}) == {}  # type: ignore[dict-item]
