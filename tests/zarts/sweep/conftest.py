"""What the tests of sweeps compare with: the same searches, each run alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.zarts.sweep.sweeps import NAMES, contents, search_alone


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Where the runs of this test are."""
    return tmp_path / "runs"


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], dict[str, str]]:
    """Content of the searches of so many epochs."""

    @cache
    def of(epochs: int) -> dict[str, str]:
        folder = tmp_path_factory.mktemp("alone") / "runs"
        for name in NAMES:
            search_alone(folder / name, name, epochs)
        return contents(folder)

    return of
