"""Fig. 1(c): what each optimizer does to α in a few updates, seen on the plane of the surfaces."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape.geometry.problem import PlaneProblem
from landscape.record import LENGTH_TOLERANCE, OptimizerPath, moments_of
from zarts.bilevel.inner import Diverged
from zarts.bilevel.objective import Bilevel, Objective
from zarts.bilevel.rng import generator
from zarts.bilevel.search import Memory, Optimizer, Step, take_step
from zarts.bilevel.wrappers import Counted, Restricted, Tally
from zarts.data.stream import Batch
from zarts.optimizers import Method, gradient_cost
from zarts.problems.cost import Timing
from zarts.problems.optimizer import build_optimizer, loaded
from zarts.settings.config import Config, PathsConfig

__all__ = ["pilots", "prepare", "start_of", "view_of", "walk", "walk_cost", "walking"]

PILOTS = 2  # estimates at the start that set the learning rate of a matched step
# Updates from the start that tell how long a first update is, and how often they are repeated.
PILOT_UPDATES, TRIALS = 8, 4


def walk(setup: PlaneProblem, method: str) -> Iterator[OptimizerPath]:
    """Lets one optimizer walk; yields its path after every update, the last one complete.

    In the plane (``space = "plane"``) the unchanged optimizer sees a two-dimensional objective
    whose coordinates are lengths along the unit directions, so d = 2 in φ(d) and in σ√d. In full
    space it moves all of α and its path is projected; the share of the displacement outside the
    plane is recorded. Losses are those of the surfaces at the visited points, whatever the
    optimizer itself saw; they are asked for at the end, all at once. The budget is all that the
    optimizer asked for, with the gradient (DARTS) or the pilots that set its step length, and
    without the losses it is judged by.

    Args:
        setup: Objective, plane and settings.
        method: Which optimizer.

    Yields:
        The path so far, starting with the start alone; only the last one has losses, and NaN
        stands for them in the others.
    """  # noqa: DOC501 - what is raised here ends up in the path's note
    settings, tally, known = setup.settings, Tally(), loaded(method)
    problem, seconds = setup.objective, 0.0
    begin = time.monotonic()
    alpha, note, ratio = start_of(setup), "", None
    try:
        optimizer, ratio = prepare(setup, known, alpha, tally)
    except Diverged:
        note = "diverged at the start"
    seconds += time.monotonic() - begin
    visited = [_full(setup, alpha)]
    memory: Memory = {}
    for update in range(settings.updates + 1):
        last = bool(note) or update == settings.updates
        path = _path(setup, known, visited, tally, judged=last)
        yield replace(path, seconds=seconds, note=note, length_ratio=ratio)
        if last:
            return
        begin = time.monotonic()
        try:
            step = take_step(
                optimizer,
                view_of(setup, _seen(setup, problem, update), tally),
                alpha,
                memory,
                generator(setup.seed, "paths", method, update),
            )
            if not step.alpha.isfinite().all():
                raise Diverged("α", update + 1)
            if settings.weights == "trained":
                # each update trains on batches of its own, as in a search
                later = replace(problem, iteration=update).advance(_full(setup, step.alpha))
                problem = replace(later, iteration=0)
        except Diverged:
            note = f"diverged at step {update + 1}"
        else:
            alpha, memory = step.alpha, step.memory
            visited.append(_full(setup, alpha))
        seconds += time.monotonic() - begin


def _seen(setup: PlaneProblem, problem: Bilevel[Batch], update: int) -> Objective:
    """The surface's own batches (iteration 0), or fresh ones at every update."""
    if setup.settings.noise == "fresh":
        return replace(problem, iteration=update + 1)
    # ω that was trained on is another problem, of which nothing is known
    return setup.remembered(problem.inner_steps) if problem is setup.objective else problem


def view_of(setup: PlaneProblem, problem: Objective, tally: Tally) -> Objective:
    """What the optimizer sees of a problem."""
    counted = Counted(problem, tally)
    if setup.settings.space == "full":
        return counted
    return Restricted(counted, setup.plane.origin, setup.plane.basis)


def _full(setup: PlaneProblem, alpha: Tensor) -> Tensor:
    """The α (d,) an optimizer's coordinates stand for."""
    if setup.settings.space == "full":
        return alpha
    # by the rule the optimizer's own questions are lifted with, so that answers are found again
    view = Restricted(setup.objective, setup.plane.origin, setup.plane.basis)
    return view.lift(alpha.unsqueeze(0))[0]


def start_of(setup: PlaneProblem) -> Tensor:
    """The first point, in the coordinates an optimizer walks in."""
    start = torch.tensor([setup.settings.start], dtype=torch.float64)
    plane = setup.plane
    return plane.points(start)[0] if setup.settings.space == "full" else start[0] * plane.scale


def walking(
    paths: PathsConfig, method: Method, dim: int, length: float = 1.0
) -> tuple[dict[str, Any], bool]:
    """Hyper-parameters of a path that looks ``length`` far, and whether they have such a scale."""
    if paths.step == "paper" or method.reach is None:
        return dict(method.paper), False
    found = method.reach(paths, dim, length)
    return {key: value for key, value in found.items() if key not in method.fixed}, True


def pilots(paths: PathsConfig, method: Method) -> int:
    """How many updates at most are made at the start to set the step length, and not walked."""
    if not walking(paths, method, 2)[1]:
        return 0
    if method.gradients:
        return 1
    if method.rate:
        return PILOT_UPDATES if paths.step == "update" else PILOTS
    return TRIALS * PILOT_UPDATES if paths.step == "update" else 0


