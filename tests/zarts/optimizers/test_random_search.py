"""RS: an unbiased gradient whose error falls as 1/√N, and equal to DARTS where DARTS is right."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from zarts.bilevel.objective import Objective
from zarts.bilevel.rng import generator
from zarts.optimizers.darts import DARTS
from zarts.optimizers.random_search import RandomSearch
from zarts.problems.toy import Quadratic

AsObjective = Callable[[Callable[[Tensor], Tensor], int], Objective]
DIM = 6
SLOPE = torch.linspace(-1.0, 2.0, DIM, dtype=torch.float64)
ALPHA = torch.randn(DIM, generator=generator(0, "alpha"), dtype=torch.float64)
_FACTOR = torch.randn(DIM, DIM, generator=generator(0, "hessian"), dtype=torch.float64)
HESSIAN = _FACTOR @ _FACTOR.T / DIM


def linear(alphas: Tensor) -> Tensor:
    return alphas @ SLOPE + 3


def quadratic(alphas: Tensor) -> Tensor:
    return alphas @ SLOPE + 0.5 * ((alphas @ HESSIAN) * alphas).sum(1)


def estimate(
    problem: Objective, samples: int, *key: int | str, alpha: Tensor = ALPHA, **settings: object
) -> Tensor:
    """The gradient that a step of learning rate 2 implies."""
    optimizer = RandomSearch(samples=samples, learning_rate=2.0, **settings)
    step = optimizer.step(problem, alpha, {}, generator(1, *key))
    return (alpha - step.alpha) / 2.0


@pytest.mark.parametrize("direction", ["sphere", "normal"])
@pytest.mark.parametrize("antithetic", [True, False])
@pytest.mark.parametrize("smoothing", [1e-3, 0.1, 3.0])
@pytest.mark.parametrize("function", [linear, quadratic])
def test_unbiased_on_linear_and_quadratic_losses_at_any_smoothing(
    as_objective: AsObjective,
    direction: str,
    antithetic: bool,
    smoothing: float,
    function: Callable[[Tensor], Tensor],
) -> None:
    """One-sided as well: the curvature term μ uᵀHu u /2 is odd in u, so its mean is zero."""
    problem = as_objective(function, DIM)
    truth = problem.grad(ALPHA)
    settings = {"direction": direction, "antithetic": antithetic, "smoothing": smoothing}
    parts = torch.stack([estimate(problem, 4000, part, **settings) for part in range(25)])
    error = torch.linalg.vector_norm(parts.mean(0) - truth)
    standard_error = torch.linalg.vector_norm(parts.std(0)) / 5
    assert error < 3 * standard_error
    limit = 0.02 if antithetic or function is linear else 0.1  # curvature adds noise to one side
    assert standard_error < limit * torch.linalg.vector_norm(truth)


@pytest.mark.parametrize("direction", ["sphere", "normal"])
def test_the_error_falls_as_one_over_the_root_of_the_samples(
    as_objective: AsObjective, direction: str
) -> None:
    problem = as_objective(quadratic, DIM)
    truth = problem.grad(ALPHA)
    counts = [50, 200, 800, 3200]
    errors = []
    for count in counts:
        squares = [
            float(((estimate(problem, count, count, i, direction=direction) - truth) ** 2).sum())
            for i in range(100)
        ]
        errors.append(math.sqrt(math.fsum(squares) / len(squares)))
    logs = torch.tensor([counts, errors], dtype=torch.float64).log()
    centred = logs - logs.mean(1, keepdim=True)
    slope = float(centred[0] @ centred[1] / (centred[0] @ centred[0]))
    # 100 repeats know each error to 4 %, so the slope over a factor 64 to about 0.02.
    assert slope == pytest.approx(-0.5, abs=0.06)


def test_a_central_difference_along_one_direction_is_exact_on_a_quadratic(
    as_objective: AsObjective,
) -> None:
    problem = as_objective(quadratic, DIM)
    optimizer = RandomSearch(samples=1, smoothing=0.7, learning_rate=1.0)
    step = optimizer.step(problem, ALPHA, {}, generator(0, "one"))
    unit = (step.candidates[0] - ALPHA) / 0.7
    expected = ALPHA - DIM * (problem.grad(ALPHA) @ unit) * unit
    torch.testing.assert_close(step.alpha, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("inner_steps", [0, 1])
def test_with_m_steps_it_estimates_the_gradient_that_darts_takes(inner_steps: int) -> None:
    toy = Quadratic.random(dim=3, weights=2)
    problem = toy.problem(inner_steps)
    alpha = ALPHA[:3].clone()
    darts = DARTS(order=inner_steps + 1, update="sgd", learning_rate=1.0, weight_decay=0.0)
    wanted, other = (
        alpha - rule.step(problem, alpha, {}, generator(0)).alpha
        for rule in (
            darts,
            DARTS(order=2 - inner_steps, update="sgd", learning_rate=1.0, weight_decay=0.0),
        )
    )
    got = estimate(problem, 1500, "darts", alpha=alpha, smoothing=1e-3)
    assert torch.cosine_similarity(got, wanted, dim=0) > 0.998
    near = torch.linalg.vector_norm(got - wanted)
    assert near < 0.08 * torch.linalg.vector_norm(wanted)
    assert near < 0.5 * torch.linalg.vector_norm(got - other)  # and not the other order


@pytest.mark.parametrize("antithetic", [True, False])
def test_probes_lie_where_they_should_and_are_all_reported(
    as_objective: AsObjective, antithetic: bool
) -> None:
    problem = as_objective(quadratic, DIM)
    optimizer = RandomSearch(samples=5, smoothing=0.3, antithetic=antithetic)
    step = optimizer.step(problem, ALPHA, {}, generator(0, "probes"))
    moves = step.candidates - ALPHA
    assert len(moves) == optimizer.evaluations == (10 if antithetic else 6)
    norms = torch.linalg.vector_norm(moves, dim=1)
    torch.testing.assert_close(norms[:5], torch.full((5,), 0.3, dtype=torch.float64))
    if antithetic:
        torch.testing.assert_close(moves[5:], -moves[:5])
        assert math.isnan(step.loss)
    else:
        assert torch.equal(step.candidates[5], ALPHA)
        assert step.loss == float(problem(ALPHA))
    assert torch.equal(step.losses, problem.evaluate(step.candidates))


@pytest.mark.parametrize("antithetic", [True, False])
def test_directions_without_a_finite_loss_are_dropped_and_counted(
    as_objective: AsObjective, antithetic: bool
) -> None:
    def holes(alphas: Tensor) -> Tensor:
        broken = alphas[:, 0] > ALPHA[0] + 0.05  # some probes ahead or behind, never α itself
        return torch.where(broken, torch.nan, quadratic(alphas))

    problem = as_objective(holes, DIM)
    optimizer = RandomSearch(samples=40, smoothing=0.3, learning_rate=0.1, antithetic=antithetic)
    step = optimizer.step(problem, ALPHA, {}, generator(0, "holes"))
    total, count = torch.zeros(DIM, dtype=torch.float64), 0
    for i in range(40):
        unit = (step.candidates[i] - ALPHA) / 0.3
        behind = float(step.losses[40 + i] if antithetic else step.losses[-1])
        slope = (float(step.losses[i]) - behind) / (0.6 if antithetic else 0.3)
        if math.isfinite(slope):
            total, count = total + slope * unit, count + 1
    assert 0 < count < 40
    assert step.diagnostics["dropped"] == 40 - count
    torch.testing.assert_close(step.alpha, ALPHA - 0.1 * DIM * total / count)


def test_where_nothing_is_finite_alpha_stays(as_objective: AsObjective) -> None:
    problem = as_objective(lambda alphas: alphas.sum(1) * torch.nan, DIM)
    for antithetic in (True, False):
        step = RandomSearch(antithetic=antithetic).step(problem, ALPHA, {}, generator(0))
        assert torch.equal(step.alpha, ALPHA)
        assert step.diagnostics == {"update_norm": 0, "gradient_norm": 0, "dropped": 4}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("samples", 0),
        ("smoothing", 0.0),
        ("smoothing", math.nan),
        ("learning_rate", -1.0),
        ("direction", "cube"),
    ],
)
def test_bad_settings_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{field} is .*, expected"):
        RandomSearch(**{field: value})
