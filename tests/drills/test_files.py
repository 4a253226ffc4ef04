"""Thousands of damaged files: an error that has a name, or a record; no crash, no hang."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.drills.mutants import KINDS
from zarts.runs.runfile import write_record

MUTANTS = 130  # of each kind, with the seal of the original and with one that fits


def limits() -> None:
    """For a child that feeds libhdf5 with rubbish."""
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@pytest.mark.parametrize("seed", [0, 1])
def test_thousands_of_mutants_are_errors_or_records(seed: int, root: Path, tmp_path: Path) -> None:
    path = tmp_path / "whole.h5"
    arrays = {"loss": np.linspace(0, 1, 60).reshape(6, 10), "g/status": np.ones(30, "u1")}
    write_record(path, arrays, {"steps": 10, "note": "x" * 50})
    command = [sys.executable, "-m", "tests.drills.mutants", path, seed, MUTANTS, tmp_path]
    done = subprocess.run(
        list(map(str, command)),
        cwd=root,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=limits,
    )
    assert done.returncode == 0, done.stderr  # no crash, no hang, nothing untyped
    told = json.loads(done.stdout)
    print(told)
    assert told["seen"] == 2 * MUTANTS * len(KINDS) > 2000
    assert told["megabytes"] < 300
    # behind a seal that fits, the parser of HDF5 refuses most, and some are records of their own
    assert told["broken: CorruptFile"] > told["sealed: CorruptFile"] > 500
    assert told["sealed: other content"] > 100
