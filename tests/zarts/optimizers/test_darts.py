"""DARTS: which gradient it descends, and Adam against ``torch.optim.Adam``."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from tests.zarts.smooth import POINT, smooth
from zarts.bilevel.difference import through_step
from zarts.bilevel.rng import generator
from zarts.bilevel.search import Memory
from zarts.bilevel.wrappers import Counted
from zarts.optimizers.darts import DARTS
from zarts.problems.toy import Quadratic, darts_example

QUADRATIC = Quadratic.random(dim=3, weights=2)
RNG = generator(0, "unused")


def start() -> torch.Tensor:
    return torch.randn(3, generator=generator(0, "start"), dtype=torch.float64)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("inner_steps", [0, 10])
def test_order_k_descends_the_gradient_of_k_minus_one_steps(order: int, inner_steps: int) -> None:
    alpha = start()
    optimizer = DARTS(order=order, update="sgd", learning_rate=0.3, weight_decay=0.0)
    step = optimizer.step(QUADRATIC.problem(inner_steps), alpha, {}, RNG)
    expected = alpha - 0.3 * QUADRATIC.gradient_at(alpha, order - 1)
    torch.testing.assert_close(step.alpha, expected, rtol=1e-12, atol=1e-12)
    assert step.memory == {}
    assert step.candidates.shape == (0, 3)
    assert step.losses.shape == (0,)
    assert math.isnan(step.loss)


def test_sgd_with_decay_is_a_plain_step_on_the_penalised_loss() -> None:
    alpha = start()
    optimizer = DARTS(update="sgd", learning_rate=0.1, weight_decay=0.5)
    step = optimizer.step(QUADRATIC.problem(), alpha, {}, RNG)
    slope = QUADRATIC.gradient_at(alpha, 0) + 0.5 * alpha
    torch.testing.assert_close(step.alpha, alpha - 0.1 * slope, rtol=1e-13, atol=1e-13)
    size = float(torch.linalg.vector_norm(QUADRATIC.gradient_at(alpha, 0)))
    assert step.diagnostics["gradient_norm"] == pytest.approx(size)
    assert step.diagnostics["update_norm"] == pytest.approx(
        float(torch.linalg.vector_norm(step.alpha - alpha))
    )


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("rate", [3e-4, 0.05])
def test_adam_equals_torch_over_twenty_steps(order: int, rate: float) -> None:
    problem = QUADRATIC.problem()
    parameter = nn.Parameter(start())
    reference = torch.optim.Adam([parameter], lr=rate, betas=(0.5, 0.999), weight_decay=1e-3)
    optimizer, alpha = DARTS(order=order, learning_rate=rate), start()
    memory: Memory = {}
    for _ in range(20):
        parameter.grad = QUADRATIC.gradient_at(parameter.detach(), order - 1)
        reference.step()
        step = optimizer.step(problem, alpha, memory, RNG)
        alpha, memory = step.alpha, step.memory
        torch.testing.assert_close(alpha, parameter.detach(), rtol=0, atol=1e-12)
    assert (alpha - start()).abs().min() > 3 * rate  # it went somewhere


def test_the_published_finite_difference_is_of_second_order_only() -> None:
    problem = smooth().at(1)
    sgd = {"update": "sgd", "learning_rate": 0.1, "weight_decay": 0.0}
    step = DARTS(order=2, hypergradient="difference", **sgd).step(problem, POINT, {}, RNG)
    torch.testing.assert_close(step.alpha, POINT - 0.1 * problem.grad(POINT, through_step))
    with pytest.raises(ValueError, match="'difference' with order 1, expected 'exact', or"):
        DARTS(hypergradient="difference")
    with pytest.raises(ValueError, match="hypergradient is 'finite'"):
        DARTS(order=2, hypergradient="finite")


def test_defaults_are_those_of_the_darts_search() -> None:
    darts = DARTS()
    assert (darts.order, darts.update, darts.learning_rate) == (1, "adam", 3e-4)
    assert (darts.beta1, darts.beta2, darts.weight_decay) == (0.5, 0.999, 1e-3)


def test_memory_is_read_and_never_written() -> None:
    optimizer, problem = DARTS(learning_rate=0.1), QUADRATIC.problem()
    first = optimizer.step(problem, start(), {}, RNG)
    copies = {name: tensor.clone() for name, tensor in first.memory.items()}
    second = optimizer.step(problem, first.alpha, first.memory, RNG)
    fresh = optimizer.step(problem, first.alpha, {}, RNG)
    assert all(torch.equal(first.memory[name], copy) for name, copy in copies.items())
    assert not torch.equal(second.alpha, fresh.alpha)  # so the memory matters
    assert int(second.memory["count"]) == 2


def test_nothing_is_drawn() -> None:
    rng = generator(0, "count")
    before = rng.get_state()
    DARTS().step(QUADRATIC.problem(), start(), {}, rng)
    assert torch.equal(rng.get_state(), before)


def test_the_cost_is_one_gradient_of_k_minus_one_steps() -> None:
    for order in (1, 2):
        counted = Counted(QUADRATIC.problem(10))
        DARTS(order=order).step(counted, start(), {}, RNG)
        tally = counted.tally
        assert (tally.evaluations, tally.gradients, tally.weight_steps) == (0, 1, order - 1)


def test_first_order_runs_away_where_second_order_does_better() -> None:
    """DARTS Fig. 2: with ω trained in between, the second order ends nearer to α = 1."""
    ends = {}
    for order in (1, 2):
        problem, alpha = darts_example(), torch.tensor([2.0], dtype=torch.float64)
        optimizer = DARTS(order=order, update="sgd", learning_rate=0.1, weight_decay=0.0)
        for _ in range(300):
            alpha = optimizer.step(problem, alpha, {}, RNG).alpha
            problem = problem.advance(alpha)
        ends[order] = float((alpha - 1).abs())
    assert ends[2] < ends[1] - 0.1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("order", 3),
        ("update", "lion"),
        ("learning_rate", 0.0),
        ("epsilon", math.nan),
        ("beta1", 1.0),
        ("beta2", -0.1),
        ("weight_decay", -1e-3),
        ("weight_decay", math.nan),
    ],
)
def test_bad_settings_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        DARTS(**{field: value})
