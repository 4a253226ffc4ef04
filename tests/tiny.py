"""The smallest real problem: images of 7x7 pixels, a supernet of one cell, seconds per run."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from zarts.runs.runfile import Run
from zarts.settings.config import Config, merge
from zarts.settings.presets import preset

TINY: dict[str, Any] = {
    "data": {"subset": 64, "downscale": 4, "batch_size": 16},
    "supernet": {"channels": 2, "cells": 1},
    "search": {"epochs": 2, "warmup": 0, "inner_steps": 2, "inner_batch_size": 8},
    "landscape": {"steps": 2, "rows": 2, "cols": 3, "val_batches": 1, "val_batch_size": 32},
    "paths": {"updates": 1, "step": "matched"},  # pilots would be most of the work
}


def tiny(method: str = "darts-1", *changes: Mapping[str, Any]) -> Config:
    """The quick preset of a method, made tiny, with changes as nested tables."""
    steps = {"darts-1": 0, "darts-2": 1}.get(method, 2)
    small = merge(TINY, {"search": {"method": method, "inner_steps": steps}})
    return Config.from_table(merge(preset("quick", method), small, *map(dict, changes)))


def words(table: Mapping[str, Any] = TINY, prefix: str = "") -> list[str]:
    """The same settings as ``--set`` flags."""
    flags: list[str] = []
    for key, value in table.items():
        if isinstance(value, Mapping):
            flags += words(value, f"{prefix}{key}.")
        else:
            flags += ["--set", f"{prefix}{key}={value}"]
    return flags


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line that says what is wrong."""
        assert "Traceback" not in self.err
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.err
        assert self.err.rstrip().splitlines()[-1] == lines[0]
        assert self.out == ""
        return lines[0]


def call(main: Callable[[Sequence[str]], int], *arguments: str | Path) -> Answer:
    """Runs a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    return Answer(code, out.getvalue(), err.getvalue())


def start(module: str, *arguments: str | Path) -> subprocess.Popen[str]:
    """Starts a command in a process of its own."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    """Waits until something happened, or fails."""
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "waited for two minutes"
        assert process is None or process.poll() is None, process.communicate()[1]
        time.sleep(0.005)


@contextmanager
def signalled(number: signal.Signals, condition: Callable[[], bool]) -> Iterator[None]:
    """Sends a signal to this process as soon as something happened."""
    before = signal.signal(number, lambda *_: None)  # a late signal must not end the tests
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            if condition():
                os.kill(os.getpid(), number)
                return
            time.sleep(0.002)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        signal.signal(number, before)


class Crash(BaseException):
    """The power is gone."""


@contextmanager
def crash_after(writes: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lets the first writes of records through and no other: what kill -9 leaves on disk.

    A record appears as a whole or not at all (tests/zarts/runfile), so the moments a kill can tell
    apart are those between two writes.
    """
    original, left = Run.write, [writes]

    def write(self: Run, *arguments: Any, **named: Any) -> None:
        if left[0] == 0:
            raise Crash
        left[0] -= 1
        original(self, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "write", write)
        yield


@contextmanager
def read_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder on a read-only disk: nothing in it is opened to be written, and nothing changes."""

    def state() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}

    original, before = os.open, state()

    def refusing(path: Any, flags: int, *arguments: Any, **named: Any) -> int:
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writes and folder in Path(os.fsdecode(path)).parents:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return original(path, flags, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refusing)
        yield
    assert state() == before


def create(path: Path, config: Config) -> Run:
    """A run of a config without provenance."""
    return Run.create(path, config.to_table(), {})
