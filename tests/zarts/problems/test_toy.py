"""The toys are the oracle of every other test, so their closed forms are checked by brute force."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from zarts.bilevel.inner import SGD
from zarts.bilevel.rng import generator
from zarts.problems.toy import CLASSICS, PLAIN, ConstantFeed, Quadratic, classic, darts_example

QUADRATIC = Quadratic.random(dim=3, weights=2)
ALPHA = torch.randn(3, generator=generator(0, "alpha"), dtype=torch.float64)


def test_the_quadratic_is_not_symmetric_in_anything() -> None:
    assert QUADRATIC.dim == 3
    assert QUADRATIC.response.shape == (2, 3)
    assert QUADRATIC.curvature.shape == (2, 2)
    assert torch.linalg.eigvalsh(QUADRATIC.curvature).min() >= 1
    assert QUADRATIC.curvature[0, 1].abs() > 1e-3
    assert len(set(QUADRATIC.penalty.tolist())) == 3
    assert (QUADRATIC.start - QUADRATIC.response @ ALPHA).abs().min() > 1e-2


def test_the_same_seed_draws_the_same_problem() -> None:
    again, other = Quadratic.random(dim=3, weights=2), Quadratic.random(dim=3, weights=2, seed=1)
    assert torch.equal(again.response, QUADRATIC.response)
    assert torch.equal(again.start, QUADRATIC.start)
    assert not torch.equal(other.response, QUADRATIC.response)


@pytest.mark.parametrize("rate", [0.1, 0.3])
def test_the_response_solves_the_training_problem(rate: float) -> None:
    """ω*_M by a plain loop, and ω*_∞ as the point where the training gradient vanishes."""
    omega = QUADRATIC.start.clone()
    for steps in range(6):
        torch.testing.assert_close(QUADRATIC.weights_at(ALPHA, steps, rate), omega)
        leaf = omega.clone().requires_grad_()
        loss = QUADRATIC.train_loss({"omega": leaf}, ALPHA, None)
        omega = omega - rate * torch.autograd.grad(loss, leaf)[0]
    best = QUADRATIC.weights_at(ALPHA, math.inf, rate).requires_grad_()
    loss = QUADRATIC.train_loss({"omega": best}, ALPHA, None)
    assert torch.autograd.grad(loss, best)[0].abs().max() < 1e-14
    torch.testing.assert_close(QUADRATIC.weights_at(ALPHA, 400, rate), best.detach())


@pytest.mark.parametrize("steps", [0, 1, 10, math.inf])
def test_gradient_and_minimum_belong_to_the_loss(steps: float) -> None:
    alpha = ALPHA.clone().requires_grad_()
    (slope,) = torch.autograd.grad(QUADRATIC.loss_at(alpha, steps), alpha)
    torch.testing.assert_close(QUADRATIC.gradient_at(ALPHA, steps), slope)
    minimum = QUADRATIC.minimum(steps)
    assert QUADRATIC.gradient_at(minimum, steps).abs().max() < 1e-12
    lowest = QUADRATIC.loss_at(minimum, steps)
    for shift in 0.1 * torch.randn(20, 3, generator=generator(1, "shift"), dtype=torch.float64):
        assert QUADRATIC.loss_at(minimum + shift, steps) > lowest


def test_the_minimum_moves_with_m_and_with_the_rate() -> None:
    """What Fig. 1 is about: surfaces of different M have different minima."""
    minima = [QUADRATIC.minimum(steps) for steps in (0, 1, 10, math.inf)]
    for left, right in pairwise(minima):
        assert torch.linalg.vector_norm(left - right) > 0.05
    assert torch.linalg.vector_norm(QUADRATIC.minimum(1, 0.3) - QUADRATIC.minimum(1)) > 0.05


def test_the_problem_starts_at_the_start_with_the_rules_asked_for() -> None:
    inner, outer = SGD(0.2), SGD(0.4)
    problem = QUADRATIC.problem(3, inner=inner, outer=outer)
    assert torch.equal(problem.weights["omega"], QUADRATIC.start)
    assert (problem.inner_steps, problem.space.dim) == (3, 3)
    assert problem.feed.inner_sgd(5) == inner
    assert problem.feed.outer_sgd(5) == outer
    moved = QUADRATIC.problem().advance(ALPHA).weights["omega"]
    torch.testing.assert_close(moved, QUADRATIC.weights_at(ALPHA, 1))


def test_the_constant_feed_counts_its_batches() -> None:
    feed = ConstantFeed(outer_steps=4)
    assert list(feed.train_batches(0)) == [None] * 4
    assert list(feed.inner_batches(9, 3)) == [None] * 3
    assert list(feed.inner_batches(9, 0)) == []
    assert list(feed.val_batches(2)) == [None]
    assert (feed.outer_sgd(0), feed.inner_sgd(7)) == (PLAIN, PLAIN)
    assert (PLAIN.momentum, PLAIN.weight_decay, PLAIN.clip) == (0, 0, None)


def test_darts_example_answers_alpha_and_is_best_at_one() -> None:
    problem = darts_example(inner_steps=60, inner=SGD(0.3, 0.0, 0.0, None))
    for value in (-1.0, 1.0, 2.0):
        alpha = torch.tensor([value], dtype=torch.float64)
        torch.testing.assert_close(problem.tuned(alpha)["omega"], alpha)
    line = torch.linspace(-1, 3, 17, dtype=torch.float64).unsqueeze(1)
    assert float(line[problem.evaluate(line).argmin()]) == pytest.approx(1)
    first = darts_example().evaluate(line)  # linear: no minimum inside
    assert int(first.argmin()) == 16
    assert (first.diff().diff().abs() < 1e-12).all()


@pytest.mark.parametrize(("name", "at"), [("bowl", 0.0), ("rastrigin", 0.0), ("rosenbrock", 1.0)])
@pytest.mark.parametrize("steps", [0, 2])
def test_classics_have_their_minimum_zero_where_they_should(
    name: str, at: float, steps: int
) -> None:
    problem = classic(name, dim=4, inner_steps=steps)
    minimum = torch.full((4,), at, dtype=torch.float64)
    assert float(problem(minimum)) == pytest.approx(0, abs=1e-12)
    assert problem.grad(minimum).abs().max() < 1e-10
    around = minimum + torch.randn(50, 4, generator=generator(2, name), dtype=torch.float64)
    assert (problem.evaluate(around) > 0).all()


def test_classics_by_hand() -> None:
    alpha = torch.tensor([0.5, -1.0], dtype=torch.float64)
    assert float(classic("bowl", 2)(alpha)) == pytest.approx(0.5 * (0.5 * 0.25 + 2 * 1.0))
    assert float(classic("rosenbrock", 2)(alpha)) == pytest.approx(100 * 1.25**2 + 0.25)
    assert float(classic("rastrigin", 2)(alpha)) == pytest.approx(20.25 + 1.0)


@pytest.mark.parametrize("name", sorted(CLASSICS))
def test_classics_are_the_same_for_every_m_and_every_omega(name: str) -> None:
    problem = classic(name)
    loss, gradient = problem(ALPHA), problem.grad(ALPHA)
    assert torch.equal(problem.at(3)(ALPHA), loss)
    assert torch.equal(problem.at(3).grad(ALPHA), gradient)
    later = problem.advance(ALPHA)
    assert not torch.equal(later.weights["omega"], problem.weights["omega"])
    assert torch.equal(later(ALPHA), loss)


def test_an_unknown_classic_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown function 'ball'.*'bowl'.*'rosenbrock'"):
        classic("ball")
