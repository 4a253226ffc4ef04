"""Many α at once: stacked against one by one, on toys and on images."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.tiny import tiny
from tests.zarts.smooth import MOVING, POINT, TensorFeed, smooth
from zarts.assembly import make_problem
from zarts.chunk import stacked
from zarts.inner import SGD, descend_stacked
from zarts.problems.toy import Quadratic
from zarts.rng import generator

ALPHAS = torch.randn(5, 3, generator=generator(0, "alphas"), dtype=torch.float64)


@pytest.mark.parametrize("steps", [0, 1, 2, 10])
def test_stacked_toys_equal_the_closed_form(steps: int) -> None:
    toy = Quadratic.random(dim=3, weights=2)
    losses = replace(toy.problem(steps), stacked=True).evaluate(ALPHAS)
    expected = torch.stack([toy.loss_at(alpha, steps) for alpha in ALPHAS])
    torch.testing.assert_close(losses, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("clip", [None, 0.1], ids=["free", "clipped"])
@pytest.mark.parametrize("inherit", [False, True])
def test_stacked_steps_have_clip_and_momentum_of_their_own(
    clip: float | None, inherit: bool
) -> None:
    feed = TensorFeed(inner=replace(MOVING, clip=clip), scored=2)
    problem = replace(smooth(feed, 3), inherit_velocity=inherit).advance(POINT)
    alphas = POINT + torch.randn(4, 4, generator=generator(1, "alphas"), dtype=torch.float64)
    together = replace(problem, stacked=True).evaluate(alphas)
    torch.testing.assert_close(together, problem.evaluate(alphas), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("space", ["s1", "s4", "s6"])
@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_stacked_networks_equal_single_ones(space: str, steps: int, precision: str) -> None:
    """To 1e-4 in single and 1e-9 in double precision, relative to the loss."""
    config = tiny("zarts-rs", {"supernet": {"space": space}, "dtype": precision})
    problem = make_problem(config)
    objective = problem.objective.at(steps)
    rng = generator(2, "alphas")
    alphas = torch.randn(3, objective.space.dim, generator=rng, dtype=problem.alpha.dtype)
    together = replace(objective, stacked=True).evaluate(alphas)
    tolerance = 1e-9 if precision == "float64" else 1e-4
    torch.testing.assert_close(together, objective.evaluate(alphas), rtol=tolerance, atol=0)


@pytest.mark.parametrize("steps", [0, 2])
def test_a_chunk_gives_what_each_alpha_gives_alone(steps: int) -> None:
    problem = make_problem(tiny("zarts-rs"))
    objective = problem.objective.at(steps)
    alphas = torch.randn(4, objective.space.dim, generator=generator(3, "alphas"))
    alone = torch.stack([objective(alpha) for alpha in alphas])
    assert torch.equal(objective.evaluate(alphas), alone)  # bit for bit


@pytest.mark.parametrize("stack", [False, True])
def test_what_diverges_does_not_touch_its_neighbours(stack: bool) -> None:
    toy = Quadratic.random(dim=3, weights=2)
    problem = replace(toy.problem(3), stacked=stack)
    alphas = ALPHAS.clone()
    alphas[1] = 1e200  # its loss overflows
    losses = problem.evaluate(alphas)
    assert math.isnan(losses[1])
    others = [0, 2, 3, 4]
    assert losses[others].isfinite().all()
    torch.testing.assert_close(losses[others], problem.evaluate(ALPHAS)[others])


@pytest.mark.parametrize("stack", [False, True])
def test_no_alpha_no_loss(stack: bool) -> None:
    problem = replace(Quadratic.random(dim=3, weights=2).problem(1), stacked=stack)
    assert problem.evaluate(ALPHAS[:0]).shape == (0,)


class Meta(TorchDispatchMode):
    """Collects operations that touch the CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.strays: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        tensors = [x for x in tree_leaves((args, kwargs, result)) if isinstance(x, torch.Tensor)]
        # vmap makes 0-dimensional CPU tensors of Python's numbers; every device takes those
        if {x.device.type for x in tensors if x.ndim} - {"meta"}:
            self.strays.add(str(func))
        return result


def test_stacked_steps_stay_on_the_device() -> None:
    """The inner steps of a chunk: nothing of a candidate is on the CPU on the way."""
    problem = make_problem(tiny("zarts-rs", {"supernet": {"space": "s6"}}))
    loss = problem.loss
    batch = problem.feed.inner_batches(0, 1)[0]
    moved = replace(batch, images=batch.images.to("meta"), labels=batch.labels.to("meta"))
    weights = {
        name: weight.to("meta").expand(2, *weight.shape)
        for name, weight in problem.objective.weights.items()
    }
    alphas = problem.alpha.to("meta").expand(2, -1)
    run = torch.func.vmap(lambda weights, alpha: loss(weights, alpha, moved), randomness="same")
    with Meta() as seen:
        tuned, alive = descend_stacked(
            lambda weights, _: run(weights, alphas), weights, [batch, batch], SGD(0.1)
        )
    assert not seen.strays
    assert {weight.device.type for weight in tuned.values()} == {"meta"}
    assert alive.shape == (2,)


def test_stacked_is_what_it_says() -> None:
    problem = Quadratic.random(dim=3, weights=2).problem(2)
    assert stacked(problem, ALPHAS) == replace(problem, stacked=True).evaluate(ALPHAS).tolist()
