"""The commit primitive: old or new, whatever fails and whenever the process or the power goes."""

import os
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from zarts.runfile import RunError, read_record, write_record
from zarts.runfile.disk import commit, make_folder

OLD, NEW = b"old" * 1000, b"new!" * 5000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "x.h5").write_bytes(OLD)
    return tmp_path / "x.h5"


def commit_and_die(path: Path, call: int) -> None:
    """Ends the process without any clean-up just before the n-th C call inside ``commit``."""
    calls = 0

    def count(frame, event, arg):
        nonlocal calls
        if event == "c_call":
            calls += 1
            if calls > call:
                os._exit(9)

    sys.setprofile(count)
    commit(path, NEW)
    sys.setprofile(None)
    os._exit(0)


def test_a_crash_before_any_call_leaves_old_or_new(file, start):
    seen, call, code = [], 0, None
    while code != 0:
        file.write_bytes(OLD)
        process = start(commit_and_die, file, call)
        process.join()
        code, call = process.exitcode, call + 1
        assert code in (0, 9)
        assert file.read_bytes() in (OLD, NEW)
        seen.append(file.read_bytes() == NEW)
    assert call > 10  # the loop did cut inside
    assert seen == sorted(seen)  # one moment divides old from new
    assert not seen[0]
    assert seen[-1]


class PowerCut:
    """A disk that keeps only what was fsynced, and checks what a power cut would leave.

    Contents are durable after an fsync of the file, names after one of the folder; between a rename
    and the folder's fsync either name may survive.
    """

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path, self.events = path, []
        self.contents = {path.stat().st_ino: path.read_bytes()}
        self.name = path.stat().st_ino
        self._fsync, self._replace = os.fsync, os.replace
        monkeypatch.setattr(os, "fsync", self.fsync)
        monkeypatch.setattr(os, "replace", self.replace)

    def fsync(self, descriptor: int) -> None:
        self._fsync(descriptor)
        if os.path.isdir(descriptor):  # noqa: PTH112 - a descriptor, not a path
            self.events.append("fsync folder")
            self.name = self.path.stat().st_ino
        else:
            self.events.append("fsync file")
            self.contents[os.fstat(descriptor).st_ino] = Path(f"/dev/fd/{descriptor}").read_bytes()

    def replace(self, source: Path, target: Path) -> None:
        self.events.append("replace")
        # The rename may reach the disk at any time from here on, so the content must be there.
        assert self.contents.get(Path(source).stat().st_ino) == NEW
        self._replace(source, target)

    def after_power_cut(self) -> bytes | None:
        return self.contents.get(self.name)


def test_a_power_cut_leaves_old_or_new_and_never_loses_what_was_acknowledged(file, monkeypatch):
    disk = PowerCut(file, monkeypatch)
    assert disk.after_power_cut() == OLD
    commit(file, NEW)
    assert disk.after_power_cut() == NEW
    assert disk.events == ["fsync file", "replace", "fsync folder"]


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


def replace_for_ever(path: Path) -> None:
    generation = 0
    while True:
        generation += 1
        values = np.full(1000 + generation % 7 * 500, float(generation))
        write_record(path, {"x": values, "y": -values}, {"generation": generation})


def test_a_reader_beside_a_writer_never_sees_a_torn_file(tmp_path, start):
    path = tmp_path / "a.h5"
    write_record(path, {"x": np.zeros(3), "y": np.zeros(3)}, {"generation": 0})
    start(replace_for_ever, path)
    generations, end = [0], time.monotonic() + 20
    while generations[-1] < 20 and time.monotonic() < end:
        record = read_record(path)
        generation = record.attributes["generation"]
        assert (record.arrays["x"] == generation).all()
        assert (record.arrays["y"] == -record.arrays["x"]).all()
        generations.append(generation)
    assert generations == sorted(generations)
    assert generations[-1] > 2  # the writer did work meanwhile
