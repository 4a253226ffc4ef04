"""P-DARTS' stages: what they keep, their schedules and sizes, and what cannot be used."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.tiny import tiny
from zarts.bilevel.rng import generator
from zarts.optimizers import DARTS
from zarts.problems.build import make_problem
from zarts.problems.optimizer import make_optimizer
from zarts.problems.parts import at_stage, network_of
from zarts.settings.config import METHOD_NAMES, Config, ConfigError
from zarts.settings.presets import complete, preset
from zarts.settings.staged import narrowed, skip_dropout
from zarts.settings.stages import Done, Epoch, Point, Stage, epochs
from zarts.supernet.derivation import MOST_SKIPS, derive
from zarts.supernet.spaces import SPACES

PAPER = Config.from_table(preset("paper", "darts-1", variant="staged"))


def test_its_schedules_and_sizes_are_those_of_the_released_code() -> None:
    """The table of golden numbers; author's rates on CIFAR-10, those of CIFAR-100 by its name."""
    at = (0, 9, 10, 24)
    for rate, expected in (
        (0.4, (0.384, 0.24, 0.4, 0.024324)),
        (0.1, (0.096, 0.06, 0.1, 0.006081)),
    ):
        assert [skip_dropout(rate, e, 25, 10) for e in at] == pytest.approx(expected, rel=1e-4)
    first, *others = PAPER.program.stages
    assert [stage.cells for stage in PAPER.program.stages] == [5, 11, 17]
    assert (first.epochs, first.warmup, epochs(PAPER.program)) == (25, 10, 75)
    assert network_of(PAPER, 10, 3, first).parameters == 1_275_834  # type: ignore[attr-defined]
    assert first.strength(12).drop_skip == 0
    assert [others[0].strength(e).drop_skip for e in at] == pytest.approx(
        (0.384, 0.24, 0.4, 0.024324), rel=1e-4
    )
    assert PAPER.search.stage_dropout == (0, 0.4, 0.7)
    hundred = complete("paper", "p-zarts", {"data": {"name": "cifar100"}})
    assert hundred.search.stage_dropout == (0.1, 0.2, 0.3)
    assert (hundred.search.method, hundred.search.period) == ("zarts-mgs", 10)
    assert "learning_rate" not in hundred.optimizer
    assert make_optimizer(PAPER) == DARTS(learning_rate=6e-4, clip=5)
    assert PAPER.data.batch_size == 96


def test_the_rate_of_weights_falls_to_zero_in_every_stage() -> None:
    changes: dict[str, Any] = {
        "supernet": {"space": "s5"},
        "search": {
            **{name: getattr(PAPER.search, name) for name in ("program", "learning_rate")},
            "learning_rate_min": 0.0,
            "epochs": 25,
            "warmup": 10,
            "stage_cells": [1, 1],
            "stage_drops": [3],
        },
    }
    config = tiny("darts-1", changes)
    for stage in config.program.stages:
        feed = make_problem(config, stage).feed
        rates = [feed.outer(epoch).learning_rate for epoch in (0, 9, 10, 24)]
        assert rates == pytest.approx([0.025, 0.017822, 0.016363, 9.857e-5], rel=1e-4)


def ended(stage: Stage, alpha: torch.Tensor) -> Stage | Done:
    last = Epoch(Point(stage.index, stage.epochs), alpha.numpy(), {})
    return PAPER.program.after(stage, [last])


