"""How large a network is: its multiplications, and the memory of a step. Nothing is computed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from zarts.problems.cost import BASE_BYTES, available, bytes_kept
from zarts.retrain.network import CellNetwork
from zarts.retrain.settings import RetrainConfig
from zarts.settings.config import ConfigError
from zarts.supernet.genotype import parse

__all__ = ["Extent", "check_memory", "extent", "fitting", "network_of"]

COPIES = 4  # of the parameters: they, their gradients, momentum, and what is made on the way


@dataclass(frozen=True)
class Extent:
    """What one network takes.

    Attributes:
        macs: Multiplications with additions of convolutions and linear layers, an image, without
            the auxiliary head.
        each: Bytes that a step keeps for the backward pass, an image.
        own: Bytes that do not depend on the number of images.
    """

    macs: int
    each: int
    own: int

    def memory(self, images: int) -> int:
        """Bytes of a step with so many images in a part of a batch."""
        return self.own + self.each * images


def network_of(config: RetrainConfig, classes: int, image_channels: int) -> CellNetwork:
    """The network of some settings, whose parameters are not drawn yet.

    Raises:
        ConfigError: If it cannot be built.
    """
    net = config.network
    if not config.genotype:
        raise ConfigError("genotype is empty, expected Genotype(normal=[...], ...); name one")
    try:
        return CellNetwork(
            parse(config.genotype),
            channels=net.channels,
            count=net.cells,
            classes=classes,
            stem=net.stem,
            auxiliary=config.training.auxiliary > 0,
            image_channels=image_channels,
        )
    except ValueError as error:
        raise ConfigError(f"network: {error}") from error


def extent(config: RetrainConfig, classes: int, shape: Sequence[int]) -> Extent:
    """The extent of a network, from two passes over tensors without storage.

    Args:
        config: Settings.
        classes: Of the data set.
        shape: (channels, height, width) of its images.

    Raises:
        ConfigError: If the network cannot be built.
    """
    with torch.device("meta"):
        network = network_of(config, classes, shape[0])
        few, more = torch.empty(2, *shape), torch.empty(4, *shape)
    counted: list[int] = []

    def count(module: nn.Module, inputs: Any, output: Tensor) -> None:  # noqa: ANN401
        weight = module.weight
        assert isinstance(weight, Tensor)
        counted.append(output[0].numel() * weight[0].numel())

    hooks = [
        module.register_forward_hook(count)
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and not name.startswith("auxiliary.")
    ]
    less = bytes_kept(lambda: network(few))
    macs = sum(counted)
    for hook in hooks:
        hook.remove()
    each = (bytes_kept(lambda: network(more)) - less) // 2
    each = each if config.training.precision == "float32" else each // 2
    own = COPIES * 4 * sum(math.prod(weight.shape) for weight in network.parameters())
    return Extent(macs, each, own)


def fitting(config: RetrainConfig, classes: int, shape: Sequence[int]) -> int:
    """About how many images in a part of a batch the memory of the device holds."""
    found = extent(config, classes, shape)
    return max(0, (available(config.device) - BASE_BYTES - found.own) // found.each)


def check_memory(config: RetrainConfig, found: Extent) -> int:
    """Bytes of a step.

    Raises:
        ConfigError: If that is more than the device has; says what would fit.
    """
    data, parts = config.data, config.training.accumulate
    images = -(-data.batch_size // parts)
    need, there = found.memory(images), available(config.device)
    if need + BASE_BYTES <= there:
        return need
    fit = max(0, (there - BASE_BYTES - found.own) // found.each)
    # as few parts as fit, in a number that processes can share
    cure = "use a smaller network (network.channels, network.cells)"
    if fit >= 2:
        more = parts * -(-images // fit)
        cure = f"about {fit} would fit: set training.accumulate = {more}, or lower data.batch_size"
    raise ConfigError(
        f"a step over {images} images needs about {need / 2**30:.1f} GiB, {config.device} has "
        f"{there / 2**30:.1f} GiB; {cure}"
    )
