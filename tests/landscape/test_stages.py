"""Fig. 1 of searches of several stages, and of one that ended early: of the ω that they chose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from landscape.compute import __main__ as compute
from landscape.compute.pipeline import compute_run, finished
from landscape.record import load
from tests.landscape.verifying import reseal, verdict
from tests.programs import EARLY, NARROWING, STAGED, registered, staged
from tests.tiny import call, words
from zarts.runs.course import under
from zarts.runs.runfile import Run
from zarts.settings.stages import Point

PROGRAMS = {
    "narrowing": (NARROWING, Point(1, 2)),
    "early": (EARLY, Point(0, 2)),
    "staged": (STAGED, Point(1, 1)),
}
PATHS = {"paths": {"methods": ["darts-1"]}}


@pytest.fixture(autouse=True)
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    registered(monkeypatch)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_figure_is_of_what_the_search_chose_and_passes_verify(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes, point = PROGRAMS[program]
    config = staged(changes, PATHS)
    figure = compute_run(config, tmp_path / "run")
    run = Run.open(tmp_path / "run")
    assert finished(run, config)
    assert run.parse("plane", under) == point
    dim = run.read(point.snapshot_record).arrays["alpha"].size
    assert run.read("plane").arrays["basis"].shape == (dim, 2)
    found = verdict(run.path)
    assert found.code == 0, found.findings
    for check in ("complete", "program", "accuracy", "weights"):
        assert found.of(check) == ["ok"]
    before = run.content_hash()
    # the same ω in a run of its own
    monkeypatch.setenv("ZARTS_RUNS", str(tmp_path))
    small: dict[str, Any] = {"landscape": {"steps": 0, "rows": 2, "cols": 2, "val_batches": 1}}
    flags = [*words(small), "--set", "paths.methods=[]", "--workers", "1", "--quiet"]
    answer = call(compute.main, "--run", "run", "--out", tmp_path / "other", *flags)
    assert answer.code == 0, answer.err
    other = Run.open(tmp_path / "other")
    assert other.parse("plane", under) == point
    assert load(other).facts["val_loss"] == figure.facts["val_loss"]
    assert verdict(other.path).code == 0
    # and what verify says of damage
    (run.path / f"{point.search_record}.h5").unlink()
    assert point.search_record in verdict(run.path, points=0).why("complete")
    compute_run(config, run.path)
    assert run.content_hash() == before
    reseal(run, "result", lambda arrays: arrays["epoch"].fill(9))
    assert "chose epoch 9" in verdict(run.path, points=0).why("schema")
    (run.path / "result.h5").unlink()
    assert "has lost result" in verdict(run.path, points=0).why("complete")
