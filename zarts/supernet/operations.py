"""The candidate operations, one class per family: the definition, and the fast way.

Their weights are stacked along the first dimension: small images are convolved for all edges at
once, which saves calls; large ones edge by edge, which keeps each edge in the cache. All BatchNorms
use the statistics of the batch. Everything can be differentiated twice. Source of the definitions:
DARTS, ``operations.py``; ``noise``: RobustDARTS, space S4.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial

import torch
from torch import Tensor
from torch.nn import functional

from zarts.bilevel.rng import placed
from zarts.supernet.family import (
    Edges,
    Found,
    Operation,
    Rng,
    Source,
    Weights,
    convolved,
    shared,
)
from zarts.supernet.fast.depthwise import average_pool, depthwise
from zarts.supernet.fast.kernels import factorized_reduce, from_phases, pointwise
from zarts.supernet.fast.normalization import batch_norm
from zarts.supernet.shapes import LAYERS, Shapes
from zarts.supernet.shapes import shapes as known

__all__ = ["OPERATIONS", "names", "normal", "reduced", "second_pixels", "shapes"]

_VECTOR = 16  # numbers in single precision that a vector register has, at most


class Zero(Operation):
    """Nothing. The fast network leaves it out."""

    def plain(self, x: Tensor, weights: Weights, stride: int, rng: Rng) -> Tensor:
        """Zeros."""
        return x[:, :, ::stride, ::stride] * 0


class Noise(Operation):
    """N(0, 1), whatever it reads; the same for all lanes."""

    def plain(self, x: Tensor, weights: Weights, stride: int, rng: Rng) -> Tensor:
        """Drawn in single precision, so that every precision sees the same; see ``rng.placed``."""
        height, width = (-(-side // stride) for side in x.shape[2:])
        source = placed(rng(), x.device)
        # named, as torch's defaults are the caller's: its global precision, a `with` of a device
        drawn = torch.randn(
            (*x.shape[:2], height, width),
            generator=source,
            dtype=torch.float32,
            device=source.device,
        )
        return drawn.to(x.device, x.dtype, non_blocking=True)  # a GPU need not be waited for

    def apply(self, source: Source, edges: Edges) -> Found:
        """Drawn once for all lanes."""
        one = source.x[:, : source.x.shape[1] // source.lanes]

        def each() -> Iterator[Tensor]:
            for edge in range(edges.number):
                drawn = self.plain(one, {}, source.stride, partial(edges.draw, edge))
                yield source.kernels.laid(drawn.repeat(1, source.lanes, 1, 1))

        return Found(each())


class MaxPool(Operation):
    """The largest of 3x3, normalised."""

    def plain(self, x: Tensor, weights: Weights, stride: int, rng: Rng) -> Tensor:
        """A pool and a BatchNorm."""
        return normal(functional.max_pool2d(x, 3, stride, padding=1))

    def apply(self, source: Source, edges: Edges) -> Found:
        """One result for all edges."""
        pooled = functional.max_pool2d(source.x, 3, source.stride, padding=1)
        return shared(batch_norm(pooled), edges, source.kernels)


class AveragePool(Operation):
    """The mean over the pixels that exist of 3x3, normalised."""

    def plain(self, x: Tensor, weights: Weights, stride: int, rng: Rng) -> Tensor:
        """A pool and a BatchNorm."""
        pooled = functional.avg_pool2d(x, 3, stride, padding=1, count_include_pad=False)
        return normal(pooled)

    def apply(self, source: Source, edges: Edges) -> Found:
        """One result for all edges."""
        pooled = average_pool(source.x, source.stride, source.kernels, source.lanes)
        return shared(batch_norm(pooled), edges, source.kernels)


class Skip(Operation):
    """The image itself; at stride 2 a factorized reduction.

    Half of its output channels read the even pixels, half the odd ones; an odd size is padded.
    """

    def plain(self, x: Tensor, weights: Weights, stride: int, rng: Rng) -> Tensor:
        """Two strided convolutions, the second of the image shifted by one pixel."""
        return x if stride == 1 else reduced(x, weights["pointwise_0"])

    def drops(self, stride: int) -> bool:
        """Where it has no parameters, which is what makes it win too early."""
        return stride == 1

    def apply(self, source: Source, edges: Edges) -> Found:
        """The image for all edges, or one convolution of them."""
        if source.stride == 1:
            return shared(source.x, edges, source.kernels)

        def reduce(weights: Weights, count: int) -> Tensor:
            found = factorized_reduce(source.active, weights["pointwise_0"], count, source.lanes)
            return source.kernels.laid(found)

        return convolved(reduce, source.active, source, edges)


class Separable(Operation):
    """Twice ReLU, a depthwise and a pointwise convolution, and BatchNorm."""

    def plain(self, x: Tensor, weights: Weights, stride: int, rng: Rng) -> Tensor:
        """The first layer has the stride."""
        return _layer(_layer(x, weights, 0, stride), weights, 1, 1)

    def apply(self, source: Source, edges: Edges) -> Found:
        """All edges as further channels, or one by one."""
        kernels, lanes = source.kernels, source.lanes

        def convolve(weights: Weights, count: int) -> Tensor:
            y = source.beside(source.active, count)
            y = depthwise(y, weights["depthwise_0"], source.stride, kernels, lanes)
            y = pointwise(y, weights["pointwise_0"], count * lanes, kernels)
            y = depthwise(batch_norm(y), weights["depthwise_1"], 1, kernels, lanes, rectify=True)
            return pointwise(y, weights["pointwise_1"], count * lanes, kernels)

        return convolved(convolve, source.active, source, edges)


class Dilated(Operation):
    """ReLU, a depthwise convolution of every other pixel, a pointwise one, and BatchNorm."""

    def plain(self, x: Tensor, weights: Weights, stride: int, rng: Rng) -> Tensor:
        """One layer of dilation 2."""
        return _layer(x, weights, 0, stride, dilation=2)

    def apply(self, source: Source, edges: Edges) -> Found:
        """As plain convolutions of the phases, or at stride 2 of the even pixels."""
        if source.kernels.phases == "off":
            return self._directly(source, edges)
        kernels, lanes, crop, x = source.kernels, source.lanes, source.crop, source.thinned

        def convolve(weights: Weights, count: int) -> Tensor:
            y = depthwise(source.beside(x, count), weights["depthwise_0"], 1, kernels, lanes)
            if crop:
                y = from_phases(y)[:, :, : crop[0], : crop[1]]
            return pointwise(y, weights["pointwise_0"], count * lanes, kernels)

        found = convolved(convolve, x, source, edges)
        return found._replace(phased=source.stride == 1 and crop is None)

    def _directly(self, source: Source, edges: Edges) -> Found:
        """As dilated convolutions, which a GPU may do as fast."""
        kernels, lanes, x, stride = source.kernels, source.lanes, source.active, source.stride

        def convolve(weights: Weights, count: int) -> Tensor:
            y, kernel = torch.cat([x] * count, dim=1) if count > 1 else x, weights["depthwise_0"]
            padding = kernel.shape[-1] - 1
            y = functional.conv2d(y, kernel, None, stride, padding, 2, groups=y.shape[1])
            return pointwise(y, weights["pointwise_0"], count * lanes, kernels)

        return convolved(convolve, x, source, edges)


OPERATIONS: dict[str, Operation] = {
    "none": Zero(),
    "noise": Noise(),
    "max_pool_3x3": MaxPool(),
    "avg_pool_3x3": AveragePool(),
    "skip_connect": Skip(),
    "sep_conv_3x3": Separable(),
    "sep_conv_5x5": Separable(),
    "dil_conv_3x3": Dilated(),
    "dil_conv_5x5": Dilated(),
}


def shapes(operation: str, channels: int, stride: int) -> Shapes:
    """The parameters of an operation on one edge, also of one's own, whose class says its shapes.

    Raises:
        ValueError: If there is no such operation.
    """
    if operation in OPERATIONS and operation not in LAYERS:
        return OPERATIONS[operation].shapes(channels, stride)
    return known(operation, channels, stride)


@cache
def names(operation: str, stride: int) -> tuple[str, ...]:
    """The names in ``shapes``, looked up at every call of the network."""
    return tuple(shapes(operation, 1, stride))


def reduced(x: Tensor, weight: Tensor) -> Tensor:
    """A factorized reduction by its definition: (n, B, h, w) -> (n, C, h/2, w/2), rounded up."""
    x = functional.pad(functional.relu(x), (0, x.shape[3] % 2, 0, x.shape[2] % 2))
    even, odd = weight.chunk(2)
    return normal(torch.cat([second_pixels(x, even), second_pixels(x[:, :, 1:, 1:], odd)], dim=1))


def second_pixels(x: Tensor, weight: Tensor) -> Tensor:
    """A 1x1 convolution of every second pixel: (n, B, h, w) -> (n, C, h/2, w/2), rounded up.

    Of few channels the pixels are taken first, for the same numbers: with a stride oneDNN takes as
    many channels as a vector has and writes past its buffer (its issue 6035).
    """
    if x.shape[1] < _VECTOR:
        return functional.conv2d(x[:, :, ::2, ::2], weight)
    return functional.conv2d(x, weight, stride=2)


def normal(x: Tensor) -> Tensor:
    """A BatchNorm without scale and shift, by its definition."""
    return functional.batch_norm(x, None, None, training=True)


def _layer(x: Tensor, weights: Weights, layer: int, stride: int, dilation: int = 1) -> Tensor:
    """ReLU, depthwise convolution, pointwise convolution, BatchNorm."""
    kernel = weights[f"depthwise_{layer}"]
    padding = dilation * (kernel.shape[-1] // 2)
    y = functional.relu(x)
    y = functional.conv2d(y, kernel, None, stride, padding, dilation, groups=x.shape[1])
    return normal(functional.conv2d(y, weights[f"pointwise_{layer}"]))
