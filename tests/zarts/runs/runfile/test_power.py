"""A power cut at any call of a commit, on a disk that keeps what it likes of the unsynced.

The model: what was written since the last fsync of a file is on the disk sector by sector or not at
all, a renamed file has its new name there or the old one until its folder is synced. 512 bytes are
the unit that disks write whole. No file system is that bad at everything; each is at something.
"""

import os
import shutil
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from zarts.runs.runfile.disk import commit

SECTOR = 512
GENERATIONS = [bytes([n]) * size for n, size in enumerate([3000, 9000, 700, 20_000], 1)]


class Disk:
    """What is surely on the disk, and what a power cut now may leave there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._kept: dict[int, bytes] = {}
        self._names: list[int] = []  # of the file: the synced name and the later ones
        self.sync_file(path)
        self.sync_folder()

    def sync_file(self, path: Path) -> None:
        self._kept[path.stat().st_ino] = path.read_bytes()

    def sync_folder(self) -> None:
        name = self.path.stat().st_ino
        self._names = [name]
        self._kept = {name: self._kept.get(name, b"")}  # numbers of the others may be used again

    def renamed(self) -> None:
        self._names.append(self.path.stat().st_ino)

    def after_a_power_cut(self, rng: np.random.Generator) -> bytes:
        """One of the contents that may be found afterwards."""
        name = self._names[rng.integers(len(self._names))]
        kept = self._kept.get(name, b"")
        if name != self.path.stat().st_ino:
            return kept
        written = self.path.read_bytes()
        if written == kept:
            return kept
        size = [len(written), len(kept), int(rng.integers(len(written) + 1))][rng.integers(3)]
        sectors = [
            (written if new else kept)[at : at + SECTOR].ljust(SECTOR, b"\0")
            for at, new in zip(
                range(0, size, SECTOR), rng.integers(2, size=-(-size // SECTOR)), strict=True
            )
        ]
        return b"".join(sectors)[:size]


Mutation = Callable[[pytest.MonkeyPatch], None]


def as_it_is(patch: pytest.MonkeyPatch) -> None:
    """No mutation."""


def _without_sync(patch: pytest.MonkeyPatch, folders: bool) -> None:
    fsync = os.fsync
    patch.setattr(os, "fsync", lambda file: None if _is_folder(file) == folders else fsync(file))


def without_the_fsync(patch: pytest.MonkeyPatch) -> None:
    _without_sync(patch, folders=False)


def without_the_fsync_of_the_folder(patch: pytest.MonkeyPatch) -> None:
    _without_sync(patch, folders=True)


def without_the_rename(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(os, "replace", lambda source, target: None)


def with_a_copy_for_the_rename(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(os, "replace", shutil.copyfile)


def _is_folder(descriptor: int) -> bool:
    return os.path.isdir(descriptor)  # noqa: PTH112 - a descriptor, not a path


def cut(path: Path, mutation: Mutation, samples: int) -> tuple[int, int, int]:
    """Commits all generations and cuts the power before each call of each commit, and after all.

    Args:
        path: The file, which holds the first generation.
        mutation: Breaks the primitive.
        samples: Power cuts tried before each call.

    Returns:
        Power cuts; those that left neither the old content nor the new one; those that lost what
        was acknowledged.
    """
    path.write_bytes(GENERATIONS[0])
    disk, rng = Disk(path), np.random.default_rng(0)
    allowed: list[bytes] = []
    cuts = torn = lost = 0

    def sample() -> None:
        nonlocal cuts, torn, lost
        for _ in range(samples):
            found = disk.after_a_power_cut(rng)
            cuts += 1
            torn += found not in GENERATIONS
            lost += found in GENERATIONS and found not in allowed

    def before_call(frame: object, event: str, called: object) -> None:
        if event == "c_call" and called is not sys.setprofile:
            sys.setprofile(None)
            sample()
            sys.setprofile(before_call)

    with pytest.MonkeyPatch.context() as patch:
        fsync, replace = os.fsync, os.replace

        def synced(descriptor: int) -> None:
            fsync(descriptor)
            if _is_folder(descriptor):
                disk.sync_folder()
            else:
                disk.sync_file(Path(f"/proc/self/fd/{descriptor}"))

        def renamed(source: Path, target: Path) -> None:
            replace(source, target)
            disk.renamed()

        patch.setattr(os, "fsync", synced)
        patch.setattr(os, "replace", renamed)
        mutation(patch)  # on top, so that what it leaves out does not reach the disk
        for old, new in pairwise(GENERATIONS):
            allowed[:] = [old, new]
            sys.setprofile(before_call)
            try:
                commit(path, new)
            finally:
                sys.setprofile(None)
            allowed[:] = [new]  # it was acknowledged
            sample()
    return cuts, torn, lost


def test_a_power_cut_anywhere_leaves_old_or_new_and_what_was_acknowledged(tmp_path: Path) -> None:
    cuts, torn, lost = cut(tmp_path / "x.h5", as_it_is, 150)
    assert cuts > 10_000
    assert (torn, lost) == (0, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["x.h5"]


@pytest.mark.parametrize(
    ("mutation", "tears", "loses"),
    [
        (without_the_fsync, True, False),
        (without_the_fsync_of_the_folder, False, True),
        (without_the_rename, False, True),
        (with_a_copy_for_the_rename, True, True),
    ],
)
def test_each_part_of_the_primitive_is_needed(
    mutation: Mutation, tears: bool, loses: bool, tmp_path: Path
) -> None:
    """So the test above can fail: without any part, a power cut tears a file or undoes a commit."""
    _, torn, lost = cut(tmp_path / "x.h5", mutation, 20)
    assert (torn > 0) == tears
    assert (lost > 0) == loses
