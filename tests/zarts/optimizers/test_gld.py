"""GLD: never uphill, blind to the scale of the loss, and its ladder of radii."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from zarts.bilevel.objective import Objective
from zarts.bilevel.rng import generator
from zarts.optimizers.gld import GLD
from zarts.problems.toy import CLASSICS, Quadratic, classic

AsObjective = Callable[[Callable[[Tensor], Tensor], int], Objective]
ALPHA = torch.randn(3, generator=generator(0, "alpha"), dtype=torch.float64)


def bumpy(alphas: Tensor) -> Tensor:
    return (alphas**2).sum(1) + torch.cos(7 * alphas).sum(1)


@pytest.mark.parametrize("name", sorted(CLASSICS))
@pytest.mark.parametrize("seed", range(3))
def test_a_deterministic_loss_never_rises(name: str, seed: int) -> None:
    problem, alpha = classic(name), ALPHA
    optimizer = GLD(radius_max=1.0, radius_min=0.01)
    losses = []
    for iteration in range(25):
        step = optimizer.step(problem, alpha, {}, generator(seed, iteration))
        assert step.loss == float(problem(alpha))  # the incumbent, by the same objective
        losses.append(step.loss)
        alpha = step.alpha
    losses.append(float(problem(alpha)))
    assert all(after <= before for before, after in pairwise(losses))
    assert losses[-1] < 0.5 * losses[0]


def test_the_incumbent_is_judged_after_the_same_fine_tuning() -> None:
    toy = Quadratic.random()
    step = GLD().step(toy.problem(10), ALPHA, {}, generator(0, "x"))
    assert step.loss == pytest.approx(float(toy.loss_at(ALPHA, 10)), rel=1e-12)
    assert step.loss != pytest.approx(float(toy.loss_at(ALPHA, 0)), rel=1e-3)


@pytest.mark.parametrize(
    "transform",
    [
        lambda losses: 1e-3 * losses - 50,
        lambda losses: losses.exp(),
        lambda losses: losses**3,
        lambda losses: -1 / (5 + losses),
    ],
    ids=["affine", "exp", "cube", "reciprocal"],
)
def test_monotone_maps_of_the_loss_change_nothing(
    as_objective: AsObjective, transform: Callable[[Tensor], Tensor]
) -> None:
    plain = as_objective(bumpy, 3)
    mapped = as_objective(lambda alphas: transform(bumpy(alphas)), 3)
    optimizer, left, right = GLD(radius_max=1.0, radius_min=0.01), ALPHA, ALPHA
    moves = 0
    for iteration in range(20):
        before = left
        left = optimizer.step(plain, left, {}, generator(0, iteration)).alpha
        right = optimizer.step(mapped, right, {}, generator(0, iteration)).alpha
        assert torch.equal(left, right)
        moves += not torch.equal(left, before)
    assert moves > 3


def test_a_tie_keeps_the_incumbent(as_objective: AsObjective) -> None:
    step = GLD().step(as_objective(lambda a: torch.zeros(len(a)), 3), ALPHA, {}, generator(0))
    assert torch.equal(step.alpha, ALPHA)
    assert step.diagnostics["update_norm"] == 0
    assert step.diagnostics["radius"] == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_never_wins(as_objective: AsObjective, bad: float) -> None:
    def all_but_alpha(alphas: Tensor) -> Tensor:
        losses = torch.full((len(alphas),), bad, dtype=torch.float64)
        losses[(alphas == ALPHA).all(1)] = 7.0
        return losses

    optimizer = GLD()
    step = optimizer.step(as_objective(all_but_alpha, 3), ALPHA, {}, generator(0))
    assert torch.equal(step.alpha, ALPHA)
    assert step.diagnostics["dropped"] == optimizer.evaluations - 1

    def some(alphas: Tensor) -> Tensor:  # finite on one side only, and not at the incumbent
        return torch.where(alphas[:, 0] > ALPHA[0], alphas[:, 0].double(), bad)

    step = optimizer.step(as_objective(some, 3), ALPHA, {}, generator(0))
    assert step.alpha[0] > ALPHA[0]

    nowhere = as_objective(lambda a: torch.full((len(a),), bad), 3)
    step = optimizer.step(nowhere, ALPHA, {}, generator(0))
    assert torch.equal(step.alpha, ALPHA)


@pytest.mark.parametrize(
    ("largest", "smallest", "count"),
    [(1.0, 1.0, 1), (1.0, 0.51, 1), (1.0, 0.5, 2), (8.0, 1.0, 4), (0.13, 0.13 / 2**10, 11),
     (0.3, 0.1, 2), (0.1, 0.1 / 2**3, 4), (0.13, 0.13 / 2**14.8, 15),
     (0.8 * (1 - 1e-12), 0.1, 4)],  # a power of two but for rounding
)  # fmt: skip
def test_radii_halve_from_the_largest_down(largest: float, smallest: float, count: int) -> None:
    radii = GLD(radius_max=largest, radius_min=smallest).radii
    assert len(radii) == count
    assert radii[0] == largest
    assert all(ahead == behind / 2 for behind, ahead in pairwise(radii))
    assert radii[-1] >= smallest * (1 - 1e-9)
    assert radii[-1] / 2 < smallest


def test_each_candidate_lies_at_its_radius_in_a_direction_of_its_own() -> None:
    optimizer = GLD(radius_max=2.0, radius_min=0.25)
    step = optimizer.step(classic("bowl"), ALPHA, {}, generator(0, "x"))
    moves = step.candidates - ALPHA
    norms = torch.linalg.vector_norm(moves, dim=1)
    assert norms.tolist() == pytest.approx([2.0, 1.0, 0.5, 0.25])
    cosines = (moves @ moves.T) / norms.outer(norms)
    assert (cosines - torch.eye(4)).abs().max() < 0.999
    assert torch.equal(step.losses, classic("bowl").evaluate(step.candidates))
    best = int(step.losses.argmin())
    assert torch.equal(step.alpha, step.candidates[best])
    assert step.diagnostics["radius"] == pytest.approx(float(norms[best]))


def test_the_number_of_evaluations_counts_the_incumbent() -> None:
    assert GLD().evaluations == 12
    assert GLD(radius_max=1.0, radius_min=1.0).evaluations == 2
    assert GLD().gradients == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"radius_max": 0.0}, "radius_max"),
        ({"radius_min": -1.0}, "radius_min"),
        ({"radius_max": math.inf}, "radius_max"),
        ({"radius_max": 0.1, "radius_min": 0.2}, "swap"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GLD(**settings)
