"""What a retraining will cost: counted operations, and a rate that is measured in a moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import torch
from torch import nn

from zarts.bilevel.chance import Chance
from zarts.bilevel.rng import generator
from zarts.genotype.cost import Cost, cost
from zarts.problems.cost import seconds_per_image
from zarts.retrain.data import Feed, Loaded, load
from zarts.retrain.extent import check_memory, extent, network_of
from zarts.retrain.network import start
from zarts.retrain.settings import RetrainConfig
from zarts.retrain.training import Trainer
from zarts.supernet.genotype import parse

__all__ = ["RetrainPlan", "plan_retraining", "seconds_per_mac"]

# Of a network of more macs one of few cells is timed instead.
SMALL, FEW_CELLS = 100_000_000, 3
BACKWARD = 3  # a step costs as much as so many forward passes


@dataclass(frozen=True)
class RetrainPlan:
    """The extent and the expected cost of a retraining.

    Attributes:
        steps: Of all epochs.
        seconds: Expected wall time of one process, tests included.
        measured: Whether the step itself was timed; else its time follows from ``macs``.
        memory: Expected peak of a step, bytes.
        parameters: Of the network, without the auxiliary head.
        macs: Multiplications with additions for one image (``zarts.genotype.cost``).
        facts: Of the data, see ``Loaded.facts``.
    """

    steps: int
    seconds: float
    measured: bool
    memory: int
    parameters: int
    macs: int
    facts: dict[str, Any]


def plan_retraining(config: RetrainConfig, *, measure: bool = False) -> RetrainPlan:
    """Plans a retraining; checks settings, data and memory on the way.

    Args:
        config: Its settings.
        measure: Time a step of the network itself, however long it takes.

    Raises:
        ConfigError: If the settings cannot be used, or need more memory than there is.
        MissingData: If a data set is not there.
    """
    loaded = load(config)
    classes, shape = loaded.train.classes, loaded.shape
    memory = check_memory(config, extent(config, classes, shape))
    feed, counted = Feed(config, loaded), _cost(config, classes, shape)
    if measure:
        step = _real(config, loaded)
    else:
        per_mac = seconds_per_mac(config, classes, shape)
        step = counted.macs * config.data.batch_size * per_mac
    images = len(loaded.tested) * (config.training.passes if _noisy(config) else 1)
    test = step * images / config.data.batch_size / BACKWARD
    steps = config.training.epochs * feed.steps
    share = feed.images / feed.steps / config.data.batch_size  # the last batch is a smaller one
    return RetrainPlan(
        steps=steps,
        seconds=steps * step * share + config.training.epochs * test,
        measured=measure,
        memory=memory,
        parameters=counted.parameters,
        macs=counted.macs,
        facts=loaded.facts(),
    )


def _cost(config: RetrainConfig, classes: int, shape: tuple[int, int, int]) -> Cost:
    net = config.network
    return cost(
        parse(config.genotype),
        channels=net.channels,
        count=net.cells,
        classes=classes,
        stem=net.stem,
        image=shape,
    )


def _noisy(config: RetrainConfig) -> bool:
    genotype = parse(config.genotype)
    return any(name == "noise" for name, _ in (*genotype.normal, *genotype.reduce))


def _real(config: RetrainConfig, loaded: Loaded) -> float:
    """Seconds of a step, the second of two."""
    steps = Trainer(config, loaded).steps(0)
    next(steps)
    return _timed(config, lambda: [None for _ in islice(steps, 1)])


def seconds_per_mac(config: RetrainConfig, classes: int, shape: tuple[int, int, int]) -> float:
    """Seconds of a training step per multiplication and image, measured on this device.

    On the network, or one of few cells, and on as many images as take a moment.

    Args:
        config: Settings of a retraining.
        classes: Of its images.
        shape: (channels, height, width) of its images.
    """
    if _cost(config, classes, shape).macs > SMALL:
        few = replace(config.network, cells=min(FEW_CELLS, config.network.cells))
        config = replace(config, network=few)
    most = -(-config.data.batch_size // config.training.accumulate)
    macs = _cost(config, classes, shape).macs
    with torch.device("meta"):
        network = network_of(config, classes, shape[0])
    network.to_empty(device="cpu")
    start(network, generator(0, "plan"))
    layout = torch.channels_last if config.network.layout == "last" else torch.contiguous_format
    network = network.to(config.device, memory_format=layout)  # type: ignore[call-overload]
    images = torch.randn(most, *shape, device=config.device).contiguous(memory_format=layout)
    labels = torch.arange(most, device=config.device) % classes

    def step(count: int) -> None:
        heads = network(images[:count], Chance(0))
        loss = nn.functional.cross_entropy(heads.logits, labels[:count])
        loss.backward()
        network.zero_grad()

    return seconds_per_image(step, most, config.device) / macs


def _timed(config: RetrainConfig, run: Callable[[], object]) -> float:
    before = time.perf_counter()
    run()
    if config.device != "cpu":
        torch.cuda.synchronize(config.device)
    return time.perf_counter() - before
