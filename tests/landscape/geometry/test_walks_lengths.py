"""Matched paths: the steps of all optimizers are of one length."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from landscape.geometry.walks import PILOT_UPDATES, PILOTS, TRIALS, prepare, start_of, view_of
from landscape.record import LENGTH_TOLERANCE
from tests.landscape.geometry.test_walks import EXTENT, PLANE, QUADRATIC, SCALE, STEPS, end, toy
from zarts.bilevel.rng import generator
from zarts.bilevel.search import Optimizer, Step
from zarts.bilevel.wrappers import Tally
from zarts.optimizers import METHODS
from zarts.problems.optimizer import build_optimizer
from zarts.settings.config import METHOD_NAMES


@pytest.mark.parametrize("fraction", [0.05, 0.15])
@pytest.mark.parametrize("method", ["darts-1", "darts-2"])
def test_the_first_step_of_darts_has_the_stated_length(method: str, fraction: float) -> None:
    path = end(toy(updates=1, fraction=fraction), method)
    step = np.linalg.norm(path.xy[1] - path.xy[0])
    assert step * SCALE == pytest.approx(fraction * EXTENT * SCALE, rel=1e-9)


def first_steps(method: str, count: int = 120, **settings: Any) -> np.ndarray:
    problem = QUADRATIC.problem(1)
    paths = [end(toy(problem, seed=seed, updates=1, **settings), method) for seed in range(count)]
    return np.array([np.linalg.norm(path.xy[1] - path.xy[0]) for path in paths]) / EXTENT


def test_zero_order_steps_have_the_stated_length_on_average() -> None:
    """A single draw of MGS, whatever it finds; RS from its pilots; GLD never more."""
    draws = first_steps("zarts-mgs", samples=1, fraction=0.1)
    assert draws.mean() == pytest.approx(0.1, rel=0.12)  # four standard errors
    estimates = first_steps("zarts-rs", fraction=0.02, samples=16)
    assert estimates.mean() == pytest.approx(0.02, rel=0.3)
    moves = first_steps("zarts-gld", fraction=0.1)
    assert moves.max() == pytest.approx(0.1, rel=1e-9)
    sizes = np.unique(moves[moves > 0].round(12))
    assert sizes.tolist() == pytest.approx([0.1 / 8, 0.1 / 4, 0.1 / 2, 0.1])


@pytest.mark.parametrize("method", METHOD_NAMES)
@pytest.mark.parametrize("space", ["plane", "full"])
def test_first_updates_are_of_one_length_on_average(method: str, space: str) -> None:
    """``step = update``, over keys that no pilot had: each seed has pilots of its own."""
    length, lengths = 0.1 * EXTENT * SCALE, []
    for seed in range(40):
        setup = toy(QUADRATIC.problem(1), seed, space=space, step="update", fraction=0.1)
        optimizer, ratio = prepare(setup, METHODS[method], start_of(setup), Tally())
        assert ratio == pytest.approx(1, abs=LENGTH_TOLERANCE)
        step = optimizer.step(
            view_of(setup, setup.objective, Tally()),
            start_of(setup),
            {},
            generator(seed, "fresh"),
        )
        lengths.append(step.diagnostics["update_norm"])
    tight = METHODS[method].gradients
    assert np.mean(lengths) == pytest.approx(length, rel=1e-9 if tight else 0.25)


def test_a_length_that_no_trial_reaches_is_remarked_and_ends_no_path() -> None:
    plane = replace(PLANE, origin=QUADRATIC.minimum(1))
    path = end(
        replace(toy(QUADRATIC.problem(1), step="update", start=(0.0, 0.0)), plane=plane),
        "zarts-gld",
    )
    assert (path.length_ratio, path.note, len(path.xy)) == (0.0, "", 11)
    assert path.remark == "first updates of 0 times the matched length"
    assert end(toy(), "zarts-gld").length_ratio is None


Asked = list[tuple[Tensor, Step]]  # where an optimizer stood and what it did


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> dict[str, Asked]:
    """Every step of an optimizer: those of walks and those of pilots."""
    asked: dict[str, Asked] = {"walk": [], "pilot": []}

    def watch(kind: str, optimizer: Optimizer) -> Optimizer:
        class Watched:
            def step(self, objective: Any, alpha: Tensor, memory: Any, rng: Any) -> Step:
                step = optimizer.step(objective, alpha, memory, rng)
                asked[kind].append((alpha, step))
                return step

        return Watched()

    made: list[str] = []

    def build(method: str, settings: dict[str, Any]) -> Optimizer:
        made.append(method)
        # of a method whose rate is set by pilots, the first one makes them
        first = bool(METHODS[method].rate) and made.count(method) % 2 == 1
        return watch("pilot" if first else "walk", build_optimizer(method, settings))

    monkeypatch.setattr("landscape.geometry.walks.build_optimizer", build)
    return asked


@pytest.mark.parametrize("space", ["plane", "full"])
def test_matched_steps_are_of_one_length(space: str, steps: dict[str, Asked]) -> None:
    """At the default samples: a draw of MGS, GLD's largest radius, DARTS' step, RS' pilots."""
    length, runs = 0.1 * EXTENT * SCALE, 120

    def walked(method: str, count: int = 1) -> Asked:
        steps.update(walk=[], pilot=[])
        for seed in range(count):
            setup = toy(QUADRATIC.problem(1), seed, space=space, updates=1, fraction=0.1)
            assert setup.settings.samples == 4
            end(setup, method)
        return steps["walk"]

    def draws(asked: Asked) -> np.ndarray:
        return torch.stack([(step.candidates - alpha).norm(dim=1) for alpha, step in asked]).numpy()

    mgs = draws(walked("zarts-mgs", runs))
    assert mgs.shape == (runs, 4)
    assert mgs.mean() == pytest.approx(length, abs=4 * mgs.std() / math.sqrt(mgs.size))
    radii = draws(walked("zarts-gld"))[0]
    assert radii == pytest.approx([length, length / 2, length / 4, length / 8], rel=1e-6)
    for method in ("darts-1", "darts-2"):
        ((alpha, step),) = walked(method)
        assert float((step.alpha - alpha).norm()) == pytest.approx(length, rel=1e-6)
    ((alpha, step),) = walked("zarts-rs")
    assert draws([(alpha, step)]) == pytest.approx(length, rel=1e-6)  # its probes are as long
    rate = step.diagnostics["update_norm"] / step.diagnostics["gradient_norm"]
    pilots = [pilot.diagnostics["gradient_norm"] for _, pilot in steps["pilot"]]
    assert len(pilots) == PILOTS
    assert rate * sum(pilots) / PILOTS == pytest.approx(length, rel=1e-6)


