"""What a search did, epoch by epoch, as plain numbers: read from its records, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zarts.bilevel.alpha import Space
from zarts.runs.course import chosen, points_in, search_finished
from zarts.runs.runfile import Record, Run
from zarts.settings.config import Config, ConfigError, filled
from zarts.settings.stages import Point, Stage
from zarts.supernet.genotype import Genotype, parse
from zarts.supernet.spaces import SPACES

__all__ = ["Told", "Trace", "trace"]


@dataclass(frozen=True)
class Told:
    """What the record of one epoch says.

    Attributes:
        point: Which one.
        facts: ``val_loss``, ``val_accuracy``, ``learning_rate``, ``alpha_entropy``, ``skip_share``
            and what its program asked for, as ``lambda_max``.
        means: Over its updates, of what the optimizer told of each: ``update_norm``, ``ess``, ...
        alpha: α at its end (d,).
        genotype: The cells of that α.
        space: What α means; None if the settings do not say.
        seconds: Wall time of its updates.
    """

    point: Point
    facts: Mapping[str, float]
    means: Mapping[str, float]
    alpha: NDArray[np.float64]
    genotype: Genotype
    space: Space | None
    seconds: float

    def number(self, name: str) -> float:
        """A fact or a mean; NaN if there is none of this name."""
        return self.facts.get(name, self.means.get(name, float("nan")))


@dataclass(frozen=True)
class Trace:
    """The epochs of a search, in the order in which they were computed.

    Attributes:
        name: Of the run.
        method: What moved α; empty if the settings do not say.
        epochs: All that are there.
        chosen: The epoch that is the result; None of a search that is not finished.
        program: How stages follow each other: ``plain``, ``early-stop``, ...
        asked: Epochs that the settings ask for at most; 0 if they do not say.
    """

    name: str
    method: str = ""
    epochs: tuple[Told, ...] = ()
    chosen: Point | None = None
    program: str = "plain"
    asked: int = 0

    @property
    def begins(self) -> list[int]:
        """The places in ``epochs`` at which a later stage begins."""
        pairs = zip(self.epochs, self.epochs[1:], strict=False)
        return [
            place
            for place, (before, after) in enumerate(pairs, start=1)
            if before.point.stage != after.point.stage
        ]

    @property
    def stopped_early(self) -> bool:
        """Whether it ended before all epochs that it might have had, or went back to one."""
        last = self.epochs[-1].point if self.epochs else None
        return self.chosen is not None and self.chosen != last


def trace(run: Run) -> Trace:
    """Reads all epochs of a search.

    Example:
        >>> import landscape
        >>> from pathlib import Path
        >>> run = Run.open(Path(landscape.__file__).parent / "demo" / "quick-ec257f9a")
        >>> [round(told.facts["val_loss"], 2) for told in trace(run).epochs]
        [0.56, 0.5, 0.47]

    Raises:
        RunError: If an epoch cannot be read; names its file.
    """
    try:
        config = Config.from_table(filled(run.config))
    except ConfigError:  # of an objective of somebody's own, or of another version
        config = None
    space = SPACES[config.supernet.space] if config else None
    points = sorted(points_in(run.names(), "search"))
    epochs = tuple(run.parse(point.search_record, partial(_told, point, space)) for point in points)
    if config is None:
        return Trace(run.name, epochs=epochs)
    done = chosen(run, config) if search_finished(run, config) else None
    program, method = config.search.program, config.search.method
    return Trace(run.name, method, epochs, done, program, config.search.epochs)


def _told(point: Point, space: Space | None, record: Record) -> Told:
    facts, means = dict[str, float](), dict[str, float]()
    for name, array in record.arrays.items():
        kind, _, rest = name.partition("/")
        if kind == "epoch":
            facts[rest] = float(array)
        elif kind == "diagnostics" and array.size:
            means[rest] = float(_mean(array))
    stage = Stage.noted(record.attributes)
    space = stage.space if stage else space
    alpha = np.asarray(record.arrays["alpha"][-1], np.float64)
    if alpha.ndim != 1 or not np.isfinite(alpha).all():
        raise ValueError(f"alpha is {alpha.shape}, expected a finite vector per update")
    if space is not None and alpha.size != space.dim:
        raise ValueError(f"alpha has {alpha.size} entries, space {space.name!r} has {space.dim}")
    genotype = parse(str(record.attributes["genotype"]))
    seconds = float(record.arrays["timing_seconds"].sum())
    return Told(point, facts, means, alpha, genotype, space, seconds)


def _mean(array: NDArray[Any]) -> float:
    finite = array[np.isfinite(array)]
    return float(finite.mean()) if finite.size else float("nan")
