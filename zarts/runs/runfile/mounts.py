"""Whether a lock on a folder holds on other machines too, by what the system says of its mount."""

from __future__ import annotations

import re
from functools import lru_cache
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


_NOTHING = Mount("", frozenset())  # the system does not say


def mount_of(folder: Path) -> Mount:
    """The mount that a folder lies on: of those that hold it, the innermost and latest."""
    try:
        table = TABLE.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return _NOTHING
    parts = folder.resolve().parts
    holding = [(len(point), mount) for point, mount in _read(table) if parts[: len(point)] == point]
    deepest = max((depth for depth, _ in holding), default=0)
    innermost = [mount for depth, mount in holding if depth == deepest]
    return innermost[-1] if innermost else _NOTHING


@lru_cache(maxsize=4)  # a list of a thousand runs asks a thousand times
def _read(table: str) -> list[tuple[tuple[str, ...], Mount]]:
    """The parts of each mount's path, and the mount, in the order of the table."""
    found = []
    for line in table.splitlines():
        place, _, what = (part.split() for part in line.partition(" - "))
        if len(place) < 6 or len(what) < 3:
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), place[4]))
        options = frozenset(f"{place[5]},{what[2]}".split(","))
        found.append((point.parts, Mount(what[0], options)))
    return found
