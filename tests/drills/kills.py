"""Kills a search or a grid again and again, resumes it each time, prints what was found as JSON.

A program of its own: it imports torch once, then forks a child per sitting, so that a sitting is
the work and not the imports. No thread of torch runs before a fork.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from landscape import board
from landscape.pipeline import compute
from landscape.record import load
from tests.tiny import create, tiny
from zarts.config import Config
from zarts.recorder import iterations_done, record_search
from zarts.runfile import Run

Known = dict[str, object]

CONFIGS = {
    "search": tiny("zarts-mgs"),
    "grid": tiny(
        "darts-1",
        {"search": {"epochs": 1}},
        {"landscape": {"rows": 4, "cols": 5}, "paths": {"methods": ["zarts-gld"]}},
    ),
}


def search(run: Run, config: Config) -> None:
    """A search that checkpoints after every iteration."""
    with run.lock():
        record_search(run, config, flush_seconds=0.0)


def grid(run: Run, config: Config) -> None:
    """A grid that is put on disk after every point."""
    board.FLUSH_SECONDS = board.SAVES = 0.0
    with run.lock():
        compute(run, config)


def acknowledged(run: Run) -> Known:
    """What a reader sees as done: it must be there, with these values, ever after."""
    if "plane" not in run:
        return {"iterations": iterations_done(run) if "checkpoint" in run else 0}
    figure = load(run)
    return {
        f"{surface.inner_steps} {row} {col}": float(surface.loss[row, col])
        for surface in figure.surfaces
        for row in range(len(surface.y))
        for col in range(len(surface.x))
        if surface.status[row, col] == 1
    }


def kept(before: Known, after: Known) -> bool:
    """Whether nothing that was acknowledged is lost or has changed."""
    if "iterations" in before:
        now = after.get("iterations")
        return not isinstance(now, int) or now >= int(str(before["iterations"]))
    return all(after.get(key) == value for key, value in before.items())


def sitting(work: Callable[[], None], seconds: float) -> bool:
    """Works in a child that is killed after some seconds; tells whether it finished before."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - a fork must not return
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            if status:
                raise RuntimeError(f"a sitting ended with {status}")
            return True
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def main() -> None:
    """Argument: what is killed, how often, the longest sitting, a folder."""
    kind, kills, longest, folder = sys.argv[1:]
    torch.set_num_threads(1)
    config, draw = CONFIGS[kind], random.Random(0)
    work = {"search": search, "grid": grid}[kind]
    base = create(Path(folder) / "base", config)
    if kind == "grid":
        search(base, config)
    whole = Path(folder) / "whole"
    shutil.copytree(base.path, whole)
    start = time.monotonic()
    assert sitting(lambda: work(Run.open(whole), config), 600)
    told = {"killed": 0, "finished": 0, "different": 0, "lost": 0, "seconds": 0.0}
    told["seconds"] = time.monotonic() - start
    expected = Run.open(whole).content_hash()
    while told["killed"] < int(kills):
        path = Path(folder) / f"run-{told['finished']}"
        shutil.copytree(base.path, path)
        known: Known = {}
        while not sitting(
            lambda path=path: work(Run.open(path), config), draw.uniform(0, float(longest))
        ):
            told["killed"] += 1
            now = acknowledged(Run.open(path))
            told["lost"] += not kept(known, now)
            known = now
        told["finished"] += 1
        told["different"] += Run.open(path).content_hash() != expected
        shutil.rmtree(path)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
