"""Many α at once: side by side against one by one, on toys and on images."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.tiny import tiny
from tests.zarts.smooth import MOVING, POINT, TensorFeed, smooth
from zarts.bilevel.inner import SGD, Weights, descend_stacked
from zarts.bilevel.rng import generator
from zarts.data.stream import Batch
from zarts.problems.build import landscape_objective, make_problem
from zarts.problems.toy import Quadratic

ALPHAS = torch.randn(5, 3, generator=generator(0, "alphas"), dtype=torch.float64)


@pytest.mark.parametrize("lanes", [2, 3, 5, 8])
@pytest.mark.parametrize("steps", [0, 1, 2, 10])
def test_toys_equal_the_closed_form(steps: int, lanes: int) -> None:
    toy = Quadratic.random(dim=3, weights=2)
    losses = replace(toy.problem(steps), lanes=lanes).evaluate(ALPHAS)
    expected = torch.stack([toy.loss_at(alpha, steps) for alpha in ALPHAS])
    torch.testing.assert_close(losses, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("clip", [None, 0.1], ids=["free", "clipped"])
@pytest.mark.parametrize("inherit", [False, True])
def test_every_lane_has_a_clip_and_a_momentum_of_its_own(clip: float | None, inherit: bool) -> None:
    feed = TensorFeed(inner=replace(MOVING, clip=clip), scored=2)
    problem = replace(smooth(feed, 3), inherit_velocity=inherit).advance(POINT)
    alphas = POINT + torch.randn(4, 4, generator=generator(1, "alphas"), dtype=torch.float64)
    together = replace(problem, lanes=4).evaluate(alphas)
    torch.testing.assert_close(together, problem.evaluate(alphas), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("space", ["s1", "s4", "s6"])
@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_networks_side_by_side_equal_single_ones(space: str, steps: int, precision: str) -> None:
    """To 1e-4 in single and 1e-9 in double precision, relative to the loss."""
    config = tiny("zarts-rs", {"supernet": {"space": space}, "dtype": precision})
    problem = make_problem(config)
    objective = problem.objective.at(steps)
    rng = generator(2, "alphas")
    alphas = torch.randn(3, objective.space.dim, generator=rng, dtype=problem.alpha.dtype)
    together, alone = (replace(objective, lanes=lanes).evaluate(alphas) for lanes in (2, 1))
    tolerance = 1e-9 if precision == "float64" else 1e-4
    torch.testing.assert_close(together, alone, rtol=tolerance, atol=0)


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("space", ["s3", "s4", "s6"])
@settings(max_examples=20)
@given(draw=st.integers(0, 1 << 20), steps=st.sampled_from([0, 2]), others=st.integers(1, 6))
def test_a_value_does_not_depend_on_what_else_is_asked(
    space: str, lanes: int, draw: int, steps: int, others: int
) -> None:
    """Bit for bit, wherever an α stands and however many there are."""
    problem = make_problem(tiny("zarts-rs", {"supernet": {"space": space, "lanes": lanes}}))
    objective = problem.objective.at(steps)
    rng = generator(draw, "alphas")
    alphas = 3 * torch.randn(others + 1, objective.space.dim, generator=rng)
    place = int(torch.randint(len(alphas), (), generator=rng))
    assert torch.equal(objective.evaluate(alphas)[place], objective(alphas[place]))


@pytest.mark.parametrize("lanes", [1, 2, 5])
def test_what_diverges_does_not_touch_its_neighbours(lanes: int) -> None:
    problem = replace(Quadratic.random(dim=3, weights=2).problem(3), lanes=lanes)
    alphas = ALPHAS.clone()
    alphas[1] = 1e200  # its loss overflows
    losses = problem.evaluate(alphas)
    assert math.isnan(losses[1])
    others = [0, 2, 3, 4]
    assert losses[others].isfinite().all()
    assert torch.equal(losses[others], problem.evaluate(ALPHAS)[others])


def test_a_network_that_diverges_does_not_touch_its_neighbours() -> None:
    problem = make_problem(tiny("zarts-rs", {"supernet": {"space": "s6", "lanes": 4}}))
    objective = problem.objective
    alphas = torch.randn(3, objective.space.dim, generator=generator(4, "alphas"))
    sound = objective.evaluate(alphas)
    alphas[1] = math.nan
    losses = objective.evaluate(alphas)
    assert sound.isfinite().all()
    assert math.isnan(losses[1])
    assert torch.equal(losses[[0, 2]], sound[[0, 2]])


class Sharing:
    """A loss that knows how to take many α at one ω, and counts them."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def many(self, weights, alphas, batch):  # type: ignore[no-untyped-def]
        self.asked.append(len(alphas))
        return torch.arange(len(alphas), dtype=torch.float64)


def test_candidates_without_an_omega_of_their_own_share_their_work_on_every_device() -> None:
    toy, loss = Quadratic.random(dim=3, weights=2).problem(0), Sharing()
    weights = {name: weight.to("meta") for name, weight in toy.weights.items()}
    problem = replace(toy, lanes=2, val_loss=loss, weights=weights)
    assert problem.evaluate(ALPHAS).tolist() == [0, 1, 2, 3, 4]
    assert loss.asked == [5]


@pytest.mark.parametrize("lanes", [1, 4])
def test_no_alpha_no_loss(lanes: int) -> None:
    problem = replace(Quadratic.random(dim=3, weights=2).problem(1), lanes=lanes)
    assert problem.evaluate(ALPHAS[:0]).shape == (0,)


