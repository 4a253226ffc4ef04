"""The objective contract over images, with a network of two cells."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.zarts.problems.test_image import dataset, make_feed
from zarts.bilevel.difference import through_step
from zarts.bilevel.objective import Bilevel
from zarts.bilevel.rng import generator
from zarts.data.stream import Batch, Stream
from zarts.problems.image import ImageLoss
from zarts.supernet.fast.network import Supernet
from zarts.supernet.spaces import SPACES


def supernet_problem(space: str, inner_steps: int = 0, val_batches: int = 2) -> Bilevel[Batch]:
    data = dataset(classes=3)
    network = Supernet(SPACES[space], channels=2, cells=2, classes=3, image_channels=1)
    loss = ImageLoss(network)
    return Bilevel(
        space=network.space,
        train_loss=loss,
        val_loss=loss,
        weights=network.init(generator(0, "weights"), torch.float64),
        feed=make_feed(data=data, val_batches=val_batches),
        inner_steps=inner_steps,
    )


def points(problem: Bilevel[Batch], count: int = 3) -> Tensor:
    rng = generator(0, "points")
    return 0.5 * torch.randn(count, problem.space.dim, generator=rng, dtype=torch.float64)


def copies(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: weight.clone() for name, weight in weights.items()}


def same(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize("space", ["s3", "s4"])  # s4 has an operation that draws
def test_the_same_alpha_gives_the_same_number(space: str, steps: int) -> None:
    problem = supernet_problem(space, steps)
    alphas = points(problem)
    losses = problem.evaluate(alphas)
    assert losses.isfinite().all()
    assert len(set(losses.tolist())) == len(alphas)
    assert torch.equal(problem.evaluate(alphas), losses)
    assert torch.equal(problem.evaluate(alphas.flip(0)).flip(0), losses)
    assert torch.equal(torch.stack([problem(alpha) for alpha in alphas]), losses)
    assert torch.equal(supernet_problem(space, steps).evaluate(alphas), losses)


@pytest.mark.parametrize("steps", [0, 1, 2])
@pytest.mark.parametrize("space", ["s3", "s4"])  # s4 has an operation that draws
def test_the_gradient_is_the_derivative_of_the_value(space: str, steps: int) -> None:
    problem = supernet_problem(space, steps)
    alpha = points(problem)[0]
    gradient = problem.grad(alpha)
    rng = generator(0, "directions")
    width = 1e-6
    for _ in range(4):
        direction = torch.randn(len(alpha), generator=rng, dtype=torch.float64)
        ahead, behind = problem(alpha + width * direction), problem(alpha - width * direction)
        difference = float(ahead - behind) / (2 * width)
        assert float(gradient @ direction) == pytest.approx(difference, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("space", ["s3", "s5"])
def test_the_published_second_order_gradient_of_a_supernet(space: str) -> None:
    """DARTS' update line by line, with the coming training batch and the momentum of ω."""
    problem = supernet_problem(space, 1).advance(points(supernet_problem(space))[0])
    feed = make_feed(data=dataset(3), upcoming=True)
    problem = replace(problem, feed=feed, inherit_velocity=True, iteration=1)
    rule, (train,), (val,) = feed.inner_sgd(1), feed.inner_batches(1, 1), feed.val_batches(1)
    assert torch.equal(train.images, feed.train_batches(1)[0].images)  # that of the ω step to come
    before, velocity = copies(problem.weights), problem.velocity
    names = list(before)

    def slopes(loss: ImageLoss, weights: list[Tensor], batch: Batch) -> tuple[Tensor, list[Tensor]]:
        alpha = points(problem)[0].requires_grad_()
        omega = [weight.clone().requires_grad_() for weight in weights]
        value = loss(dict(zip(names, omega, strict=True)), alpha, batch)
        first, *rest = torch.autograd.grad(value, [alpha, *omega])
        return first, rest

    omega = list(before.values())
    _, own = slopes(problem.train_loss, omega, train)
    ahead = [
        w - rule.learning_rate * (0.9 * velocity[name] + g + 3e-4 * w)
        for name, w, g in zip(names, omega, own, strict=True)
    ]
    direct, b = slopes(problem.val_loss, ahead, val)
    radius = 0.01 / torch.cat([part.flatten() for part in b]).norm()
    up, down = (
        slopes(problem.train_loss, [w + r * g for w, g in zip(omega, b, strict=True)], train)[0]
        for r in (radius, -radius)
    )
    expected = direct - rule.learning_rate * (up - down) / (2 * radius)
    found = problem.grad(points(problem)[0], through_step)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-13)
    assert same(problem.weights, before)
    exact = problem.grad(points(problem)[0])
    assert (found - exact).norm() > 1e-6 * exact.norm()


def test_measure_counts_every_image_once() -> None:
    problem = supernet_problem("s3")
    loss = problem.val_loss
    assert isinstance(loss, ImageLoss)
    stream = Stream(
        dataset(classes=3), torch.arange(20, 34), 4, 0, "v",
        sequential=True, keep_last=True, dtype=torch.float64,
    )  # fmt: skip
    feed = replace(make_feed(val_batches=4), val=stream)
    batches = feed.val_batches(1)
    assert [len(batch.labels) for batch in batches] == [4, 4, 4, 2]
    alpha = points(problem)[0]
    logits = [loss.network(problem.weights, alpha, b.images, b.chance) for b in batches]
    joined, labels = torch.cat(logits), torch.cat([batch.labels for batch in batches])
    mean, accuracy = loss.measure(problem.weights, alpha.float(), batches)
    # α arrives in the precision of the search and is brought to that of ω
    assert mean == pytest.approx(float(functional.cross_entropy(joined, labels)), rel=1e-5)
    assert accuracy == pytest.approx(float((joined.argmax(1) == labels).double().mean()))
    assert math.isclose(accuracy * 14, round(accuracy * 14))
    # and so does the objective, whichever way it takes its batches: one by one, many α, many ω
    scored = replace(problem, feed=feed, iteration=1, inner_steps=0)
    exact = pytest.approx(float(functional.cross_entropy(joined, labels)), rel=1e-12)
    assert float(scored(alpha)) == exact
    repeated = {name: weight.expand(1, *weight.shape) for name, weight in problem.weights.items()}
    losses = [float(loss.each(repeated, alpha[None], batch)) for batch in batches]
    assert sum(losses) / 4 == exact
    assert sum(float(loss(problem.weights, alpha, batch)) for batch in batches) / 4 == exact
