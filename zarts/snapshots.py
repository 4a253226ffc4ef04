"""α and ω at the end of an epoch, as a run keeps them, and searches that begin with them."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from zarts.assembly import Problem
from zarts.config import Config, ConfigError
from zarts.runfile import Array, ForeignFile, Record, Run
from zarts.stored import digest_of

__all__ = [
    "START",
    "Snapshot",
    "check_network",
    "copy_start",
    "last_snapshot",
    "read_snapshot",
    "snapshot_name",
    "started",
    "write_snapshot",
]

START = "start"  # the record of what a branch begins with


@dataclass(frozen=True)
class Snapshot:
    """ω and α at the end of an epoch.

    Attributes:
        weights: ω, CPU tensors.
        alpha: α (d,).
        epoch: Counted from 1.
        learning_rate: The rate of ω in that epoch.
        val_loss: Loss over D_val, nats.
        val_accuracy: Accuracy over D_val, share in [0, 1].
    """

    weights: dict[str, Tensor]
    alpha: Tensor
    epoch: int
    learning_rate: float
    val_loss: float
    val_accuracy: float


def _record(epoch: int) -> str:
    return f"snapshot/epoch-{epoch:04d}"


def last_snapshot(run: Run) -> int:
    """The latest epoch whose ω a run holds; 0 if none."""
    found = [name for name in run.names() if name.startswith("snapshot/epoch-")]
    return int(found[-1].rsplit("-", 1)[1]) if found else 0


def read_snapshot(run: Run, epoch: int, name: str = "") -> Snapshot:
    """Reads the snapshot of an epoch (counted from 1).

    Args:
        run: Where it is.
        epoch: Its number.
        name: Of the record, if it is not that of its epoch.

    Raises:
        RunError: If the run has none, or it is damaged.
    """

    def parse(record: Record) -> Snapshot:
        facts = {key: float(value) for key, value in record.arrays.items() if value.ndim == 0}
        weights = {
            key.removeprefix("weights/"): torch.from_numpy(array)
            for key, array in record.arrays.items()
            if key.startswith("weights/")
        }
        return Snapshot(
            weights=weights,
            alpha=torch.from_numpy(record.arrays["alpha"]),
            epoch=epoch,
            learning_rate=facts["learning_rate"],
            val_loss=facts["val_loss"],
            val_accuracy=facts["val_accuracy"],
        )

    return run.parse(name or _record(epoch), parse)


def write_snapshot(run: Run, snapshot: Snapshot, name: str = "") -> None:
    """Writes a snapshot; the numbers beside ω are part of the run's content."""
    arrays: dict[str, Array] = {
        f"weights/{key}": weight.detach().cpu().numpy() for key, weight in snapshot.weights.items()
    }
    arrays |= {
        "alpha": snapshot.alpha.numpy(),
        "learning_rate": np.array(snapshot.learning_rate),
        "val_loss": np.array(snapshot.val_loss),
        "val_accuracy": np.array(snapshot.val_accuracy),
    }
    run.write(name or _record(snapshot.epoch), arrays, {"epoch": snapshot.epoch})


def snapshot_name(run: Run, epoch: int, advice: str) -> str:
    """What a kept epoch is called in the settings of runs that build on it: run, epoch, content.

    Args:
        run: Whose.
        epoch: Counted from 1.
        advice: How else to choose one, for the error.

    Raises:
        ConfigError: If the run does not keep that epoch.
    """
    name = _record(epoch)
    if name not in run:
        kept = [int(other[-4:]) for other in run.names() if other.startswith("snapshot/")]
        raise ConfigError(
            f"run {run.name!r} has no ω of epoch {epoch}; it keeps {kept or 'none yet'}; {advice}"
        )
    return f"{run.name}/epoch-{epoch:04d}/{digest_of(run.read(name).arrays)[:16]}"


def check_network(config: Config, searched: Config, name: str) -> None:
    """Checks that ω of another run fits, and saw no images of D_val.

    Raises:
        ConfigError: If it would be in another network, or on other halves of the data.
    """
    names = ("name", "portion", "downscale", "split", "share", "size", "channels")
    for key in ("supernet", *(f"data.{name}" for name in names)):
        asked, had = (operator.attrgetter(key)(each) for each in (config, searched))
        if asked != had:
            raise ConfigError(f"{key} is {asked}, but the ω of {name} is of {had}; leave it out")


def copy_start(run: Run, source: Run, epoch: int) -> None:
    """Copies what a branch begins with, so that it explains itself even when its source is gone."""
    if START not in run:
        write_snapshot(run, read_snapshot(source, epoch), START)


def started(run: Run, config: Config, problem: Problem) -> Problem:
    """The problem with the α and ω that its search branches from, if it does.

    The epochs, rates and batches of a branch are its own, counted from its beginning; the velocity
    of ω is zero.

    Raises:
        ConfigError: If the run does not hold them.
        ForeignFile: If it holds others.
    """
    if not config.search.origin:
        return problem
    name, epoch, digest = _parts(config.search.origin)
    if START not in run:
        raise ConfigError(
            f"the α and ω of {name}, epoch {epoch}, are not in this run; begin it with "
            f"--from {name}@{epoch}"
        )
    if digest_of(run.read(START).arrays)[:16] != digest:
        raise ForeignFile(f"{run.path / START}.h5: is not the snapshot of {config.search.origin}")
    snapshot, objective = read_snapshot(run, epoch, START), problem.objective
    weights = _like(snapshot.weights, objective.weights)
    return replace(
        problem, objective=replace(objective, weights=weights), alpha=snapshot.alpha.clone()
    )


def _parts(origin: str) -> tuple[str, int, str]:
    name, epoch, digest = origin.split("/")  # its form is checked with the settings
    return name, int(epoch.removeprefix("epoch-")), digest


def _like(stored: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Stored ω in the order of a network, on its device.

    Raises:
        ConfigError: If it is the ω of another one.
    """
    if {k: w.shape for k, w in stored.items()} != {k: w.shape for k, w in weights.items()}:
        raise ConfigError("the ω that the search begins with is not of this network")
    # in the network's order, not the file's: the norm that clips is a sum in this order
    return {name: stored[name].to(weight) for name, weight in weights.items()}
