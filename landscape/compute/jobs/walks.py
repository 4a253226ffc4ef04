"""Paths of optimizers: one job each, from its first update to its last."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from landscape.compute.jobs.job import SINGLE, Check, Job, Store, Value, WorkerState
from landscape.record import save_path
from landscape.record.schema import path_problems
from zarts.execute import Failure
from zarts.optimizers import record_name
from zarts.runs.runfile import Run
from zarts.runs.runfile.disk import one_line
from zarts.settings.config import Config, ConfigError

if TYPE_CHECKING:
    from landscape.record import OptimizerPath

__all__ = ["PATHS", "Walk"]


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
        return {r"paths/.+": path_problems}

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
