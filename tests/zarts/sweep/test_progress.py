"""What is said while a sweep runs: no flood, and an honest guess of what is left."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from tests.zarts.sweep.sweeps import sweep_of
from zarts.sweep import progress
from zarts.sweep.outcomes import Problem, Result


def test_progress_tells_what_is_new_and_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, done, said = SimpleNamespace(now=0.0), {"a-0": 0, "b-0": 30}, list[str]()
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(progress, "epochs_done", lambda search: done[search.name])
    sweep = sweep_of("a-0", "b-0")
    tell = progress.Progress(sweep.searches, {"a-0": 40.0, "b-0": 80.0}, said.append)
    done["a-0"] = 1  # 2.5 %: too little for a line
    clock.now = 11.0
    tell.look()
    assert said == []
    done["a-0"], clock.now = 10, 12.9  # it looked a moment ago
    tell.look()
    assert said == []
    clock.now = 20.0
    tell.look()
    # 10 of 70 seconds of work are done in 20
    assert said == ["a-0  epoch 10/40  [58% of all, about 1 min 40 s left]"]
    done["a-0"], clock.now = 20, 24.0  # not ten seconds later
    tell.look()
    assert len(said) == 1
    clock.now = 25.0
    tell.end(sweep.searches[0], Problem("why"))
    assert (
        said[1] == "a-0  failed, why  [80% of all, about 25 s left]"
    )  # the other 20 s of a are off
    clock.now = 50.0
    tell.end(sweep.searches[1], Result(0.5, 1.25, math.nan, ""))
    assert said[2] == "b-0  done, validation loss 1.250, accuracy 50.0%  [100% of all, 50 s in all]"


def test_nothing_gained_is_no_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "epochs_done", lambda search: 0)
    said: list[str] = []
    sweep = sweep_of("a-0", "b-0")
    tell = progress.Progress(sweep.searches, {"a-0": 40.0, "b-0": 80.0}, said.append)
    for search in sweep.searches:
        tell.end(search, Problem("away", locked=True))
    assert said[0] == "a-0  skipped, away  [0% of all]"
    assert said[1].startswith("b-0  skipped, away  [100% of all, ")
