"""The plane of a run, the ω under it, and which way up the grid code puts numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from landscape.compute.schema import problems
from landscape.geometry.grid import empty_surface, fill
from landscape.geometry.plane import Plane
from landscape.verify.report import Finding, judged
from zarts.bilevel.alpha import flat_space
from zarts.bilevel.inner import Weights
from zarts.bilevel.objective import Bilevel
from zarts.problems.build import make_problem
from zarts.problems.parts import load_dataset, network_of
from zarts.problems.toy import ConstantFeed
from zarts.runs.course import chosen, under
from zarts.runs.given import content_of
from zarts.runs.runfile import Record, Run, RunError
from zarts.runs.snapshot import Snapshot, read_snapshot
from zarts.settings.config import Config
from zarts.settings.stages import Point

__all__ = ["check_accuracy", "check_orientation_of_code", "check_plane", "check_weights"]

ORTHONORMAL = 1e-12  # on norms and cosines: about 5,000 roundings of the float64 they are kept in


def _snapshot(run: Run) -> Snapshot:
    """The ω under the plane."""
    point = run.parse("plane", under)
    return read_snapshot(run, point.epoch, point.stage)


def check_plane(run: Run, config: Config) -> Finding:
    """Whether the plane is orthonormal, of the right scale, and through the α of the snapshot.

    Raises:
        RunError: If the plane or the snapshot it goes through cannot be read.
    """
    record = run.read("plane")
    snapshot = _snapshot(run)
    basis = record.arrays["basis"]
    off = float(np.abs(basis.T @ basis - np.eye(2)).max())
    found = [
        *_plane_problems(record, snapshot, config),
        *_origin_problems(run, snapshot, config),
    ]
    if not off <= ORTHONORMAL:
        found.insert(0, f"directions are not orthonormal: off by {off:.1e}")
    good = f"orthonormal to {off:.0e}, axis unit {float(record.arrays['scale']):g}"
    return judged("plane", found, f"{good}, origin is α of epoch {snapshot.epoch} bit for bit")


def _plane_problems(record: Record, snapshot: Snapshot, config: Config) -> Iterator[str]:
    arrays, facts, land = record.arrays, record.attributes, config.landscape
    alpha = snapshot.alpha.double()
    if arrays["origin"].tobytes() != alpha.numpy().tobytes():
        yield f"origin is not the α of epoch {snapshot.epoch}"
    length = float(torch.linalg.vector_norm(alpha))
    scale = {"unit": 1.0, "alpha": length}.get(str(land.scale), land.scale)
    if not np.isclose(arrays["scale"], float(scale), rtol=1e-12, atol=0.0):
        yield f"scale is {float(arrays['scale'])!r}, the settings say {scale!r}"
    rate = land.inner_learning_rate
    rate = snapshot.learning_rate if isinstance(rate, str) else rate
    if float(arrays["inner_learning_rate"]) != rate:
        yield f"inner_learning_rate is {float(arrays['inner_learning_rate'])!r}, expected {rate!r}"
    for fact, value in (
        ("inner_learning_rate", rate),
        ("val_accuracy", snapshot.val_accuracy),
        ("val_loss", snapshot.val_loss),
    ):
        if facts.get(fact) != value:
            yield f"says {fact} {facts.get(fact)!r}, expected {value!r}"


def _origin_problems(run: Run, snapshot: Snapshot, config: Config) -> Iterator[str]:
    if config.source:
        kept = run.read(snapshot.point.snapshot_record).arrays
        found = content_of(kept, config.source)[:16]
        if found != config.source.rpartition("/")[2]:
            yield f"ω has the content {found}, the settings say it is that of {config.source}"
        return
    last = chosen(run, config)
    asked = Point(last.stage, config.landscape.epoch or last.epoch)
    if snapshot.point.stage != asked.stage:
        yield f"is of stage {snapshot.point.stage}, the search ended in {asked.stage}"
    elif snapshot.epoch != asked.epoch:
        yield f"is through epoch {snapshot.epoch}, the settings ask for {asked.epoch}"
    if (epochs := _epoch(run, snapshot.point, config)) is not None:
        fixed = config.search.warmup >= config.search.epochs
        if fixed and snapshot.alpha.tolist() != [*config.search.alpha]:
            yield "α is not the one that the settings give"
        if epochs.arrays["alpha"][-1].tobytes() != snapshot.alpha.numpy().tobytes():
            yield f"α is not the last of search epoch {snapshot.epoch}"
        for fact in ("val_loss", "val_accuracy", "learning_rate"):
            if float(epochs.arrays[f"epoch/{fact}"]) != getattr(snapshot, fact):
                yield f"{fact} is not that of search epoch {snapshot.epoch}"


def _epoch(run: Run, point: Point, config: Config) -> Record | None:
    """The search record of an epoch; None where it is missing or was found damaged before."""
    name = point.search_record
    try:
        record = run.read(name)
    except RunError:
        return None
    return None if problems(name, record, config) else record


def check_weights(run: Run, config: Config) -> Finding:
    """Whether ω belongs to the network of the settings: every name and every shape.

    Raises:
        RunError: If the plane or the snapshot cannot be read.
    """
    snapshot = _snapshot(run)
    found = {name: tuple(weight.shape) for name, weight in snapshot.weights.items()}
    wrong = []
    cells = (snapshot.stage or config.program.stages[0]).cells
    if len(found) < cells:  # before a network of any size is laid out
        wrong.append(f"{len(found)} tensors, too few for {cells} cells")
    else:
        dataset = load_dataset(config)
        channels = dataset.images.shape[1]
        shapes = network_of(config, dataset.classes, channels, snapshot.stage).shapes()
        wrong += [f"{name} is missing" for name in shapes if name not in found]
        wrong += [f"{name} is unknown" for name in found if name not in shapes]
        wrong += [
            f"{name} is {found[name]}, expected {shape}"
            for name, shape in shapes.items()
            if found.get(name, shape) != shape
        ]
        if wrong:
            wrong.insert(0, "not the ω of this network; the version that wrote it can check it")
    count = sum(weight.numel() for weight in snapshot.weights.values())
    return judged("weights", wrong, f"{len(found)} tensors, {count:,} numbers")


def check_accuracy(run: Run, config: Config, limit: float) -> Finding:
    """Whether loss and accuracy over D_val are what the ω under the plane gives again.

    Args:
        run: As it can be computed here.
        config: Its settings.
        limit: Largest relative difference of the loss, see ``tolerance``.

    Raises:
        ConfigError: If the problem cannot be built here.
        RunError: If the plane or the snapshot cannot be read.
    """
    snapshot = _snapshot(run)
    problem = make_problem(config, snapshot.stage)
    like = next(iter(problem.objective.weights.values()))
    weights = {name: weight.to(like) for name, weight in snapshot.weights.items()}
    loss, accuracy = problem.validate(weights, snapshot.alpha.to(like), snapshot.epoch - 1)
    images = len(problem.validation.indices)
    wrong = []
    if not abs(loss - snapshot.val_loss) <= limit * abs(loss):
        wrong.append(f"val_loss is {snapshot.val_loss!r}, recomputed {loss!r}")
    if not abs(accuracy - snapshot.val_accuracy) <= max(1, limit * images) / images:
        wrong.append(f"val_accuracy is {snapshot.val_accuracy!r}, recomputed {accuracy!r}")
    return judged("accuracy", wrong, f"{accuracy:.1%} of D_val again, loss {loss:.4f}")


def check_orientation_of_code(plane: Plane) -> Finding:
    """Whether the grid code puts the loss at (x, y) into ``loss[row of y, col of x]``.

    A function that is known and has no symmetry goes the way every surface goes, on a grid of
    unequal sides: points of the plane, ``Bilevel.evaluate``, and into the array.
    """

    def known(weights: Weights, alpha: Tensor, batch: None) -> Tensor:
        del weights, batch
        x, y = plane.basis.T @ (alpha - plane.origin) / plane.scale
        loss: Tensor = x + 10 * y + 3 * x * y**2
        return loss

    space = flat_space("probe", plane.origin.numel())
    nothing = {"none": torch.zeros(1, dtype=torch.float64)}
    surface = empty_surface(0, 3, 5, 2.0)
    problem = Bilevel(space, known, known, nothing, ConstantFeed())
    *_, surface = fill(problem, plane, surface)
    x, y = surface.x[None, :], surface.y[:, None]
    off = float(np.abs(surface.loss - (x + 10 * y + 3 * x * y**2)).max())
    length = 1 + float(plane.origin.abs().max()) / plane.scale  # rounding of origin + scale · point
    wrong = [] if off <= 1e-11 * length else [f"loss[row, col] is off by {off:.1e}"]
    return judged("orientation", wrong, "a known function comes out as loss[row of y, col of x]")
