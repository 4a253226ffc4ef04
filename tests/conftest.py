"""What every test shares: one thread, a run folder of its own, repeatable hypotheses, a browser."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import pytest

collect_ignore = ["gpu"]  # run by `make gpu`, with settings of their own

# Before torch is imported anywhere, here or in a process that a test starts. Sums are split over
# threads, so a number depends on how many there are; and on few cores one thread is faster.
os.environ["OMP_NUM_THREADS"] = "1"


def pytest_configure() -> None:
    from hypothesis import settings

    settings.register_profile("project", deadline=None, derandomize=True, max_examples=50)
    settings.load_profile("project")


@pytest.fixture(autouse=True)
def _own_run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZARTS_RUNS", str(tmp_path / "runs"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the checkout."""
    return Path(__file__).resolve().parents[1]


def without(what: str) -> NoReturn:
    """Ends a test that lacks something: it is skipped, and in CI it fails."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="session")
def lonely_ray() -> None:
    """Ray, and the right to give it a network of its own."""
    if find_spec("ray") is None:
        without("Ray is not installed: pip install 'zarts[cluster]'")
    try:
        subprocess.run(["unshare", "--net", "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        without(f"no network namespace can be made here, which takes root: {error}")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium. Without one a test is skipped; in CI it fails."""
    names = [os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"]
    found = [path for name in names if name and (path := shutil.which(name))]
    if not found:
        without("no Chromium; `make browser` installs one on Debian, or set CHROMIUM")
    return found[0]
