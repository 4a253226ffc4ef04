"""A run folder as one ZIP file, to be carried elsewhere and unpacked into a folder of runs."""

from __future__ import annotations

import io
import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from zarts.runs.runfile import RunError
from zarts.runs.runfile.disk import load

__all__ = ["size_of", "zipped"]

_OF_WRITERS = {"run.lock", "run.held"}  # they stand for a right that a copy does not give


def zipped(folder: Path) -> bytes:
    """The files of a run as a ZIP with one folder, the run's.

    A link is left out, wherever it leads: a copy must not carry what lies outside of the run.

    Raises:
        RunError: If the folder is gone, or is a link, or a file cannot be read.
    """
    buffer = io.BytesIO()
    empty = True
    with zipfile.ZipFile(buffer, "w") as archive:  # records are compressed already
        for file in _files(folder):
            name = (Path(folder.name) / file.relative_to(folder)).as_posix()
            about = zipfile.ZipInfo.from_file(file, name, strict_timestamps=False)
            archive.writestr(about, load(file, sys.maxsize))
            empty = False
    if empty:
        raise RunError(f"{folder}: holds no run (it is gone or empty); reload the list of runs")
    return buffer.getvalue()


def size_of(folder: Path) -> int:
    """Bytes of the files that ``zipped`` would take; 0 if the folder is gone."""
    total = 0
    for file in _files(folder):
        try:
            total += file.lstat().st_size
        except OSError:  # replaced meanwhile
            continue
    return total


def _files(folder: Path) -> Iterator[Path]:
    """Regular files of a run, sorted; without those of writers, temporary ones and links."""
    if folder.is_symlink():
        return
    for place, folders, files in os.walk(folder):  # which does not enter links
        folders.sort()
        for name in sorted(files):
            file = Path(place) / name
            if name.startswith(".") or name in _OF_WRITERS or file.is_symlink():
                continue
            if file.is_file():
                yield file
