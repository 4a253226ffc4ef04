"""Settings, presets and schedules of retrainings, with the published numbers."""

from __future__ import annotations

from typing import Any

import pytest

from zarts.retrain.presets import PRESETS, complete, preset
from zarts.retrain.settings import RetrainConfig
from zarts.settings.config import ConfigError
from zarts.settings.tables import from_toml
from zarts.supernet.published import NAMED


def test_the_schedules_have_the_published_values() -> None:
    cifar, large = (complete(name).training for name in ("cifar", "imagenet"))
    assert cifar.rate(0) == 0.025
    assert cifar.rate(599) == pytest.approx(1.7135e-7, rel=1e-4)
    assert cifar.drop(0) == 0
    assert cifar.drop(599) == pytest.approx(0.199667, abs=5e-7)
    found = [large.rate(epoch) for epoch in (0, 4, 5, 244, 245, 249)]
    wanted = [0.1, 0.491837, 0.489796, 0.5 / 245, 0.002041, 0.5 / 1225]
    assert found == pytest.approx(wanted, abs=5e-7)
    short = complete("imagenet", {"training": {"epochs": 4, "warmup": 0}}).training
    assert [short.rate(epoch) for epoch in range(4)] == pytest.approx([0.5, 0.375, 0.25, 0.125])


@pytest.mark.parametrize(
    ("name", "data", "space", "size"),
    [
        ("cifar", "cifar100", None, (36, 20, 96)),
        ("rdarts", None, "s1", (36, 20, 96)),
        ("rdarts", "cifar10", "s2", (16, 20, 96)),
        ("rdarts", None, "s4", (16, 20, 96)),
        ("rdarts", "cifar100", "s3", (16, 8, 96)),
        ("rdarts", "svhn", "s2", (16, 8, 96)),
        ("rdarts_code", None, "s1", (16, 8, 96)),
        ("zarts_repo", "svhn", "s4", (36, 20, 64)),
        ("imagenet", None, None, (48, 14, 1024)),
    ],
)
def test_presets_have_the_sizes_of_their_source(
    name: str, data: str | None, space: str | None, size: tuple[int, int, int]
) -> None:
    config = complete(name, {"data": {"name": data}} if data else {}, space=space)
    assert (config.network.channels, config.network.cells, config.data.batch_size) == size
    assert data in (None, config.data.name)


@pytest.mark.parametrize("name", PRESETS)
def test_settings_survive_their_text(name: str) -> None:
    one, two = ({"genotype": str(NAMED[f"DARTS_V{order}"]), "seed": 3} for order in (1, 2))
    config = complete(name, one)
    assert RetrainConfig.from_table(from_toml(config.to_toml())) == config
    assert config.hash() != complete(name, two).hash()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"training": {"epoch": 3}}, r"unknown setting 'training.epoch'; did you mean"),
        ({"training": {"epochs": 0}}, r"training.epochs is 0, expected 1 or more"),
        ({"training": {"drop_path": 1.0}}, r"drop_path is 1.0, expected less than 1"),
        ({"training": {"accumulate": 49}}, r"96 in training.accumulate = 49 parts.*lower"),
        ({"network": {"channels": 7}}, r"network.channels is 7, expected an even number"),
        ({"data": {"augment": "resized"}}, r"resized, which is for imagenet and folder, not"),
        ({"data": {"test": "rest"}}, r"data.count = 0 trains on all images"),
        ({"data": {"size": "big"}}, r"data.size is 'big'"),
        ({"genotype": "cells"}, r"genotype: got 'cells' \(there is no Genotype"),
        ({"genotype": str(NAMED["GDAS_V1"]).replace(" ", "")}, r"expected .Genotype\(normal=\[\("),
        ({"device": "gpu"}, r"device is 'gpu', expected cpu, cuda"),
    ],
)
def test_what_cannot_be_used_is_said(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RetrainConfig.from_table(table)


def test_unknown_presets_and_spaces_are_said() -> None:
    with pytest.raises(ConfigError, match="did you mean 'cifar'"):
        preset("cifra")
    with pytest.raises(ConfigError, match="unknown space 's9'"):
        preset("rdarts", space="s9")
