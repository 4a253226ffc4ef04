"""Fig. 1(c): what each optimizer does to α in a few updates, seen on the plane of the surfaces."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landscape.plane import Plane
from landscape.record import LENGTH_TOLERANCE, Path, moments_of
from zarts.alpha import Space
from zarts.assembly import build_optimizer
from zarts.config import PathsConfig
from zarts.data.stream import Batch
from zarts.difference import Hypergradient
from zarts.inner import Diverged
from zarts.objective import Bilevel, Counted, Objective, Restricted, Tally
from zarts.optimizers.random_search import RandomSearch
from zarts.rng import generator
from zarts.search import Memory, Optimizer

__all__ = ["PAPER", "walk"]

# Released path code: plain SGD on α with 3e-4; RS; MGS around the first-order gradient; 15 radii.
PAPER: dict[str, dict[str, Any]] = {
    "darts-1": {"update": "sgd", "learning_rate": 3e-4, "weight_decay": 0.0},
    "darts-2": {"update": "sgd", "learning_rate": 3e-4, "weight_decay": 0.0},
    "zarts-rs": {"samples": 8, "smoothing": 0.1, "learning_rate": 1e-4},
    "zarts-mgs": {"samples": 4, "sigma": 1e-3, "temperature": 1.0, "mix": 0.1, "proposal": "grad"},
    "zarts-gld": {"radius_max": 0.13, "radius_min": 0.13 / 2**14},
}
PILOTS = 2  # estimates at the start that set the learning rate of a matched RS
# Updates from the start that tell how long a first update is, and how often they are repeated.
PILOT_UPDATES, TRIALS = 8, 4


@dataclass(frozen=True)
class Ground:
    """Where all optimizers of one figure walk.

    Attributes:
        objective: The problem of the surfaces, at the M of the exact one.
        plane: Their plane.
        extent: Half-range of the grid, in axis units.
        settings: How to walk.
        seed: Of all draws.
    """

    objective: Bilevel[Batch]
    plane: Plane
    extent: float
    settings: PathsConfig
    seed: int
    _scores: dict[tuple[int, bytes], float] = field(default_factory=dict, repr=False)

    def scores(self, alphas: Tensor, inner_steps: int) -> NDArray[np.float64]:
        """L_M of the surfaces at α's (n, d), each asked once: the losses a path is judged by."""
        found: NDArray[np.float64] = self.remembered(inner_steps).evaluate(alphas).numpy()
        return found

    def remembered(self, inner_steps: int) -> Objective:
        """The problem of the surfaces at another M, whose values are not computed twice.

        A path is judged by losses its optimizer often asked for itself.
        """
        return _Remembered(self.objective.at(inner_steps), self._scores)


@dataclass(frozen=True, eq=False)
class _Remembered:
    """An objective that looks its values up first; they are pure, so nothing changes but time."""

    objective: Bilevel[Batch]
    known: dict[tuple[int, bytes], float]

    @property
    def space(self) -> Space:
        return self.objective.space

    @property
    def inner_steps(self) -> int:
        return self.objective.inner_steps

    def __call__(self, alpha: Tensor) -> Tensor:
        return self.evaluate(alpha.unsqueeze(0))[0]

    def evaluate(self, alphas: Tensor) -> Tensor:
        keys = [(self.inner_steps, alpha.double().numpy().tobytes()) for alpha in alphas]
        new = {key: row for row, key in enumerate(keys) if key not in self.known}
        if new:
            losses = self.objective.evaluate(alphas[list(new.values())])
            self.known.update(zip(new, losses.tolist(), strict=True))
        return torch.tensor([self.known[key] for key in keys], dtype=torch.float64)

    def grad(self, alpha: Tensor, hypergradient: Hypergradient = "exact") -> Tensor:
        return self.objective.grad(alpha, hypergradient)

    def at(self, inner_steps: int) -> _Remembered:
        return replace(self, objective=self.objective.at(inner_steps))

    def advance(self, alpha: Tensor) -> Objective:
        return self.objective.advance(alpha)  # another ω: nothing is known of it


