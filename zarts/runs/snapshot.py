"""ω and α at the end of an epoch: the records ``snapshot/epoch-NNNN`` of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from zarts.runs.runfile import Array, Record, Run
from zarts.settings.stages import Point, Stage

__all__ = ["Arrays", "Snapshot", "read_snapshot", "to_arrays", "to_tensors", "write_snapshot"]

Arrays = dict[str, Array]


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
        stage: The stage of the epoch; None: the first.
    """

    weights: dict[str, Tensor]
    alpha: Tensor
    epoch: int
    learning_rate: float
    val_loss: float
    val_accuracy: float
    stage: Stage | None = None

    @property
    def point(self) -> Point:
        """Stage and epoch."""
        return Point(self.stage.index if self.stage else 0, self.epoch)


def read_snapshot(run: Run, epoch: int, stage: int = 0, name: str = "") -> Snapshot:
    """Reads the snapshot of an epoch (counted from 1) of a stage (from 0).

    Args:
        run: Where it is.
        epoch: Its number.
        stage: Of the search.
        name: Of the record, if it is not that of its epoch.

    Raises:
        RunError: If the run has none, or it is damaged.
    """

    def parse(record: Record) -> Snapshot:
        facts = {name: float(value) for name, value in record.arrays.items() if value.ndim == 0}
        return Snapshot(
            weights=to_tensors(record, "weights/"),
            alpha=torch.from_numpy(record.arrays["alpha"]),
            epoch=epoch,
            learning_rate=facts["learning_rate"],
            val_loss=facts["val_loss"],
            val_accuracy=facts["val_accuracy"],
            stage=Stage.noted(record.attributes),
        )

    return run.parse(name or Point(stage, epoch).snapshot_record, parse)


def write_snapshot(run: Run, snapshot: Snapshot, name: str = "") -> None:
    """Writes a snapshot, under another name if one is given.

    The numbers beside ω are part of the run's content.
    """
    arrays = {
        **to_arrays("weights/", snapshot.weights),
        "alpha": snapshot.alpha.numpy(),
        "learning_rate": np.array(snapshot.learning_rate),
        "val_loss": np.array(snapshot.val_loss),
        "val_accuracy": np.array(snapshot.val_accuracy),
    }
    note = snapshot.stage.note() if snapshot.stage else {}
    run.write(name or snapshot.point.snapshot_record, arrays, {"epoch": snapshot.epoch, **note})


def to_arrays(prefix: str, tensors: Mapping[str, Tensor]) -> Arrays:
    """Tensors by name as arrays whose names begin with ``prefix``."""
    return {prefix + name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}


def to_tensors(record: Record, prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with ``prefix``, by the rest of their names."""
    return {
        name.removeprefix(prefix): torch.from_numpy(array)
        for name, array in record.arrays.items()
        if name.startswith(prefix)
    }