def prepare(
    setup: PlaneProblem, method: Method, alpha: Tensor, tally: Tally
) -> tuple[Optimizer, float | None]:
    """The optimizer with its step length, and what ``Path.length_ratio`` says of it."""
    settings, dim = setup.settings, alpha.numel()
    length = settings.fraction * setup.extent * setup.plane.scale
    found, scaled = walking(settings, method, dim, length)
    if not scaled:
        return build_optimizer(method.name, found), None
    view = view_of(setup, setup.remembered(setup.objective.inner_steps), tally)
    if settings.step == "update" and not method.gradients:
        return _piloted(setup, method, view, alpha, length)
    ratio = 1.0 if settings.step == "update" else None
    return build_optimizer(method.name, _matched(setup, method, view, alpha, length)), ratio


def _piloted(
    setup: PlaneProblem, method: Method, view: Objective, alpha: Tensor, length: float
) -> tuple[Optimizer, float]:
    """The optimizer whose first update is ``length`` long on average, as far as pilots can tell.

    Pilots are updates from the start that are not walked. A step of RS is proportional to its ξ,
    so that one look settles it. How MGS grows with σ and GLD with its radii depends on the
    losses: a trial that misses is followed by another in proportion. All trials have the same
    draws, so they differ by their scale alone.

    Returns:
        The optimizer of the best trial, and the mean length of its pilots over ``length``.
    """
    name = method.name

    def settings(length: float) -> dict[str, Any]:
        return walking(setup.settings, method, alpha.numel(), length)[0]

    def ratio(optimizer: Optimizer) -> float:
        """Mean length of the pilots over the one that is wanted."""
        steps = (
            take_step(optimizer, view, alpha, {}, generator(setup.seed, "pilot", name, number))
            for number in range(PILOT_UPDATES)
        )
        return sum(_length(step, alpha) for step in steps) / PILOT_UPDATES / length

    if method.rate:
        found = ratio(build_optimizer(name, settings(length)))
        if found == 0:  # a flat loss
            return build_optimizer(name, settings(length)), 0.0
        return build_optimizer(name, settings(length) | {method.rate: 1 / found}), 1.0
    trials, scale = [], 1.0
    for _ in range(TRIALS):
        optimizer = build_optimizer(name, settings(scale * length))
        found = ratio(optimizer)
        trials.append((abs(found - 1), found, optimizer))
        if abs(found - 1) <= LENGTH_TOLERANCE:
            break
        # nothing moves where all draws are too long, so shorter ones are next
        scale *= min(1 / found, 4.0) if found else 0.25
    _, found, optimizer = min(trials, key=lambda trial: trial[0])
    return optimizer, found


def _matched(
    setup: PlaneProblem, method: Method, view: Objective, alpha: Tensor, length: float
) -> dict[str, Any]:
    """Settings under which the steps of all optimizers are of one size, ``length``; ours.

    One draw of MGS (on average), the first step of DARTS, the largest radius of GLD and the steps
    that the pilots of RS stand for (on average) have this length. No update has it by construction:
    MGS averages its draws, GLD picks one, and a step of RS scatters with the slopes it finds.
    """
    settings, _ = walking(setup.settings, method, alpha.numel(), length)
    if not method.rate:
        return settings
    # before its first update it makes a few that are not walked; its rate is from their mean length
    pilot = build_optimizer(method.name, settings)
    rng, count = generator(setup.seed, "pilot", method.name), pilots(setup.settings, method)
    norms = [_length(take_step(pilot, view, alpha, {}, rng), alpha) for _ in range(count)]
    return settings | {method.rate: length / max(sum(norms) / count, 1e-12)}


def _length(step: Step, alpha: Tensor) -> float:
    """How far a step went."""
    told = step.diagnostics.get("update_norm")
    return float(torch.linalg.vector_norm(step.alpha - alpha)) if told is None else told


def _path(
    setup: PlaneProblem,
    method: Method,
    visited: list[Tensor],
    tally: Tally,
    *,
    judged: bool,
) -> OptimizerPath:
    alphas = torch.stack(visited)
    target = setup.objective.inner_steps
    own = method.own_steps(target)
    moved = torch.linalg.vector_norm(alphas - alphas[0], dim=1)
    outside = setup.plane.residual(alphas)
    unknown = np.full(len(visited), np.nan)
    # a shorter way than rounding errors of the projection is no way out of the plane
    share = torch.where(
        outside > 1e-9 * (1 + moved), (outside / moved) ** 2, torch.zeros_like(outside)
    )
    return OptimizerPath(
        method=method.name,
        inner_steps=own,
        xy=setup.plane.project(alphas).numpy(),
        loss=setup.scores(alphas, own) if judged else unknown,
        target_loss=setup.scores(alphas, target) if judged else unknown,
        residual=share.numpy(),
        evaluations=tally.evaluations,
        gradients=tally.gradients,
        weight_steps=tally.weight_steps,
        seconds=0.0,
        moments=moments_of(*setup.objective.samples(alphas[[0, -1]]).numpy()) if judged else None,
    )


def walk_cost(config: Config, method: str, timing: Timing) -> tuple[int, float]:
    """Evaluations and seconds of one path, with the losses it is judged by.

    With ``paths.step = update`` at most so many: how many trials its length takes is not known.
    """
    paths, steps, known = config.paths, config.landscape.steps, loaded(method)
    own = known.own_steps(steps)
    optimizer = build_optimizer(method, walking(paths, known, 2)[0])
    each = optimizer.evaluations * timing.evaluation(own)
    each += optimizer.gradients * timing.gradient(gradient_cost(optimizer, own).steps)
    updates, points = paths.updates + pilots(paths, known), paths.updates + 1
    judged = {own, steps}  # by these losses
    return (
        updates * optimizer.evaluations + points * len(judged),
        updates * each + points * sum(map(timing.evaluation, judged)),
    )
