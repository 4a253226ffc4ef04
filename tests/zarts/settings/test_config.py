"""Settings: they come back from TOML as they were, their hash names them, and mistakes are told."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zarts.optimizers import METHODS
from zarts.settings.config import (
    METHOD_NAMES,
    Config,
    ConfigError,
    SearchConfig,
    merge,
    read_toml,
)
from zarts.settings.stages import PROGRAMS
from zarts.settings.tables import attributes, from_toml


@pytest.fixture(autouse=True)
def other_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is one program so far, so another one needs making."""
    monkeypatch.setitem(PROGRAMS, "other", PROGRAMS["plain"])


# Another valid value for every setting there is.
CHANGED: dict[str, Any] = {
    "seed": 1,
    "device": "cuda:1",
    "dtype": "float64",
    "tf32": "off",
    "deterministic": "on",
    "source": "0123abcd",
    "data": {
        "name": "cifar10",
        "subset": 100,
        "portion": 0.25,
        "batch_size": 32,
        "augment": "none",
        "cutout": 8,
        "downscale": 2,
        "cutout_schedule": "rising",
        "last_batch": "keep",
        "split": "stratified",
        "share": 0.25,
        "size": "96x128",
        "channels": 1,
        "storage": "stream",
    },
    "supernet": {
        "space": "s1",
        "channels": 4,
        "cells": 3,
        "stem": "imagenet",
        "stack_below": 0,
        "matmul_from": 8,
        "lanes": 3,
        "network": "plain",
        "layout": "first",
        "phases": "off",
    },
    "search": {
        "method": "zarts-rs",
        "epochs": 3,
        "warmup": 1,
        "period": 10,
        "learning_rate": 0.1,
        "learning_rate_min": 0.0,
        "momentum": 0.5,
        "weight_decay": 0.0,
        "clip": 0.0,
        "inner_steps": 1,
        "inner_learning_rate": 0.01,
        "inner_batch_size": 64,
        "inner_batches": "next",
        "inner_velocity": "copy",
        "inner_clip": 0.0,
        "sigma_schedule": "constant",
        "snapshots": [1, 2],
        "draws": 4,
        "gumbel_temperature": 10.0,
        "gumbel_temperature_end": 0.1,
        "program": "other",
        "stop_every": 1,
        "stop_start": 3,
        "stop_ratio": 2.0,
        "drop_path": 0.2,
        "stage_cells": [2, 3],
        "stage_drops": [1],
        "stage_dropout": [0.0, 0.5],
        "derivation": "gdas",
        "alpha": [0.5, -1.0],
        "origin": "run/epoch-0001/0123456789abcdef",
    },
    "optimizer": {"sigma": 0.2},
    "landscape": {
        "steps": 3,
        "more_steps": [2],
        "rows": 5,
        "cols": 7,
        "range": 0.5,
        "scale": 2.5,
        "inner_learning_rate": 1e-3,
        "val_batches": 0,
        "val_batch_size": 32,
        "epoch": 2,
        "axes": "gradient",
        "draws": 4,
    },
    "paths": {
        "methods": ["darts-1"],
        "updates": 3,
        "start": [0.25, -0.75],
        "space": "full",
        "weights": "trained",
        "noise": "fresh",
        "step": "paper",
        "fraction": 0.2,
        "samples": 8,
        "temperature": 0.1,
    },
}


def leaves(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping) and f"{prefix}{name}" != "optimizer":
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def nested(key: str, value: object) -> dict[str, Any]:
    for part in reversed(key.split(".")):
        value = {part: value}
    assert isinstance(value, dict)
    return value


def error(table: object) -> str:
    with pytest.raises(ConfigError) as caught:
        Config.from_table(table)  # type: ignore[arg-type]
    return str(caught.value)


def through_toml(config: Config, path: Path) -> Config:
    path.write_text(config.to_toml(), encoding="utf-8")
    return Config.from_table(read_toml(path))


# --- to and from tables -------------------------------------------------------------------------


