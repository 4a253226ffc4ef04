"""Any sequence of writes, kills, openings and readings agrees with a dict."""

from __future__ import annotations

import os
import signal
import tempfile
import warnings
from pathlib import Path
from typing import IO

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.zarts.runs.runfile.dying import CALLS, die_inside
from zarts.runs.runfile import Run

NAMES = st.sampled_from(["a", "grid/m00", "grid/m10"])
VALUES = st.integers(1, 200)


def arrays(value: int) -> dict[str, np.ndarray]:
    return {"x": np.full(7 * value, float(value)), "status": np.ones(value, "u1")}


class Storage(RuleBasedStateMachine):
    """One run and what it should hold."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "run"
        self.run = Run.create(self.path, {"seed": 0}, {})
        self.model: dict[str, int] = {}
        self.readers: list[tuple[IO[bytes], bytes]] = []

    @rule(name=NAMES, value=VALUES)
    def write(self, name: str, value: int) -> None:
        self.run.write(name, arrays(value))
        self.model[name] = value

    @rule(name=NAMES, value=VALUES, calls=st.integers(0, CALLS))
    def kill_while_writing(self, name: str, value: int, calls: int) -> None:
        with warnings.catch_warnings():  # newer Pythons warn of forks beside the threads of BLAS
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            die_inside(0, calls)
            self.run.write(name, arrays(value))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert status in (0, signal.SIGKILL)
        if name in self.run and self.found(name) == value:  # the new one, or else the old one
            self.model[name] = value
        assert status or self.model[name] == value

    @rule(length=st.integers(0, 600))
    def leave_half_a_file(self, length: int) -> None:
        dead = os.spawnlp(os.P_NOWAIT, "true", "true")
        os.waitpid(dead, 0)
        data = (self.path / "run.h5").read_bytes()[:length]
        (self.path / f".a.h5.tmp.{dead}.{length:08x}").write_bytes(data)

    @rule()
    def open_to_write(self) -> None:
        with Run.create(self.path, {"seed": 0}, {}).lock():
            assert not list(self.path.rglob(".*.tmp.*"))

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def begin_to_read(self, data: st.DataObject) -> None:
        file = self.path / f"{data.draw(st.sampled_from(sorted(self.model)))}.h5"
        self.readers.append((file.open("rb"), file.read_bytes()))

    @precondition(lambda self: self.readers)
    @rule()
    def end_to_read(self) -> None:
        file, expected = self.readers.pop(0)
        with file:
            assert file.read() == expected

    @invariant()
    def agrees(self) -> None:
        assert self.run.names() == sorted(self.model)
        for name, value in self.model.items():
            assert self.found(name) == value

    def found(self, name: str) -> int:
        """The value that a record holds; fails if it is not one that was written."""
        stored = self.run.read(name).arrays
        value = len(stored["status"])
        expected = arrays(value)
        assert stored.keys() == expected.keys()
        assert all((stored[key] == expected[key]).all() for key in expected)
        return value

    def teardown(self) -> None:
        for file, _ in self.readers:
            file.close()
        self.folder.cleanup()


TestStorage = Storage.TestCase
TestStorage.settings = settings(
    max_examples=15, stateful_step_count=15, suppress_health_check=[HealthCheck.too_slow]
)
