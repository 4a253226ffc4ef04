"""The right to write where the file system has no flock: a file that stands for it."""

from __future__ import annotations

import errno
import json
import os
import signal
import time
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from tests.zarts.runs.runfile.conftest import Start
from zarts.runs.runfile import Run, RunError, RunLocked, being_written, locking, mounts

HELD = locking.HELD


@pytest.fixture(params=[errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def run(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run on a file system without flock."""

    def refused(descriptor: int, operation: int) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(locking.fcntl, "flock", refused)
    return Run.create(tmp_path / "run", {"seed": 0}, {})


def hold(run: Run, ready: Connection) -> None:
    with run.lock():
        ready.send(os.getpid())
        time.sleep(60)


def test_one_writes_and_a_killed_one_does_not_block(run: Run, start: Start) -> None:
    ours, theirs = Pipe()
    holder = start(hold, run, theirs)
    pid = ours.recv()
    told = rf"process {pid} on .* is writing this run.*sign of life .* delete {HELD}"
    with pytest.raises(RunLocked, match=told), run.lock():
        pass
    os.kill(pid, signal.SIGKILL)
    holder.join()
    with run.lock(), pytest.raises(RunLocked), run.lock():
        pass
    assert sorted(path.name for path in run.path.iterdir()) == ["run.h5", "run.lock"]


@pytest.mark.parametrize(
    "change",
    [{"host": "elsewhere"}, {"boot": "an earlier one"}, {"pid": os.getpid()}, {"pid": "x"}],
)
def test_nothing_is_taken_from_who_is_not_proved_dead(
    run: Run, change: dict[str, object], start: Start
) -> None:
    dead = start(os.getpid)
    dead.join()
    holder = {**locking.myself(), "pid": dead.pid, "token": "t"}
    (run.path / HELD).write_text(json.dumps(holder | change))
    with pytest.raises(RunLocked), run.lock():
        pass
    assert json.loads((run.path / HELD).read_text()) == holder | change
    (run.path / HELD).write_text(json.dumps(holder))
    with run.lock():
        assert json.loads((run.path / HELD).read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"pid": true}'])
def test_who_has_not_signed_is_not_dead(run: Run, text: str) -> None:
    (run.path / HELD).write_text(text)
    with pytest.raises(RunLocked, match="is writing this run"), run.lock():
        pass


def test_of_all_that_find_a_dead_one_only_one_takes_its_place(run: Run, start: Start) -> None:
    dead = start(os.getpid)
    dead.join()
    holder = {**locking.myself(), "pid": dead.pid, "token": "t"}
    file = run.path / HELD
    file.write_text(json.dumps(holder))
    mine = [locking.myself() | {"token": name} for name in "ab"]
    # both saw it dead
    assert [locking.take_over(file, holder, each) for each in mine] == [True, False]
    assert json.loads(file.read_text())["token"] == "a"


def test_a_holder_gives_signs_of_life(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locking, "HEARTBEAT", 0.01)
    with run.lock():
        os.utime(run.path / HELD, (0, 0))
        end = time.monotonic() + 20
        while (run.path / HELD).stat().st_mtime == 0 and time.monotonic() < end:
            time.sleep(0.01)
        assert (run.path / HELD).stat().st_mtime > 0


def test_another_failure_of_a_lock_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(descriptor: int, operation: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(locking.fcntl, "flock", broken)
    with pytest.raises(RunError, match="Input/output error"), run.lock():
        pass


def mounted(folder: Path, kind: str, options: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run on such a file system, by a table in which a mount hides another."""
    point = folder / "a b"
    names = str(point).replace(" ", r"\040")
    table = folder / "mountinfo"
    table.write_text(
        "21 1 8:1 / / rw shared:1 - ext4 /dev/a rw\n"
        f"22 21 8:2 / {names} rw - fuse.s3fs s3fs rw\n"
        f"23 21 0:9 / {names} rw,relatime shared:2 master:1 - {kind} server:/x {options}\n"
        f"24 23 8:3 / {names}/elsewhere rw - fuse.s3fs s3fs rw\n"
    )
    monkeypatch.setattr(mounts, "TABLE", table)
    return Run.create(point / "run", {"seed": 0}, {})


@pytest.mark.parametrize(
    ("kind", "options", "stands"),
    [
        ("xfs", "rw", False),
        ("nfs4", "rw,vers=4.2,local_lock=none", False),
        ("nfs", "rw,nolock,local_lock=all", True),
        ("lustre", "rw,flock", False),
        ("lustre", "rw,localflock", True),
        ("cifs", "rw,nobrl", True),
        ("fuse.sshfs", "rw", True),
        ("fuseblk", "rw", False),  # a disk of this machine
    ],
)
def test_a_file_stands_for_a_lock_that_other_machines_may_not_see(
    kind: str, options: str, stands: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = mounted(tmp_path, kind, options, monkeypatch)
    with run.lock():
        assert (run.path / HELD).exists() is stands
        assert being_written(run.path)
    there = {"host": "another", "pid": 1, "boot": "its own", "token": "t"}
    (run.path / HELD).write_text(json.dumps(there))
    assert being_written(run.path) is stands
    if stands:
        with pytest.raises(RunLocked, match=f"process 1 on another .* delete {HELD}"), run.lock():
            pass


def test_where_no_lock_would_hold_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RunError, match=r"lies on fuse\.gcsfuse, where two machines"):
        mounted(tmp_path, "fuse.gcsfuse", "rw", monkeypatch)


def test_without_a_table_of_mounts_flock_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounts, "TABLE", tmp_path / "none")
    run = Run.create(tmp_path / "run", {"seed": 0}, {})
    with run.lock():
        assert not (run.path / HELD).exists()