def walk(ground: Ground, method: str) -> Iterator[Path]:
    """Lets one optimizer walk; yields its path after every update, the last one complete.

    In the plane (``space = "plane"``) the unchanged optimizer sees a two-dimensional objective
    whose coordinates are lengths along the unit directions, so d = 2 in φ(d) and in σ√d. In full
    space it moves all of α and its path is projected; the share of the displacement outside the
    plane is recorded. Losses are those of the surfaces at the visited points, whatever the
    optimizer itself saw; they are asked for at the end, all at once. The budget is all that the
    optimizer asked for, with the gradient (DARTS) or the pilots that set its step length, and
    without the losses it is judged by.

    Args:
        ground: Objective, plane and settings.
        method: Which optimizer.

    Yields:
        The path so far, starting with the start alone; only the last one has losses, and NaN
        stands for them in the others.
    """  # noqa: DOC501 - what is raised here ends up in the path's note
    settings, tally = ground.settings, Tally()
    problem, seconds = ground.objective, 0.0
    begin = time.monotonic()
    alpha, note, ratio = _start(ground), "", None
    try:
        optimizer, ratio = _prepare(ground, method, alpha, tally)
    except Diverged:
        note = "diverged at the start"
    seconds += time.monotonic() - begin
    visited = [_full(ground, alpha)]
    memory: Memory = {}
    for update in range(settings.updates + 1):
        last = bool(note) or update == settings.updates
        path = _path(ground, method, visited, tally, judged=last)
        yield replace(path, seconds=seconds, note=note, length_ratio=ratio)
        if last:
            return
        begin = time.monotonic()
        try:
            step = optimizer.step(
                _view(ground, _seen(ground, problem, update), tally),
                alpha,
                memory,
                generator(ground.seed, "paths", method, update),
            )
            if not step.alpha.isfinite().all():
                raise Diverged("α", update + 1)
            if settings.weights == "trained":
                # each update trains on batches of its own, as in a search
                later = replace(problem, iteration=update).advance(_full(ground, step.alpha))
                problem = replace(later, iteration=0)
        except Diverged:
            note = f"diverged at step {update + 1}"
        else:
            alpha, memory = step.alpha, step.memory
            visited.append(_full(ground, alpha))
        seconds += time.monotonic() - begin


def _seen(ground: Ground, problem: Bilevel[Batch], update: int) -> Objective:
    """The surface's own batches (iteration 0), or fresh ones at every update."""
    if ground.settings.noise == "fresh":
        return replace(problem, iteration=update + 1)
    # ω that was trained on is another problem, of which nothing is known
    return ground.remembered(problem.inner_steps) if problem is ground.objective else problem


def _view(ground: Ground, problem: Objective, tally: Tally) -> Objective:
    """What the optimizer sees of a problem."""
    counted = Counted(problem, tally)
    if ground.settings.space == "full":
        return counted
    return Restricted(counted, ground.plane.origin, ground.plane.basis)


def _full(ground: Ground, alpha: Tensor) -> Tensor:
    """The α (d,) an optimizer's coordinates stand for."""
    if ground.settings.space == "full":
        return alpha
    # by the rule the optimizer's own questions are lifted with, so that answers are found again
    view = Restricted(ground.objective, ground.plane.origin, ground.plane.basis)
    return view.lift(alpha.unsqueeze(0))[0]


def _start(ground: Ground) -> Tensor:
    """The first point, in the coordinates an optimizer walks in."""
    start = torch.tensor([ground.settings.start], dtype=torch.float64)
    plane = ground.plane
    return plane.points(start)[0] if ground.settings.space == "full" else start[0] * plane.scale


def _prepare(
    ground: Ground, method: str, alpha: Tensor, tally: Tally
) -> tuple[Optimizer, float | None]:
    """The optimizer with its step length, and what ``Path.length_ratio`` says of it."""
    settings = ground.settings
    if settings.step == "paper":
        return build_optimizer(method, PAPER[method]), None
    view = _view(ground, ground.remembered(ground.objective.inner_steps), tally)
    length = settings.fraction * ground.extent * ground.plane.scale
    if settings.step == "update":
        return _piloted(ground, method, view, alpha, length)
    return build_optimizer(method, _matched(ground, method, view, alpha, length)), None


