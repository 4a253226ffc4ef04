"""One finished tiny run of the command, shared by the tests that only look at it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from landscape.compute.__main__ import main
from tests.tiny import Answer, call, words
from zarts.runs.runfile import Run


@dataclass(frozen=True)
class Finished:
    """A run of the command that nobody disturbed, and what it said."""

    run: Run
    answer: Answer


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("finished") / "tiny"
    answer = call(main, *words(), "--workers", "1", "--out", folder)
    assert answer.code == 0, answer.err
    return Finished(Run.open(folder), answer)
