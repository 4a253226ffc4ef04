"""Asking changes nothing and depends on nothing else; ``advance`` leaves the old problem alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.zarts.smooth import MOVING, POINT, TensorFeed, smooth, smooth_loss
from zarts.bilevel.inner import SGD
from zarts.bilevel.objective import Bilevel, Loss
from zarts.bilevel.rng import generator
from zarts.problems.toy import Quadratic

ALPHAS = torch.randn(5, 3, generator=generator(0, "alphas"), dtype=torch.float64)
ALPHA = ALPHAS[0]
QUADRATIC = Quadratic.random(dim=3, weights=2)


def state(problem: Bilevel[Tensor] | Bilevel[None]) -> dict[str, Tensor]:
    """A copy of everything that an evaluation must not touch."""
    return {
        f"{group}.{name}": tensor.detach().clone()
        for group in ("weights", "velocity")
        for name, tensor in (getattr(problem, group) or {}).items()
    }


def same(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


# --- purity --------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [0, 1, 2, 10])
def test_asking_changes_nothing(steps: int) -> None:
    problem = smooth(steps=steps)
    before = state(problem)
    tensors = [*problem.weights.values(), *(problem.velocity or {}).values()]
    versions = [tensor._version for tensor in tensors]
    alphas = torch.stack([POINT, -POINT])
    problem.evaluate(alphas)
    problem.grad(POINT)
    problem(POINT)
    assert same(state(problem), before)
    assert [tensor._version for tensor in tensors] == versions
    assert not any(tensor.requires_grad or tensor.grad is not None for tensor in tensors)
    assert torch.equal(alphas[0], POINT)
    assert problem.iteration == 0


def test_a_candidate_is_fine_tuned_on_a_copy() -> None:
    problem = smooth(steps=3)
    before = state(problem)
    tuned = problem.tuned(POINT)
    assert all(not torch.equal(tuned[name], problem.weights[name]) for name in problem.weights)
    assert same(state(problem), before)


@pytest.mark.parametrize("steps", [0, 2])
def test_a_value_does_not_depend_on_its_neighbours_or_on_history(steps: int) -> None:
    problem = smooth(steps=steps)
    rows = torch.randn(4, 4, generator=generator(8, "rows"), dtype=torch.float64)
    losses = problem.evaluate(rows)
    gradient = problem.grad(rows[1])
    assert len(set(losses.tolist())) == 4
    assert torch.equal(problem.evaluate(rows), losses)
    assert torch.equal(problem.evaluate(rows.flip(0)), losses.flip(0))
    assert torch.equal(problem.evaluate(rows[2:3]), losses[2:3])
    assert torch.equal(problem.evaluate(rows[[1, 1, 3]]), losses[[1, 1, 3]])
    assert torch.equal(problem.grad(rows[1]), gradient)
    assert torch.equal(smooth(steps=steps).evaluate(rows), losses)


def test_all_candidates_of_an_iteration_see_the_same_batches() -> None:
    seen: list[tuple[str, Tensor]] = []

    def recording(role: str) -> Loss[Tensor]:
        def loss(weights: Mapping[str, Tensor], alpha: Tensor, batch: Tensor) -> Tensor:
            seen.append((role, batch))
            return smooth_loss(weights, alpha, batch)

        return loss

    feed = TensorFeed(scored=2)
    problem = replace(
        smooth(feed, steps=3), train_loss=recording("train"), val_loss=recording("val")
    )
    rows = torch.randn(3, 4, generator=generator(8, "rows"), dtype=torch.float64)

    def per_candidate() -> list[list[tuple[str, Tensor]]]:
        seen.clear()
        problem.evaluate(rows)
        return [seen[start : start + 5] for start in range(0, len(seen), 5)]

    def equal(left: list[tuple[str, Tensor]], right: list[tuple[str, Tensor]]) -> bool:
        return all(a == b and torch.equal(x, y) for (a, x), (b, y) in zip(left, right, strict=True))

    first, *others = per_candidate()
    assert [role for role, _ in first] == ["train"] * 3 + ["val"] * 2
    assert len(others) == 2
    assert all(equal(first, other) for other in others)
    assert not equal(first[:1], first[1:2])  # the steps see different batches
    assert {(purpose, iteration) for purpose, iteration, _ in feed.asked} == {
        ("inner", 0),
        ("val", 0),
    }
    problem = replace(problem, iteration=4)
    later, *rest = per_candidate()
    assert not any(torch.equal(a[1], b[1]) for a, b in zip(first, later, strict=True))
    assert all(equal(later, other) for other in rest)
    seen.clear()
    problem.grad(POINT)  # the derivative is that of the same expression
    assert equal(seen, later)


@pytest.fixture
def _two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_two_threads")
def test_every_question_runs_on_one_thread_and_gives_the_others_back() -> None:
    counts: list[int] = []

    def loss(weights: Mapping[str, Tensor], alpha: Tensor, batch: None) -> Tensor:
        counts.append(torch.get_num_threads())
        return (weights["omega"] ** 2).sum() * alpha.sum()

    problem = replace(QUADRATIC.problem(1), train_loss=loss, val_loss=loss)
    problem.evaluate(ALPHAS)
    problem.grad(ALPHA)
    problem.advance(ALPHA)
    assert len(counts) == 5 * 2 + 2 + 1
    assert set(counts) == {1}
    assert torch.get_num_threads() == 2


def test_works_where_gradients_are_switched_off_and_ignores_those_of_alpha() -> None:
    problem = QUADRATIC.problem(2)
    loss, gradient = problem(ALPHA), problem.grad(ALPHA)
    with torch.no_grad():
        assert torch.equal(problem(ALPHA), loss)
        assert torch.equal(problem.grad(ALPHA), gradient)
        assert not torch.is_grad_enabled()
    leaf = ALPHA.clone().requires_grad_()
    assert torch.equal(problem(leaf), loss)
    assert torch.equal(problem.grad(leaf), gradient)
    assert leaf.grad is None
    assert not problem.grad(leaf).requires_grad
    assert not problem.advance(leaf).weights["omega"].requires_grad


# --- at and advance ------------------------------------------------------------------------------


def test_at_changes_m_and_nothing_else() -> None:
    problem = smooth(steps=2)
    other = problem.at(5)
    assert (problem.inner_steps, other.inner_steps) == (2, 5)
    assert other.at(2)(POINT) == problem(POINT)
    assert other(POINT) != problem(POINT)
    assert other.weights is problem.weights


def test_advance_makes_exactly_the_outer_steps_and_leaves_the_old_problem() -> None:
    feed = TensorFeed(outer=SGD(0.2, momentum=0.9, weight_decay=0.1, clip=0.5))
    problem = smooth(feed, steps=3)
    before, loss = state(problem), problem(POINT)
    moved, velocity = problem.weights, problem.velocity
    assert velocity is not None
    for batch in feed.train_batches(0):
        leaves = {name: weight.clone().requires_grad_() for name, weight in moved.items()}
        slopes = torch.autograd.grad(smooth_loss(leaves, POINT, batch), list(leaves.values()))
        norm = math.sqrt(sum(float((slope**2).sum()) for slope in slopes))
        factor = min(1.0, 0.5 / (norm + 1e-6))
        velocity = {
            name: 0.9 * velocity[name] + factor * slope + 0.1 * moved[name]
            for name, slope in zip(leaves, slopes, strict=True)
        }
        moved = {name: moved[name] - 0.2 * velocity[name] for name in moved}
    later = problem.advance(POINT)
    assert later.velocity is not None
    for name in moved:
        torch.testing.assert_close(later.weights[name], moved[name], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(later.velocity[name], velocity[name], rtol=1e-12, atol=1e-12)
    assert (later.iteration, later.inner_steps) == (1, 3)
    assert same(state(problem), before)
    assert (problem.iteration, problem(POINT)) == (0, loss)
    assert later(POINT) != loss


def test_advance_depends_on_alpha_and_moves_on_to_the_next_batches_and_rates() -> None:
    feed = TensorFeed()
    problem = smooth(feed)
    once = problem.advance(POINT)
    assert not same(once.weights, problem.advance(-POINT).weights)
    assert same(once.weights, problem.at(7).advance(POINT).weights)  # M is not the outer training
    feed.asked.clear()
    twice = once.advance(POINT)
    assert feed.asked == [("train", 1, 2)]
    assert twice.iteration == 2
    halved = replace(TensorFeed(), outer=replace(MOVING, learning_rate=0.075))
    by_rate = replace(once, feed=halved, iteration=0).advance(POINT)
    assert not same(by_rate.weights, twice.weights)  # same rate, other batches
