"""What a study takes, from counted multiplications and a rate: no data set is needed."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from zarts.bilevel.chance import Chance
from zarts.bilevel.inner import SGD, Weights, descend
from zarts.bilevel.rng import generator
from zarts.data.loaders import side_lengths
from zarts.genotype.cost import NetworkSize, cost, supernet_macs
from zarts.optimizers.method import gradient_cost
from zarts.problems.cost import seconds_per_image
from zarts.problems.optimizer import make_optimizer
from zarts.problems.parts import network_of
from zarts.reproduce.condition import DIRECTIONS
from zarts.retrain.plan import BACKWARD, FEW_CELLS, seconds_per_mac
from zarts.retrain.settings import Images, RetrainConfig
from zarts.settings.config import Config, DataConfig
from zarts.settings.stages import Stage
from zarts.supernet.genotype import parse

__all__ = ["Rates", "condition_passes", "retraining_passes", "search_passes"]


class Extent(NamedTuple):
    """Images of a data set: to train on, to test on, their channels, and classes."""

    train: int
    test: int
    channels: int
    classes: int


EXTENTS = {
    "packaged": Extent(8_000, 2_000, 1, 10),
    "cifar10": Extent(50_000, 10_000, 3, 10),
    "cifar100": Extent(50_000, 10_000, 3, 100),
    "svhn": Extent(73_257, 26_032, 3, 10),
    "fashion-mnist": Extent(60_000, 10_000, 1, 10),
    "imagenet": Extent(1_281_167, 50_000, 3, 1000),
}


def search_passes(config: Config) -> float:
    """Multiplications of a search, a backward pass counted as two forward ones.

    Those of the network that computes all operations: what a variant saves is in its rate.
    """
    data, search = config.data, config.search
    train, val = _halves(config)
    optimizer = make_optimizer(config)
    steps = gradient_cost(optimizer, search.inner_steps).steps if optimizer.gradients else 0
    each = optimizer.evaluations * (
        BACKWARD * search.inner_steps * search.inner_batch_size
        + data.batch_size * config.search.draws
    )
    each += optimizer.gradients * BACKWARD * (steps * search.inner_batch_size + data.batch_size)
    total = 0.0
    for stage in config.program.stages:
        macs = supernet_macs(stage.space, _size(config, stage))
        updates = math.ceil(math.ceil(train / data.batch_size) / search.period)
        images = stage.epochs * (BACKWARD * train + val) + (stage.epochs - stage.warmup) * (
            updates * each
        )
        total += images * macs
    return total


def condition_passes(config: Config) -> float:
    """Multiplications of a condition number: of L_M at α and in each direction."""
    land, search, stage = config.landscape, config.search, config.program.stages[-1]
    val = land.val_batches * land.val_batch_size or _halves(config)[1]
    each = BACKWARD * land.steps * search.inner_batch_size + val
    return (DIRECTIONS + 1) * each * supernet_macs(stage.space, _size(config, stage))


def _halves(config: Config) -> tuple[int, int]:
    """Images of D_train and D_val."""
    data = config.data
    whole = EXTENTS[data.name].train * data.share
    train, val = (int(whole * share) for share in (data.portion, 1 - data.portion))
    return min(data.subset or train, train), min(data.subset or val, val)


def _size(config: Config, stage: Stage) -> NetworkSize:
    net, classes = config.supernet, EXTENTS[config.data.name].classes
    return NetworkSize(net.channels, stage.cells, classes, net.stem, _images(config.data))


def retraining_passes(config: RetrainConfig) -> float:
    """Multiplications of a retraining, a backward pass counted as two forward ones."""
    net, data, found = config.network, config.data, EXTENTS[config.data.name]
    macs = cost(
        parse(config.genotype),
        channels=net.channels,
        count=net.cells,
        classes=found.classes,
        stem=net.stem,
        image=_shape(config),
    ).macs
    train = data.count or found.train - data.first
    return config.training.epochs * (BACKWARD * train + found.test) * macs


def _shape(config: RetrainConfig) -> tuple[int, int, int]:
    return _images(config.data)


def _images(data: DataConfig | Images) -> tuple[int, int, int]:
    """Channels, height and width."""
    height, width = (side // data.downscale for side in side_lengths(data.name, data.sides))
    return (EXTENTS[data.name].channels, height, width)


class Rates:
    """Seconds per multiplication of a forward pass on this device, each kind measured once."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], float] = {}

    def retraining(self, config: RetrainConfig) -> float:
        """The rate of networks like that of a retraining."""
        key = (config.device, config.network.channels, config.network.stem, _shape(config))
        if key not in self._known:
            classes = EXTENTS[config.data.name].classes
            self._known[key] = seconds_per_mac(config, classes, _shape(config)) / BACKWARD
        return self._known[key]

    def search(self, config: Config) -> float:
        """The rate of supernets like that of a search: of its size, in its largest space."""
        net, device = config.supernet, config.device
        key = (device, net.channels, net.stem, net.network, _images(config.data))
        if key not in self._known:
            self._known[key] = _supernet_rate(config)
        return self._known[key]


def _supernet_rate(config: Config) -> float:
    """Measured on a few cells."""
    found, image = EXTENTS[config.data.name], _images(config.data)
    stage = replace(config.program.stages[0], cells=min(FEW_CELLS, config.supernet.cells))
    network = network_of(config, found.classes, image[0], stage)
    rng, device = generator(0, "rate"), config.device
    weights = {name: weight.to(device) for name, weight in network.init(rng).items()}
    alpha = network.space.init(rng).to(device)
    most = config.search.inner_batch_size
    images = torch.randn(most, *image, generator=rng).to(device)
    labels = torch.arange(most, device=device) % found.classes

    def step(count: int) -> None:
        def loss(weights: Weights, batch: int) -> Tensor:
            logits = network(weights, alpha, images[:batch], Chance(0))
            return functional.cross_entropy(logits, labels[:batch])

        descend(loss, weights, [count], SGD(0.1))

    macs = supernet_macs(stage.space, _size(config, stage))
    return seconds_per_image(step, most, device) / macs / BACKWARD
