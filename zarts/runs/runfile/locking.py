"""The right to write a folder, which the system takes back however its holder ends.

Where the file system has no ``flock``, or one that other machines may not see, there is a file for
it, which only its holder makes and removes. It is taken from a holder that is proved dead, never
from one that is only silent, and never from another machine's.

The package filelock (4.3.1) would not do: its ``FileLock`` takes the same ``flock`` and does not
say who holds it, its ``SoftFileLock`` takes a file from a live holder on another machine of the
same name, and its ``StrictSoftFileLock`` lets the file of a killed process block for ever.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from secrets import token_hex
from typing import Any

from zarts.runs.runfile.disk import RunError, RunLocked, commit, unwritable
from zarts.runs.runfile.mounts import mount_of

__all__ = ["HELD", "being_written", "locked"]

HELD = "run.held"  # the file that stands for the lock where there is no flock
HEARTBEAT = 30.0  # s between two signs of life of its holder
_NO_FLOCK = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, 524}  # of NFS
_TEMPORARY = re.compile(r"\..+\.tmp\.(\d{1,9})\.[0-9a-f]{8}")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the right to write, and clears what a killed writer left half written.

    Raises:
        RunLocked: If another process holds it; names the holder.
        RunError: If the folder cannot be written, or no lock there would hold.
    """  # noqa: DOC501 - made by ``unwritable``
    mount = mount_of(folder)
    if not mount.makes_files_once:
        raise RunError(
            f"{folder}: lies on {mount.kind}, where two machines could write one run at once; keep "
            "runs on another file system and copy them there when they are finished"
        )
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(folder / "run.lock", flags, 0o666)
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        alone = _flock(folder, descriptor) and mount.shares_locks
        with nullcontext() if alone else _held(folder):
            try:
                _remove_leftovers(folder)
            except OSError as error:
                raise unwritable(folder, error) from error
            yield
    finally:
        os.close(descriptor)


def being_written(folder: Path) -> bool:
    """Whether a process holds the right to write; asked without writing anything.

    True also where that cannot be told.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(folder / "run.lock", flags)
    except FileNotFoundError:  # nobody ever wrote here, as into an unpacked copy
        return False
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_FLOCK:
            return True
    else:
        if mount_of(folder).shares_locks:
            return False
    finally:
        os.close(descriptor)
    holder = _holder_of(folder / HELD)
    return bool(holder) and not _is_dead(holder)


def _flock(folder: Path, descriptor: int) -> bool:
    """Locks the open file and signs it; false where the file system has no locks.

    Raises:
        RunLocked: If another process holds it.
    """  # noqa: DOC501 - the other made by ``unwritable``
    try:
        _exclusive(descriptor)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(myself()).encode())
    except BlockingIOError:
        raise _locked(folder, _read(descriptor)) from None
    except OSError as error:
        if error.errno in _NO_FLOCK:
            return False
        raise unwritable(folder, error) from error
    return True


def _exclusive(descriptor: int) -> None:
    """Takes the lock; who only asks for its holder has it for an instant, which is waited for."""
    for seconds in (0.01, 0.05, 0.1):
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(seconds)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """The same by a file that stands for the lock."""
    file, mine = folder / HELD, myself() | {"token": token_hex(8)}
    _claim(file, mine)
    ended = threading.Event()
    threading.Thread(target=_beat, args=(file, ended), daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        if _holder_of(file).get("token") == mine["token"]:
            with suppress(OSError):
                file.unlink()


def _claim(file: Path, mine: dict[str, Any]) -> None:
    """Makes the file, or takes it over from a dead holder.

    Raises:
        RunLocked: If another process holds it, or may.
    """  # noqa: DOC501 - the other made by ``unwritable``
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        holder = _holder_of(file)
        if not (_is_dead(holder) and take_over(file, holder, mine)):
            raise _locked(
                file.parent, holder, f"{_silence(file)}; if it has ended, delete {file.name} there"
            ) from None
        return
    except OSError as error:
        raise unwritable(file.parent, error) from error
    with os.fdopen(descriptor, "w") as made:
        json.dump(mine, made)
        made.flush()
        os.fsync(descriptor)


def take_over(file: Path, holder: dict[str, Any], mine: dict[str, Any]) -> bool:
    """Puts this process in the place of a dead one; false if another was faster.

    Of all that know of its death one makes the file with its token in the name, and finds it still
    the holder: nobody else can have taken its place meanwhile.
    """
    right = file.with_name(f".{file.name}.after.{holder.get('token', '')!s:.16}")
    try:
        os.close(os.open(right, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
    except OSError:
        return False
    try:
        if _holder_of(file) != holder:
            return False
        commit(file, json.dumps(mine).encode())
        return True
    finally:
        with suppress(OSError):
            right.unlink()


def _beat(file: Path, ended: threading.Event) -> None:
    while not ended.wait(HEARTBEAT):
        with suppress(OSError):
            os.utime(file)


def myself() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "boot": _boot()}


def _boot() -> str:
    """This start of this machine, and the name space of its process numbers; empty if unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _is_dead(holder: dict[str, Any]) -> bool:
    """Whether a process is proved to have ended: it was of this start of this machine."""
    here = myself()
    same = here["boot"] and all(holder.get(key) == here[key] for key in ("host", "boot"))
    pid = holder.get("pid")
    return bool(same) and isinstance(pid, int) and pid > 0 and pid != here["pid"] and not _runs(pid)


def _silence(file: Path) -> str:
    """How long ago its holder touched a file."""
    try:
        return f" (last sign of life {max(0.0, time.time() - file.stat().st_mtime):.0f} s ago)"
    except OSError:
        return ""


def _locked(folder: Path, holder: dict[str, Any], more: str = "") -> RunLocked:
    who = "another process"  # it has the lock but has not signed yet
    if isinstance(holder.get("pid"), int):
        who = f"process {holder['pid']} on {holder.get('host')!s:.80}"
    return RunLocked(f"{folder}: {who} is writing this run; wait or stop it{more}")


def _holder_of(file: Path) -> dict[str, Any]:
    """What a file says of its holder; empty if it is gone."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return {}
    try:
        return {"token": "", **_read(descriptor)}
    finally:
        os.close(descriptor)


def _read(descriptor: int) -> dict[str, Any]:
    try:
        holder = json.loads(os.pread(descriptor, 1000, 0))
    except (OSError, ValueError):
        return {}
    return holder if isinstance(holder, dict) else {}


def _remove_leftovers(folder: Path) -> None:
    for parent, _, files in os.walk(folder):
        for file in files:
            match = _TEMPORARY.fullmatch(file)
            if match and not _is_alive(int(match[1])):
                (Path(parent) / file).unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    # not ours: in a container a killed writer often had the same number
    return pid != os.getpid() and _runs(pid)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
