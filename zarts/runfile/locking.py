"""The right to write a folder, which the system takes back however its holder ends."""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from zarts.runfile.disk import RunLocked, unwritable

__all__ = ["being_written", "locked"]

_TEMPORARY = re.compile(r"\..+\.tmp\.(\d{1,9})\.[0-9a-f]{8}")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the right to write, and clears what a killed writer left half written.

    Raises:
        RunLocked: If another process holds it; names the holder.
        RunError: If the folder cannot be written.
    """  # noqa: DOC501 - made by ``unwritable``
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(folder / "run.lock", flags, 0o666)
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        try:
            _take(descriptor)
            holder = json.dumps({"host": socket.gethostname(), "pid": os.getpid()})
            os.ftruncate(descriptor, 0)
            os.write(descriptor, holder.encode())
            _remove_leftovers(folder)
        except BlockingIOError:
            raise RunLocked(
                f"{folder}: {_holder(descriptor)} is writing this run; wait or stop it"
            ) from None
        except OSError as error:
            raise unwritable(folder, error) from error
        yield
    finally:
        os.close(descriptor)


def being_written(folder: Path) -> bool:
    """Whether a process holds the right to write; asked without writing anything.

    True also where that cannot be told, as on a file system without locks.
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
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> None:
    """Takes the lock; who only asks for its holder has it for an instant, which is waited for."""
    for seconds in (0.01, 0.05, 0.1):
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(seconds)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _holder(descriptor: int) -> str:
    try:
        holder = json.loads(os.pread(descriptor, 1000, 0))
        return f"process {int(holder['pid'])} on {holder['host']!s:.80}"
    except (ValueError, KeyError, TypeError):  # the holder has the lock but has not signed yet
        return "another process"


def _remove_leftovers(folder: Path) -> None:
    for parent, _, files in os.walk(folder):
        for file in files:
            match = _TEMPORARY.fullmatch(file)
            if match and not _is_alive(int(match[1])):
                (Path(parent) / file).unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    if pid == os.getpid():  # not ours: in a container a killed writer often had the same number
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