def _piloted(
    ground: Ground, method: str, view: Objective, alpha: Tensor, length: float
) -> tuple[Optimizer, float]:
    """The optimizer whose first update is ``length`` long on average, as far as pilots can tell.

    Pilots are updates from the start that are not walked. A step of DARTS or RS is proportional to
    its ξ, so that one look settles it. How MGS grows with σ and GLD with its radii depends on the
    losses: a trial that misses is followed by another in proportion. All trials have the same
    draws, so they differ by their scale alone.

    Returns:
        The optimizer of the best trial, and the mean length of its pilots over ``length``.
    """
    if method.startswith("darts"):
        return build_optimizer(method, _matched(ground, method, view, alpha, length)), 1.0

    def ratio(optimizer: Optimizer) -> float:
        """Mean length of the pilots over the one that is wanted."""
        steps = (
            optimizer.step(view, alpha, {}, generator(ground.seed, "pilot", method, number))
            for number in range(PILOT_UPDATES)
        )
        return sum(step.diagnostics["update_norm"] for step in steps) / PILOT_UPDATES / length

    settings = partial(_settings, ground.settings, method, alpha.numel())
    if method == "zarts-rs":
        found = ratio(build_optimizer(method, settings(length)))
        if found == 0:  # a flat loss
            return build_optimizer(method, settings(length)), 0.0
        return build_optimizer(method, settings(length) | {"learning_rate": 1 / found}), 1.0
    trials, scale = [], 1.0
    for _ in range(TRIALS):
        optimizer = build_optimizer(method, settings(scale * length))
        found = ratio(optimizer)
        trials.append((abs(found - 1), found, optimizer))
        if abs(found - 1) <= LENGTH_TOLERANCE:
            break
        # nothing moves where all draws are too long, so shorter ones are next
        scale *= min(1 / found, 4.0) if found else 0.25
    _, found, optimizer = min(trials, key=lambda trial: trial[0])
    return optimizer, found


def _matched(
    ground: Ground, method: str, view: Objective, alpha: Tensor, length: float
) -> dict[str, Any]:
    """Settings under which the steps of all optimizers are of one size, ``length``; ours.

    One draw of MGS (on average), the first step of DARTS, the largest radius of GLD and the steps
    that the pilots of RS stand for (on average) have this length. No update has it by construction:
    MGS averages its draws, GLD picks one, and a step of RS scatters with the slopes it finds.
    """
    if method.startswith("darts"):
        gradient = view.at(int(method[-1]) - 1).grad(alpha)
        rate = length / max(float(torch.linalg.vector_norm(gradient)), 1e-12)
        return {"update": "sgd", "learning_rate": rate, "weight_decay": 0.0}
    settings = _settings(ground.settings, method, alpha.numel(), length)
    if method == "zarts-rs":
        # Before its first update RS estimates the gradient a few times; ξ is from the mean length.
        pilot = RandomSearch(**settings)
        rng = generator(ground.seed, "pilot", method)
        norms = [
            pilot.step(view, alpha, {}, rng).diagnostics["gradient_norm"] for _ in range(PILOTS)
        ]
        settings["learning_rate"] = length / max(sum(norms) / PILOTS, 1e-12)
    return settings


def _settings(paths: PathsConfig, method: str, dim: int, length: float) -> dict[str, Any]:
    """Settings of a zero-order optimizer that looks ``length`` far; ξ of RS is 1.

    So long are the probes of RS, the draws of MGS on average, and the largest radius of GLD.
    """
    samples = paths.samples
    if method == "zarts-rs":
        return {"samples": max(1, samples // 2), "smoothing": length, "learning_rate": 1.0}
    if method == "zarts-mgs":
        # The mean length of one Gaussian draw is σ √2 Γ((d+1)/2)/Γ(d/2).
        mean = math.sqrt(2) * math.exp(math.lgamma((dim + 1) / 2) - math.lgamma(dim / 2))
        return {"samples": samples, "sigma": length / mean, "temperature": paths.temperature}
    return {"radius_max": length, "radius_min": length / 2 ** (samples - 1)}


def _path(
    ground: Ground,
    method: str,
    visited: list[Tensor],
    tally: Tally,
    *,
    judged: bool,
) -> Path:
    alphas = torch.stack(visited)
    target = ground.objective.inner_steps
    own = int(method[-1]) - 1 if method.startswith("darts") else target
    moved = torch.linalg.vector_norm(alphas - alphas[0], dim=1)
    outside = ground.plane.residual(alphas)
    unknown = np.full(len(visited), np.nan)
    # a shorter way than rounding errors of the projection is no way out of the plane
    share = torch.where(
        outside > 1e-9 * (1 + moved), (outside / moved) ** 2, torch.zeros_like(outside)
    )
    return Path(
        method=method,
        inner_steps=own,
        xy=ground.plane.project(alphas).numpy(),
        loss=ground.scores(alphas, own) if judged else unknown,
        target_loss=ground.scores(alphas, target) if judged else unknown,
        residual=share.numpy(),
        evaluations=tally.evaluations,
        gradients=tally.gradients,
        weight_steps=tally.weight_steps,
        seconds=0.0,
        moments=moments_of(*ground.objective.samples(alphas[[0, -1]]).numpy()) if judged else None,
    )
