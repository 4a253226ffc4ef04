"""Where a number comes from: the command, the code, the versions and the kind of machine."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path, PurePath

from zarts import __version__  # of the code itself, which need not be installed
from zarts.runs.runfile import JSON, Run

__all__ = ["environments", "note_environment", "provenance"]

_PACKAGES = ("torch", "numpy", "h5py")
_ENVIRONMENT = ("git", "versions", "python", "machine", "cpu", "gpu", "cuda", "cudnn")
_SINCE = "continued_with"


def provenance(command: Sequence[str], device: str = "cpu") -> dict[str, JSON]:
    """Collects what a run file says about its making; the caller adds seed, device and data.

    Args:
        command: The words of the command. Absolute paths in them are cut to their last part,
            because a run file is published and a path names people and machines.
        device: What computes.

    Returns:
        ``command``, ``created`` (UTC), ``git`` (``commit`` and ``dirty``, or None outside a
        checkout), ``versions``, ``python``, ``machine`` and ``cpu``; where a GPU computes, ``gpu``
        (its model), ``cuda`` and ``cudnn`` (their versions) too.
    """
    return {
        "command": [_without_folder(word) for word in command],
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "git": _git(),
        "versions": {"zarts": __version__} | {name: _version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),  # equal bits are promised on one kind of CPU
        **(_gpu(device) if device.startswith("cuda") else {}),
    }


def environments(said: Mapping[str, JSON]) -> list[dict[str, JSON]]:
    """Code, versions and machines that a provenance names: of the beginning, and since then."""
    later = said.get(_SINCE)
    tables = [said, *(later if isinstance(later, list) else [])]
    return [
        {key: table[key] for key in _ENVIRONMENT if key in table}
        for table in tables
        if isinstance(table, Mapping)
    ]


def note_environment(run: Run, *others: Mapping[str, JSON]) -> None:
    """Adds to what a run was computed with, where that is new: what is here, or what others say.

    Args:
        run: Its lock is held.
        others: Provenances of runs that it takes over; none: the code, versions and machine here.

    Raises:
        RunError: If the run cannot be written.
    """
    known = environments(run.provenance)
    new: list[JSON] = []
    for said in others or (provenance([], str(run.config.get("device"))),):
        new += [each for each in environments(said) if each not in [*known, *new]]
    if new:
        run.amend({_SINCE: [*known[1:], *new]})


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _gpu(device: str) -> dict[str, JSON]:
    import torch  # here, as reading a run needs none

    return {
        "gpu": torch.cuda.get_device_name(device),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
    }


def _without_folder(word: str) -> str:
    option, equals, value = word.rpartition("=")
    return option + equals + (PurePath(value).name if PurePath(value).is_absolute() else value)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git() -> dict[str, JSON] | None:
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():  # installed, perhaps inside somebody else's repository
        return None
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        answer = subprocess.run(
            command, cwd=root, capture_output=True, text=True, timeout=10, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    commit, _, dirty = answer.strip().partition("-")
    return {"commit": commit, "dirty": bool(dirty)}