def test_there_is_at_least_one_lane() -> None:
    with pytest.raises(ValueError, match="lanes is 0, expected at least 1"):
        replace(Quadratic.random(dim=3, weights=2).problem(1), lanes=0)


def test_momentum_belongs_to_a_weight_by_name() -> None:
    problem = make_problem(tiny("zarts-rs", {"supernet": {"lanes": 4}})).objective
    rng = generator(3, "velocity")
    velocity = {
        name: torch.randn(weight.shape, generator=rng) / 10
        for name, weight in problem.weights.items()
    }
    backwards = dict(reversed(velocity.items()))
    alphas = torch.randn(2, problem.space.dim, generator=rng)
    one, other = (
        replace(problem, velocity=each).evaluate(alphas) for each in (velocity, backwards)
    )
    assert torch.equal(one, other)


class Meta(TorchDispatchMode):
    """Collects operations that touch the CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.strays: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        tensors = [x for x in tree_leaves((args, kwargs, result)) if isinstance(x, torch.Tensor)]
        if {x.device.type for x in tensors} - {"meta"}:
            self.strays.add(str(func))
        return result


@pytest.mark.parametrize("space", ["s1", "s3", "s6"])
def test_the_steps_of_all_lanes_stay_on_the_device(space: str) -> None:
    """The inner steps of a chunk: nothing of a candidate is on the CPU on the way."""
    problem = make_problem(tiny("zarts-rs", {"supernet": {"space": space}}))
    batch = problem.feed.inner_batches(0, 1)[0]
    moved = replace(batch, images=batch.images.to("meta"), labels=batch.labels.to("meta"))
    weights = {
        name: weight.to("meta").expand(2, *weight.shape)
        for name, weight in problem.objective.weights.items()
    }
    alphas = problem.alpha.to("meta").expand(2, -1)
    with Meta() as seen:
        tuned, alive = descend_stacked(
            lambda weights, batch: problem.loss.each(weights, alphas, batch),
            weights,
            [moved, moved],
            SGD(0.1),
        )
    assert not seen.strays
    assert {weight.device.type for weight in tuned.values()} == {"meta"}
    assert alive.shape == (2,)


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("steps", [0, 2])
def test_error_and_accuracy_are_those_of_the_images(steps: int, lanes: int) -> None:
    """Counted by hand over batches of 64, 64 and 36 images: each image is one of n."""
    config = tiny("zarts-rs", {"data": {"subset": 164}, "landscape": {"val_batches": 0}},
                  {"landscape": {"val_batch_size": 64}, "supernet": {"lanes": lanes}})  # fmt: skip
    start = make_problem(config)
    problem = landscape_objective(config, start.objective.weights, 0.05).at(steps)
    rng = generator(3, "alphas")
    alphas = torch.randn(3, problem.space.dim, generator=rng, dtype=torch.float64)
    found = problem.measure(alphas)
    assert torch.equal(found.loss, problem.evaluate(alphas))
    for row, alpha in enumerate(alphas.float()):
        weights, losses, hits = problem.tuned(alpha), [], []
        for batch in problem.val_batches():
            logits = start.loss.network(weights, alpha, batch.images, batch.chance)
            losses.append(-logits.double().log_softmax(1).gather(1, batch.labels[:, None]))
            hits.append(logits.argmax(1) == batch.labels)
        each, right = torch.cat(losses), torch.cat(hits).double()
        assert len(each) == 164
        assert float(found.error[row]) == pytest.approx(
            float(each.std()) / math.sqrt(164), rel=1e-4
        )
        assert float(found.accuracy[row]) == pytest.approx(float(right.mean()), abs=1e-12)


@pytest.mark.parametrize("lanes", [1, 4])
def test_nothing_stands_beside_a_loss_that_is_not_finite_or_has_no_images(lanes: int) -> None:
    toy = replace(Quadratic.random(dim=3, weights=2).problem(3), lanes=lanes)
    assert toy.measure(ALPHAS).error.isnan().all()
    assert toy.measure(ALPHAS).accuracy.isnan().all()
    problem = make_problem(tiny("zarts-rs", {"supernet": {"lanes": lanes}})).objective.at(1)
    alphas = torch.zeros(3, problem.space.dim)
    alphas[1] = math.nan
    found = problem.measure(alphas)
    assert [column.isnan().tolist() for column in found] == [[False, True, False]] * 3


@pytest.mark.parametrize(("network", "lanes"), [("fast", 1), ("fast", 4), ("plain", 1)])
@pytest.mark.parametrize("steps", [0, 2])
def test_counting_images_changes_no_bit_of_a_loss(steps: int, lanes: int, network: str) -> None:
    config = tiny("zarts-rs", {"supernet": {"lanes": lanes, "network": network}})
    problem = make_problem(config).objective.at(steps)
    loss, alphas = problem.val_loss, torch.randn(3, problem.space.dim, generator=generator(4, "a"))

    def plainly(weights: Weights, alpha: Tensor, batch: Batch) -> Tensor:
        return loss(weights, alpha, batch)

    for name in ("many", "each"):
        if hasattr(loss, name):
            setattr(plainly, name, getattr(loss, name))
    bare = replace(problem, val_loss=plainly).measure(alphas)
    assert bare.accuracy.isnan().all()
    assert torch.equal(problem.measure(alphas).loss, bare.loss)
    assert not problem.measure(alphas).accuracy.isnan().any()
