"""What a run begins with that another one kept: α and ω of an epoch, by name and content."""

from __future__ import annotations

import operator
from dataclasses import fields

from zarts.runs.course import points_in
from zarts.runs.runfile import ForeignFile, Run
from zarts.runs.snapshot import Snapshot, read_snapshot, write_snapshot
from zarts.runs.stored import digest_of
from zarts.settings.config import Config, ConfigError
from zarts.settings.stages import Point

__all__ = ["START", "check_network", "copy_start", "snapshot_name", "started"]

START = "start"  # the record of what a branch begins with


def snapshot_name(run: Run, point: Point, advice: str) -> str:
    """What a kept epoch is called in the settings of runs that build on it: run, epoch, content.

    Args:
        run: Whose.
        point: Which epoch of it.
        advice: How else to choose one, for the error.

    Raises:
        ConfigError: If the run does not keep that epoch.
    """
    name = point.snapshot_record
    if name not in run:
        kept = [other.epoch for other in points_in(run.names(), "snapshot")]
        raise ConfigError(
            f"run {run.name!r} has no ω of epoch {point.epoch}; it keeps {kept or 'none yet'}, the "
            f"last and those of its search.snapshots; {advice}"
        )
    digest = digest_of(run.read(name).arrays)[:16]
    return f"{run.name}/{name.replace('snapshot/', '')}/{digest}"


def check_network(config: Config, searched: Config, name: str) -> None:
    """Checks that ω of another run fits, and saw no images of D_val.

    Raises:
        ConfigError: If it would be in another network, or on other halves of the data.
    """
    names = ("name", "portion", "downscale", "split", "share", "size", "channels")
    network = [f"supernet.{field.name}" for field in fields(config.supernet)]
    for key in (*network, *(f"data.{name}" for name in names)):
        asked, had = (operator.attrgetter(key)(each) for each in (config, searched))
        if asked != had:
            raise ConfigError(f"{key} is {asked}, but the ω of {name} is of {had}; leave it out")


def copy_start(run: Run, source: Run, epoch: int) -> None:
    """Copies what a branch begins with, so that it explains itself even when its source is gone."""
    if START not in run:
        write_snapshot(run, read_snapshot(source, epoch), START)


def started(run: Run, origin: str) -> Snapshot:
    """The α and ω that a search branches from.

    The epochs, rates and batches of a branch are its own, counted from its beginning; the velocity
    of ω is zero.

    Args:
        run: The branch, which has a copy.
        origin: Run, epoch and content, as the settings name them (``search.origin``).

    Raises:
        ConfigError: If the run does not hold them.
        ForeignFile: If it holds others.
    """
    name, epoch, digest = origin.split("/")  # its form is checked with the settings
    number = int(epoch.removeprefix("epoch-"))
    if START not in run:
        raise ConfigError(
            f"the α and ω of {name}, epoch {number}, are not in this run; begin it with "
            f"--from {name}@{number}"
        )
    if digest_of(run.read(START).arrays)[:16] != digest:
        raise ForeignFile(f"{run.path / START}.h5: is not the snapshot of {origin}")
    return read_snapshot(run, number, name=START)
