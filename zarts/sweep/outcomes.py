"""What came of the runs of a sweep, read from their folders. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from zarts import cli
from zarts.retrain.results import Result as Retrained
from zarts.retrain.results import read_result as read_retraining
from zarts.runs.course import chosen, left_behind, points_in
from zarts.runs.kinds import is_retraining
from zarts.runs.runfile import Run
from zarts.settings.config import Config

__all__ = ["Outcome", "Problem", "Result", "Retrained", "complain", "read_outcome", "told"]


@dataclass(frozen=True)
class Result:
    """What a finished search found.

    Attributes:
        val_accuracy: Over D_val after the last epoch, or that which it chose, share in [0, 1].
        val_loss: Likewise, nats.
        seconds: Wall time of all its iterations; what a kill cost is not in it.
        genotype: The cells of that epoch.
    """

    val_accuracy: float
    val_loss: float
    seconds: float
    genotype: str


@dataclass(frozen=True)
class Problem:
    """Why a run is not finished.

    Attributes:
        reason: One line.
        locked: Whether it is only that another process works on it.
    """

    reason: str
    locked: bool = False


Outcome = Result | Retrained | Problem


def read_outcome(folder: Path) -> Result | Retrained:
    """What the finished search, or retraining, in a folder found.

    Raises:
        RunError: If it cannot be read.
    """
    run = Run.open(folder)
    if is_retraining(run.config):
        return read_retraining(folder)
    config = Config.from_table(run.config)
    seconds = [
        run.parse(point.search_record, lambda record: float(record.arrays["timing_seconds"].sum()))
        for point in points_in(left_behind(run, config), "search")
    ]
    last = chosen(run, config).search_record
    loss, accuracy = (
        run.parse(last, lambda record, key=key: float(record.arrays[f"epoch/{key}"]))  # type: ignore[misc]
        for key in ("val_loss", "val_accuracy")
    )
    genotype = run.parse(last, lambda record: str(record.attributes["genotype"]))
    return Result(val_accuracy=accuracy, val_loss=loss, seconds=sum(seconds), genotype=genotype)


def told(what: Outcome) -> str:
    """How a run ended, for people."""
    if isinstance(what, Problem):
        return f"{'skipped' if what.locked else 'failed'}, {what.reason}"
    if isinstance(what, Result):
        return f"done, validation loss {what.val_loss:.3f}, accuracy {what.val_accuracy:.1%}"
    return f"done, test accuracy {what.test_accuracy:.2%}, at best {what.best_test_accuracy:.2%}"


def complain(found: Mapping[str, Outcome]) -> int:
    """Names every run that is not finished; the exit code."""
    problems = {name: what for name, what in found.items() if isinstance(what, Problem)}
    for name, problem in problems.items():
        what = "skipped" if problem.locked else "failed"
        cli.tell(f"{what}: {name}: {problem.reason}", error=True)
    if not problems:
        return 0
    cli.tell("the same command tries these again", error=True)
    return 3 if all(problem.locked for problem in problems.values()) else 1
