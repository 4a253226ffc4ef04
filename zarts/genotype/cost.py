"""What the network of a genotype costs: closed forms over its layout. No torch in here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import NamedTuple

from zarts.bilevel.alpha import Space
from zarts.supernet.genotype import Genotype, Inputs, parameters
from zarts.supernet.layout import EDGES, NODES, Cell, cells, stem_shapes
from zarts.supernet.shapes import shapes

__all__ = ["NETWORKS", "Cost", "NetworkSize", "cost", "network_size", "supernet_macs"]


@dataclass(frozen=True)
class NetworkSize:
    """How large a network is built of a genotype.

    Attributes:
        channels: Initial channels C.
        count: Number of cells L.
        classes: Number of classes.
        stem: ``"cifar"`` or ``"imagenet"``.
        image: Channels, height and width of the images.
    """

    channels: int = 36
    count: int = 20
    classes: int = 10
    stem: str = "cifar"
    image: tuple[int, int, int] = (3, 32, 32)


NETWORKS = {
    "20x36": NetworkSize(),
    "8x16": NetworkSize(16, 8),
    "20x16": NetworkSize(16),
    "imagenet": NetworkSize(48, 14, 1000, "imagenet", (3, 224, 224)),
}


def network_size(text: str, classes: int | None = None) -> NetworkSize:
    """Reads the size of a network: one of ``NETWORKS``, or ``LxC`` for L cells of C channels.

    Args:
        text: What to read.
        classes: Number of classes; None: 1000 for ``imagenet``, else 10.

    Raises:
        ValueError: If it is none, or no such network can be built.
    """
    if text in NETWORKS:
        size = NETWORKS[text]
    elif found := re.fullmatch(r"(\d{1,4})x(\d{1,5})", text):
        size = NetworkSize(int(found[2]), int(found[1]))
    else:
        raise ValueError(
            f"got network {text!r}, expected one of {', '.join(NETWORKS)}, or CELLSxCHANNELS"
        )
    if classes is not None and classes < 1:
        raise ValueError(f"got {classes} classes, expected at least 1")
    for _ in cells(size.channels, size.count, size.stem):  # which says what is wrong with a size
        pass
    return size if classes is None else replace(size, classes=classes)


@dataclass(frozen=True)
class Cost:
    """What a network costs.

    Attributes:
        parameters: Without the auxiliary head, as papers count.
        with_auxiliary: Parameters with it.
        macs: Multiply-accumulates of convolutions and of the head for one image.
        thop_legacy: What papers of the DARTS family print as FLOPs: ``macs``, two for each number
            that a BatchNorm gives, and one for each that goes through a ReLU.
    """

    parameters: int
    with_auxiliary: int
    macs: int
    thop_legacy: int


def cost(
    genotype: Genotype,
    *,
    channels: int = 36,
    count: int = 20,
    classes: int = 10,
    stem: str = "cifar",
    image: tuple[int, int, int] = (3, 32, 32),
) -> Cost:
    """Counts parameters and operations of the network of a genotype, for one image.

    Example:
        >>> from zarts import Genotype, cost
        >>> cell = (("skip_connect", 0), ("sep_conv_3x3", 1)) * 4
        >>> cost(Genotype(cell, cell), channels=16, count=8)
        Cost(parameters=277114, with_auxiliary=712580, macs=44354048, thop_legacy=47647232)

    Args:
        genotype: Its cells.
        channels: Initial channels C.
        count: Number of cells L.
        classes: Number of classes.
        stem: ``"cifar"`` or ``"imagenet"``.
        image: Channels, height and width of the images; odd sides are halved rounding up.

    Raises:
        ValueError: If a size is too small.

    Source: DARTS' ``model.py``; ``thop_legacy`` as thop counted at the time: it has no count for
    pools, and no auxiliary head.
    """
    if min(image) < 1:
        raise ValueError(f"got an image of {image}, expected channels and sides of at least 1")
    counted = partial(
        parameters,
        genotype,
        channels=channels,
        count=count,
        classes=classes,
        stem=stem,
        image_channels=image[0],
    )
    inputs = {"normal": genotype.normal, "reduce": genotype.reduce}
    size = NetworkSize(channels, count, classes, stem, image)
    units = list(_units(inputs, len(genotype.concat), size))
    width = len(genotype.concat) * list(cells(channels, count, stem))[-1].channels
    macs = sum(unit.macs for unit in units) + width * classes
    more = sum(2 * unit.normalised + unit.rectified for unit in units)
    return Cost(counted(), counted(auxiliary=True), macs, macs + more)


def supernet_macs(space: Space, size: NetworkSize) -> int:
    """Multiply-accumulates of a supernet that computes all operations of every edge, for one image.

    Args:
        space: The operations of each edge.
        size: Its size.
    """
    inputs = {
        group.name: tuple(
            (operation, edge.source)
            for edge, offered in zip(EDGES, group.operations, strict=True)
            for operation in offered
        )
        for group in space.groups
    }
    width = NODES * list(cells(size.channels, size.count, size.stem))[-1].channels
    return sum(unit.macs for unit in _units(inputs, NODES, size)) + width * size.classes


class _Unit(NamedTuple):
    """Maybe a ReLU, convolutions of one size of output, and a BatchNorm.

    Attributes:
        macs: Multiply-accumulates.
        normalised: Numbers that the BatchNorm gives.
        rectified: Numbers that go through the ReLU.
    """

    macs: int
    normalised: int
    rectified: int


class _Image(NamedTuple):
    height: int
    width: int

    @property
    def pixels(self) -> int:
        return self.height * self.width

    def halved(self) -> _Image:
        """What a stride of 2 leaves; odd sides are rounded up."""
        return _Image(-(-self.height // 2), -(-self.width // 2))


def _units(inputs: Mapping[str, Inputs], concat: int, size: NetworkSize) -> Iterator[_Unit]:
    channels, count, stem, image = size.channels, size.count, size.stem, size.image
    before = now = _Image(*image[1:])
    stems = stem_shapes(stem, channels, image[0]).values()
    kernels = [shape for shape in stems if len(shape) == 4]
    rectified = 0  # nothing before the first convolution
    for shape in kernels:
        before, now = now, now.halved() if stem == "imagenet" else now
        yield _Unit(prod(shape) * now.pixels, shape[0] * now.pixels, rectified)
        rectified = shape[0] * now.pixels
    for cell in cells(channels, count, stem, concat):
        for width, source in zip(cell.inputs, (before, now), strict=True):
            made = cell.channels * now.pixels  # an image of before is halved if it is larger
            yield _Unit(width * made, made, width * source.pixels)
        after = now.halved() if cell.reduction else now
        for operation, source_state in inputs[cell.kind]:
            read = now if source_state < 2 else after
            yield from _edge(operation, cell, cell.stride(source_state), read, after)
        before, now = now, after


def _edge(operation: str, cell: Cell, stride: int, read: _Image, made: _Image) -> Iterator[_Unit]:
    """The layers of an operation; all its convolutions give images of the last one's size."""
    weights: dict[str, int] = {}
    for name, shape in shapes(operation, cell.channels, stride).items():
        layer = name.rpartition("_")[2]
        weights[layer] = weights.get(layer, 0) + prod(shape)
    rectified = cell.channels * read.pixels
    for total in weights.values():
        yield _Unit(total * made.pixels, cell.channels * made.pixels, rectified)
        rectified = cell.channels * made.pixels
