"""Kills a search or a grid again and again, resumes it each time, prints what was found as JSON.

A program of its own: it imports torch and reads the images once, then forks a child per sitting, so
that a sitting is the work and not the imports. No thread of torch runs before a fork. Every other
child dies by the clock, the others between two calls of one of their commits. Meanwhile the parent
reads the run, as a page would.
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
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import torch

from landscape.compute import writer as writer
from landscape.compute.pipeline import compute
from landscape.record import load
from tests.tiny import create, tiny
from tests.zarts.runs.runfile.dying import CALLS, die_inside
from zarts.problems.build import make_problem
from zarts.runs.recorder import record_search
from zarts.runs.runfile import Run
from zarts.settings.config import Config

Known = dict[str, str]

CONFIGS = {
    "search": tiny("zarts-mgs", {"search": {"epochs": 3, "warmup": 1, "period": 2}}),
    "grid": tiny(
        "darts-1",
        {"search": {"epochs": 1}},
        {"landscape": {"rows": 3, "cols": 4}, "paths": {"methods": ["zarts-gld"]}},
    ),
}
COMMITS = {"search": 2, "grid": 5}  # a sitting is killed in one of the first
READ_SECONDS = 0.1  # from one reading of a run to the next


def search(run: Run, config: Config) -> None:
    """A search that checkpoints after every iteration."""
    with run.lock():
        record_search(run, config, flush_seconds=0.0)


def grid(run: Run, config: Config) -> None:
    """A grid that is put on disk after every point."""
    writer.FLUSH_SECONDS = writer.SAVES = 0.0
    with run.lock():
        compute(run, config)


def acknowledged(run: Run) -> Known:
    """What a reader sees as done: it must be there, with these values, ever after."""
    known = {}
    # the checkpoint first: what it no longer holds was in the record of an epoch before
    records = [run.read("checkpoint")] if "checkpoint" in run else []
    records += [run.read(name) for name in run.names() if name.startswith("search/")]
    for found in records:
        prefix, epoch = "", found.attributes.get("epoch")
        if epoch is None:
            prefix, epoch = "rows/", found.whole("epochs") + 1
        alphas, losses = (found.arrays.get(prefix + name, ()) for name in ("alpha", "loss"))
        for row, (alpha, loss) in enumerate(zip(alphas, losses, strict=True)):
            known[f"epoch {epoch} {row}"] = sha256(alpha.tobytes() + loss.tobytes()).hexdigest()
    if "plane" in run:
        figure = load(run)
        for surface in figure.surfaces:
            for row, col in zip(*surface.status.nonzero(), strict=True):
                value = f"{surface.status[row, col]} {surface.loss[row, col].hex()}"
                known[f"m{surface.inner_steps} {row} {col}"] = value
        for path in figure.paths:
            known[path.method] = sha256(path.xy.tobytes() + path.loss.tobytes()).hexdigest()
    return known


@dataclass
class Reader:
    """Reads a run over and over and remembers all that it ever saw.

    Attributes:
        run: What is read.
        truth: What an undisturbed run ends with.
        reads: How often it was read.
        lost: Times that something was gone or not as in ``truth``.
    """

    run: Run
    truth: Known
    reads: int = 0
    lost: int = 0
    known: Known = field(default_factory=dict)

    def __call__(self) -> None:
        now = acknowledged(self.run)
        self.reads += 1
        self.lost += not self.known.items() <= now.items() <= self.truth.items()
        self.known |= now


def sitting(work: Callable[[], None], seconds: float, read: Callable[[], None]) -> bool:
    """Works in a child that is killed after some seconds; tells whether it finished before."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - a fork must not return
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    start = last = time.monotonic()
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        if time.monotonic() > start + seconds:
            os.kill(child, signal.SIGKILL)
        elif time.monotonic() > last + READ_SECONDS:
            read()
            last = time.monotonic()
        time.sleep(0.002)
    if status not in (0, signal.SIGKILL):
        raise RuntimeError(f"a sitting ended with {status}")
    return status == 0


def main() -> None:
    """Arguments: what is killed, how often, a folder."""
    kind, kills, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    torch.set_num_threads(1)
    config, draw = CONFIGS[kind], random.Random(0)
    work = {"search": search, "grid": grid}[kind]
    make_problem(config)  # the images stay in memory
    base = create(folder / "base", config)
    if kind == "grid":
        search(base, config)
    shutil.copytree(base.path, folder / "whole")
    whole = Run.open(folder / "whole")
    start = time.monotonic()
    assert sitting(lambda: work(whole, config), 600, lambda: None)
    duration = time.monotonic() - start
    truth, expected = acknowledged(whole), whole.content_hash()
    told = {"by the clock": 0, "inside": 0, "finished": 0, "different": 0, "lost": 0, "reads": 0}
    told |= {"left over": 0, "known": len(truth)}
    while told["by the clock"] + told["inside"] < kills:
        path = folder / f"run-{told['finished']}"
        shutil.copytree(base.path, path)
        run = Run.open(path)
        reader = Reader(run, truth)
        for turn in range(1000):
            inside = turn % 2 == 1
            place = draw.randrange(COMMITS[kind]), draw.randrange(CALLS)

            def work_and_die(
                run: Run = run, inside: bool = inside, place: tuple[int, int] = place
            ) -> None:
                if inside:
                    die_inside(*place)
                work(run, config)

            if sitting(work_and_die, 600 if inside else draw.uniform(0, duration / 2), reader):
                break
            told["inside" if inside else "by the clock"] += 1
            reader()
        reader()
        told["finished"] += 1
        told["different"] += run.content_hash() != expected or reader.known != truth
        told["left over"] += len(list(path.rglob(".*.tmp.*")))
        told["lost"] += reader.lost
        told["reads"] += reader.reads
        shutil.rmtree(path)
    print(json.dumps(told | {"seconds": duration}))


if __name__ == "__main__":
    main()
