"""What a finished picture consists of: surfaces and paths as plain numpy.

Rows are y, columns are x, everywhere: ``loss[row, col]`` is the loss at (x[col], y[row]).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from zarts.bilevel.alpha import Space, along
from zarts.runs.runfile import JSON

__all__ = ["BESIDE", "Figure1", "OptimizerPath", "Status", "Surface", "moments_of"]

Floats = NDArray[np.float64]
BESIDE = ("error", "accuracy")  # what a surface may have beside the loss
LENGTH_TOLERANCE = 0.15  # how far the mean length of pilot updates may be from the one wanted


class Status(IntEnum):
    """What is known about one grid point. NaN alone says nothing: a NaN result is a result.

    Example:
        >>> from landscape import Status
        >>> Status(2).name, Status.OK == 1
        ('DIVERGED', True)
    """

    PENDING = 0
    OK = 1
    DIVERGED = 2
    FAILED = 3
    OOM = 4
    TIMEOUT = 5


@dataclass(frozen=True)
class Surface:
    """L_M on a plane.

    Example:
        >>> import numpy as np
        >>> from landscape import Status, Surface
        >>> axis = np.array([-1.0, 1.0])
        >>> loss = np.array([[0.5, 0.7], [0.6, np.nan]])
        >>> status = np.where(np.isnan(loss), Status.PENDING, Status.OK).astype(np.uint8)
        >>> Surface(10, axis, axis, loss, status).done
        3

    Attributes:
        inner_steps: M.
        x: Coordinates of the columns (cols,), in axis units.
        y: Coordinates of the rows (rows,), in axis units.
        loss: (rows, cols); NaN where ``status`` is not OK.
        status: (rows, cols) of ``Status`` values.
        seconds: Wall time spent per point (rows, cols); not part of a run's identity.
        error: Standard error of ``loss`` over the images of L_val (rows, cols); NaN where there is
            none, as on surfaces of before it was stored and of losses without images.
        accuracy: Share of these images that are classified correctly (rows, cols); NaN likewise.
    """

    inner_steps: int
    x: Floats
    y: Floats
    loss: Floats
    status: NDArray[np.uint8]
    seconds: Floats = field(default_factory=lambda: np.empty((0, 0)))
    error: Floats = field(default_factory=lambda: np.empty((0, 0)))
    accuracy: Floats = field(default_factory=lambda: np.empty((0, 0)))

    def __post_init__(self) -> None:
        shape = (len(self.y), len(self.x))
        for name in BESIDE:
            if not getattr(self, name).size:  # not given: whoever reads them finds NaN
                object.__setattr__(self, name, np.full(shape, np.nan))
            elif getattr(self, name).shape != shape:
                raise ValueError(f"{name} is {getattr(self, name).shape}, expected {shape}")
        if self.loss.shape != shape or self.status.shape != shape:
            raise ValueError(
                f"loss is {self.loss.shape} and status {self.status.shape}, "
                f"expected (rows, cols) = {shape}"
            )
        if not np.isin(self.status, tuple(Status)).all():
            raise ValueError(f"status has a value beyond {max(Status):d}")

    def on_grid_of(self, other: Surface) -> bool:
        """Whether both have the same points."""
        return np.array_equal(self.x, other.x) and np.array_equal(self.y, other.y)

    @property
    def done(self) -> int:
        """Number of points with a result: a number, or a loss that diverged."""
        return int(np.isin(self.status, (Status.OK, Status.DIVERGED)).sum())


@dataclass(frozen=True)
class OptimizerPath:
    """What one optimizer did to α, seen on the plane. Index 0 is the start.

    Example:
        >>> import numpy as np
        >>> from landscape import OptimizerPath
        >>> xy, loss = np.array([[0.0, 0.0], [0.3, 0.4]]), np.array([0.9, 0.7])
        >>> budget = {"evaluations": 0, "gradients": 1, "weight_steps": 10, "seconds": 0.1}
        >>> path = OptimizerPath("me", 10, xy, loss, loss, np.zeros(2), **budget, length_ratio=2.0)
        >>> path.remark
        'first updates of 2 times the matched length'

    Attributes:
        method: ``darts-1``, ``darts-2``, ``zarts-rs``, ``zarts-mgs`` or ``zarts-gld``; another name
            for a path of one's own, which is drawn with a default look.
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
        length_ratio: Mean length of the pilot updates that set the step length, over the length
            wanted, for ``paths.step = update``; None under another rule.
        moments: Of the losses of the n images of L_val at the start and at the end, with the M of
            ``target_loss`` (6,): n, mean at the start, mean at the end, variance at the start,
            variance at the end, covariance; None if one is not finite, or of a path stored before
            these were.
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
    length_ratio: float | None = None
    moments: Floats | None = None

    @property
    def change(self) -> tuple[float, float] | None:
        """Mean loss at the end minus that at the start, and its standard error over the images.

        The losses are paired, image by image: what makes an image hard at both ends cancels.
        """
        if self.moments is None:
            return None
        count, before, after, *variances, covariance = self.moments.tolist()
        variance = max(0.0, sum(variances) - 2 * covariance)  # rounding may leave it below zero
        return after - before, math.sqrt(variance / count)

    @property
    def remark(self) -> str:
        """Empty, or that the first updates are not as long as all should be."""
        ratio = self.length_ratio
        if ratio is None or abs(ratio - 1) <= LENGTH_TOLERANCE:
            return ""
        return f"first updates of {ratio:.2g} times the matched length"


