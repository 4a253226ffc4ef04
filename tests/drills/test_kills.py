"""Killed at any moment, a search and a grid lose nothing acknowledged and end as if undisturbed."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tiny import create, start, tiny, words
from zarts.assembly import make_problem
from zarts.recorder import record_search
from zarts.runfile import Run

KILLS = 100


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "longest"), [("search", 0.8), ("grid", 1.0)])
def test_a_hundred_kills_change_nothing(
    kind: str, longest: float, root: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.drills.kills", kind, str(KILLS), str(longest), str(tmp_path)],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    print(told)
    assert told["killed"] >= KILLS
    assert told["finished"] >= 1
    assert told["different"] == told["lost"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("module", ["zarts", "landscape.compute"])
def test_kills_of_real_interpreters_change_nothing(module: str, tmp_path: Path) -> None:
    """Five of each command, at moments spread over all it does, imports included."""
    method = ["--method", "zarts-mgs"] if module == "zarts" else []
    command = [*method, *words(), "--workers", "1", "--quiet"]
    if module == "zarts":
        command = [*method, *words(), "--quiet"]
    begun = time.monotonic()
    assert ended(start(module, *command, "--out", tmp_path / "whole"), 200) == 0
    duration = time.monotonic() - begun
    draw, killed, rounds = random.Random(1), 0, 0
    while killed < 5:
        rounds += 1
        out = tmp_path / f"run-{rounds}"
        for part in range(1, 4):
            limit = duration * draw.uniform(0.3, 1.0) * part / 3
            if ended(start(module, *command, "--out", out), limit) is not None:
                break
            killed += 1
        assert ended(start(module, *command, "--out", out), 200) == 0
        assert Run.open(out).content_hash() == Run.open(tmp_path / "whole").content_hash()


def ended(process: subprocess.Popen[str], limit: float) -> int | None:
    """Its exit code; None if it had to be killed."""
    try:
        process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return None
    return process.returncode


@pytest.mark.parametrize("piece", ["weights/", "velocity/", "alpha", "memory/"])
def test_a_checkpoint_needs_every_piece(piece: str, tmp_path: Path) -> None:
    """So the drill can fail: with any piece of the checkpoint lost, a search ends elsewhere."""
    config = tiny("darts-1")
    whole, run = (create(tmp_path / name, config) for name in ("whole", "run"))
    record_search(whole, config)
    left = iter(range(3))

    def stop() -> None:
        if next(left, None) is None:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        record_search(run, config, check=stop)
    checkpoint = run.read("checkpoint")
    fresh = make_problem(config)
    kept = {}
    for name, array in checkpoint.arrays.items():
        if not name.startswith(piece):
            kept[name] = array
        elif piece == "weights/":
            kept[name] = fresh.objective.weights[name.removeprefix(piece)].numpy()
        elif piece == "alpha":
            kept[name] = fresh.alpha.numpy()
    assert kept.keys() != checkpoint.arrays.keys() or piece in ("weights/", "alpha")
    run.write("checkpoint", kept, checkpoint.attributes)
    record_search(run, config)
    assert run.content_hash() != whole.content_hash()
