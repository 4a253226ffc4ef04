"""Killed at any moment, a search and a grid lose nothing acknowledged and end as if undisturbed."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tiny import create, start, tiny, words
from zarts.problems.build import make_problem
from zarts.runs.recorder import record_search
from zarts.runs.runfile import Record, Run

KILLS = 100  # of each kind
REAL_KILLS = 5  # of each command


@pytest.mark.slow
def test_a_hundred_kills_change_nothing(root: Path, tmp_path: Path) -> None:
    drills = {}
    for kind in ("search", "grid"):
        folder = tmp_path / kind
        folder.mkdir()
        command = [sys.executable, "-m", "tests.drills.kills", kind, str(KILLS), str(folder)]
        drills[kind] = subprocess.Popen(
            command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    for kind, drill in drills.items():
        out, err = drill.communicate(timeout=280)
        assert drill.returncode == 0, err
        told = json.loads(out)
        print(kind, told)
        assert told["by the clock"] + told["inside"] >= KILLS
        assert min(told["by the clock"], told["inside"]) >= KILLS // 4
        assert told["reads"] > told["finished"] >= 1
        assert told["different"] == told["lost"] == told["left over"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("module", ["zarts", "landscape.compute"])
def test_kills_of_real_interpreters_change_nothing(module: str, tmp_path: Path) -> None:
    """At moments spread over all that a command does, imports included."""
    more = ["--method", "zarts-mgs"] if module == "zarts" else ["--workers", "1"]
    command = [*more, *words(), "--quiet"]
    whole, out = tmp_path / "whole", tmp_path / "run-0"
    begun = time.monotonic()
    assert ended(start(module, *command, "--out", whole), 200) == 0
    duration = time.monotonic() - begun
    expected = Run.open(whole).content_hash()
    draw, killed = random.Random(1), 0
    while killed < REAL_KILLS:
        # in the second half most of the time: before it there are only imports
        limit = duration * draw.uniform(0.3, 1.0)
        code = ended(start(module, *command, "--out", out), limit)
        if code is None:
            killed += 1
        else:
            assert code == 0
            assert Run.open(out).content_hash() == expected
            out = tmp_path / f"run-{killed}"
    assert ended(start(module, *command, "--out", out), 200) == 0
    assert Run.open(out).content_hash() == expected


def ended(process: subprocess.Popen[str], limit: float) -> int | None:
    """Its exit code; None if it had to be killed."""
    try:
        process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return None
    return process.returncode


CONFIG = tiny("darts-1", {"search": {"epochs": 2, "period": 2}})


def an_older_alpha(record: Record) -> dict[str, Any]:
    return {"arrays": record.arrays | {"alpha": make_problem(CONFIG).alpha.numpy()}}


def no_rows(record: Record) -> dict[str, Any]:
    kept = {key: value for key, value in record.arrays.items() if not key.startswith("rows/")}
    assert len(kept) < len(record.arrays)
    return {"arrays": kept}


def an_iteration_less(record: Record) -> dict[str, Any]:
    return {"attributes": record.attributes | {"iteration": record.attributes["iteration"] - 1}}


@pytest.mark.parametrize("harm", [an_older_alpha, no_rows, an_iteration_less])
def test_a_checkpoint_needs_every_piece(
    harm: Callable[[Record], dict[str, Any]], tmp_path: Path
) -> None:
    """So the drill can fail; ω, its momentum and Adam's moments are in test_recorder.py."""
    whole, run = (create(tmp_path / name, CONFIG) for name in ("whole", "run"))
    record_search(whole, CONFIG)
    left = iter(range(2))

    def stop() -> None:
        if next(left, None) is None:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        record_search(run, CONFIG, check=stop)
    checkpoint = run.read("checkpoint")
    run.write(
        "checkpoint",
        **{"arrays": checkpoint.arrays, "attributes": checkpoint.attributes, **harm(checkpoint)},
    )
    record_search(run, CONFIG)
    assert run.content_hash() != whole.content_hash()
