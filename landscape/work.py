"""What a worker of a figure gets, checks and does; the same in this process and on a cluster."""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from landscape.grid import empty_surface, evaluate_at
from landscape.paths import Ground, walk
from landscape.plan import Item, surfaces_of
from landscape.plane import Plane
from landscape.record import Path, Status, Surface
from zarts.assembly import landscape_objective
from zarts.config import Config, ConfigError, merge
from zarts.data.arrays import Sent, receive, sent
from zarts.execute import Failure
from zarts.parts import load_dataset
from zarts.recorder import read_snapshot
from zarts.runfile import JSON, Record, Run
from zarts.runfile.disk import one_line
from zarts.stored import lanes_stored

__all__ = [
    "Bench",
    "Bundle",
    "Losses",
    "Value",
    "digest_of",
    "do",
    "epoch_of",
    "ground_of",
    "set_up",
]

Arrays = Mapping[str, NDArray[np.generic]]


class Losses(NamedTuple):
    """What a chunk of grid points gave.

    Attributes:
        of_points: Loss and status of each; without a status it follows from the loss.
        seconds: Wall time of all.
        reason: What the last point without a result died of.
    """

    of_points: list[tuple[float, Status | None]]
    seconds: float
    reason: str = ""


Value = Losses | Path | Failure


def digest_of(arrays: Arrays) -> str:
    """SHA-256 of names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for key in sorted(arrays):
        digest.update(f"{key} {arrays[key].dtype} {arrays[key].shape} ".encode())
        digest.update(np.ascontiguousarray(arrays[key]).tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class Bundle:
    """All that a worker needs of a run, so that it needs no folder in common with the caller.

    Attributes:
        config: The settings, nested, with the number of lanes that the run began with.
        plane: Origin, basis, scale and rate of the M steps, as stored.
        weights: ω of the origin.
        digest: SHA-256 of ω (``digest_of``).
        fingerprint: Content of the data set; empty if the run does not tell.
        data: The data set itself where it is arrays of the user's.
    """

    config: dict[str, JSON]
    plane: Arrays
    weights: Arrays
    digest: str
    fingerprint: str
    data: Sent = field(default_factory=dict)

    @classmethod
    def of(cls, run: Run, lanes: int | None = None) -> Bundle:
        """What a run stores.

        Args:
            run: The run.
            lanes: Another number of candidates side by side than the run's; last digits may differ.

        Raises:
            RunError: If it holds no plane or no ω yet.
        """
        record = run.read("plane")
        snapshot = read_snapshot(run, run.parse("plane", epoch_of))
        weights = {name: weight.numpy() for name, weight in snapshot.weights.items()}
        fingerprint = str(run.provenance.get("data_fingerprint", ""))
        # as many candidates side by side as when the run began, whatever would be chosen today;
        # runs that do not tell are from before there were several
        lanes = lanes or run.parse("plane", lanes_stored)
        config = merge(run.config, {"supernet": {"lanes": lanes}})
        data = sent([Config.from_table(config).data.name])
        return cls(config, dict(record.arrays), weights, digest_of(weights), fingerprint, data)

    def ground(self) -> Ground:
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
        return Ground(
            landscape_objective(config, weights, float(arrays["inner_learning_rate"])),
            Plane(arrays["origin"], arrays["basis"], float(arrays["scale"])),
            config.landscape.range,
            config.paths,
            config.seed,
        )


def epoch_of(plane: Record) -> int:
    """The epoch of the ω under a plane."""
    return int(str(plane.attributes["epoch"]))


def ground_of(run: Run, lanes: int | None = None) -> Ground:
    """Objective and plane of a run, rebuilt from what it stores and from nothing else.

    Args:
        run: The run.
        lanes: Another number of candidates side by side than the run's; last digits may differ.

    Raises:
        ConfigError: If the data set is not that of the run.
        RunError: If the run holds no plane or no ω yet.
    """
    return Bundle.of(run, lanes).ground()


@dataclass(frozen=True)
class Bench:
    """What a worker keeps from one piece of work to the next."""

    ground: Ground
    surfaces: dict[int, Surface]


def set_up(bundle: Bundle) -> Bench:
    """Makes a worker ready.

    Raises:
        ConfigError: If ω or the data set is not what the run was computed with.
    """
    config = Config.from_table(bundle.config)
    land = config.landscape
    empty = {
        steps: empty_surface(steps, land.rows, land.cols, land.range)
        for steps in surfaces_of(config)
    }
    return Bench(bundle.ground(), empty)


def do(bench: Bench, item: Item) -> Iterator[Value]:
    """Does one piece of work: yields the losses of a chunk, or a path after each of its updates.

    What a point or a path dies of is part of its value: the others are not to blame.

    Raises:
        ConfigError: If the settings cannot be used, which no other item would survive either.
    """
    if isinstance(item, str):
        try:
            yield from walk(bench.ground, item)
        except ConfigError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this path's
            yield Failure(f"{type(error).__name__}: {one_line(error)}")
        return
    steps, points = item
    start, reason = time.monotonic(), ""
    found: list[tuple[float, Status | None]] = []
    try:
        found = _losses(bench, steps, points)
    except ConfigError:
        raise
    except Exception:  # noqa: BLE001 - one of them; the others of the chunk are not its fault
        for point in points:
            try:
                found += _losses(bench, steps, (point,))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this point's
                reason = f"{type(error).__name__}: {one_line(error)}"
                found.append((np.nan, Status.OOM if _is_memory(error) else Status.FAILED))
    yield Losses(found, time.monotonic() - start, reason)


def _losses(
    bench: Bench, steps: int, points: tuple[tuple[int, int], ...]
) -> list[tuple[float, Status | None]]:
    ground = bench.ground
    found = evaluate_at(ground.objective, ground.plane, bench.surfaces[steps], points)
    return [(loss, None) for loss in found]


def _is_memory(error: Exception) -> bool:
    # torch says so in words when an allocation on the CPU fails
    return isinstance(error, MemoryError) or "memory" in str(error)
