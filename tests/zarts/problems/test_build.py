"""Settings become objects, and the real image problem keeps the promises made for toys."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.tiny import tiny
from zarts.bilevel.chance import Chance, Strengths
from zarts.bilevel.inner import Weights
from zarts.bilevel.rng import generator
from zarts.data.dataset import from_tensors
from zarts.data.loaders import MissingData
from zarts.data.stream import Batch
from zarts.problems.build import Problem, landscape_objective, make_problem
from zarts.problems.optimizer import make_optimizer, sigma_schedule
from zarts.problems.parts import load_dataset
from zarts.settings.config import METHOD_NAMES, Config, ConfigError, merge
from zarts.settings.presets import preset
from zarts.supernet.fast.network import Supernet


def bits(tensors: Weights | None) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in (tensors or {}).items()}


def in_the_middle(method: str, **changes: Any) -> Problem:
    """A problem two iterations into its search, so that there is momentum."""
    problem = make_problem(tiny(method, {"search": {"period": 2}}, changes))
    objective = problem.objective
    for _ in range(2):
        objective = objective.advance(problem.alpha)
    return replace(problem, objective=objective)


@pytest.mark.parametrize("space", ["s3", "s4"])
@pytest.mark.parametrize("method", METHOD_NAMES)
def test_an_update_of_alpha_leaves_omega_and_its_momentum(method: str, space: str) -> None:
    problem = in_the_middle(method, supernet={"space": space})
    objective, config = problem.objective, tiny(method)
    assert objective.velocity
    before = bits(objective.weights), bits(objective.velocity)
    ours = list(objective.weights.values()) + list(objective.velocity.values())
    versions = [tensor._version for tensor in ours]
    alpha = problem.alpha.clone()
    step = make_optimizer(config).step(objective, problem.alpha, {}, generator(0, "step"))
    assert not torch.equal(step.alpha, alpha)
    assert (bits(objective.weights), bits(objective.velocity)) == before
    assert [tensor._version for tensor in ours] == versions
    assert not any(tensor.requires_grad or tensor.grad is not None for tensor in ours)
    assert torch.equal(problem.alpha, alpha)
    # and yet a candidate is judged by an ω of its own
    tuned = objective.at(1).tuned(problem.alpha)
    assert all(not torch.equal(tuned[name], objective.weights[name]) for name in tuned)


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("method", ["zarts-rs", "zarts-mgs", "zarts-gld"])
def test_candidates_share_batches_of_the_right_halves(method: str, lanes: int) -> None:
    """Common random numbers: every candidate, the same M training batches, the same L_val batch."""
    problem = in_the_middle(method, supernet={"lanes": lanes})
    seen: dict[str, list[int]] = {"train": [], "val": []}

    def spy(role: str) -> Any:
        def loss(weights: Weights, alpha: Tensor, batch: Batch) -> Tensor:
            seen[role].append(batch.chance.key)
            return problem.loss(weights, alpha, batch)

        return loss

    objective = replace(problem.objective, train_loss=spy("train"), val_loss=spy("val"))
    optimizer = make_optimizer(tiny(method))
    optimizer.step(objective, problem.alpha, {}, generator(0, "step"))
    groups = -(-optimizer.evaluations // lanes)
    feed = problem.feed
    inner = [batch.chance.key for batch in feed.inner_batches(objective.iteration, 2)]
    val = [batch.chance.key for batch in feed.val_batches(objective.iteration)]
    assert len(set(inner)) == 2
    assert seen["train"] == groups * [key for key in inner for _ in range(lanes)]
    assert seen["val"] == groups * [key for key in val for _ in range(lanes)]
    # the next iteration draws others
    assert not set(inner) & {
        batch.chance.key for batch in feed.inner_batches(objective.iteration + 1, 2)
    }


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_training_batches_are_of_the_train_half(method: str) -> None:
    config = tiny(method)
    feed = make_problem(config).feed
    half = len(load_dataset(config).labels) // 2
    streams = {"train": feed.train, "val": feed.val}
    if method != "darts-2":
        assert feed.inner is not None
        streams["inner"] = feed.inner
    picked = {
        name: {int(index) for k in range(30) for index in stream.picked(k)}
        for name, stream in streams.items()
    }
    assert picked.pop("val") <= set(range(half, half + 64))
    for indices in picked.values():
        assert indices <= set(range(64))


def test_darts_2_takes_the_coming_training_batch() -> None:
    """DARTS Eq. 7: ω' is one step on the batch that ω is about to be trained on."""
    feed = make_problem(tiny("darts-2")).feed
    for iteration in (0, 3, 5):
        (coming,) = feed.train_batches(iteration)
        (inner,) = feed.inner_batches(iteration, 1)
        assert coming.chance.key == inner.chance.key
        assert torch.equal(coming.images, inner.images)
    assert make_problem(tiny("darts-2")).objective.inherit_velocity
    assert feed.inner_sgd(0).clip is None
    assert make_problem(tiny("darts-1")).feed.inner_sgd(0).clip == 5


def test_a_problem_starts_as_its_seed_says() -> None:
    first, again, other = (make_problem(tiny("darts-1", {"seed": seed})) for seed in (0, 0, 1))
    assert bits(first.objective.weights) == bits(again.objective.weights)
    assert torch.equal(first.alpha, again.alpha)
    assert bits(first.objective.weights) != bits(other.objective.weights)
    assert not torch.equal(first.alpha, other.alpha)
    assert float(first.alpha.std()) == pytest.approx(1e-3, rel=0.3)
    assert first.objective.iteration == 0
    assert first.objective.velocity is None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_everything_has_the_stated_precision(dtype: str) -> None:
    config = tiny("darts-1", {"dtype": dtype})
    problem, wanted = make_problem(config), getattr(torch, dtype)
    assert problem.alpha.dtype == wanted
    assert {weight.dtype for weight in problem.objective.weights.values()} == {wanted}
    assert problem.feed.train.batch(0).images.dtype == wanted
    assert problem.objective.advance(problem.alpha).velocity is not None
    surface = landscape_objective(config, problem.objective.weights, 0.1)
    assert {weight.dtype for weight in surface.weights.values()} == {wanted}


