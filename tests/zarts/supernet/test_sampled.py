"""The network of GDAS and GZAS: one drawn operation per edge, and what its gradient is."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.tiny import create, tiny
from zarts.bilevel.alpha import Space
from zarts.bilevel.chance import Chance
from zarts.bilevel.rng import generator
from zarts.problems.build import landscape_objective, make_problem
from zarts.problems.memory import memory_needed
from zarts.runs.recorder import record_search
from zarts.supernet.layout import EDGES
from zarts.supernet.operations import OPERATIONS
from zarts.supernet.plain import PlainSupernet
from zarts.supernet.sampled import SampledSupernet
from zarts.supernet.spaces import SPACES

SAMPLED = {"supernet": {"network": "sampled"}}


def sample(space: str) -> tuple[SampledSupernet, dict[str, Tensor], Tensor, Tensor]:
    net = SampledSupernet(SPACES[space], 4, 3, 5, 2)
    rng = generator(0, "sampled", space)
    alpha = torch.randn(net.space.dim, generator=rng, dtype=torch.float64)
    images = torch.randn(4, 2, 9, 6, generator=rng, dtype=torch.float64)
    return net, net.init(rng, torch.float64), alpha, images


def drawn(space: Space, alpha: Tensor, key: int) -> dict[str, Tensor]:
    return space.one_hot(alpha, generator(key, "operations"), 1.0)


def mixed(
    net: SampledSupernet,
    tables: dict[str, Tensor],
    given: tuple[dict[str, Tensor], Tensor, Tensor],
    patch: pytest.MonkeyPatch,
) -> Tensor:
    """The logits of the plain network with these mixture weights."""
    weights, alpha, images = given
    with patch.context() as patched:
        patched.setattr(Space, "mixture", lambda self, alpha: tables)
        return PlainSupernet.like(net)(weights, alpha, images, Chance(3))


def test_a_draw_has_the_probabilities_of_the_mixture() -> None:
    space = SPACES["s6"]
    alpha, rng = torch.randn(space.dim, generator=generator(0, "alpha")), generator(1, "draws")
    draws = torch.stack([space.one_hot(alpha, rng, 0.5)["reduce"] for _ in range(1000)])
    assert (draws.mean(0) - space.mixture(alpha)["reduce"]).abs().max() < 4 * 0.5 / 1000**0.5
    assert torch.equal(draws.sort(2).values[..., -1], torch.ones(1000, 14))  # to the last bit
    assert torch.equal(draws.sum(2), torch.ones(1000, 14))


@pytest.mark.parametrize("temperature", [0.1, 10.0])
@pytest.mark.parametrize("space", ["s3", "s6"])
def test_values_are_exact_and_gradients_straight_through(
    space: str, temperature: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """∂/∂α_j = (∂L/∂h_i) p_i (δ_ij − p_j)/τ of the drawn i alone."""
    net, weights, alpha, images = sample(space)
    tables = {name: table.requires_grad_() for name, table in drawn(net.space, alpha, 3).items()}
    leaves = [weight.requires_grad_() for weight in weights.values()]
    expected = mixed(net, tables, (weights, alpha, images), monkeypatch)
    point = alpha.clone().requires_grad_()
    logits = net(weights, point, images, Chance(3, temperature))
    torch.testing.assert_close(logits, expected, rtol=1e-12, atol=1e-12)

    def slopes(logits: Tensor, *of: Tensor) -> tuple[Tensor, ...]:
        loss = logits.square().sum()
        return torch.autograd.grad(loss, of, materialize_grads=True)

    found, *by_weight = slopes(logits, point, *leaves)
    wanted = slopes(expected, *tables.values(), *leaves)
    for one, other in zip(by_weight, wanted[len(tables) :], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)

    rng, parts = generator(3, "operations"), []
    for (name, logit), slope in zip(net.space.split(alpha).items(), wanted, strict=False):
        gumbel = -(-torch.rand(logit.shape, generator=rng, dtype=torch.float64).log()).log()
        p, h = ((logit + gumbel) / temperature).softmax(1), tables[name].detach()
        first = (slope * p * h).sum(1, keepdim=True)
        parts.append((first * (h - p) / temperature).flatten())
    torch.testing.assert_close(found, torch.cat(parts), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("space", ["s1", "s3", "s6"])
def test_one_operation_per_edge_and_cell_is_computed(
    space: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, weights, alpha, images = sample(space)
    ran: Counter[str] = Counter()
    for kind in {type(operation) for operation in OPERATIONS.values()}:

        def apply(self: Any, source: Any, edges: Any, real: Any = kind.apply) -> Any:
            ran[next(name for name, each in OPERATIONS.items() if each is self)] += edges.number
            channels = edges.number * source.x.shape[1]
            assert {len(weight) for weight in edges.weights.values()} <= {channels}
            return real(self, source, edges)

        monkeypatch.setattr(kind, "apply", apply)
    net(weights, alpha, images, Chance(3))
    asked: Counter[str] = Counter()
    cells = {"normal": 1, "reduce": 2}
    for group in net.space.groups:
        columns = drawn(net.space, alpha, 3)[group.name].argmax(1).tolist()
        for edge, column in zip(group.operations, columns, strict=True):
            asked[edge[column]] += cells[group.name]
    assert sum(asked.values()) == 3 * len(EDGES)
    assert ran == asked - Counter(none=99)
    assert (asked["none"] > 0) == (space == "s3")


def test_nodes_that_nothing_leads_to_are_zero() -> None:
    net, weights, _, images = sample("s3")
    none = torch.tensor([1e9, 0.0, 0.0], dtype=torch.float64).repeat(28).requires_grad_()
    logits = net(weights, none, images, Chance(0))
    torch.testing.assert_close(logits, weights["head.bias"].expand(4, 5))
    first = none.detach().clone()
    first[:15] = 0.0  # the first two nodes of the normal cell have edges
    assert net(weights, first, images, Chance(0)).isfinite().all()


def test_equal_draws_give_equal_bits_and_candidates_are_counted() -> None:
    problem = make_problem(tiny("zarts-mgs", SAMPLED, {"search": {"draws": 3}}))
    alpha = problem.alpha
    near = torch.stack([alpha, alpha + 1e-9, 2 * torch.randn(84, generator=generator(0, "far"))])
    losses = problem.objective.at(0).evaluate(near)
    assert losses[0] == losses[1] != losses[2]
    assert problem.objective.at(2).evaluate(near)[0] == problem.objective.at(2).evaluate(near)[1]
    batches = problem.objective.val_batches()
    assert problem.objective.val_loss.distinct(near, batches) == 2
    assert not hasattr(make_problem(tiny("zarts-mgs")).objective.val_loss, "distinct")


@pytest.mark.parametrize("space", ["s3", "s4"])
def test_several_draws_are_the_mean_of_each(space: str) -> None:
    """Losses, those of images, accuracies and gradients; also of networks that draw noise."""
    change = {"supernet": {"space": space, "network": "sampled" if space == "s3" else "fast"}}
    one, three = (
        make_problem(tiny("zarts-mgs", change, {"dtype": "float64", "search": {"draws": n}}))
        for n in (1, 3)
    )
    alphas = torch.randn(2, len(one.alpha), generator=generator(0, "alphas"), dtype=torch.float64)
    loss, (batch,) = three.objective.val_loss, three.objective.val_batches()
    weights, drawn = three.objective.weights, loss._drawn(batch)
    assert len({each.chance for each in drawn}) == 3
    singles = [one.loss.scores(weights, alphas, each, shared=True) for each in drawn]
    found = three.objective.at(0).measure(alphas)
    images = torch.stack([each.images for each in singles]).mean(0)
    torch.testing.assert_close(found.loss, images.mean(1))
    torch.testing.assert_close(found.error, images.std(1) / 16**0.5)
    hits = torch.stack([each.hits.double() for each in singles]).mean((0, 2))
    torch.testing.assert_close(found.accuracy, hits)
    torch.testing.assert_close(three.objective.at(0).samples(alphas), images)
    seen = landscape_objective(tiny("zarts-mgs", change, {"landscape": {"draws": 3}}), weights, 0.1)
    assert (seen.val_loss.draws, seen.train_loss.draws, three.objective.train_loss.draws) == (
        3,
        1,
        1,
    )


def test_a_search_stores_how_many_candidates_were_distinct(tmp_path: Path) -> None:
    config = tiny("zarts-mgs", SAMPLED, {"search": {"warmup": 1}})
    run = create(tmp_path / "run", config)
    record_search(run, config)
    warm, moving = (run.read(f"search/epoch-000{epoch}").arrays for epoch in (1, 2))
    assert "diagnostics/distinct" not in warm
    counts = moving["diagnostics/distinct"]
    assert counts.shape == moving["loss"].shape
    assert counts.min() >= 1
    assert counts.max() <= 4


def test_a_plan_has_the_memory_of_the_largest_draw() -> None:
    """Less than all operations; and the gradient of a mean over draws keeps each of them."""

    def needed(*changes: dict[str, Any]) -> int:
        paper = {"supernet": {"space": "s6", "channels": 8, "cells": 3, "lanes": 1}}
        return memory_needed(tiny("darts-1", paper, *changes), 10, (3, 16, 16))

    one, four = (needed(SAMPLED, {"search": {"draws": draws}}) for draws in (1, 4))
    assert one < 0.6 * needed()
    assert one < four < 4 * one
