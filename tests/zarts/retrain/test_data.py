"""The images of a retraining: which they are, their parts, and those that stream from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.zarts.retrain.retraining import begin, small
from zarts.retrain.data import Feed, load
from zarts.retrain.job import record_retraining
from zarts.retrain.presets import complete
from zarts.retrain.ranks import Ranks
from zarts.retrain.settings import RetrainConfig
from zarts.settings.config import ConfigError


def test_a_window_trains_and_the_test_part_or_the_rest_tests() -> None:
    window = {"first": 100, "count": 50}
    loaded = load(small({"data": window}))
    assert loaded.used.tolist() == list(range(100, 150))
    assert len(loaded.tested) == 2000
    assert loaded.test.fingerprint != loaded.train.fingerprint
    assert (loaded.test.mean, loaded.test.std) == (loaded.train.mean, loaded.train.std)
    rest = load(small({"data": window | {"test": "rest"}}))
    both = torch.cat([rest.used, rest.tested])
    assert both.sort()[0].tolist() == list(range(8000))
    with pytest.raises(ConfigError, match=r"test is rest, and there is none; lower data.count"):
        load(small({"data": {"test": "rest", "count": 8000}}))


def test_processes_share_out_the_parts_of_each_batch() -> None:
    config = small({"training": {"accumulate": 4}})
    loaded = load(config)
    whole, *shared = (Feed(config, loaded, ranks) for ranks in (Ranks(), Ranks(0, 2), Ranks(1, 2)))
    for steps in zip(*(feed.epoch(1, 2) for feed in (whole, *shared)), strict=True):
        one, *two = steps
        assert [part.place for part in one] == [0, 1, 2, 3]
        assert sum(part.share for part in one) == pytest.approx(1)
        for ours, theirs in zip(one, [*two[0], *two[1]], strict=True):
            assert (ours.place, ours.key, ours.share) == (theirs.place, theirs.key, theirs.share)
            assert torch.equal(ours.images, theirs.images)
    assert len({part.key for part in one}) == 4
    tests = [[part.place for part in feed.test(2)] for feed in (whole, *shared)]
    assert tests[0] == sorted(tests[1] + tests[2]) == list(range(2 * whole.tests))


def test_images_too_few_for_all_parts_join_the_batch_before() -> None:
    config = small({"training": {"accumulate": 6}})  # 8 images are left, less than two for each
    feed = Feed(config, load(config))
    sizes = [[len(part.labels) for part in parts] for parts in feed.epoch(0)]
    assert sizes == [[4] * 6, [4] * 6, [6, 6, 5, 5, 5, 5]]


@pytest.fixture
def imagenet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RetrainConfig:
    rng = np.random.default_rng(0)
    for part, count in (("train", 7), ("val", 3)):
        for label in ("cat", "dog"):
            (folder := tmp_path / "imagenet" / part / label).mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(0, 256, (50, 40 + index, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{index}.png")
    monkeypatch.setenv("ZARTS_DATA", str(tmp_path))
    monkeypatch.setattr("zarts.data.streaming.WORKERS", 0)  # decode in this process
    return complete(
        "imagenet",
        {
            "genotype": small().genotype,
            "data": {"batch_size": 8, "size": 32},
            "network": {"channels": 2, "cells": 2, "layout": "first"},
            "training": {"epochs": 2, "warmup": 1, "accumulate": 2, "learning_rate": 0.01},
        },
    )


def test_imagenet_streams_from_its_folder_and_goes_on_to_the_same_bits(
    imagenet: RetrainConfig, tmp_path: Path
) -> None:
    loaded = load(imagenet)
    assert loaded.train.images.device.type == "meta"  # never in memory
    feed = Feed(imagenet, loaded)
    (first, last), (_, again) = list(feed.epoch(0)), list(feed.epoch(1))
    assert [len(part.labels) for part in (*first, *last)] == [4, 4, 3, 3]
    assert first[0].images.shape == (4, 3, 32, 32)
    assert not torch.equal(last[0].images, again[0].images)
    ((part, _),) = feed.epoch(0, 1)
    assert torch.equal(part.images, last[0].images)
    (tested,) = feed.test(1)
    assert sorted(tested.labels.tolist()) == [0, 0, 0, 1, 1, 1]
    whole, part_run = begin(tmp_path / "whole", imagenet), begin(tmp_path / "part", imagenet)
    with whole.lock():
        record_retraining(whole, imagenet)

    asked = iter(range(9))

    def check() -> None:
        if next(asked) == 0:
            raise InterruptedError

    with part_run.lock(), pytest.raises(InterruptedError):
        record_retraining(part_run, imagenet, check=check)
    with part_run.lock():
        record_retraining(part_run, imagenet)
    assert part_run.content_hash() == whole.content_hash()
