"""Drops of paths and of single numbers: the same in both networks, and what they are said to be."""

from __future__ import annotations

import pytest
import torch

from tests.tiny import tiny
from tests.zarts.supernet.fast.test_network import KERNELS, distance, sample
from zarts.bilevel.chance import Chance
from zarts.bilevel.rng import generator
from zarts.problems.parts import network_of
from zarts.supernet.drops import number_mask, path_masks
from zarts.supernet.fast.network import Supernet
from zarts.supernet.plain import PlainSupernet
from zarts.supernet.protocol import NETWORKS
from zarts.supernet.spaces import SPACES

BOTH = Chance(7, drop_path=0.3, drop_skip=0.4)


@pytest.mark.parametrize(
    ("how", "chance"),
    [
        ("products", BOTH),
        ("channels first", BOTH),
        ("edge by edge", Chance(7, drop_path=0.3)),
        ("few calls", Chance(7, drop_skip=0.4)),
    ],
)
def test_both_networks_drop_the_same(chance: Chance, how: str) -> None:
    """In values and gradients, alone, side by side, and where the stem is shared."""
    net = Supernet(SPACES["s5"], 2, 3, 5, 2, "cifar", KERNELS[how])
    weights, alpha, images = sample(net, (7, 6))
    leaves = [*(weight.requires_grad_() for weight in weights.values()), alpha.requires_grad_()]
    values = [network(weights, alpha, images, chance) for network in (PlainSupernet.like(net), net)]
    got = [torch.autograd.grad(value.square().sum(), leaves) for value in values]
    assert distance(*values) < 1e-10
    assert distance(*(torch.cat([grad.flatten() for grad in grads]) for grads in got)) < 1e-10
    with torch.no_grad():
        assert distance(net(weights, alpha, images, Chance(7)), values[1]) > 0.01
        stack = {name: torch.stack([weight, weight]) for name, weight in weights.items()}
        both = torch.stack([alpha, -alpha])
        for found in (
            net.many(weights, both, images, chance),
            net.each(stack, both, images, chance),
        ):
            assert distance(found[0], values[0]) < 1e-10


@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_drops(network: str) -> None:
    changes = {"supernet": {"network": network, "space": "s6", "channels": 4, "cells": 3}}
    net = network_of(tiny("darts-1", changes), 5, 2)
    weights, alpha = net.init(generator(0, "weights")), torch.zeros(net.space.dim)
    images = torch.randn(4, 2, 7, 6, generator=generator(0, "images"))
    chances = Chance(7), Chance(7, drop_path=0.5), Chance(7, drop_skip=0.5)
    logits = [net(weights, alpha, images, chance) for chance in chances]
    assert all(distance(one, logits[0]) > 1e-3 for one in logits[1:])


def test_paths_are_dropped_per_image_and_edge_and_means_stay() -> None:
    images = torch.zeros(2000, 1)
    masks = path_masks(Chance(3, drop_path=0.2), 1, images)
    assert masks is not None
    assert masks.shape == (14, 2000, 1, 1, 1)
    assert masks.unique().tolist() == [0, 1.25]
    assert abs(float(masks.mean()) - 1) < 0.01
    assert float(masks[:, 0].mean()) != float(masks[:, 1].mean())
    again, other = (path_masks(Chance(key, drop_path=0.2), 1, images) for key in (3, 4))
    assert again is not None
    assert torch.equal(masks, again)
    assert other is not None
    assert not torch.equal(masks, other)
    assert path_masks(Chance(3), 1, images) is None


def test_numbers_of_skips_are_dropped_at_stride_one_only() -> None:
    mask = number_mask(Chance(3, drop_skip=0.5), 0, 1, (40, 4, 5, 5), torch.zeros(1).double())
    assert mask.unique().tolist() == [0, 2]
    assert 0.9 < float(mask.mean()) < 1.1
    assert mask.dtype == torch.float64
    net = Supernet(SPACES["s3"], 4, 1, 5, 1)  # one cell, which reduces
    weights, _, images = sample(net, (8, 8))
    skips, chance = torch.tensor([-60.0, 60.0, -60.0]).double(), Chance(3, drop_skip=0.5)
    inputs = [edge for edge in range(14) if edge in (0, 1, 2, 3, 5, 6, 9, 10)]  # of stride 2
    for edges, same in ((inputs, True), (range(14), False)):
        rows = torch.full((28, 3), -60.0).double()
        rows[:, 0] = 60.0  # none
        rows[[14 + edge for edge in edges]] = skips
        alpha = rows.flatten()
        found, plain = (net(weights, alpha, images, each) for each in (chance, Chance(3)))
        assert torch.equal(found, plain) == same
