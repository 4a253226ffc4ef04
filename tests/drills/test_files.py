"""Files: two minutes of a writer and three readers; mutated content behind a valid seal."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import subprocess
import sys
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import pytest

from zarts.runfile import RunError, read_record, write_record
from zarts.runfile.record import _HEADER_BYTES, _header

SOAK_SECONDS = 120.0
MUTANTS = 2000


def write_for_ever(path: Path, stop: Event) -> None:
    generation = 0
    while not stop.is_set():
        generation += 1
        values = np.full(1000 + generation % 7 * 20_000, float(generation))
        write_record(path, {"x": values, "y": -values}, {"generation": generation})


def read_for_ever(path: Path, stop: Event, told: Path) -> None:
    last, reads, wrong = 0, 0, 0
    while not stop.is_set():
        record = read_record(path)
        generation = int(str(record.attributes["generation"]))
        whole = (record.arrays["x"] == generation).all() and (
            record.arrays["y"] == -generation
        ).all()
        wrong += not whole or generation < last
        last, reads = generation, reads + 1
    told.write_text(json.dumps({"reads": reads, "wrong": wrong, "last": last}))


@pytest.mark.slow
def test_a_writer_and_three_readers_for_two_minutes(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")  # the children need nothing but this file
    path, stop = tmp_path / "a.h5", context.Event()
    write_record(path, {"x": np.zeros(3), "y": np.zeros(3)}, {"generation": 0})
    readers = [
        context.Process(target=read_for_ever, args=(path, stop, tmp_path / f"{n}.json"))
        for n in range(3)
    ]
    processes = [context.Process(target=write_for_ever, args=(path, stop)), *readers]
    for process in processes:
        process.start()
    time.sleep(SOAK_SECONDS)
    stop.set()
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    for number in range(3):
        told = json.loads((tmp_path / f"{number}.json").read_text())
        print(told)
        assert told["wrong"] == 0
        assert told["reads"] > 100
        assert told["last"] > 100


MUTATE = """
import sys
from pathlib import Path
from tests.drills.test_files import mutate
mutate(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
"""


def mutate(path: Path, seed: int, count: int) -> None:
    """Reads mutants of a record that are sealed again, so that libhdf5 itself gets to see them."""
    body = path.read_bytes()[_HEADER_BYTES:]
    rng, told = np.random.default_rng(seed), {"refused": 0, "read": 0}
    target = path.with_name(f"mutant-{seed}.h5")
    for _ in range(count):
        start, length = int(rng.integers(len(body))), int(rng.integers(1, 200))
        kind = rng.integers(4)
        if kind == 0:  # one bit
            changed = bytearray(body)
            changed[start] ^= 1 << int(rng.integers(8))
        elif kind == 1:  # rubbish
            changed = bytearray(body[:start] + rng.bytes(length) + body[start + length :])
        elif kind == 2:  # zeros
            changed = bytearray(body[:start] + bytes(length) + body[start + length :])
        else:  # a piece moved to another place
            other = int(rng.integers(len(body)))
            piece = body[other : other + length]
            changed = bytearray(body[:start] + piece + body[start + len(piece) :])
        target.write_bytes(_header(bytes(changed)) + changed)
        try:
            record = read_record(target)
        except RunError:
            told["refused"] += 1
        else:
            # whoever can seal can lie about values, but not about what a record is
            assert all(isinstance(array, np.ndarray) for array in record.arrays.values())
            told["read"] += 1
    print(json.dumps(told))


def test_what_is_behind_a_valid_seal_is_an_error_or_a_record(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "whole.h5"
    arrays = {"loss": np.linspace(0, 1, 60).reshape(6, 10), "g/status": np.ones(30, "u1")}
    write_record(path, arrays, {"steps": 10, "note": "x" * 50})

    def limits() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
        resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    seen = 0
    for seed in range(2):
        done = subprocess.run(
            [sys.executable, "-c", MUTATE, str(path), str(seed), str(MUTANTS // 2)],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root), "OPENBLAS_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=120,
            preexec_fn=limits,
        )
        assert done.returncode == 0, done.stderr  # no crash, no hang, nothing untyped
        told = json.loads(done.stdout)
        seen += told["refused"] + told["read"]
        assert told["refused"] > 100
    assert seen == MUTANTS
