"""What lies in a run folder: every file's seal, and what has no business there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from landscape.verify.report import Finding, Result, judged
from zarts.runs.runfile import Record, Run, RunError, read_record
from zarts.runs.runfile.record import most_bytes

__all__ = ["Sealed", "content", "loose_files", "sealed"]

BESIDE = (
    "config.toml",
    "figure.html",
    "run.held",
    "run.lock",
)  # what a run has besides its records

Sealed = tuple[str, Record | str]  # name of a record, and the record or what is wrong with its file


def sealed(folder: Path, only: str = "") -> Iterator[Sealed]:
    """Reads every record file of a folder, ``run.h5`` too, one at a time.

    Args:
        folder: The run.
        only: Name of the one record to read, with those it depends on; empty: all.

    Yields:
        The name, and the record or one line about what is wrong; links are not followed.
    """
    try:
        run = Run.open(folder)
    except RunError:  # is named like any other file
        run = None
    on_plane = only.startswith(("grid/", "paths/", "plane"))
    needed = ("run", only, *(["plane", "result"] if on_plane else []))
    for path in _below(folder):
        name = path.relative_to(folder).as_posix()
        stem = name.removesuffix(".h5")
        if only and stem not in needed and not (on_plane and "snapshot/epoch-" in stem):
            continue
        what: Record | str
        if path.is_symlink():
            what = f"{name}: is a symbolic link, which a run never has; copy the file itself here"
        elif not name.endswith(".h5"):
            continue
        else:
            try:
                what = read_record(path, most_bytes(stem))
                if run and stem != "run":
                    what = run.owned(path, what)
            except RunError as error:
                what = str(error).replace(str(path), name)
        yield stem, what


def loose_files(folder: Path) -> Finding:
    """Names the files beside the records; they are no part of the run and not looked at."""
    names = [
        path.relative_to(folder).as_posix()
        for path in _below(folder)
        if path.suffix != ".h5" and not path.is_symlink()
    ]
    odd = [name for name in names if name not in BESIDE]
    if not odd:
        return Finding("other files", Result.OK, ", ".join(names) or "none")
    more = f" and {len(odd) - 5} more" if len(odd) > 5 else ""
    detail = f"{', '.join(odd[:5])}{more}: not of a run, not looked at"
    return Finding("other files", Result.NOTE, detail)


def content(run: Run, expected: str) -> tuple[Finding, str]:
    """The content hash, compared with one that was noted elsewhere.

    Args:
        run: A run whose files are all sealed.
        expected: What ``landscape.compute --json`` printed; empty if nobody noted it.
    """
    try:
        found = run.content_hash()
    except RunError as error:  # a file was replaced by another process just now
        return Finding("content hash", Result.FAIL, str(error)), ""
    wrong = [f"is {found}, expected {expected}"] if expected and found != expected else []
    good = f"{found} as expected" if expected else f"{found} (compare it with --expect)"
    return judged("content hash", wrong, good), found


def _below(folder: Path) -> Iterator[Path]:
    """All that is no folder, sorted; links to folders count as files."""

    def unreadable(error: OSError) -> None:
        raise error

    for parent, folders, files in os.walk(folder, onerror=unreadable):
        folders.sort()
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        for name in sorted([*files, *links]):
            yield Path(parent) / name
