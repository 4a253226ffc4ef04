"""DARTS-M and implicit gradients against the closed forms of the quadratic toy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from zarts.bilevel.inner import SGD
from zarts.bilevel.rng import generator
from zarts.bilevel.wrappers import Counted
from zarts.optimizers import METHODS, Implicit, Unrolled
from zarts.problems.toy import PLAIN, Quadratic

TOY = Quadratic.random(dim=4, weights=3)
ALPHA = torch.randn(4, generator=generator(0, "start"), dtype=torch.float64)
RNG = generator(0, "unused")
PLAINLY: dict[str, Any] = {"update": "sgd", "learning_rate": 1.0, "weight_decay": 0.0}


def taken(optimizer: Any, steps: int, inner: SGD = PLAIN) -> Tensor:
    """The gradient that a plain step of rate 1 went along."""
    return ALPHA - optimizer.step(TOY.problem(steps, inner=inner), ALPHA, {}, RNG).alpha


def direct(steps: int) -> tuple[Tensor, Tensor]:
    """∂L_val/∂α and ∂L_val/∂ω at ω*_M."""
    return TOY.penalty * (ALPHA - TOY.center), TOY.weights_at(ALPHA, steps) - TOY.target


@pytest.mark.parametrize("steps", [0, 1, 10])
def test_unrolled_descends_the_gradient_of_all_its_steps(steps: int) -> None:
    found = taken(Unrolled(**PLAINLY), steps)
    torch.testing.assert_close(found, TOY.gradient_at(ALPHA, steps), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("steps", [0, 1, 10])
def test_conjugate_gradients_give_the_response_of_the_optimum(steps: int) -> None:
    # as many steps as ω has entries solve exactly, and more change nothing
    for terms in (3, 30):
        found = taken(Implicit("cg", terms, **PLAINLY), steps)
        own, slope = direct(steps)
        torch.testing.assert_close(found, own + TOY.response.T @ slope, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("terms", [1, 4, 9])
def test_a_neumann_series_is_as_many_more_steps(terms: int) -> None:
    """ξ Σ_{j=0..k} (I − ξH)^j = H⁻¹ (I − (I − ξH)^{k+1}): the response of k + 1 steps."""
    own, slope = direct(10)
    shrink = torch.linalg.matrix_power(
        torch.eye(3, dtype=torch.float64) - PLAIN.learning_rate * TOY.curvature, terms + 1
    )
    expected = own + TOY.response.T @ (slope - shrink @ slope)
    found = taken(Implicit("neumann", terms, **PLAINLY), 10)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    if terms == 9:  # on a quadratic, that of the ten steps themselves
        torch.testing.assert_close(found, TOY.gradient_at(ALPHA, 10), rtol=1e-12, atol=1e-12)


def test_weight_decay_and_damping_add_to_the_curvature() -> None:
    own, slope = direct(0)
    shifted = TOY.curvature + 0.7 * torch.eye(3, dtype=torch.float64)
    response = TOY.response.T @ TOY.curvature @ torch.linalg.solve(shifted, slope)
    optimizer = Implicit("cg", 3, damping=0.5, **PLAINLY)
    found = taken(optimizer, 0, replace(PLAIN, weight_decay=0.2))
    torch.testing.assert_close(found, own + response, rtol=1e-9, atol=1e-9)


def test_conjugate_gradients_stop_where_curvature_is_negative() -> None:
    bent = replace(TOY, curvature=-TOY.curvature)
    step = Implicit("cg", 5, **PLAINLY).step(bent.problem(0), ALPHA, {}, RNG)
    torch.testing.assert_close(ALPHA - step.alpha, direct(0)[0], rtol=1e-12, atol=1e-12)


def test_products_with_the_hessian_are_counted() -> None:
    spent = {}
    for optimizer in (Unrolled(), Implicit(terms=7)):
        counted = Counted(TOY.problem(10))
        optimizer.step(counted, ALPHA, {}, RNG)
        spent[type(optimizer)] = (counted.tally.gradients, counted.tally.weight_steps)
    assert spent == {Unrolled: (1, 10), Implicit: (1, 10 + 5 * 8)}


@pytest.mark.parametrize(("field", "value"), [("solver", "lu"), ("terms", 0), ("damping", -1.0)])
def test_bad_settings_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{field} is"):
        Implicit(**{field: value})  # type: ignore[arg-type]


def test_both_descend_the_loss_that_zarts_descends() -> None:
    assert {name: METHODS[name].own_steps(10) for name in ("darts-m", "implicit", "zarts-rs")} == (
        {"darts-m": 10, "implicit": 10, "zarts-rs": 10}
    )
