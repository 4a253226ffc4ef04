"""The shape of a DARTS network: which cells, which edges, how many channels; and its stems.

Shared by the supernet and by the parameter count of a discrete network. Source: DARTS, §2.1 and
§3.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from zarts.bilevel.alpha import Group
from zarts.supernet.shapes import Shapes

__all__ = ["EDGES", "NODES", "STEMS", "Cell", "Edge", "Use", "cells", "outgoing", "stem_shapes"]

NODES = 4
STEMS = ("cifar", "imagenet")


class Edge(NamedTuple):
    """Input ``source`` of intermediate node ``node``; sources 0 and 1 are the cell's two inputs."""

    node: int
    source: int


EDGES = tuple(Edge(node, source) for node in range(NODES) for source in range(node + 2))


class Use(NamedTuple):
    """An operation on an edge: logit ``column`` of ``edge``, which leads to ``node``."""

    edge: int
    node: int
    column: int


def outgoing(group: Group) -> list[dict[str, list[Use]]]:
    """Sorts the operations of a cell by the source they read.

    Returns:
        One dictionary per source 0..4: operation -> its uses, in the order of the edges. ``none``
        is left out: it adds nothing.
    """
    plan: list[dict[str, list[Use]]] = [{} for _ in range(NODES + 1)]
    for edge, (node, source) in enumerate(EDGES):
        for column, operation in enumerate(group.operations[edge]):
            if operation != "none":
                plan[source].setdefault(operation, []).append(Use(edge, node, column))
    return plan


@dataclass(frozen=True)
class Cell:
    """One cell: the channels of its two inputs and of its nodes, and what shrinks.

    Attributes:
        inputs: Channels of the outputs of the cell before the previous one and of the previous one.
        channels: Channels of every node.
        reduction: Whether the edges from the two inputs have stride 2.
        after_reduction: Whether the previous cell reduced, so that input 0 is twice as large.
    """

    inputs: tuple[int, int]
    channels: int
    reduction: bool
    after_reduction: bool

    @property
    def kind(self) -> str:
        """Name of the group of α this cell uses."""
        return "reduce" if self.reduction else "normal"

    def stride(self, source: int) -> int:
        """Stride of the edges that leave ``source``."""
        return 2 if self.reduction and source < 2 else 1


def cells(channels: int, count: int, stem: str, concat: int = NODES) -> Iterator[Cell]:
    """Yields the ``count`` cells of a network of ``channels`` initial channels.

    Channels double at the reduction cells, at one and two thirds of the depth. With fewer than
    three cells every cell reduces, and α of the normal cell has no effect. A cell's output is
    ``concat`` states.

    Raises:
        ValueError: If a size is too small or the stem is unknown.
    """
    if channels < 2 or channels % 2:
        raise ValueError(f"got {channels} channels, expected an even number; use 16 as DARTS does")
    if count < 1:
        raise ValueError(f"got {count} cells, expected at least 1; use 8 as DARTS does")
    if stem not in STEMS:
        raise ValueError(f"got stem {stem!r}, expected one of {', '.join(STEMS)}")
    width = 3 * channels if stem == "cifar" else channels
    inputs = (width, width)
    after_reduction = stem == "imagenet"
    for index in range(count):
        reduction = index in (count // 3, 2 * count // 3)
        channels = 2 * channels if reduction else channels
        yield Cell(inputs, channels, reduction, after_reduction)
        inputs = (inputs[1], concat * channels)
        after_reduction = reduction


def stem_shapes(stem: str, channels: int, image_channels: int) -> Shapes:
    """Returns the shapes of the stem's parameters; its BatchNorms are always affine.

    ``cifar`` is a 3x3 convolution to 3C. ``imagenet`` is C/2, C, C with strides 2, 2, 2. The
    released ZARTS code widens the latter to 3C in the search; this is the stem of the DARTS paper.
    """
    if stem == "cifar":
        widths = {"stem.0": (image_channels, 3 * channels)}
    else:
        half = channels // 2
        widths = {
            "stem.0": (image_channels, half),
            "stem.1": (half, channels),
            "stem.2": (channels, channels),
        }
    shapes: Shapes = {}
    for name, (before, after) in widths.items():
        shapes[f"{name}.convolution"] = (after, before, 3, 3)
        shapes[f"{name}.scale"] = (after,)
        shapes[f"{name}.shift"] = (after,)
    return shapes