@dataclass(frozen=True)
class Figure1:
    """Fig. 1 of the paper as data: surfaces (a), (b), paths (c) and what is needed to read them.

    Example:
        >>> from landscape import Figure1, empty_surface
        >>> surfaces = (empty_surface(0, 3, 5), empty_surface(10, 3, 5))
        >>> record = Figure1("mine", surfaces, paths=(), scale=1.0)
        >>> [(surface.inner_steps, surface.loss.shape) for surface in record.surfaces]
        [(0, (3, 5)), (10, (3, 5))]

    Attributes:
        name: Name of the run.
        surfaces: By increasing M; the first is first-order, the last is the exact one.
        paths: One per optimizer; may be empty while a run is being computed.
        scale: Length in α-space of one axis unit along a unit direction.
        config: The run's configuration, nested.
        provenance: Command, seed, versions, git commit, device, data fingerprint.
        facts: Numbers about the run for people: ``val_accuracy``, ``alpha_norm``,
            ``inner_learning_rate``, ...
        origin: α at (0, 0), (d,); None of a run that does not store it.
        basis: The directions of x and y as columns (d, 2), orthonormal; None likewise.
        space: What the entries of α mean: the operations of each edge of the supernet whose ω it
            is; None where the settings name none, as of an objective of one's own.
    """

    name: str
    surfaces: tuple[Surface, ...]
    paths: tuple[OptimizerPath, ...]
    scale: float
    config: Mapping[str, JSON] = field(default_factory=dict)
    provenance: Mapping[str, JSON] = field(default_factory=dict)
    facts: Mapping[str, JSON] = field(default_factory=dict)
    origin: Floats | None = None
    basis: Floats | None = None
    space: Space | None = None

    def __repr__(self) -> str:
        """One line, as notebooks print it: pages of arrays tell nobody anything."""
        steps = ", ".join(f"M = {each.inner_steps}" for each in self.surfaces) or "no surface"
        size = "{}×{}".format(*self.surfaces[-1].loss.shape) if self.surfaces else ""
        paths = ", ".join(path.method for path in self.paths) or "none"
        return f"<Figure1 {self.name}: {steps} {size}; paths: {paths}>"

    def alphas(self, xy: Floats) -> Floats | None:
        """The α (n, d) at points (n, 2) of the plane, in axis units; None if that is not stored.

        Bit for bit those at which the losses were computed.
        """
        if self.origin is None or self.basis is None:
            return None
        return self.origin + self.scale * along(np.asarray(xy, np.float64), self.basis)


def moments_of(start: Floats, end: Floats) -> Floats | None:
    """``Path.moments`` of the losses (n,) of the same images at the start and at the end."""
    if len(start) < 2:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        ((before, both), (_, after)) = np.cov(start, end)
        found = np.array([len(start), start.mean(), end.mean(), before, after, both])
    return found if np.isfinite(found).all() else None