@pytest.mark.parametrize("draw", range(5))
def test_stages_keep_eight_five_three_then_one_operation_and_two_skips(draw: int) -> None:
    """The heaviest, whatever they are; of a cell that would be skips alone two stay skips."""
    program, rng = PAPER.program, generator(draw, "alpha")
    stage, widths = program.stages[0], []
    while True:
        space = stage.space
        widths += [group.width for group in space.groups]
        alpha = torch.randn(space.dim, generator=rng)
        for edge, row in enumerate(space.split(alpha)["normal"]):
            names = space.groups[0].operations[edge]
            if "skip_connect" in names:
                row[names.index("skip_connect")] = 9.0
        middle = Epoch(Point(stage.index, stage.epochs - 1), alpha.numpy(), {})
        assert program.after(stage, [middle]) == stage
        found = ended(stage, alpha)
        if isinstance(found, Done):
            break
        assert found.cells == program.stages[stage.index + 1].cells
        assert found.start is None
        for group, before in zip(found.space.groups, space.groups, strict=True):
            rows = space.split(alpha)[group.name]
            for edge, wider, row in zip(group.operations, before.operations, rows, strict=True):
                heaviest = row.argsort()[-group.width :].sort().values
                assert edge == tuple(wider[int(column)] for column in heaviest)
        stage = found
    assert widths == [8, 8, 5, 5, 3, 3]
    assert found == Done(25)
    genotype = derive(stage.space, alpha, "pdarts")
    assert [name for name, _ in genotype.normal].count("skip_connect") == MOST_SKIPS
    assert len(genotype.normal) == len(genotype.reduce) == 8
    assert "none" not in {name for name, _ in (*genotype.normal, *genotype.reduce)}


def test_the_first_of_equals_goes_and_a_name_says_how_many_are_left() -> None:
    five = narrowed(SPACES["s5"], np.zeros(224), 3)
    assert five.groups[0].operations[0] == SPACES["s5"].groups[0].operations[0][3:]
    assert (five.name, narrowed(five, np.zeros(140), 2).name) == ("s5-5", "s5-3")


def test_a_stage_has_its_own_length_seed_and_sigma() -> None:
    config = complete("quick", "p-zarts")
    second = at_stage(config, config.program.stages[1])
    assert second.seed != config.seed
    assert (config.supernet.space, config.optimizer["sigma"]) == ("s5", 0.025)  # a large space


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"search": {"stage_cells": []}}, r"stage_cells is \[\], expected the cells of each stage"),
        ({"search": {"stage_drops": [3]}}, r"stage_drops is \[3\], expected .* 2 numbers"),
        ({"supernet": {"space": "s2"}}, "s2 has 2 operations on each edge and one must be left"),
        ({"search": {"stage_dropout": [0.0, 1.0, 0.5]}}, r"expected a probability in \[0, 1\)"),
        ({"search": {"snapshots": [26]}}, "expected epochs from 1 to 25"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        complete("paper", "darts-1", changes, variant="staged")


def test_the_gradient_of_alpha_is_clipped_before_its_decay() -> None:
    class Steep:
        def at(self, steps: int) -> Steep:
            return self

        def grad(self, alpha: torch.Tensor, through: object = None) -> torch.Tensor:
            return torch.tensor([30.0, 40.0])

    rule: Any = DARTS(update="sgd", learning_rate=1.0, weight_decay=0.5, clip=5.0)
    alpha = torch.tensor([1.0, 2.0])
    step = rule.step(Steep(), alpha, {}, generator(0))
    torch.testing.assert_close(step.alpha, alpha - torch.tensor([3.0, 4.0]) - 0.5 * alpha)
    assert step.diagnostics["gradient_norm"] == 50
    free = replace(rule, clip=0.0).step(Steep(), alpha, {}, generator(0))
    torch.testing.assert_close(free.alpha, 0.5 * alpha - torch.tensor([30.0, 40.0]))
    with pytest.raises(ValueError, match=r"DARTS\.clip is -1"):
        DARTS(clip=-1.0)


@pytest.mark.parametrize("variant", ["staged", "dp", "l2", "es", "ada"])
def test_every_method_goes_with_it_at_every_size(variant: str) -> None:
    hashes = set()
    for base in ("quick", "standard", "paper", "paper-imagenet"):
        for method in METHOD_NAMES:
            config = complete(base, method, variant=variant)
            make_optimizer(config)
            hashes |= {config.hash(), complete(base, method).hash()}
            if variant in ("es", "ada"):  # they have something to check
                assert len(config.program.stages[0].snapshots) > 1
    assert len(hashes) == 2 * 4 * len(METHOD_NAMES)
