"""Disks that are full, fail or may not be written: one clear line, nothing lost, and on it goes."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from landscape.compute import writer as writer
from landscape.compute.pipeline import compute
from tests.tiny import call, create, tiny, words
from zarts.__main__ import main
from zarts.runs.recorder import record_search
from zarts.runs.runfile import Run, RunError
from zarts.settings.config import Config

COMMAND = ["--method", "darts-1", *words(), "--quiet"]
CAP_DAC_OVERRIDE = 1
PR_CAPBSET_DROP = 24


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("disks") / "whole"
    assert call(main, *COMMAND, "--out", folder).code == 0
    return Run.open(folder)


def in_a_process(prepare: Callable[[], None], folder: Path) -> str:
    """The one line that the command ends with."""
    done = subprocess.run(
        [sys.executable, "-m", "zarts", *COMMAND, "--out", str(folder)],
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=prepare,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr.rstrip().splitlines()[-1]


def fill_the_disk() -> None:
    """As if no more than this fitted: the run, but not the record of an epoch."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))


def be_no_superuser() -> None:
    """Without this capability the permissions of files hold for root too."""
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)


def test_a_full_disk_stops_a_search_that_goes_on_when_there_is_space(
    whole: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    line = in_a_process(fill_the_disk, folder)
    assert re.search(r"^error: .*/run/\S+\.h5: cannot be written \(File too large\)", line)
    assert "Free space" in line
    assert not list(folder.rglob(".*.tmp.*"))
    assert call(main, *COMMAND, "--out", folder).code == 0
    assert Run.open(folder).content_hash() == whole.content_hash()


def test_a_folder_that_may_only_be_read(whole: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole.path, folder)
    for name in ("search/epoch-0002.h5", "checkpoint.h5", "run.lock"):
        (folder / name).unlink()
    before = sorted(path.name for path in folder.rglob("*"))
    folder.chmod(0o555)
    line = in_a_process(be_no_superuser, folder)
    assert f"error: {folder}" in line
    assert "choose a writable folder" in line
    assert sorted(path.name for path in folder.rglob("*")) == before
    folder.chmod(0o755)
    assert call(main, *COMMAND, "--out", folder).code == 0
    assert Run.open(folder).content_hash() == whole.content_hash()


def search(run: Run, config: Config) -> None:
    record_search(run, config, flush_seconds=0.0)


@pytest.mark.parametrize("work", [search, compute])
def test_a_failing_fsync_stops_the_work(
    work: Callable[[Run, Config], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails once, and a second try would pass, over data that may be lost (fsyncgate)."""
    monkeypatch.setattr(writer, "FLUSH_SECONDS", 0.0)
    monkeypatch.setattr(writer, "SAVES", 0.0)
    config = tiny("darts-1", {"search": {"epochs": 1}}, {"paths": {"methods": ["darts-1"]}})
    base, fsync = create(tmp_path / "base", config), os.fsync
    if work is compute:
        search(base, config)
    calls = count()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: [fsync(file), next(calls)])
        shutil.copytree(base.path, tmp_path / "whole")
        work(Run.open(tmp_path / "whole"), config)
    expected = Run.open(tmp_path / "whole").content_hash()
    for last in range(0, next(calls), 7):
        run = Run.open(shutil.copytree(base.path, tmp_path / f"run-{last}"))
        calls = count()

        def fail(file: int, calls: count[int] = calls, last: int = last) -> None:
            if next(calls) == last:
                raise OSError(errno.EIO, "Input/output error")
            fsync(file)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            with pytest.raises(RunError, match=r"cannot be written \(Input/output error\)"):
                work(run, config)
        work(run, config)
        assert run.content_hash() == expected
