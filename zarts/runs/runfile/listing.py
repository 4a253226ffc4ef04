"""The runs in a folder, those that cannot be read among them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from zarts.runs.runfile.disk import RunError, one_line
from zarts.runs.runfile.folder import NAME_RULE, RUN_FILE, Run, valid_name

__all__ = ["ListedRun", "list_runs"]


@dataclass(frozen=True)
class ListedRun:
    """A folder that is a run or should be one.

    Attributes:
        path: The folder; its name is the run's.
        run: The run, or None if it cannot be read.
        problem: Why not; empty if it can.
    """

    path: Path
    run: Run | None
    problem: str

    @property
    def name(self) -> str:
        """The folder's name, which is the run's."""
        return self.path.name


def list_runs(root: Path) -> list[ListedRun]:
    """Lists the runs inside a folder by name; reads only each ``run.h5`` and follows no link.

    Raises:
        RunError: If the folder exists and cannot be listed.
    """
    try:
        folders = sorted(root.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"{root}: cannot be listed ({one_line(error)})") from error
    return [_listed(folder) for folder in folders if _may_be_run(folder)]


def _may_be_run(folder: Path) -> bool:
    # A linked folder is reported, not looked into: it may lead out of the root.
    return folder.is_symlink() or os.path.lexists(folder / RUN_FILE)


def _listed(folder: Path) -> ListedRun:
    if folder.is_symlink():
        return ListedRun(folder, None, f"{folder}: is a symbolic link, which is not followed")
    if not valid_name(folder.name):
        return ListedRun(folder, None, f"{folder}: {folder.name!r} is no run name; {NAME_RULE}")
    try:
        found = (folder / RUN_FILE).lstat()
    except OSError:  # it says below why it cannot be read
        return _opened.__wrapped__(folder, ())
    return _opened(folder, (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns))


@lru_cache(maxsize=4096)
def _opened(folder: Path, stamp: tuple[int, ...]) -> ListedRun:
    """The run, read anew only if its file has changed: pages list a thousand at every click."""
    del stamp
    try:
        return ListedRun(folder, Run.open(folder), "")
    except RunError as error:
        return ListedRun(folder, None, str(error))
