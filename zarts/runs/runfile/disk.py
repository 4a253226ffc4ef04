"""Bytes on disk, and the errors that name them: a file is replaced whole and read whole."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

__all__ = [
    "ConfigMismatch",
    "CorruptFile",
    "ForeignFile",
    "RunError",
    "RunLocked",
    "Unwritable",
    "commit",
    "load",
    "make_folder",
    "one_line",
    "unwritable",
]


class RunError(Exception):
    """A run cannot be read or written; one line names the file, the cause and the cure."""


class CorruptFile(RunError):
    """The bytes are not the bytes that were written."""


class ForeignFile(RunError):
    """Not a file of ours, one of a newer format, or one with constructs that we never write."""


class Unwritable(RunError):
    """The folder takes no files: read-only, full, or somebody else's."""


class RunLocked(RunError):
    """Another process is writing this run."""


class ConfigMismatch(RunError):
    """The folder holds a run of another configuration.

    Attributes:
        differences: One text per differing key, ``"search.seed: stored 0, asked 1"``.
    """

    def __init__(self, path: Path, differences: list[str]) -> None:
        self.differences = differences
        super().__init__(
            f"{path}: holds a run with another configuration ({'; '.join(differences)}); repeat "
            f"the command with the settings it was made with, or choose another name"
        )


def commit(path: Path, data: bytes) -> None:
    """Replaces a file so that a crash at any moment leaves the old content or the new one.

    Raises:
        RunError: If the bytes cannot be read back as they were.
        Unwritable: If they cannot be written or made durable.
    """
    temporary = path.with_name(f".{path.name}.tmp.{os.getpid()}.{token_hex(4)}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if temporary.read_bytes() != data:
            raise RunError(f"{path}: the disk gave back other bytes than were written")
        os.replace(temporary, path)  # noqa: PTH105 - the system call is the point
        _sync_folder(path.parent)
    except OSError as error:
        raise Unwritable(
            f"{path}: cannot be written ({one_line(error)}); what was stored before is undamaged. "
            "Free space or choose a writable folder, then run the same command again"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable; without it a rename may be undone by a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def load(path: Path, limit: int) -> bytes:
    """Reads a regular file whole; what is not one is refused without waiting for it.

    Args:
        path: The file.
        limit: Largest size accepted, bytes.

    Returns:
        Its content.

    Raises:
        ForeignFile: If it is a link, a pipe, a folder or a device, or too large.
        RunError: If it is missing or cannot be read.
    """
    try:
        # Without O_NONBLOCK a named pipe would block the reader for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ForeignFile(f"{path}: is a symbolic link; copy the file itself here") from None
        raise RunError(f"{path}: cannot be opened ({one_line(error)})") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ForeignFile(f"{path}: is not a regular file")
        if status.st_size > limit:
            raise ForeignFile(f"{path}: has {status.st_size} bytes, the limit is {limit}")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(status.st_size)
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({one_line(error)})") from error
    finally:
        os.close(descriptor)


def unwritable(path: Path, error: OSError) -> Unwritable:
    """The error for a folder that refuses to be written."""
    return Unwritable(f"{path}: cannot be written ({one_line(error)}); choose a writable folder")


def make_folder(folder: Path) -> None:
    """Makes a folder and its parents, each durable.

    Raises:
        RunError: If the folder cannot be made.
    """  # noqa: DOC501 - made by ``unwritable``
    if folder.is_dir():
        return
    make_folder(folder.parent)
    try:
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)
    except OSError as error:
        raise unwritable(folder, error) from error


def one_line(error: BaseException) -> str:
    """The cause on one line, without the file name that the message already has."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join((text or type(error).__name__).split())[:200]