def test_the_changed_table_names_every_setting() -> None:
    defaults, changed = dict(leaves(Config().to_table(whole=True))), dict(leaves(CHANGED))
    assert defaults.keys() == changed.keys()
    assert not [key for key in defaults if defaults[key] == changed[key]]


def test_all_settings_come_back_from_tables_and_toml(tmp_path: Path) -> None:
    config = Config.from_table(CHANGED)
    assert config.to_table() == CHANGED
    back = through_toml(config, tmp_path / "config.toml")
    assert (back, back.hash(), back.to_toml()) == (config, config.hash(), config.to_toml())


PRINTABLE = st.characters(exclude_categories=("C", "Z"), include_characters=" ")
WORDS = st.text(PRINTABLE, max_size=8)
POSITIVE = st.floats(min_value=1e-12, max_value=1e12)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)


def section(**settings: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Any of the settings, or none."""
    return st.fixed_dictionaries({}, optional=settings)


TABLES = section(
    seed=st.integers(0, 2**70),
    device=st.sampled_from(["cpu", "cuda", "cuda:3"]),
    source=WORDS,
    data=section(name=WORDS, portion=st.floats(0.01, 0.99), cutout=st.integers(0, 40)),
    search=section(
        method=st.sampled_from(METHOD_NAMES),
        learning_rate=POSITIVE,
        clip=st.floats(0, 1e300),
        snapshots=st.lists(st.integers(1, 50)),
    ),
    optimizer=st.dictionaries(NAMES, st.booleans() | NUMBERS | WORDS),
    landscape=section(
        rows=st.integers(2, 1001),
        scale=st.sampled_from(["unit", "alpha"]) | POSITIVE | st.integers(1, 9),
        inner_learning_rate=st.just("search") | POSITIVE,
    ),
    paths=section(
        methods=st.lists(st.sampled_from(METHOD_NAMES)),
        start=st.tuples(st.floats(-1, 1), st.floats(-1, 1)),
    ),
)


@given(table=TABLES)
@example(table={})
def test_every_config_comes_back_from_toml(
    table: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    config = Config.from_table(table)
    assert table or config == Config()
    back = through_toml(config, tmp_path_factory.mktemp("config") / "config.toml")
    assert back == config
    assert back.hash() == config.hash()
    assert Config.from_table(from_toml(config.to_toml(whole=True))) == config


# --- hash ---------------------------------------------------------------------------------------


def test_the_hash_depends_on_every_setting() -> None:
    longer = {"search": {"epochs": 60, "snapshots": [2]}}  # so that every change is a valid one
    base = merge(Config().to_table(), longer)
    hashes = {
        key: Config.from_table(merge(base, nested(key, value))).hash()
        for key, value in leaves(CHANGED)
    }
    hashes["nothing"] = Config.from_table(base).hash()
    assert len(set(hashes.values())) == len(hashes)


def test_the_hash_does_not_depend_on_order_or_notation() -> None:
    one = {"seed": 3, "optimizer": {"sigma": 0.1, "mix": 0.5}, "landscape": {"scale": 2.0}}
    other = {"landscape": {"scale": 2}, "optimizer": {"mix": 0.5, "sigma": 0.1}, "seed": 3}
    assert Config.from_table(one).hash() == Config.from_table(other).hash()


def test_the_hash_is_the_same_in_another_process(root: Path) -> None:
    code = "from zarts.settings.config import Config; print(Config(seed=7).hash())"
    environment = {**os.environ, "PYTHONHASHSEED": "123"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == Config(seed=7).hash()


# --- mistakes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("sed", ["seed"]),
        ("search.warmpu", ["search.warmup"]),
        ("search.epoch", ["search.epochs", "landscape.epoch"]),
        ("landscape.inner_rate", ["landscape.inner_learning_rate"]),
        ("chanels", ["data.channels", "supernet.channels"]),
        ("space", ["supernet.space", "paths.space"]),
        ("search.space", ["supernet.space", "paths.space"]),
        ("serach.epochs", ["search"]),
        ("data.colour", None),
    ],
)
def test_an_unknown_key_is_named_in_full_with_the_nearest(
    key: str, meant: list[str] | None
) -> None:
    message = error(nested(key, 1))
    wrong = key if key != "serach.epochs" else "serach"
    assert message.startswith(f"unknown setting '{wrong}'; ")
    if meant is None:
        assert "expected one of: data.name, data.subset, data.portion" in message
    else:
        assert message.endswith(f"did you mean {' or '.join(map(repr, meant))}?")


@pytest.mark.parametrize(
    ("table", "fragment"),
    [
        ({"data": {"portion": 1.0}}, "data.portion is 1.0, expected a share below 1"),
        ({"device": "gpu"}, "device is 'gpu', expected cpu, cuda or cuda:NUMBER"),
        ({"device": "cuda:x"}, "device is 'cuda:x'"),
        ({"landscape": {"rows": 1002}}, "the grid is 1002x9, expected at most 1001"),
        ({"landscape": {"range": 1e200}}, "landscape.range is 1e+200, expected at most 1e+06"),
        ({"supernet": {"cells": 100000}}, "supernet.cells is 100000, expected at most 1000"),
        ({"supernet": {"lanes": 65}}, "supernet.lanes is 65, expected at most 64"),
        ({"paths": {"updates": 10_001}}, "paths.updates is 10001, expected at most 10000"),
        ({"landscape": {"scale": "big"}}, "landscape.scale is 'big', expected unit or alpha or a"),
        ({"landscape": {"scale": 0}}, "landscape.scale is 0.0, expected unit or alpha or a number"),
        (
            {"landscape": {"inner_learning_rate": "alpha"}},
            "landscape.inner_learning_rate is 'alpha', expected search or a number > 0",
        ),
        ({"search": {"snapshots": [0]}}, "search.snapshots is [0], expected epochs from 1 to 50"),
        ({"search": {"epochs": 3, "snapshots": [4]}}, "expected epochs from 1 to 3"),
        ({"landscape": {"epoch": 51}}, "landscape.epoch is 51, expected at most 50"),
        ({"landscape": {"more_steps": [2, 10]}}, "landscape.more_steps is [2, 10], expected incr"),
        ({"landscape": {"more_steps": [1]}}, "above 1 and below landscape.steps, 10"),
        ({"landscape": {"more_steps": [5, 3]}}, "landscape.more_steps is [5, 3]"),
        (
            {"search": {"method": "zarts-msg"}},
            "search.method is 'zarts-msg'; did you mean 'zarts-mgs'",
        ),
        (
            {"search": {"method": "darts"}},  # equally near: all of them
            "search.method is 'darts'; did you mean 'darts-1' or 'darts-2' or 'darts-m'?",
        ),
        ({"paths": {"methods": ["darts-1", "zarts-gdl"]}}, "paths.methods[1] is 'zarts-gdl'; did"),
        ({"paths": {"start": [0.5]}}, "paths.start is [0.5], expected two numbers"),
    ],
)
def test_what_does_not_fit(table: dict[str, Any], fragment: str) -> None:
    assert fragment in error(table)


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_a_search_without_an_update_is_refused(method: str) -> None:
    assert "α would never move" in error({"search": {"method": method, "epochs": 2, "warmup": 2}})
    Config.from_table({"search": {"method": method, "epochs": 2, "warmup": 1}})


def test_the_origin_must_be_an_epoch_that_is_kept() -> None:
    early: dict[str, Any] = {"search": {"epochs": 3}, "landscape": {"epoch": 1}}
    assert "--set search.snapshots=[1]" in error(early)
    Config.from_table(merge(early, {"search": {"snapshots": [1]}}))
    Config.from_table(merge(early, {"landscape": {"epoch": 3}}))
    Config.from_table(merge(early, {"source": "other/epoch-0001/00"}))  # kept by another run


def test_the_methods_are_those_of_the_optimizers() -> None:
    assert tuple(METHODS) == METHOD_NAMES
    told = re.findall(r"`([\w-]+)`", attributes(SearchConfig)["method"])
    assert tuple(told) == METHOD_NAMES
    assert Config().paths.methods == ("darts-1", "darts-2", "zarts-rs", "zarts-mgs", "zarts-gld")
