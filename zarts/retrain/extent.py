"""The network of some settings, and the memory that a step of it takes. Nothing is computed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from zarts.problems.memory import BASE_BYTES, available, bytes_kept
from zarts.retrain.network import CellNetwork
from zarts.retrain.settings import RetrainConfig
from zarts.settings.config import ConfigError
from zarts.supernet.genotype import parse

__all__ = ["Extent", "check_memory", "extent", "network_of"]

COPIES = 4  # of the parameters: they, their gradients, momentum, and what is made on the way


@dataclass(frozen=True)
class Extent:
    """The memory of a step.

    Attributes:
        each: Bytes that a step keeps for the backward pass, an image.
        own: Bytes that do not depend on the number of images.
    """

    each: int
    own: int

    def memory(self, images: int) -> int:
        """Bytes of a step with so many images in a part of a batch."""
        return self.own + self.each * images

    def fitting(self, device: str) -> int:
        """About how many images in a part of a batch the memory of a device holds."""
        return max(0, (available(device) - BASE_BYTES - self.own) // self.each)


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
    """The memory of a network, from a pass over tensors without storage.

    Args:
        config: Settings.
        classes: Of the data set.
        shape: (channels, height, width) of its images.

    Raises:
        ConfigError: If the network cannot be built.
    """
    with torch.device("meta"):
        network = network_of(config, classes, shape[0])
        images = torch.empty(2, *shape)
    kept = bytes_kept(lambda: network(images))
    weights = 4 * sum(math.prod(weight.shape) for weight in network.parameters())
    each = max(1, kept - weights) // len(images)
    if config.training.precision != "float32":
        each //= 2
    return Extent(each, COPIES * weights)


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
    fit = found.fitting(config.device)
    # as few parts as fit, in a number that processes can share
    cure = "use a smaller network (network.channels, network.cells)"
    if fit >= 2:
        more = parts * -(-images // fit)
        cure = f"about {fit} would fit: set training.accumulate = {more}, or lower data.batch_size"
    raise ConfigError(
        f"a step over {images} images needs about {need / 2**30:.1f} GiB, {config.device} has "
        f"{there / 2**30:.1f} GiB; {cure}"
    )
