"""The commit primitive: old or new, whatever fails and whenever the process goes."""

import os
import resource
import signal
from pathlib import Path

import numpy as np
import pytest

from tests.zarts.runs.runfile.dying import die_inside
from zarts.runs.runfile import RunError, read_record, record, write_record
from zarts.runs.runfile.disk import commit, make_folder

OLD, NEW = b"old" * 1000, b"new!" * 5000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "x.h5").write_bytes(OLD)
    return tmp_path / "x.h5"


def commit_and_die(path: Path, call: int) -> None:
    die_inside(0, call)
    record.commit(path, NEW)
    os._exit(0)


def test_a_crash_before_any_call_leaves_old_or_new(file, start):
    seen, call, code = [], 0, None
    while code != 0:
        file.write_bytes(OLD)
        process = start(commit_and_die, file, call)
        process.join()
        code, call = process.exitcode, call + 1
        assert code in (0, -signal.SIGKILL)
        assert file.read_bytes() in (OLD, NEW)
        seen.append(file.read_bytes() == NEW)
    assert call > 10  # the kills did fall inside
    assert seen == sorted(seen)  # one moment divides old from new
    assert not seen[0]
    assert seen[-1]


@pytest.mark.parametrize(
    ("name", "call", "left"),
    [("fsync", 0, OLD), ("replace", 0, OLD), ("fsync", 1, NEW), ("open", 0, NEW)],
)
def test_a_failing_call_is_reported_and_leaves_old_or_new(file, monkeypatch, name, call, left):
    original, calls = getattr(os, name), iter(range(100))

    def fail(*args, **kwargs):
        if next(calls) == call:
            raise OSError(5, "Input/output error")
        return original(*args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(os, name, fail)
        with pytest.raises(RunError, match=r"x\.h5: cannot be written \(Input/output error\)"):
            commit(file, NEW)
    assert file.read_bytes() == left
    assert os.listdir(file.parent) == ["x.h5"]  # noqa: PTH208


def test_a_disk_that_lies_is_noticed_before_the_old_file_goes(file, monkeypatch):
    fsync = os.fsync

    def rot(descriptor):
        fsync(descriptor)
        os.pwrite(descriptor, b"rot", 700)

    monkeypatch.setattr(os, "fsync", rot)
    with pytest.raises(RunError, match="gave back other bytes"):
        commit(file, NEW)
    assert file.read_bytes() == OLD


def test_interrupt_leaves_no_temporary_file(file, monkeypatch):
    def interrupt(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        commit(file, NEW)
    assert [path.name for path in file.parent.iterdir()] == ["x.h5"]
    assert file.read_bytes() == OLD


def write_on_full_disk(path: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    try:
        write_record(path, {"x": np.ones(10_000)}, {})
    except RunError as error:
        os._exit(3 if "cannot be written (File too large)" in str(error) else 4)
    os._exit(0)


def test_a_full_disk_is_one_clear_error_and_loses_nothing(tmp_path, start):
    path = tmp_path / "a.h5"
    write_record(path, {"x": np.zeros(3)}, {"generation": 1})
    process = start(write_on_full_disk, path)
    process.join()
    assert process.exitcode == 3
    assert read_record(path).attributes == {"generation": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_new_folders_are_durable_before_anything_is_in_them(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    make_folder(tmp_path / "a" / "b")
    assert synced == [tmp_path.stat().st_ino, (tmp_path / "a").stat().st_ino]


def test_unwritable_places(file):
    with pytest.raises(RunError, match="cannot be written"):
        commit(file / "below.h5", NEW)
    with pytest.raises(RunError, match="cannot be written"):
        make_folder(file / "folder" / "deeper")
    assert file.read_bytes() == OLD
