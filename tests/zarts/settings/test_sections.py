"""Single settings: which types and numbers each may have, and how a wrong one is told."""

from __future__ import annotations

import pytest

from tests.zarts.settings.test_config import error, leaves, nested
from zarts.settings.config import Config

LEAST = {
    0: "seed data.subset data.cutout search.warmup search.inner_steps landscape.steps "
    "landscape.val_batches landscape.epoch paths.updates",
    1: "data.downscale supernet.channels supernet.cells search.epochs search.period paths.samples",
    2: "data.batch_size search.inner_batch_size landscape.rows landscape.cols "
    "landscape.val_batch_size",
}
FROM_ZERO = (
    "search.learning_rate_min search.momentum search.weight_decay search.clip "
    "search.inner_learning_rate search.inner_clip"
)
ABOVE_ZERO = "data.portion search.learning_rate landscape.range paths.fraction paths.temperature"


@pytest.mark.parametrize(
    ("key", "good", "bad", "expected"),
    [
        *((key, n, n - 1, f"{n - 1}, expected {n} or more")
          for n, keys in LEAST.items() for key in keys.split()),
        *((key, 0.0, -1e-9, "-1e-09, expected 0 or more") for key in FROM_ZERO.split()),
        *((key, 1e-9, 0, "0.0, expected a number > 0") for key in ABOVE_ZERO.split()),
    ],
)  # fmt: skip
def test_numbers_have_a_least_value(key: str, good: float, bad: float, expected: str) -> None:
    assert dict(leaves(Config.from_table(nested(key, good)).to_table()))[key] == good
    assert error(nested(key, bad)) == f"{key} is {expected}"


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("seed", 1.5, "a whole number"),
        ("seed", True, "a whole number"),
        ("seed", "1", "a whole number"),
        ("search.learning_rate", "fast", "a finite number"),
        ("search.learning_rate", False, "a finite number"),
        ("search.learning_rate", float("nan"), "a finite number"),
        ("search.clip", float("inf"), "a finite number"),
        ("search.clip", 10**400, "a finite number"),
        ("data.name", 3, "one line of text"),
        ("data.name", "two\nlines", "one line of text"),
        ("data.name", "\x7f", "one line of text"),
        ("data.name", "\udcff", "one line of text"),
        ("landscape.scale", [1.0], "a finite number"),
        ("search.snapshots", 3, "a list such as [1, 2]"),
        ("search.snapshots", [1, 2.5], "a whole number"),
        ("paths.methods", "darts-1", 'a list such as ["darts-1"]'),
        ("optimizer", 3, "a table of settings"),
        ("optimizer.sigma", [1], "a number, text, true or false"),
        ("optimizer.sigma", float("nan"), "a finite number"),
        ("optimizer.sigma", {"a": 1}, "a number, text, true or false"),
        ("search", 3, "a table of settings"),
    ],
)
def test_a_wrong_type_says_got_and_expected(key: str, value: object, expected: str) -> None:
    message = error(nested(key, value))
    assert message.startswith(key)
    assert expected in message
    got = value[1] if isinstance(value, list) and len(value) > 1 else value
    assert repr(got) in message


def test_a_config_that_is_no_table() -> None:
    assert error([1]) == "the configuration is [1], expected a table of settings"


def test_a_hyper_parameter_needs_a_plain_name() -> None:
    assert "unknown setting 'optimizer.a b'" in error({"optimizer": {"a b": 1}})


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("supernet.space", "s33", "s1, s2, s3, s4, s5, s6"),
        ("supernet.network", "plane", "fast, plain, merged, sampled, or MODULE:CLASS"),
        ("search.inner_velocity", "copi", "zero, copy"),
        ("dtype", "bfloat16", "float32, float64"),  # which is near to neither
    ],
)
def test_a_wrong_word_names_those_allowed(key: str, value: str, allowed: str) -> None:
    assert error(nested(key, value)) == f"{key} is {value!r}; expected one of: {allowed}"
