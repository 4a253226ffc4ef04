"""Presets: each works with each method, and the paper's numbers are the paper's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from zarts.optimizers import DARTS, GLD, MGS, RandomSearch
from zarts.problems.optimizer import make_optimizer
from zarts.settings.config import METHOD_NAMES, Config, ConfigError, read_toml
from zarts.settings.presets import PRESETS, preset

PAPER = [name for name in PRESETS if name.startswith("paper") and name != "paper-imagenet"]


def built(name: str, method: str) -> Config:
    return Config.from_table(preset(name, method))


@pytest.mark.parametrize("method", METHOD_NAMES)
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_builds_with_every_method(name: str, method: str, tmp_path: Path) -> None:
    config = built(name, method)
    assert config.search.method == method
    for field, value in config.optimizer.items():
        assert getattr(make_optimizer(config), field) == value
    path = tmp_path / "preset.toml"
    path.write_text(config.to_toml(), encoding="utf-8")
    assert Config.from_table(read_toml(path)) == config


def test_no_two_presets_are_the_same() -> None:
    hashes = {built(name, method).hash() for name in PRESETS for method in METHOD_NAMES}
    # paper-s1 ... differ by their space alone, but they do
    assert len(hashes) == len(PRESETS) * len(METHOD_NAMES)


@pytest.mark.parametrize("method", ["zarts-rs", "zarts-mgs", "zarts-gld"])
@pytest.mark.parametrize("name", PAPER)
def test_the_papers_search(name: str, method: str) -> None:
    """ZARTS §4.1 and its released scripts."""
    config = built(name, method)
    search, net = config.search, config.supernet
    assert (search.epochs, search.warmup, search.period, search.inner_steps) == (50, 10, 10, 10)
    assert (search.learning_rate, search.learning_rate_min) == (0.025, 0.001)
    assert (search.momentum, search.weight_decay, search.clip) == (0.9, 3e-4, 5.0)
    assert (net.channels, net.cells, net.stem) == (16, 8, "cifar")
    assert (config.data.name, config.data.batch_size, config.data.portion) == ("cifar10", 64, 0.5)
    assert config.data.last_batch == "keep"
    assert net.space == (name.removeprefix("paper-") if "-" in name else "s6")


def test_imagenet_is_searched_on_a_random_quarter_from_its_files() -> None:
    config = built("paper-imagenet", "zarts-mgs")
    data, search = config.data, config.search
    assert (data.name, data.batch_size, data.share, data.portion) == ("imagenet", 256, 0.25, 0.5)
    assert (data.storage, config.supernet.stem, config.supernet.space) == (
        "stream",
        "imagenet",
        "s6",
    )
    assert (search.epochs, search.warmup, search.period) == (50, 20, 10)
    assert config.optimizer["sigma"] == 0.025


@pytest.mark.parametrize(("name", "sigma"), [("paper", 0.025), ("paper-s1", 0.2), ("quick", 0.2)])
def test_mgs(name: str, sigma: float) -> None:
    optimizer = make_optimizer(built(name, "zarts-mgs"))
    assert optimizer == MGS(samples=4, sigma=sigma, temperature=0.01)


def test_the_size_of_a_draw_follows_the_space_whoever_names_it() -> None:
    def of(method: str, name: str, space: str | None = None) -> Any:
        return make_optimizer(Config.from_table(preset(name, method, space)))

    assert of("zarts-mgs", "paper", "s1") == of("zarts-mgs", "paper-s1")
    assert of("zarts-mgs", "paper-s1", "s5").sigma == 0.025
    assert of("zarts-rs", "paper", "s1").learning_rate == 1.0
    assert preset("paper", "zarts-mgs", "s1")["supernet"]["space"] == "s1"


def test_a_preset_has_a_table_of_paths() -> None:
    assert all(isinstance(preset(name, "darts-1")["paths"], dict) for name in PRESETS)


def test_gld_asks_for_eleven_candidates() -> None:
    optimizer = make_optimizer(built("paper", "zarts-gld"))
    assert isinstance(optimizer, GLD)
    assert len(optimizer.radii) == 11
    assert optimizer.evaluations == 12


def test_random_search_probes_both_sides() -> None:
    optimizer = make_optimizer(built("paper", "zarts-rs"))
    assert isinstance(optimizer, RandomSearch)
    assert optimizer.evaluations == 8


@pytest.mark.parametrize(("method", "order"), [("darts-1", 1), ("darts-2", 2)])
def test_darts_is_as_published(method: str, order: int) -> None:
    config = built("paper", method)
    expected = "difference" if order == 2 else "exact"
    assert make_optimizer(config) == DARTS(order=order, hypergradient=expected)
    assert make_optimizer(built("quick", method)).hypergradient == "exact"
    search = config.search
    assert (search.inner_steps, search.period, search.warmup) == (order - 1, 1, 0)
    second = (search.inner_batches, search.inner_velocity, search.inner_clip)
    assert second == (("next", "copy", 0.0) if order == 2 else ("own", "zero", 5.0))


def test_the_papers_grid_has_steps_of_two_hundredths() -> None:
    land = built("paper", "zarts-mgs").landscape
    assert (land.rows, land.cols, land.steps) == (101, 101, 10)
    assert 2 * land.range / (land.cols - 1) == pytest.approx(0.02)
    assert (land.val_batches, land.inner_learning_rate) == (0, 1e-3)


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_the_quick_preset_needs_no_download_and_has_a_grid(method: str) -> None:
    config = built("quick", method)
    assert (config.data.name, config.supernet.space) == ("packaged", "s3")
    assert min(config.landscape.rows, config.landscape.cols) >= 9
    assert (config.landscape.steps, config.paths.samples) == (10, 4)


def test_a_preset_can_be_changed_without_changing_the_next() -> None:
    preset("quick", "darts-1")["data"]["name"] = "changed"
    assert preset("quick", "darts-1")["data"]["name"] == "packaged"


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown preset 'quik'; did you mean 'quick'\?"):
        preset("quik", "darts-1")
    with pytest.raises(ConfigError, match="'paper-s5'; did you mean 'paper-s"):
        preset("paper-s5", "darts-1")


def test_an_unknown_method_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"'zarts-mg'; did you mean 'zarts-mgs'\?"):
        built("quick", "zarts-mg")
