"""What a finished picture consists of: plain numpy records, read and written without torch.

Rows are y, columns are x, everywhere: ``loss[row, col]`` is the loss at (x[col], y[row]).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from zarts.optimizers import METHODS
from zarts.runfile import JSON, Record, Run

__all__ = ["Figure1", "Path", "Status", "Surface", "load", "save_path", "save_surface"]

Floats = NDArray[np.float64]


class Status(IntEnum):
    """What is known about one grid point. NaN alone says nothing: a NaN result is a result."""

    PENDING = 0
    OK = 1
    DIVERGED = 2
    FAILED = 3
    OOM = 4
    TIMEOUT = 5


@dataclass(frozen=True)
class Surface:
    """L_M on a plane.

    Attributes:
        inner_steps: M.
        x: Coordinates of the columns (cols,), in axis units.
        y: Coordinates of the rows (rows,), in axis units.
        loss: (rows, cols); NaN where ``status`` is not OK.
        status: (rows, cols) of ``Status`` values.
        seconds: Wall time spent per point (rows, cols); not part of a run's identity.
    """

    inner_steps: int
    x: Floats
    y: Floats
    loss: Floats
    status: NDArray[np.uint8]
    seconds: Floats = field(default_factory=lambda: np.empty((0, 0)))

    def __post_init__(self) -> None:
        shape = (len(self.y), len(self.x))
        if self.loss.shape != shape or self.status.shape != shape:
            raise ValueError(
                f"loss is {self.loss.shape} and status {self.status.shape}, "
                f"expected (rows, cols) = {shape}"
            )
        if not np.isin(self.status, tuple(Status)).all():
            raise ValueError(f"status has a value beyond {max(Status):d}")

    @property
    def done(self) -> int:
        """Number of points with a result: a number, or a loss that diverged."""
        return int(np.isin(self.status, (Status.OK, Status.DIVERGED)).sum())


@dataclass(frozen=True)
class Path:
    """What one optimizer did to α, seen on the plane. Index 0 is the start.

    Attributes:
        method: ``darts-1``, ``darts-2``, ``zarts-rs``, ``zarts-mgs`` or ``zarts-gld``.
        inner_steps: M of the loss this optimizer descends (0, 1 or 10).
        xy: Plane coordinates (steps + 1, 2), in axis units.
        loss: Its own loss L_M (steps + 1,) at each point.
        target_loss: L_M at the same points (steps + 1,) with the M of the exact surface (10): the
            loss all are compared by.
        residual: Share of ‖α_t − α_start‖² outside the plane (steps + 1,); 0 in the plane.
        evaluations: Evaluations of L_M spent, by all updates and by setting the step length before.
        gradients: Gradients spent, likewise.
        weight_steps: Inner SGD steps of ω spent by both.
        seconds: Wall time of all that; not part of a run's identity.
        note: Empty, or why the path ended early ("diverged at step 4").
    """

    method: str
    inner_steps: int
    xy: Floats
    loss: Floats
    target_loss: Floats
    residual: Floats
    evaluations: int
    gradients: int
    weight_steps: int
    seconds: float
    note: str = ""

    @property
    def change(self) -> tuple[float, float] | None:
        """Loss at the end minus the start, and its standard error; None if it is not stored."""
        return None


@dataclass(frozen=True)
class Figure1:
    """Fig. 1 of the paper as data: surfaces (a), (b), paths (c) and what is needed to read them.

    Attributes:
        name: Name of the run.
        surfaces: By increasing M; the first is first-order, the last is the exact one.
        paths: One per optimizer; may be empty while a run is being computed.
        scale: Length in α-space of one axis unit along a unit direction.
        config: The run's configuration, nested.
        provenance: Command, seed, versions, git commit, device, data fingerprint.
        facts: Numbers about the run for people: ``val_accuracy``, ``alpha_norm``,
            ``inner_learning_rate``, ...
    """

    name: str
    surfaces: tuple[Surface, ...]
    paths: tuple[Path, ...]
    scale: float
    config: Mapping[str, JSON] = field(default_factory=dict)
    provenance: Mapping[str, JSON] = field(default_factory=dict)
    facts: Mapping[str, JSON] = field(default_factory=dict)


def save_surface(run: Run, surface: Surface) -> None:
    """Writes one surface (finished or not) to the run, replacing its earlier state atomically."""
    run.write(
        f"grid/m{surface.inner_steps:02d}",
        {
            "x": surface.x,
            "y": surface.y,
            "loss": surface.loss,
            "status": surface.status,
            "timing_seconds": surface.seconds,
        },
        {"inner_steps": surface.inner_steps},
    )


def surface_from(record: Record) -> Surface:
    """The surface stored in one record."""
    arrays = record.arrays
    return Surface(
        inner_steps=int(str(record.attributes["inner_steps"])),
        x=arrays["x"],
        y=arrays["y"],
        loss=arrays["loss"],
        status=arrays["status"],
        seconds=arrays["timing_seconds"],
    )


def save_path(run: Run, path: Path) -> None:
    """Writes one finished path to the run."""
    run.write(
        f"paths/{path.method}",
        {
            "xy": path.xy,
            "loss": path.loss,
            "target_loss": path.target_loss,
            "residual": path.residual,
            "budget": np.array([path.evaluations, path.gradients, path.weight_steps]),
            "timing_seconds": np.array(path.seconds),
        },
        {"method": path.method, "inner_steps": path.inner_steps, "note": path.note},
    )


def path_from(record: Record) -> Path:
    """The path stored in one record."""
    arrays, attributes = record.arrays, record.attributes
    evaluations, gradients, weight_steps = (int(value) for value in arrays["budget"])
    method = str(attributes["method"])
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}")
    return Path(
        method=method,
        inner_steps=int(str(attributes["inner_steps"])),
        xy=arrays["xy"],
        loss=arrays["loss"],
        target_loss=arrays["target_loss"],
        residual=arrays["residual"],
        evaluations=evaluations,
        gradients=gradients,
        weight_steps=weight_steps,
        seconds=float(arrays["timing_seconds"]),
        note=str(attributes["note"]),
    )


def load(run: Run) -> Figure1:
    """Reads whatever of Fig. 1 a run holds so far; safe while another process computes it.

    Raises:
        RunError: If the run holds no landscape, or a file is damaged or foreign.
    """
    scale, facts = run.parse(
        "plane", lambda record: (float(record.arrays["scale"]), record.attributes)
    )
    names = run.names()
    surfaces = [run.parse(name, surface_from) for name in names if name.startswith("grid/")]
    paths = [run.parse(name, path_from) for name in names if name.startswith("paths/")]
    return Figure1(
        name=run.name,
        surfaces=tuple(sorted(surfaces, key=lambda surface: surface.inner_steps)),
        paths=tuple(sorted(paths, key=lambda path: list(METHODS).index(path.method))),
        scale=scale,
        config=run.config,
        provenance=run.provenance,
        facts=facts,
    )
