"""The α-Hessian: against a closed form, between the networks, and by differences of gradients."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from tests.tiny import tiny
from tests.zarts.supernet.fast.test_network import sample
from zarts.bilevel.chance import Chance
from zarts.bilevel.curvature import hessian, largest_eigenvalue
from zarts.bilevel.rng import generator
from zarts.problems.build import make_problem
from zarts.problems.facts import DECAY, FACTS
from zarts.problems.toy import Quadratic
from zarts.supernet.fast.kernels import Kernels
from zarts.supernet.fast.network import Supernet
from zarts.supernet.plain import PlainSupernet
from zarts.supernet.protocol import Network
from zarts.supernet.spaces import SPACES


@pytest.mark.parametrize("steps", [0, 1, 10])
def test_it_is_that_of_the_toy_in_closed_form(steps: int) -> None:
    """∇²L_M = JᵀJ + D with J = ∂ω*_M/∂α, through the inner steps too."""
    toy = Quadratic.random(dim=4)
    problem = toy.problem(steps)

    def loss(alpha: Tensor) -> Tensor:
        return toy.val_loss(problem.tuned(alpha, differentiable=True), alpha, None)

    moved = torch.stack(
        [
            toy.weights_at(axis, steps) - toy.weights_at(torch.zeros_like(axis), steps)
            for axis in torch.eye(4, dtype=torch.float64)
        ],
        dim=1,
    )
    expected = moved.T @ moved + torch.diag(toy.penalty)
    found = hessian(loss, toy.center)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert largest_eigenvalue(found) == pytest.approx(float(torch.linalg.eigvalsh(expected)[-1]))


def test_it_is_zero_without_curvature_and_keeps_the_sign() -> None:
    alpha = torch.tensor([1.0, 2.0])
    assert not hessian(lambda point: torch.tensor(1.0), alpha).any()
    assert not hessian(lambda point: 3 * point.sum(), alpha).any()
    assert largest_eigenvalue(hessian(lambda point: -point.square().sum(), alpha)) == -2


def losses(net: Network, *, decided: float = 1.0) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    weights, alpha, images = sample(net, (7, 6))
    labels = torch.tensor([0, 1, 2, 0])

    def loss(point: Tensor) -> Tensor:
        return cross_entropy(net(weights, point, images, Chance(0)), labels)

    return loss, decided * alpha


def test_both_networks_agree_and_so_do_differences_of_gradients() -> None:
    """In double precision and at distances of 1e-6; at that of σ it is another number."""
    fast = Supernet(SPACES["s2"], 2, 3, 3, 1, kernels=Kernels(0))
    (loss, alpha), (plain, _) = losses(fast), losses(PlainSupernet.like(fast))
    found = hessian(loss, alpha)
    scale = float(found.abs().max())
    assert scale > 1e-4
    some = torch.tensor([0, 1, 9, 27, 30, 45, 55])  # of both kinds of cells
    part = hessian(lambda entries: plain(alpha.index_put((some,), entries)), alpha[some])
    assert float((found[some][:, some] - part).abs().max()) < 1e-12 * scale
    assert float((found - found.T).abs().max()) < 1e-12
    direction = torch.randn(len(alpha), generator=generator(0, "direction"), dtype=alpha.dtype)
    direction = direction / direction.norm()

    def slope(point: Tensor) -> Tensor:
        point = point.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(point), point)
        return gradient

    def difference(length: float) -> Tensor:
        ends = (slope(alpha + sign * length * direction) for sign in (1, -1))
        return torch.sub(*ends) / (2 * length)

    product = found @ direction
    assert float((difference(1e-6) - product).norm()) < 1e-9
    assert float((difference(0.2) - product).norm()) > 1e-2 * float(product.norm())


def test_the_fact_is_of_the_last_validation_batch_without_drops() -> None:
    config = tiny("darts-1", {"dtype": "float64", "supernet": {"space": "s2"}})
    dropping = tiny("darts-1", config.to_table(), {"search": {"drop_path": 0.5}})
    problem = make_problem(config)
    size = problem.feed.iterations_per_epoch
    weights, alpha = problem.objective.weights, problem.alpha
    found = FACTS["lambda_max"].measure(problem, weights, alpha, 2 * size)
    (batch,) = problem.feed.val_batches(2 * size - 1)
    expected = hessian(lambda point: problem.loss(weights, point, batch), alpha)
    assert found == largest_eigenvalue(expected) + DECAY
    assert FACTS["lambda_max"].measure(make_problem(dropping), weights, alpha, 2 * size) == found
