"""The objective of grids and paths: its images, its rule, and what all M share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.tiny import tiny
from zarts.bilevel.inner import Weights
from zarts.data.stream import Batch, Stream
from zarts.problems.build import (
    landscape_objective,
    make_problem,
    val_batch_count,
    val_image_count,
)
from zarts.problems.image import ImageFeed
from zarts.problems.parts import load_dataset
from zarts.settings.config import METHOD_NAMES, Config, ConfigError


def feed_of(config: Config, rate: float = 0.3) -> ImageFeed:
    weights = make_problem(config).objective.weights
    feed = landscape_objective(config, weights, rate).feed
    assert isinstance(feed, ImageFeed)
    return feed


def test_a_landscape_is_scored_on_the_first_images_of_the_other_half() -> None:
    config = tiny("darts-1", {"landscape": {"val_batches": 2, "val_batch_size": 20}})
    batches = feed_of(config).val_batches(0)
    dataset = load_dataset(config)
    labels = torch.cat([batch.labels for batch in batches])
    assert torch.equal(labels, dataset.labels[4000:4040])
    pixels = (dataset.images[4000:4040].float() / 255 - dataset.mean[0]) / dataset.std[0]
    assert torch.allclose(torch.cat([batch.images for batch in batches]), pixels, atol=1e-5)


@pytest.mark.parametrize(("size", "count"), [(32, 2), (20, 3), (64, 1)])
def test_zero_batches_mean_all_whole_ones(size: int, count: int) -> None:
    land = {"val_batches": 0, "val_batch_size": size}
    config = tiny("darts-1", {"landscape": land, "data": {"last_batch": "drop"}})
    batches = feed_of(config).val_batches(0)
    assert [len(batch.labels) for batch in batches] == [size] * count
    assert (val_batch_count(config), val_image_count(config)) == (count, size * count)


@pytest.mark.parametrize(
    ("size", "sizes"), [(24, [24, 24, 16]), (21, [21, 21, 22]), (32, [32] * 2)]
)
def test_zero_batches_mean_all_images_where_the_last_batch_is_kept(
    size: int, sizes: list[int]
) -> None:
    land = {"val_batches": 0, "val_batch_size": size}
    config = tiny("darts-1", {"landscape": land, "data": {"last_batch": "keep"}})
    batches = feed_of(config).val_batches(0)
    assert [len(batch.labels) for batch in batches] == sizes
    assert torch.equal(
        torch.cat([batch.labels for batch in batches]), load_dataset(config).labels[4000:4064]
    )
    weights = [len(sizes) * n / 64 for n in sizes]
    assert [batch.weight for batch in batches] == pytest.approx(weights)
    assert (val_batch_count(config), val_image_count(config)) == (len(sizes), 64)
    some = tiny("darts-1", {"landscape": land | {"val_batches": 1}})
    assert (val_batch_count(some), val_image_count(some)) == (1, size)


@pytest.mark.parametrize(("batches", "size"), [(3, 32), (1, 65), (0, 65)])
def test_more_validation_images_than_there_are_are_refused(batches: int, size: int) -> None:
    config = tiny("darts-1", {"landscape": {"val_batches": batches, "val_batch_size": size}})
    for refuse in (feed_of, val_batch_count):
        with pytest.raises(ConfigError, match="64 images"):
            refuse(config)


def test_counting_the_batches_of_a_landscape_makes_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stream, "batch", lambda *_: pytest.fail("a batch was made"))
    land = {"val_batches": 3, "val_batch_size": 20}
    assert val_batch_count(tiny("darts-1", {"landscape": land})) == 3
    everything = {"data": {"subset": 0}, "landscape": {"val_batches": 0, "val_batch_size": 64}}
    assert val_batch_count(tiny("darts-1", everything)) == 63  # of 4000 images


def test_the_inner_rule_of_a_landscape_is_the_stated_one() -> None:
    rule = feed_of(tiny(), rate=0.125).inner_sgd(0)
    assert (rule.learning_rate, rule.momentum, rule.weight_decay, rule.clip) == (
        0.125, 0.9, 3e-4, 5.0,
    )  # fmt: skip
    bare = tiny("darts-1", {"search": {"clip": 0.0, "momentum": 0.5}})
    rule = feed_of(bare).inner_sgd(0)
    assert (rule.clip, rule.momentum) == (None, 0.5)


def test_a_landscape_has_the_clip_of_omega_whatever_the_method() -> None:
    """DARTS-2nd does not clip its own inner step; the surfaces around its run do."""
    assert tiny("darts-2").search.inner_clip == 0
    rules = [feed_of(tiny(method, {"search": {"clip": 2.0}})) for method in METHOD_NAMES]
    for feed in rules:
        assert feed.inner_sgd(0).clip == feed.outer_sgd(0).clip == 2


def asked(config: Config, batches: dict[str, list[int]]) -> ImageFeed:
    """Evaluates a landscape once; notes the keys of the batches, returns where they come from."""
    start = make_problem(config)
    objective = landscape_objective(config, start.objective.weights, 0.1)

    def spy(role: str) -> Any:
        def loss(weights: Weights, alpha: Tensor, batch: Batch) -> Tensor:
            batches.setdefault(role, []).append(batch.chance.key)
            return start.loss(weights, alpha, batch)

        return loss

    replace(objective, train_loss=spy("train"), val_loss=spy("val"))(start.alpha)
    assert isinstance(objective.feed, ImageFeed)
    return objective.feed


@pytest.mark.parametrize("method", ["zarts-mgs", "darts-2"])
def test_a_landscape_tunes_on_one_half_and_scores_on_the_other(method: str) -> None:
    tuned_on: dict[int, list[int]] = {}
    for steps in (1, 10):
        land = {"steps": steps, "val_batches": 2, "val_batch_size": 32}
        config = tiny(method, {"landscape": land, "supernet": {"lanes": 1}})
        seen: dict[str, list[int]] = {}
        feed = asked(config, seen)
        assert feed.inner is not None
        half = len(load_dataset(config).labels) // 2
        for stream, first in ((feed.train, 0), (feed.inner, 0), (feed.val, half)):
            picked = {int(index) for k in range(30) for index in stream.picked(k)}
            assert picked == set(range(first, first + 64))
        # what was asked for came from these streams, in this order
        assert seen["train"] == [feed.inner.batch(k).chance.key for k in range(steps)]
        assert seen["val"] == [feed.val.batch(k).chance.key for k in range(2)]
        tuned_on[steps] = seen["train"]
    assert tuned_on[10][:1] == tuned_on[1]
    assert len(set(tuned_on[10])) == 10


def test_surfaces_of_all_steps_are_paired() -> None:
    """L_0 and L_1 do not depend on the M of the exact surface, and all M see the same images."""
    weights = make_problem(tiny()).objective.weights
    alpha = make_problem(tiny()).alpha
    values = {}
    for steps in (0, 1, 2, 5):
        objective = landscape_objective(
            tiny("darts-1", {"landscape": {"steps": steps}}), weights, 0.3
        )
        assert objective.inner_steps == steps
        values[steps] = [float(objective.at(m)(alpha)) for m in (0, 1)]
        keys = [batch.chance.key for batch in objective.feed.inner_batches(0, 1)]
    assert values[0] == values[1] == values[2] == values[5]
    assert values[0][0] != values[0][1]
    assert len(keys) == 1


def test_fresh_batches_of_a_landscape_are_other_ones() -> None:
    feed = feed_of(tiny("darts-1", {"landscape": {"val_batches": 1}}))
    inner = [{batch.chance.key for batch in feed.inner_batches(t, 2)} for t in range(4)]
    assert len(set.union(*inner)) == 8
