"""Paths of optimizers: one job each, from its first update to its last."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from landscape.compute.jobs.arrays import exactly, finite
from landscape.compute.jobs.job import SINGLE, Check, Job, Store, Value, WorkerState
from landscape.record import save_path
from landscape.record.asked import own_steps
from zarts.execute import Failure
from zarts.optimizers import record_name
from zarts.runs.runfile import Array, Record, Run
from zarts.runs.runfile.disk import one_line
from zarts.settings.config import Config, ConfigError

if TYPE_CHECKING:
    from landscape.record import OptimizerPath

__all__ = ["PATHS", "Walk"]

PAIRED = 1e-4  # how far means of losses may be from the losses they are, for rounding


@dataclass(frozen=True)
class Walk:
    """What one optimizer does to α.

    Attributes:
        method: Its name.
    """

    method: str

    @property
    def rank(self) -> int:
        """It is long, and cannot be cut."""
        return SINGLE

    @property
    def alike(self) -> None:
        """Nothing: it takes the time of the steps and losses it asks for."""

    def units(self, config: Config) -> int:
        """Its updates, the pilots before them and the losses it is judged by."""
        from landscape.geometry.walks import walk_cost
        from zarts.problems.cost import Timing

        return round(walk_cost(config, self.method, Timing(inner=1, val=2))[1])

    def parts(self, config: Config) -> int:
        """One value per update, and the start."""
        return config.paths.updates + 1

    def split(self) -> list[Job]:
        """Itself."""
        return [self]

    def run(self, worker: WorkerState) -> Iterator[OptimizerPath | Failure]:
        """The path after each update, complete at last; or why there is none.

        Raises:
            ConfigError: If the settings cannot be used.
        """
        from landscape.geometry import walks as paths

        try:
            yield from paths.walk(worker.setup, self.method)
        except ConfigError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this path's
            yield Failure(f"{type(error).__name__}: {one_line(error)}")

    def store(self, writer: Store, value: Value, *, final: bool) -> None:
        """Writes the complete path; a failure is told at the end, as the others go on."""
        if isinstance(value, Failure):
            writer.failed.append(f"path {self.method} ({value.reason})")
        elif final:
            save_path(writer.run, value)

    def seconds(self, value: Value) -> float | None:
        """Nothing that others could learn from."""
        del value
        return None


class _Paths:
    """The paths of a figure; see ``landscape.compute.jobs.Kind``."""

    @property
    def checks(self) -> Mapping[str, Check]:
        """Of paths."""
        return {r"paths/.+": _check}

    def records(self, config: Config) -> list[str]:
        """One per method."""
        return [record_name(method) for method in dict.fromkeys(config.paths.methods)]

    def jobs(
        self, config: Config, run: Run | None = None, mine: Collection[Job] | None = None
    ) -> list[Job]:
        """The longest first."""
        walks = [
            Walk(method)
            for method in dict.fromkeys(config.paths.methods)
            if run is None or record_name(method) not in run
        ]
        kept = [walk for walk in walks if mine is None or walk in mine]
        return sorted(kept, key=lambda walk: -walk.units(config))


PATHS = _Paths()


def _check(name: str, record: Record, config: Config) -> Iterator[str]:
    method, arrays, note = record.attributes["method"], record.arrays, record.attributes["note"]
    if not isinstance(method, str) or record_name(method) != name:
        yield f"is of {method!r}; expected the method of its name"
        return
    if method not in config.paths.methods:
        yield f"is none of the paths that the settings ask for: {', '.join(config.paths.methods)}"
    expected = own_steps(method, config.landscape.steps)
    if expected not in (None, record.attributes["inner_steps"]):
        yield f"has M = {record.attributes['inner_steps']}, {method} descends M = {expected}"
    if not 0 <= float(str(record.attributes.get("length_ratio", 1))) < np.inf:
        yield f"length_ratio is {record.attributes['length_ratio']}, expected a number >= 0"
    count = len(arrays["xy"])
    whole = config.paths.updates + 1
    if not 1 <= count <= whole or (count < whole and not note):
        yield f"has {count} points and the note {note!r}, expected {whole} points"
    wanted: dict[str, tuple[str, tuple[int, ...]]] = {
        "xy": ("<f8", (count, 2)),
        "loss": ("<f8", (count,)),
        "target_loss": ("<f8", (count,)),
        "residual": ("<f8", (count,)),
        "budget": ("<i8", (3,)),
        "timing_seconds": ("<f8", ()),
    }
    if "moments" in arrays:  # later than the others
        wanted["moments"] = ("<f8", (6,))
    yield from exactly(arrays, wanted)
    yield from finite(arrays, ("xy", "residual", "timing_seconds", "moments"))
    if "moments" in arrays:
        yield from _moments(arrays["moments"], arrays["target_loss"])
    if not (arrays["budget"] >= 0).all():
        yield "budget has a negative number"
    if np.isinf(arrays["loss"]).any() or np.isinf(arrays["target_loss"]).any():
        yield "a loss is infinite; one that is not finite is stored as NaN"


def _moments(moments: Array, losses: Array) -> Iterator[str]:
    count, before, after, *variances, covariance = moments.tolist()
    for where, mean, loss in (("start", before, losses[0]), ("end", after, losses[-1])):
        if not abs(mean - loss) <= PAIRED * (1 + abs(loss)):
            yield f"moments have the mean {mean:.6g} at the {where}, target_loss {loss:.6g}"
    if not (count >= 2 and min(variances) >= 0 and covariance**2 <= 1.001 * math.prod(variances)):
        yield f"moments {moments.tolist()} are those of no two samples"
