"""Networks by name: the plain one runs searches and figures like the fast one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from landscape.compute import __main__ as compute
from landscape.verify.__main__ import main as verify
from tests.tiny import call, tiny, words
from zarts.__main__ import main as zarts
from zarts.bilevel.rng import generator
from zarts.problems.build import make_problem
from zarts.problems.memory import memory_needed
from zarts.problems.parts import lanes_of, network_of
from zarts.runs.stored import check_code, code_of
from zarts.settings.config import ConfigError
from zarts.supernet.protocol import NETWORKS
from zarts.supernet.spaces import SPACES

OWN = """
from zarts import PlainSupernet


class Softer(PlainSupernet):
    def __call__(self, weights, alpha, images, chance):
        return super().__call__(weights, alpha / 2, images, chance)


class Odd:
    pass
"""
PLAIN = {"supernet": {"network": "plain"}}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_made_of_the_settings_it_names(name: str) -> None:
    changes = {"supernet": {"network": name, "channels": 4, "cells": 2, "stem": "imagenet"}}
    network = network_of(tiny("darts-1", changes), 7, 1)
    assert type(network) is NETWORKS[name].load()
    assert network.shapes()["stem.1.convolution"] == (4, 2, 3, 3)
    assert network.shapes()["head.bias"] == (7,)
    assert network.space == SPACES["s3"]


@pytest.mark.parametrize("space", ["s4", "s6"])
@pytest.mark.parametrize("steps", [0, 2])
def test_a_problem_asks_what_its_network_has_and_gets_the_same_values(
    space: str, steps: int
) -> None:
    """In double precision, from the same ω: single values, those of images, and gradients."""
    changes = {"dtype": "float64", "supernet": {"space": space, "lanes": 0}}
    fast, plain = (make_problem(tiny("zarts-rs", changes, more)) for more in ({}, PLAIN))
    assert (hasattr(fast.loss, "many"), hasattr(fast.loss, "each")) == (True, True)
    assert (hasattr(plain.loss, "many"), hasattr(plain.loss, "each")) == (False, False)
    assert plain.objective.lanes == 1 < fast.objective.lanes
    alphas = torch.randn(3, len(fast.alpha), generator=generator(0, "alphas"), dtype=torch.float64)
    one, other = (problem.objective.at(steps) for problem in (fast, plain))
    for found, expected in (
        (other.evaluate(alphas), one.evaluate(alphas)),
        (other.samples(alphas), one.samples(alphas)),
        (other.grad(alphas[0]), one.grad(alphas[0])),
    ):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_the_plain_network_takes_one_candidate_at_a_time_and_its_memory_is_known() -> None:
    lanes = {"supernet": {"network": "plain", "lanes": 4}}
    with pytest.raises(ConfigError, match="lanes is 4, but the network 'plain' computes one"):
        lanes_of(tiny("zarts-rs", lanes))
    alone = {"supernet": {"lanes": 1}}
    plain, fast = (
        memory_needed(tiny("darts-1", alone, more), 10, (1, 9, 9)) for more in (PLAIN, {})
    )
    assert plain > fast > 0


@pytest.mark.parametrize(
    "network",
    [
        "netfile:Softer",
        pytest.param("plain", marks=pytest.mark.slow),
        pytest.param("merged", marks=pytest.mark.slow),
        pytest.param("sampled", marks=pytest.mark.slow),
    ],
)
def test_a_search_and_figure_1_run_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: str
) -> None:
    monkeypatch.setenv("ZARTS_RUNS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    Path("netfile.py").write_text(OWN)
    flags = ["--preset", "quick", *words(), "--set", f"supernet.network={network}", "--quiet"]
    searched = call(zarts, *flags, "--method", "zarts-mgs")
    assert searched.code == 0, searched.err
    answer = call(compute.main, *flags)
    assert answer.code == 0, answer.err
    run = answer.out.strip()
    checked = call(verify, run, "--trust-code", "--quiet")
    assert checked.code == 0, checked.out
    if network.startswith("netfile"):  # of a stranger perhaps
        Path("netfile.py").write_text("raise SystemExit('it was run')")
        monkeypatch.delitem(sys.modules, "netfile")
        alone = call(verify, run)
        assert alone.code == 0
        assert "would run netfile.py; --trust-code does" in alone.out


def test_a_network_of_ones_own_is_told_apart_and_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ownnet.py").write_text(OWN)
    config = tiny("darts-1", {"supernet": {"network": "ownnet:Softer"}})
    own, plain = (make_problem(each) for each in (config, tiny("darts-1", PLAIN)))
    torch.testing.assert_close(own.objective(2 * own.alpha), plain.objective(plain.alpha))
    code = code_of(config)
    assert list(code) == ["ownnet:Softer"]
    check_code(code, config)
    with pytest.raises(ConfigError, match="the file of ownnet:Softer has SHA-256"):
        check_code({"ownnet:Softer": "0"}, config)
    for name, told in (
        ("ownnet:Odd", "ownnet:Odd is no network: it lacks build, shapes, init"),
        ("nofile:Net", "put class Net into nofile.py in the current folder"),
    ):
        with pytest.raises(ConfigError, match=told):
            make_problem(tiny("darts-1", {"supernet": {"network": name}}))
    with pytest.raises(ConfigError, match=r"'odd'; expected one of: fast, plain, .* MODULE:CLASS"):
        tiny("darts-1", {"supernet": {"network": "odd"}})
