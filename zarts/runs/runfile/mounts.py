"""Whether a lock on a folder holds on other machines too, by what the system says of its mount."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

__all__ = ["Mount", "mount_of"]

TABLE = Path("/proc/self/mountinfo")  # of Linux; elsewhere flock is taken at its word
# With these a client of NFS, Lustre or SMB keeps locks to itself.
_KEPT_HERE = {"nolock", "local_lock=flock", "local_lock=all", "localflock", "nobrl"}
# And these do not say whether they keep them to themselves.
_UNTOLD = re.compile(r"fuse|fuse\..*|9p|virtiofs|beegfs|afs|vboxsf")
# Stores of objects, where two machines can both be told that they made a file.
_STORES = re.compile(r"fuse\.(s3fs|gcsfuse|rclone|goofys|mount-?s3|mountpoint-s3|blobfuse2?)")


class Mount(NamedTuple):
    """What a folder lies on.

    Attributes:
        kind: The type of file system, such as ``nfs4``; empty if the system does not say.
        options: Those of the mount.
    """

    kind: str
    options: frozenset[str]

    @property
    def shares_locks(self) -> bool:
        """Whether a ``flock`` taken here is seen by every machine that may write there."""
        return not (_KEPT_HERE & self.options or _UNTOLD.fullmatch(self.kind))

    @property
    def makes_files_once(self) -> bool:
        """Whether of two machines that make one file only one is told that it did."""
        return not _STORES.fullmatch(self.kind)


def mount_of(folder: Path) -> Mount:
    """The mount that a folder lies on: of those that hold it, the innermost and latest."""
    folder, deepest, found = folder.resolve(), Path(), Mount("", frozenset())
    try:
        lines = TABLE.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return found
    for line in lines:
        place, _, what = (part.split() for part in line.partition(" - "))
        if len(place) < 6 or len(what) < 3:
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), place[4]))
        if folder.is_relative_to(point) and len(point.parts) >= len(deepest.parts):
            deepest = point
            found = Mount(what[0], frozenset(f"{place[5]},{what[2]}".split(",")))
    return found
