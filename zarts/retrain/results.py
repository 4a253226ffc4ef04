"""What a retraining found, read from its run. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zarts.retrain.settings import RetrainConfig
from zarts.runs.runfile import Record, Run

__all__ = ["RESULT", "TRAINED", "Result", "epoch_name", "finished", "read_result"]

RESULT, TRAINED = "result", "trained"  # the records that end a run


@dataclass(frozen=True)
class Result:
    """What a finished retraining found.

    Attributes:
        test_accuracy: After the last epoch, share in [0, 1].
        test_loss: After the last epoch, nats.
        best_test_accuracy: Of the epoch where it is largest: a choice made with the test images,
            as papers report it.
        best_epoch: That epoch, counted from 1.
        parameters: Of the network, without the auxiliary head.
        seconds: Wall time of all epochs; what a kill cost is not in it.
    """

    test_accuracy: float
    test_loss: float
    best_test_accuracy: float
    best_epoch: int
    parameters: int
    seconds: float


def epoch_name(epoch: int) -> str:
    """The record of an epoch, counted from 1."""
    return f"retrain/epoch-{epoch:04d}"


def finished(run: Run, config: RetrainConfig) -> bool:
    """Whether a run holds all that a retraining leaves; looks at names alone."""
    epochs = range(1, config.training.epochs + 1)
    return all(name in run for name in (RESULT, TRAINED, *map(epoch_name, epochs)))


def read_result(folder: Path) -> Result:
    """The result of the finished retraining in a folder.

    Raises:
        RunError: If it is not finished, or cannot be read.
    """
    run = Run.open(folder)
    config = RetrainConfig.from_table(run.config)
    seconds = [
        run.parse(epoch_name(epoch), lambda record: float(record.arrays["timing_seconds"]))
        for epoch in range(1, config.training.epochs + 1)
    ]

    def parse(record: Record) -> Result:
        found = record.arrays
        return Result(
            test_accuracy=float(found["test_accuracy"]),
            test_loss=float(found["test_loss"]),
            best_test_accuracy=float(found["best_test_accuracy"]),
            best_epoch=int(found["best_epoch"]),
            parameters=int(found["parameters"]),
            seconds=sum(seconds),
        )

    return run.parse(RESULT, parse)
