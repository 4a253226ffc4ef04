"""What a worker of a figure gets, checks and does; the same in this process and on a cluster."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from landscape.compute.jobs import SURFACES, Job
from landscape.compute.jobs.job import Value, WorkerState
from landscape.geometry.plane import Plane
from landscape.geometry.problem import PlaneProblem
from zarts.data.arrays import Sent, receive, sent
from zarts.problems.build import landscape_objective
from zarts.problems.parts import load_dataset
from zarts.runs.choices import chosen
from zarts.runs.course import under
from zarts.runs.runfile import JSON, Run
from zarts.runs.snapshot import read_snapshot
from zarts.runs.stored import check_code, digest_of, lanes_stored
from zarts.settings.config import Config, ConfigError, merge
from zarts.settings.stages import Stage

__all__ = [
    "WorkerInputs",
    "digest_of",
    "do",
    "problem_of",
    "set_up",
]

Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class WorkerInputs:
    """All that a worker needs of a run, so that it needs no folder in common with the caller.

    Attributes:
        config: The settings, nested, with the number of lanes that the run began with.
        plane: Origin, basis, scale and rate of the M steps, as stored.
        weights: ω of the origin.
        digest: SHA-256 of ω (``digest_of``).
        fingerprint: Content of the data set; empty if the run does not tell.
        code: SHA-256 of optimizers of a user's own (``zarts.runs.stored.code_of``).
        data: The data set itself where it is arrays of the user's.
        stage: The stage whose ω it is; None: the first.
        epoch: Its epoch, counted from 1; 0: the last of the stage.
    """

    config: dict[str, JSON]
    plane: Arrays
    weights: Arrays
    digest: str
    fingerprint: str
    code: Mapping[str, JSON]
    data: Sent = field(default_factory=dict)
    stage: Stage | None = None
    epoch: int = 0

    @classmethod
    def of(cls, run: Run, lanes: int | None = None) -> WorkerInputs:
        """What a run stores.

        Args:
            run: The run.
            lanes: Another number of candidates side by side than the run's; last digits may differ.

        Raises:
            RunError: If it holds no plane or no ω yet.
        """
        record = run.read("plane")
        point = run.parse("plane", under)
        snapshot = read_snapshot(run, point.epoch, point.stage)
        weights = {name: weight.numpy() for name, weight in snapshot.weights.items()}
        fingerprint = str(run.provenance.get("data_fingerprint", ""))
        # as many candidates side by side as when the run began, whatever would be chosen today;
        # runs that do not tell are from before there were several
        lanes = lanes or run.parse("plane", lanes_stored)
        config = merge(run.config, chosen(run.provenance), {"supernet": {"lanes": lanes}})
        code = run.provenance.get("code")
        told = dict(code) if isinstance(code, Mapping) else {}
        data = sent([Config.from_table(config).data.name])
        digest = digest_of(weights)
        return cls(
            config,
            dict(record.arrays),
            weights,
            digest,
            fingerprint,
            told,
            data,
            snapshot.stage,
            snapshot.epoch,
        )

    def setup(self) -> PlaneProblem:
        """Objective and plane, from what is in here and from nothing else.

        Raises:
            ConfigError: If ω or the data set is not what the run was computed with.
        """
        if (found := digest_of(self.weights)) != self.digest:
            raise ConfigError(
                f"{socket.gethostname()}: ω arrived with SHA-256 {found[:16]}, "
                f"expected {self.digest[:16]}; run the same command again"
            )
        config = Config.from_table(self.config)
        receive(self.data)
        found = load_dataset(config).fingerprint
        if self.fingerprint not in ("", found):
            raise ConfigError(
                f"{socket.gethostname()}: data set {config.data.name} has fingerprint {found}, "
                f"the run's is {self.fingerprint}; install the same data there"
            )
        arrays = {name: torch.from_numpy(np.array(array)) for name, array in self.plane.items()}
        weights = {name: torch.from_numpy(np.array(array)) for name, array in self.weights.items()}
        rate = float(arrays["inner_learning_rate"])
        return PlaneProblem(
            landscape_objective(config, weights, rate, self.stage, self.epoch),
            Plane(arrays["origin"], arrays["basis"], float(arrays["scale"])),
            config.landscape.range,
            config.paths,
            config.seed,
        )


def problem_of(run: Run, lanes: int | None = None) -> PlaneProblem:
    """Objective and plane of a run, rebuilt from what it stores and from nothing else.

    Example:
        >>> import landscape
        >>> from pathlib import Path
        >>> from zarts import Run
        >>> run = Run.open(Path(landscape.__file__).parent / "demo" / "quick-ec257f9a")
        >>> setup = landscape.problem_of(run)
        >>> setup.objective.inner_steps, setup.extent, len(setup.plane.origin)
        (10, 1.0, 84)

    Args:
        run: The run.
        lanes: Another number of candidates side by side than the run's; last digits may differ.

    Raises:
        ConfigError: If the data set is not that of the run.
        RunError: If the run holds no plane or no ω yet.
    """
    return WorkerInputs.of(run, lanes).setup()


def set_up(inputs: WorkerInputs) -> WorkerState:
    """Makes a worker ready.

    Raises:
        ConfigError: If ω or the data set is not what the run was computed with.
    """
    config = Config.from_table(inputs.config)
    check_code(inputs.code, config)
    return WorkerState(inputs.setup(), SURFACES.known(config, None))


def do(worker: WorkerState, job: Job) -> Iterator[Value]:
    """Does one piece of work: yields what is known after each part of it.

    Raises:
        ConfigError: If the settings cannot be used, which no other job would survive either.
    """
    yield from job.run(worker)
