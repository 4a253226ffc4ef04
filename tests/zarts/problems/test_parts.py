"""Parts of a problem: its data set at the size asked for, and how many candidates share a call."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tiny import tiny
from zarts.data.arrays import register_dataset
from zarts.data.dataset import measure
from zarts.problems.parts import lanes_for, lanes_of, load_dataset
from zarts.settings.config import Config, ConfigError, merge
from zarts.settings.presets import preset


def test_downscaled_test_images_are_seen_as_the_training_images() -> None:
    config = tiny("darts-1", {"data": {"downscale": 4}})
    train, test = load_dataset(config), load_dataset(config, "test")
    assert test.images.shape == (2000, 1, 7, 7)
    assert (test.mean, test.std) == (train.mean, train.std) != measure(test.images)
    assert load_dataset(config) is train
    assert load_dataset(config, "test") is test


def test_downscaled_images_are_normalised_to_their_own_statistics() -> None:
    for factor, side in ((1, 28), (2, 14), (4, 7)):
        dataset = load_dataset(tiny("darts-1", {"data": {"downscale": factor}}))
        assert dataset.images.shape[2:] == (side, side)
        pixels = dataset.images.double() / 255
        # at full size the published statistics of the whole data set
        error = 5e-3 if factor == 1 else 1e-6
        assert dataset.mean[0] == pytest.approx(float(pixels.mean()), abs=error)
        assert dataset.std[0] == pytest.approx(float(pixels.std(correction=0)), abs=error)
    whole = load_dataset(tiny("darts-1", {"data": {"downscale": 1}})).images[0, 0].double()
    small = load_dataset(tiny("darts-1", {"data": {"downscale": 2}})).images[0, 0].double()
    blocks = whole.reshape(14, 2, 14, 2).mean((1, 3))
    assert float((small - blocks).abs().max()) <= 0.5


@pytest.mark.parametrize(
    ("name", "device", "size", "lanes"),
    [
        ("quick", "cpu", 9, 4),  # measured: 0.6 of the time
        ("quick", "cpu", 28, 1),  # measured: nothing saved from 14x14 on
        ("paper", "cpu", 32, 1),
        ("quick", "cuda", 9, 8),
        ("paper", "cuda:1", 32, 2),
        ("paper", "cuda", 64, 1),
    ],
)
def test_small_images_are_computed_side_by_side(
    name: str, device: str, size: int, lanes: int
) -> None:
    table = preset(name, "zarts-mgs") | {"device": device}
    assert lanes_for(Config.from_table(table), size, size) == lanes
    chosen = Config.from_table(merge(table, {"supernet": {"lanes": 16}}))
    assert lanes_for(chosen, size, size) == 16


@pytest.mark.parametrize(
    ("channels", "stem", "dtype", "lanes", "fit"),
    [
        (8, "cifar", "float32", 3, True),
        (10, "cifar", "float32", 3, False),
        (10, "cifar", "float32", 4, True),
        (10, "cifar", "float32", 1, True),
        (10, "cifar", "float64", 2, True),
        (2, "imagenet", "float32", 4, False),
        (2, "imagenet", "float32", 8, True),
    ],
)
def test_lanes_that_would_not_give_equal_values_are_refused(
    channels: int, stem: str, dtype: str, lanes: int, fit: bool
) -> None:
    net = {"channels": channels, "stem": stem, "lanes": lanes}
    config = Config.from_table(
        merge(preset("quick", "zarts-mgs"), {"supernet": net, "dtype": dtype})
    )
    if fit:
        assert lanes_for(config, 9, 9) == lanes
        return
    with pytest.raises(ConfigError, match=rf"supernet.lanes is {lanes}.*use one of 1, .*8, 16"):
        lanes_for(config, 9, 9)
    chosen = replace(config, supernet=replace(config.supernet, lanes=0))
    assert lanes_for(chosen, 9, 9) in (1, 4)


def _refuse(*_: object, **__: object) -> None:
    raise AssertionError("a data set was loaded")


@pytest.mark.parametrize(
    ("data", "sides"),
    [
        ({"name": "packaged", "downscale": 3}, (9, 9)),
        ({"name": "fashion-mnist", "downscale": 1}, (28, 28)),
        ({"name": "svhn", "downscale": 2}, (16, 16)),
        ({"name": "folder", "downscale": 1, "size": "8x12"}, (8, 12)),
        ({"name": "folder", "downscale": 1}, (32, 32)),
        ({"name": "imagenet", "downscale": 1}, (224, 224)),
        ({"name": "mine.npz", "downscale": 1}, (5, 7)),
        ({"name": "mine", "downscale": 1}, (5, 7)),
    ],
)
def test_asking_for_the_lanes_loads_no_data_set(
    data: dict[str, Any], sides: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZARTS_DATA", str(tmp_path))
    x, y = np.arange(280, dtype=np.uint8).reshape(4, 2, 5, 7), np.arange(4) % 2
    np.savez_compressed(tmp_path / "mine.npz", x=x, y=y)
    register_dataset("mine", x, y)
    monkeypatch.setattr("zarts.problems.parts.load_images", _refuse)
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(
        "zarts.problems.parts.lanes_for", lambda config, *size: asked.append(size) or 3
    )
    config = Config.from_table(merge(preset("quick", "zarts-mgs"), {"data": data}))
    assert lanes_of(config) == 3
    assert asked == [sides]