def test_pilot_updates_are_part_of_the_budget() -> None:
    spent = {method: end(toy(updates=3, step="update"), method) for method in METHOD_NAMES}
    assert {spent[name].gradients for name in ("darts-1", "darts-2")} == {3 + 1}
    assert spent["zarts-rs"].evaluations == (3 + PILOT_UPDATES) * 4
    for method, each in (("zarts-mgs", 4), ("zarts-gld", 5)):
        trials = (spent[method].evaluations / each - 3) / PILOT_UPDATES
        assert trials in range(1, TRIALS + 1)
        assert spent[method].weight_steps == STEPS * spent[method].evaluations


def test_paper_settings_are_those_of_the_released_code() -> None:
    for method in METHOD_NAMES:
        build_optimizer(method, METHODS[method].paper)
    path = end(toy(step="paper", updates=2), "darts-1")
    gradient = QUADRATIC.gradient_at(PLANE.points(torch.tensor([[-0.5, 0.5]]).double())[0], 0)
    expected = -3e-4 * (gradient @ PLANE.basis) / SCALE
    np.testing.assert_allclose(path.xy[1] - path.xy[0], expected, rtol=1e-6)
    counts = {name: end(toy(step="paper", updates=1), name).evaluations for name in METHOD_NAMES}
    asked = {"zarts-rs": 16, "zarts-mgs": 4, "zarts-gld": 16}
    assert counts == dict.fromkeys(METHOD_NAMES, 0) | asked
