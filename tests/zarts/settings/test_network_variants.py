"""The variants that are another network: what each asks for, and who cannot use it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from zarts.settings.config import METHOD_NAMES, Config, ConfigError
from zarts.settings.presets import PRESETS, complete, preset

VARIANTS = ("sampled", "merged")


def built(name: str, method: str, variant: str) -> Config:
    return Config.from_table(preset(name, method, variant=variant))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("method", METHOD_NAMES)
def test_goes_with_every_preset_and_every_method_that_can_use_it(method: str, variant: str) -> None:
    for name in PRESETS:
        if (method, variant) == ("implicit", "sampled"):
            with pytest.raises(
                ConfigError, match=r"'implicit', which needs ω at an optimum.*darts-1"
            ):
                built(name, method, variant)
            continue
        config, plain = built(name, method, variant), built(name, method, "")
        assert config.supernet.network == variant
        assert config.paths == plain.paths
        if config.supernet.space == plain.supernet.space:
            assert config.optimizer == plain.optimizer
        else:  # the small presets have a space with something to merge
            assert (name, config.supernet.space) in (("quick", "s6"), ("standard", "s6"))


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [(250, {0: 10, 1: 9.96024, 249: 0.1}), (50, {1: 9.79796, 25: 4.94898, 49: 0.1}), (1, {0: 10})],
)
def test_the_temperature_falls_on_a_line(epochs: int, expected: dict[int, float]) -> None:
    given = {"search": {"epochs": epochs, "warmup": 0}}
    (stage,) = complete("paper", "gzas", given).program.stages
    for epoch, value in expected.items():
        assert stage.strength(epoch).temperature == pytest.approx(value, rel=1e-6)
    (plain,) = complete("paper", "zarts-mgs", given).program.stages
    assert plain.strengths == ()


def test_the_papers_names() -> None:
    with pytest.raises(ConfigError, match=r"'gzas' names .*variant 'sampled', or .* method"):
        complete("paper", "zarts-mgs", variant="gzas")
    gdas, gzas = complete("paper", "gdas"), complete("paper", "gzas")
    assert (gdas.search.method, gzas.search.method) == ("darts-1", "zarts-mgs")
    assert (gdas.supernet.cells, gdas.data.batch_size, gdas.search.epochs) == (6, 256, 250)
    assert (gzas.supernet.cells, gzas.data.batch_size, gzas.search.epochs) == (8, 64, 50)
    assert (gdas.search.weight_decay, gzas.search.weight_decay) == (5e-4, 3e-4)
    assert (gdas.search.draws, gzas.search.draws) == (1, 4)
    assert (gdas.landscape.draws, complete("quick", "gdas").landscape.draws) == (1, 4)
    assert {gdas.search.derivation, gzas.search.derivation} == {"gdas"}


def test_a_merged_search_is_the_plain_one_but_for_its_network() -> None:
    """The released scripts change nothing else; the space that a user names is kept."""
    for name, method in (("merge-nas", "darts-1"), ("merge-zarts", "zarts-mgs")):
        merged, plain = complete("paper", name), complete("paper", method)
        assert replace(merged, supernet=plain.supernet) == plain
        assert replace(merged.supernet, network="fast") == plain.supernet
    assert complete("quick", "merge-zarts").optimizer["sigma"] == 0.025
    small = complete("quick", "merge-zarts", {"supernet": {"space": "s1"}})
    assert (small.supernet.space, small.optimizer["sigma"]) == ("s1", 0.2)


def test_paths_are_refused_like_searches() -> None:
    table = {"supernet": {"network": "sampled"}, "paths": {"methods": ["darts-1", "implicit"]}}
    with pytest.raises(ConfigError, match=r"paths.methods\[1\] is 'implicit', which needs"):
        Config.from_table(table)
