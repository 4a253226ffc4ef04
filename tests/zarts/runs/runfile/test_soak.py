"""One writer and three readers at once: nobody ever sees a torn file, or an older one again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest

from zarts.runs.runfile import read_record, write_record


def write_until(end: float, path: Path) -> None:
    generation = 0
    while time.monotonic() < end:
        generation += 1
        values = np.full(1000 + generation % 7 * 20_000, float(generation))
        write_record(path, {"x": values, "y": -values}, {"generation": generation})


def read_until(end: float, path: Path, told: Path) -> None:
    last, reads, wrong = 0, 0, 0
    while time.monotonic() < end:
        record = read_record(path)
        generation = record.whole("generation")
        x, y = record.arrays["x"], record.arrays["y"]
        wrong += not (x == generation).all() or not (y == -generation).all() or generation < last
        last, reads = generation, reads + 1
    told.write_text(json.dumps({"reads": reads, "wrong": wrong, "last": last}))


@pytest.mark.parametrize("seconds", [1.0, pytest.param(60.0, marks=pytest.mark.slow)])
def test_readers_beside_a_writer(
    seconds: float, tmp_path: Path, start: Callable[..., BaseProcess]
) -> None:
    path, end = tmp_path / "a.h5", time.monotonic() + seconds
    write_record(path, {"x": np.zeros(3), "y": np.zeros(3)}, {"generation": 0})
    answers = [tmp_path / f"{number}.json" for number in range(3)]
    processes = [start(write_until, end, path)]
    processes += [start(read_until, end, path, answer) for answer in answers]
    for process in processes:
        process.join(seconds + 30)
        assert process.exitcode == 0
    for answer in answers:
        told = json.loads(answer.read_text())
        print(told)
        assert told["wrong"] == 0
        assert min(told["reads"], told["last"]) > 5 * seconds  # they did work meanwhile
