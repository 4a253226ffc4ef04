"""Tampers with a run, and tells what the command says about it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from landscape.verify import run as checks
from landscape.verify.__main__ import main
from tests.tiny import Answer, call
from zarts.runs.runfile import Run, read_record, write_record


def copied(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A copy to tamper with. It needs little memory: measuring how much takes half a second."""
    monkeypatch.setattr(checks, "check_memory", lambda config, methods: 0)
    shutil.copytree(run.path, folder)
    return Run.open(folder)


@dataclass(frozen=True)
class Verdict:
    """What the command said about one run."""

    code: int
    findings: list[dict[str, str]]
    err: str

    def of(self, check: str) -> list[str]:
        """Results of all lines of a check."""
        return [each["result"] for each in self.findings if each["check"] == check]

    @property
    def failed(self) -> set[str]:
        """The checks that fail."""
        return {each["check"] for each in self.findings if each["result"] == "FAIL"}

    def why(self, check: str) -> str:
        """The details of all lines of a check."""
        return "\n".join(each["detail"] for each in self.findings if each["check"] == check)


def say(*arguments: str | Path) -> Answer:
    answer = call(main, *arguments)
    assert "Traceback" not in answer.err
    return answer


def verdict(path: Path, *flags: str, points: int = 9) -> Verdict:
    """Runs the command over one run; by default it computes every point of the tiny run again."""
    answer = say("--json", "-q", "-k", str(points), *flags, path)
    (found,) = json.loads(answer.out)["runs"]
    assert found["holds"] == (answer.code == 0)
    return Verdict(answer.code, found["findings"], answer.err)


def reseal(run: Run, name: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes the arrays of a record and seals it again, as somebody who read our source can."""
    record = run.read(name)
    arrays = {key: np.array(array) for key, array in record.arrays.items()}
    change(arrays)
    run.write(name, arrays, record.attributes)


def restate(run: Run, part: str, changes: Mapping[str, Any]) -> None:
    """Changes what ``run.h5`` says; a change to None takes the key out.

    The records no longer say whose they are, as those of old, which would be all there is to tell.
    """
    content = {"config": dict(run.config), "provenance": dict(run.provenance)}
    for key, value in changes.items():
        table: Any = content[part]
        *outer, last = key.split(".")
        for name in outer:
            table[name] = dict(table[name])
            table = table[name]
        if value is None:
            del table[last]
        else:
            table[last] = value
    for file in run.path.rglob("*.h5"):
        record = read_record(file)
        record.attributes.pop("owner", None)
        write_record(file, record.arrays, record.attributes)
    write_record(run.path / "run.h5", {}, content)