def test_rates_follow_the_cosine_once_per_epoch() -> None:
    config = tiny("zarts-mgs", {"search": {"epochs": 5, "period": 3, "learning_rate": 0.1}})
    feed = make_problem(config).feed
    assert feed.iterations_per_epoch == 2  # four batches, three per iteration
    rates = [feed.outer_sgd(iteration).learning_rate for iteration in range(10)]
    for epoch in range(5):
        expected = 0.02 + 0.08 * (1 + math.cos(math.pi * epoch / 5)) / 2
        assert rates[2 * epoch : 2 * epoch + 2] == pytest.approx([expected] * 2)
        assert feed.inner_sgd(2 * epoch).learning_rate == pytest.approx(expected)
    fixed = tiny("zarts-mgs", {"search": {"inner_learning_rate": 1e-3}})
    assert make_problem(fixed).feed.inner_sgd(3).learning_rate == 1e-3
    assert [len(feed.train_batches(iteration)) for iteration in range(4)] == [3, 1, 3, 1]


def test_validation_is_all_of_the_other_half_as_it_is() -> None:
    for last, count in (("drop", 32), ("keep", 40)):  # "drop" is what 382ea1a did
        config = tiny("darts-1", {"data": {"subset": 40, "batch_size": 16, "last_batch": last}})
        problem = make_problem(config)
        batches = [problem.validation.batch(k) for k in range(-(-count // 16))]
        dataset = load_dataset(config)
        pixels = dataset.images[4000 : 4000 + count].float() / 255
        images = torch.cat([batch.images for batch in batches])
        assert torch.allclose(images, (pixels - dataset.mean[0]) / dataset.std[0], atol=1e-5)
        loss, accuracy = problem.validate(problem.objective.weights, problem.alpha)
        by_hand = [
            float(problem.loss(problem.objective.weights, problem.alpha, batch)) * len(batch.labels)
            for batch in batches
        ]
        assert loss == pytest.approx(sum(by_hand) / count, rel=1e-5)
        assert accuracy * count == pytest.approx(round(accuracy * count))


@pytest.mark.parametrize(
    ("last", "batches", "steps", "updates"), [("drop", 390, 390, 1560), ("keep", 391, 391, 1600)]
)
def test_the_papers_updates_over_cifar(
    last: str, batches: int, steps: int, updates: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps 0, 10, 20, ... of each of 40 epochs: the last of 391 steps has an update of its own."""
    images = torch.zeros(50_000, 1, 1, 2, dtype=torch.uint8)
    images[..., 1] = 9
    ten = torch.arange(50_000) % 10
    data = from_tensors("cifar10", images, ten, 10, ((0.0,), (1.0,)))
    monkeypatch.setattr("zarts.problems.parts.load_dataset", lambda config: data)
    config = Config.from_table(merge(preset("paper", "zarts-mgs"), {"data": {"last_batch": last}}))
    feed, search = make_problem(config).feed, config.search
    assert feed.train.batches_per_epoch == batches
    assert feed.iterations_per_epoch * (search.epochs - search.warmup) == updates
    windows = [feed.window(iteration) for iteration in range(2 * feed.iterations_per_epoch)]
    assert [first % steps for first, _ in windows] == 2 * list(range(0, steps, 10))
    assert windows[-1][1] == 2 * steps
    (sigma,) = sigma_schedule(config, feed).values()
    epochs = [sigma(epoch * feed.iterations_per_epoch) for epoch in (10, 11, 12, 49)]
    assert epochs == pytest.approx([0.025, 0.025, 0.024961, 1.539e-4], rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"device": "cuda:7"}, "no CUDA"),
        ({"data": {"downscale": 29}}, "28"),
        ({"data": {"subset": 4001}}, "subset"),
        ({"data": {"batch_size": 65}}, "^data.batch_size is 65, expected at most 64.*D_train"),
        ({"search": {"inner_batch_size": 65}}, "^search.inner_batch_size is 65, expected at most"),
        ({"data": {"name": "packagd"}}, "data.name.*packaged"),
        ({"supernet": {"channels": 3}}, "supernet"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    if "device" in changes and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ConfigError, match=message):
        make_problem(tiny("darts-1", changes))


def test_a_data_set_that_is_not_here_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZARTS_DATA", raising=False)
    with pytest.raises(MissingData, match="ZARTS_DATA"):
        make_problem(tiny("darts-1", {"data": {"name": "cifar10", "downscale": 1}}))


def test_validation_drops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = make_problem(tiny())
    strong = Strengths(temperature=3, drop_path=0.5, drop_skip=0.5)
    feed = replace(problem.feed, strengths=lambda epoch: strong if epoch == 4 else Strengths())
    seen: list[Chance] = []
    monkeypatch.setattr(
        Supernet,
        "__call__",
        lambda *given: seen.append(given[-1]) or torch.zeros(len(given[3]), 10),
    )
    replace(problem, feed=feed).validate(problem.objective.weights, problem.alpha, 4)
    keys = [problem.validation.batch(k).chance.key for k in range(len(seen))]
    assert seen == [Chance(key, temperature=3) for key in keys]
    assert len(seen) == problem.validation.batches_per_epoch
