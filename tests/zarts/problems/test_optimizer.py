"""Settings become optimizers."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.tiny import tiny
from zarts.optimizers import DARTS, GLD, MGS, Implicit, RandomSearch, Unrolled
from zarts.problems.build import make_problem
from zarts.problems.optimizer import build_optimizer, make_optimizer, sigma_schedule
from zarts.settings.config import METHOD_NAMES, ConfigError


def test_sigma_follows_the_released_schedule() -> None:
    config = tiny("zarts-mgs", {"search": {"epochs": 6, "warmup": 2, "period": 2}})
    schedule = sigma_schedule(config, make_problem(config).feed)
    (name,) = schedule
    assert name == "sigma"
    values = [schedule["sigma"](2 * epoch) for epoch in range(6)]
    expected = [0.2 * (1 + math.cos(math.pi * max(0, e - 3) / 4)) / 2 for e in range(6)]
    assert values == pytest.approx(expected)
    assert values[:4] == [0.2] * 4
    assert schedule["sigma"](4) == schedule["sigma"](5)  # once per epoch
    constant = tiny("zarts-mgs", {"search": {"sigma_schedule": "constant"}})
    assert sigma_schedule(constant, make_problem(constant).feed) == {}
    assert sigma_schedule(tiny("zarts-gld"), make_problem(tiny("zarts-gld")).feed) == {}


def test_every_method_gets_its_optimizer() -> None:
    kinds = {method: make_optimizer(tiny(method)) for method in METHOD_NAMES}
    expected = [DARTS, DARTS, Unrolled, Implicit, RandomSearch, MGS, GLD]
    assert [type(kind) for kind in kinds.values()] == expected
    assert [getattr(kinds[f"darts-{order}"], "order") for order in (1, 2)] == [1, 2]  # noqa: B009
    assert kinds["zarts-mgs"] == MGS(samples=4, sigma=0.2, temperature=0.01)


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("zarts-mgs", {"sigmma": 1.0}, r"zarts-mgs has no hyper-parameter 'sigmma'.*'sigma'"),
        ("darts-1", {"order": 2}, "'order'"),  # the method fixes it
        ("zarts-mgs", {"sigma": -1.0}, "sigma is -1.0"),
        ("zarts-mgs", {"proposal": "cube"}, "cube"),
        ("zarts-gld", {"radius_max": 1e-9, "radius_min": 1.0}, "radius_min"),
        ("zarts-rs", {"samples": "many"}, "zarts-rs"),
        ("zarts-rs", {"samples": 2.5}, "whole"),
    ],
)
def test_impossible_optimizers_are_refused(
    method: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build_optimizer(method, settings)
