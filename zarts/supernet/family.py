"""What an operation is: its definition, and how it acts on all edges of a source.

A new operation needs its definition (``plain``) and, if it has parameters, their shapes. A family
that takes all edges at once is faster; what it gives must be the same.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import repeat
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from zarts.supernet.fast.kernels import Kernels, channels_last, pad_to_even, to_phases
from zarts.supernet.fast.normalization import batch_norm
from zarts.supernet.shapes import Shapes

__all__ = [
    "Edges",
    "Found",
    "Operation",
    "Rng",
    "Source",
    "Weights",
    "convolved",
    "shared",
]

Weights = Mapping[str, Tensor]
Rng = Callable[[], torch.Generator]  # makes the generator of one edge


class Source:
    """What all operations that leave one source read.

    Attributes:
        x: The image (n, L·C, h, w) of L candidates side by side.
        stride: Of all the edges.
        kernels: How convolutions are computed.
        lanes: L.
        active: The image after ReLU.
    """

    def __init__(self, x: Tensor, stride: int, kernels: Kernels, lanes: int = 1) -> None:
        self.x, self.stride, self.kernels, self.lanes = x, stride, kernels, lanes
        self.active = functional.relu(x)
        self._beside = dict[tuple[Tensor, int], Tensor]()

    @cached_property
    def crop(self) -> tuple[int, int] | None:
        """Height and width if these are odd, so that the phases are padded."""
        height, width = self.x.shape[2:]
        return (height, width) if self.stride == 1 and (height % 2 or width % 2) else None

    @cached_property
    def thinned(self) -> Tensor:
        """The image after ReLU as dilated convolutions read it: its phases, or even pixels only."""
        if self.stride == 2:  # a pool of one pixel; its gradient is faster than a slice's
            return functional.avg_pool2d(self.active, 1, 2)
        return to_phases(pad_to_even(self.active))

    def beside(self, x: Tensor, count: int) -> Tensor:
        """An image (n, C, h, w) as many times, as further channels (n, count·C, h, w).

        Nobody may write to it: where calls cost much, all operations that read ``active``, or
        ``thinned``, share one, whose gradient is one sum.
        """
        if count == 1:
            return x
        if not self.kernels.few_calls(x):
            return torch.cat([x] * count, dim=1)
        if (x, count) not in self._beside:
            rows = x.permute(0, 2, 3, 1).unsqueeze(3).expand(-1, -1, -1, count, -1)
            self._beside[x, count] = rows.flatten(3).permute(0, 3, 1, 2)
        return self._beside[x, count]


class Edges(NamedTuple):
    """The edges that leave a source with one operation.

    Attributes:
        number: E.
        weights: The tensors named by ``operations.shapes``, along dimension 0 stacked over E edges
            and, within an edge, over L lanes.
        mixture: Weight of the operation on each edge, the same for all channels, (E, C), and for
            those of each lane if there are several (E, L, C); or None for results without it.
        draw: Makes the generator of an edge, given its position.
    """

    number: int
    weights: Weights
    mixture: Tensor | None
    draw: Callable[[int], torch.Generator]


class Found(NamedTuple):
    """What an operation gives on the edges that leave a source.

    Attributes:
        values: An image (n, L·C, h/stride, w/stride) of each edge, maybe one and the same.
        mixed: Whether they are already multiplied by their mixture weights.
        phased: Whether their pixels are in the order of ``to_phases``.
    """

    values: Iterable[Tensor]
    mixed: bool = False
    phased: bool = False


class Operation(ABC):
    """A candidate operation."""

    def shapes(self, channels: int, stride: int) -> Shapes:
        """The shapes of the parameters of one that ``zarts.supernet.shapes`` does not list."""
        return {}

    @abstractmethod
    def plain(self, x: Tensor, weights: Weights, stride: int, rng: Rng) -> Tensor:
        """Its definition on one edge: (n, C, h, w) -> (n, C, h/stride, w/stride), rounded up.

        Args:
            x: What the edge reads.
            weights: The tensors named by ``operations.shapes``.
            stride: 1 or 2.
            rng: Makes the generator of this edge, for operations that draw.
        """

    def drops(self, stride: int) -> bool:
        """Whether single numbers of its result are dropped (P-DARTS) at this stride."""
        del stride
        return False

    def apply(self, source: Source, edges: Edges) -> Found:
        """The same on all edges that leave a source: here one by one, and every lane by itself."""
        return Found(self._each(source, edges))

    def _each(self, source: Source, edges: Edges) -> Iterator[Tensor]:
        shape, stride = (edges.number, source.lanes, -1), source.stride
        apart = {name: weight.unflatten(0, shape) for name, weight in edges.weights.items()}
        # copies: where a tensor begins in memory must not differ from lane to lane
        images = [channels_last(x) for x in source.x.chunk(source.lanes, dim=1)]
        for edge in range(edges.number):
            rng, found = partial(edges.draw, edge), []
            for lane, x in enumerate(images):
                own = {name: weight[edge, lane].clone() for name, weight in apart.items()}
                found.append(self.plain(x, own, stride, rng))
            yield channels_last(torch.cat(found, dim=1))


def shared(value: Tensor, edges: Edges, kernels: Kernels) -> Found:
    """One image for all edges; where calls cost much, times all their mixture weights in one.

    A single edge multiplies as it is added to its node, which is one call.
    """
    if edges.number == 1 or edges.mixture is None or not kernels.few_calls(value):
        return Found(repeat(value, edges.number))
    factors = edges.mixture.flatten(1)[:, None, :, None, None]
    return Found((value * factors).unbind(), mixed=True)


def convolved(
    convolve: Callable[[Weights, int], Tensor], x: Tensor, source: Source, edges: Edges
) -> Found:
    """Convolves for all edges at once or one by one, normalises, and multiplies by the mixture.

    The product costs nothing: it is the scale of the BatchNorm.

    Args:
        convolve: From the weights of some edges and their number to the images of these edges, as
            further channels.
        x: What it reads.
        source: Where that is from.
        edges: The edges.
    """
    kernels, lanes = source.kernels, source.lanes

    def some(weights: Weights, count: int, mixture: Tensor | None) -> Sequence[Tensor]:
        y = batch_norm(convolve(weights, count), None if mixture is None else mixture.flatten())
        # An image that is convolved alone is no part, as the gradient of a part is a copy; but the
        # copy is what makes the gradient dense where `kernels.join` does not.
        return (y,) if count == 1 and kernels.joins_dense(y, lanes) else y.chunk(count, dim=1)

    count, weights, mixture, _ = edges
    if count == 1 or kernels.stacks(x, lanes):
        return Found(some(weights, count, mixture), mixed=mixture is not None)
    pieces = {name: weight.chunk(count) for name, weight in weights.items()}
    values: list[Tensor] = []
    for edge in range(count):
        own = {name: piece[edge] for name, piece in pieces.items()}
        values += some(own, 1, None if mixture is None else mixture[edge : edge + 1])
    return Found(values, mixed=mixture is not None)
