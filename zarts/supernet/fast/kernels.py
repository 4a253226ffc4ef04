"""Convolutions of the supernet at the speed of the hardware: same numbers, other order of work.

Images are channels-last, unless ``Kernels`` asks otherwise. What is chosen depends on shapes and
``Kernels`` alone, never on a clock, so that a resumed run chooses the same. Everything can be
differentiated twice. The speeds quoted here are from one thread of an AVX2 CPU with oneDNN;
``benchmarks/`` measures them anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

__all__ = [
    "Kernels",
    "channels_last",
    "factorized_reduce",
    "from_phases",
    "join",
    "pad_to_even",
    "pointwise",
    "products",
    "to_phases",
]

_LINE = 64  # bytes of a cache line


@dataclass(frozen=True)
class Kernels:
    """From which size on which way of computing is taken.

    Attributes:
        stack_below: Bytes of one edge's image, of one candidate, up to which all edges that leave a
            source are convolved in one call: the calls cost more than the arithmetic there. Above,
            one edge after the other stays in the cache, which is up to four times as fast. A
            depthwise convolution of an image larger than this has its gradient by the turned
            kernel.
        matmul_from: Channels from which a stacked pointwise convolution is a batched matrix product
            instead of a grouped convolution, if they fill cache lines. Where the result is one
            image of more than ``stack_below`` on a CPU, four times as many: a product fills it with
            zeros first, which costs more than the arithmetic where memory is no longer in the
            cache.
        layout: ``last``: the channels of a pixel are next to each other in memory; ``first``: the
            pixels of a channel are, and pointwise convolutions are convolutions.
        phases: ``on``: dilated convolutions are plain ones of pixel phases; ``off``: dilated.
    """

    stack_below: int = 1 << 19
    matmul_from: int = 16
    layout: str = "last"
    phases: str = "on"

    def laid(self, x: Tensor) -> Tensor:
        """The same image (n, C, h, w) in the layout that is asked for."""
        return channels_last(x) if self.layout == "last" else x.contiguous()

    def stacks(self, x: Tensor, lanes: int = 1) -> bool:
        """Tells whether the edges that read ``x`` (n, lanes·C, h, w) are convolved in one call."""
        return x.numel() * x.element_size() <= self.stack_below * lanes

    def few_calls(self, x: Tensor) -> bool:
        """Tells whether a call costs more than another pass over images: on GPUs."""
        return x.device.type != "cpu"

    def joins_dense(self, x: Tensor, lanes: int = 1) -> bool:
        """Tells whether images like ``x`` are joined so that the gradient of each is dense.

        Not where edges are stacked, as their gradients are copied into one anyway.
        """
        return lanes == 1 and self.layout == "last" and not self.stacks(x)


def channels_last(x: Tensor) -> Tensor:
    """The same image (n, C, h, w), its channels next to each other in memory."""
    return x.contiguous(memory_format=torch.channels_last)


def pointwise(x: Tensor, weight: Tensor, groups: int, kernels: Kernels) -> Tensor:
    """A 1x1 convolution of each of G groups of channels: (n, G·B, h, w) -> (n, G·C, h, w).

    Args:
        x: Images.
        weight: Weights (G·C, B, 1, 1).
        groups: G.
        kernels: How.
    """
    if kernels.layout == "first":
        return functional.conv2d(x, weight, groups=groups)
    outputs, inputs = weight.shape[:2]
    rows = x.permute(0, 2, 3, 1)  # (n, h, w, G·B): a matrix, as the image is channels-last
    if groups == 1:
        size = x.numel() // inputs * outputs * x.element_size()  # bytes of the result
        hot = x.device.type != "cpu" or size <= kernels.stack_below
        if hot or outputs >= 4 * kernels.matmul_from:
            return functional.linear(rows, weight.view(outputs, inputs)).permute(0, 3, 1, 2)
    # zeros behind B, which ``products`` needs then, would cost as much as the product
    filled = inputs * x.element_size() % _LINE and inputs % 8 == 0
    if groups == 1 or inputs < kernels.matmul_from or filled:
        return functional.conv2d(x, weight, groups=groups)
    return _products(rows, weight.view(groups, -1, inputs)).permute(0, 3, 1, 2)


def _products(rows: Tensor, weight: Tensor) -> Tensor:
    """Rows (n, h, w, G·B) times a matrix (G, C, B) of each group: (n, h, w, G·C)."""
    groups, outputs, inputs = weight.shape
    stacked = rows.reshape(-1, groups, inputs).transpose(0, 1)
    product = products(stacked, weight).transpose(0, 1)
    return product.reshape(*rows.shape[:3], groups * outputs)


def products(rows: Tensor, weight: Tensor) -> Tensor:
    """Rows (G, n, B) times matrices (G, C, B): (G, n, C), the same bits whichever group it is.

    A library may take another way to a product of the same numbers where they begin at another
    place of a cache line. So each group begins at the start of one: with zeros behind B and C,
    where these do not fill it.
    """
    line = _LINE // rows.element_size()
    outputs, inputs = weight.shape[1:]
    fill, more = -inputs % line, -outputs % line
    if fill or more:
        rows, weight = functional.pad(rows, (0, fill)), functional.pad(weight, (0, fill, 0, more))
    product = torch.bmm(rows, weight.transpose(1, 2))
    return product[:, :, :outputs] if more else product


def join(images: Sequence[Tensor], kernels: Kernels, lanes: int = 1) -> Tensor:
    """The channels of S images (n, lanes·C, h, w) one after the other: (n, lanes·S·C, h, w)."""
    if kernels.joins_dense(images[0], lanes):
        joined: Tensor = _Join.apply(*images)
        return joined
    if lanes == 1:
        return torch.cat(list(images), dim=1)
    count, channels, height, width = images[0].shape
    shape = count, height, width, lanes, channels // lanes
    apart = [image.permute(0, 2, 3, 1).view(shape) for image in images]
    return torch.cat(apart, dim=4).flatten(3).permute(0, 3, 1, 2)


class _Join(torch.autograd.Function):
    """Joins images whose gradients are dense again.

    Autograd would hand out parts of one gradient, and everything that reads a part would copy it.
    """

    @staticmethod
    def forward(ctx: _Count, *images: Tensor) -> Tensor:
        ctx.count = len(images)
        return torch.cat(images, dim=1)

    @staticmethod
    def backward(ctx: _Count, gradient: Tensor) -> tuple[Tensor, ...]:
        return tuple(channels_last(part) for part in gradient.chunk(ctx.count, dim=1))


class _Count(torch.autograd.function.FunctionCtx):
    """What autograd keeps of a call of ``_Join``, for the type checker."""

    count: int


def pad_to_even(x: Tensor) -> Tensor:
    """Appends a row or a column of zeros to an odd size."""
    bottom, right = x.shape[2] % 2, x.shape[3] % 2
    return functional.pad(x, (0, right, 0, bottom)) if bottom or right else x


def to_phases(x: Tensor) -> Tensor:
    """Sorts pixels by the parity of their row and column: (n, C, h, w) -> (4n, C, h/2, w/2).

    With dilation 2 the four phases never mix, so a dilated convolution is a plain one of each. The
    gradient of a dilated depthwise kernel is 20 to 40 times slower than that of a plain one on a
    CPU. Pointwise convolutions and BatchNorm do not mind the order of pixels. Sizes must be even.
    """
    images, channels, height, width = x.shape
    y = x.permute(0, 2, 3, 1).reshape(images, height // 2, 2, width // 2, 2, channels)
    y = y.permute(2, 4, 0, 1, 3, 5).reshape(4 * images, height // 2, width // 2, channels)
    return y.permute(0, 3, 1, 2)


def from_phases(x: Tensor) -> Tensor:
    """The inverse of ``to_phases``: (4n, C, h, w) -> (n, C, 2h, 2w)."""
    images, channels, height, width = x.shape
    y = x.permute(0, 2, 3, 1).reshape(2, 2, images // 4, height, width, channels)
    y = y.permute(2, 3, 0, 4, 1, 5).reshape(images // 4, 2 * height, 2 * width, channels)
    return y.permute(0, 3, 1, 2)


def factorized_reduce(x: Tensor, weight: Tensor, edges: int = 1, lanes: int = 1) -> Tensor:
    """Halves an image: half of the output channels read the even pixels, half the odd ones.

    An odd size gets a row and a column of zeros at its end.

    Args:
        x: Image after ReLU (n, lanes·B, h, w).
        weight: Weights (edges·lanes·C, B, 1, 1); of each C rows, the first half reads even pixels.
        edges: How many edges are stacked.
        lanes: How many candidates are.

    Returns:
        Images (n, edges·lanes·C, h/2, w/2).
    """
    rows, matrix = _parities(x, lanes), _by_parity(weight, edges * lanes)
    if lanes == 1:
        return functional.linear(rows, matrix).permute(0, 3, 1, 2)
    inputs = matrix.shape[1]
    matrix = matrix.view(edges, lanes, -1, inputs).transpose(0, 1).reshape(lanes, -1, inputs)
    product = _products(rows, matrix).view(*rows.shape[:3], lanes, edges, -1)
    return product.transpose(3, 4).flatten(3).permute(0, 3, 1, 2)


def _parities(x: Tensor, lanes: int) -> Tensor:
    """Even and odd pixels of each lane side by side: (n, L·B, h, w) -> (n, h/2, w/2, L·2B)."""
    pixels: Tensor = _Parities.apply(x.permute(0, 2, 3, 1).unflatten(3, (lanes, -1)))
    return pixels.flatten(3)


class _Size(torch.autograd.function.FunctionCtx):
    """What autograd keeps of a call of ``_Parities``, for the type checker."""

    size: torch.Size


class _Parities(torch.autograd.Function):
    """Joins the even and the odd pixels: (n, h, w, L, B) -> (n, h/2, w/2, L, 2B), sizes rounded up.

    By hand, as autograd would fill an image with zeros for each of the four slices and add them up.
    """

    @staticmethod
    def forward(ctx: _Size, x: Tensor) -> Tensor:
        ctx.size = x.shape
        images, height, width, lanes, channels = x.shape
        shape = (images, -(-height // 2), -(-width // 2), lanes, 2 * channels)
        joined = x.new_zeros(shape) if height % 2 or width % 2 else x.new_empty(shape)
        joined[..., :channels] = x[:, ::2, ::2]
        joined[:, : height // 2, : width // 2, :, channels:] = x[:, 1::2, 1::2]
        return joined

    @staticmethod
    def backward(ctx: _Size, gradient: Tensor) -> Tensor:
        _, height, width, _, channels = ctx.size
        apart = gradient.new_zeros(ctx.size)
        apart[:, ::2, ::2] = gradient[..., :channels]
        apart[:, 1::2, 1::2] = gradient[:, : height // 2, : width // 2, :, channels:]
        return apart


def _by_parity(weight: Tensor, groups: int) -> Tensor:
    """Weights (G·C, 2B) for ``_parities``: a row that reads one parity has zeros for the other.

    Twice the arithmetic in one product takes less time than two products and their joining.
    """
    before = weight.shape[1]
    stacked = weight.view(groups, -1, before)
    half = stacked.shape[1] // 2
    even = functional.pad(stacked[:, :half], (0, before))
    odd = functional.pad(stacked[:, half:], (before, 0))
    return torch.cat([even, odd], dim=1).flatten(0, 1)
