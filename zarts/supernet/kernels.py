"""Convolutions of the supernet at the speed of the hardware: same numbers, other order of work.

All images are channels-last. What is chosen depends on shapes and ``Kernels`` alone, never on a
clock, so that a resumed run chooses the same. Everything can be differentiated twice. The speeds
quoted here are from one thread of an AVX2 CPU with oneDNN; ``benchmarks/`` measures them anew.
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
    "depthwise",
    "factorized_reduce",
    "from_phases",
    "join",
    "pad_to_even",
    "pointwise",
    "to_phases",
]


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
            instead of a grouped convolution. Of one edge's large image, four times as many: a
            product fills its result with zeros first, which costs more than the arithmetic where
            the result is no longer in the cache.
    """

    stack_below: int = 1 << 19
    matmul_from: int = 16

    def stacks(self, x: Tensor, lanes: int = 1) -> bool:
        """Tells whether the edges that read ``x`` (n, lanes·C, h, w) are convolved in one call."""
        return x.numel() * x.element_size() <= self.stack_below * lanes

    def joins_dense(self, x: Tensor, lanes: int = 1) -> bool:
        """Tells whether images like ``x`` are joined so that the gradient of each is dense.

        Not where edges are stacked, as their gradients are copied into one anyway.
        """
        return lanes == 1 and not self.stacks(x)


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
    inputs = weight.shape[1]
    rows = x.permute(0, 2, 3, 1)  # (n, h, w, G·B): a matrix, as the image is channels-last
    if groups == 1 and (kernels.stacks(x) or len(weight) >= 4 * kernels.matmul_from):
        return functional.linear(rows, weight.view(-1, inputs)).permute(0, 3, 1, 2)
    if groups == 1 or inputs < kernels.matmul_from:
        return functional.conv2d(x, weight, groups=groups)
    return _products(rows, weight.view(groups, -1, inputs)).permute(0, 3, 1, 2)


def _products(rows: Tensor, weight: Tensor) -> Tensor:
    """Rows (n, h, w, G·B) times a matrix (G, C, B) of each group: (n, h, w, G·C)."""
    groups, outputs, inputs = weight.shape
    stacked = rows.reshape(-1, groups, inputs).transpose(0, 1)
    product = torch.bmm(stacked, weight.transpose(1, 2)).transpose(0, 1)
    return product.reshape(*rows.shape[:3], groups * outputs)


def depthwise(x: Tensor, weight: Tensor, stride: int, kernels: Kernels, lanes: int = 1) -> Tensor:
    """Convolves each channel of (n, C, h, w) with its own kernel (C, 1, k, k), k odd."""
    wide = weight.shape[-1] == 5
    if x.device.type == "cpu" and (wide or (stride == 1 and not kernels.stacks(x, lanes))):
        y: Tensor = _Depthwise.apply(x, weight, stride)
        return y
    return _depthwise(x, weight, stride)


def _depthwise(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    return functional.conv2d(x, weight, None, stride, weight.shape[-1] // 2, groups=x.shape[1])


class _Context(torch.autograd.function.FunctionCtx):
    """What autograd keeps of a call, for the type checker."""

    stride: int
    saved_tensors: tuple[Tensor, Tensor]
    needs_input_grad: tuple[bool, bool, bool]


class _Depthwise(torch.autograd.Function):
    """A depthwise convolution whose gradients take the fast ones of oneDNN's kernels.

    The gradient by the image is a convolution by the turned kernel, which takes three quarters of
    the time of what oneDNN has for it. For the gradient by the weights it has a fast kernel of
    width 3 and of a height up to that of the result; beyond, it takes five to forty times as long.
    """

    @staticmethod
    def forward(ctx: _Context, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.stride = stride
        ctx.save_for_backward(x, weight)
        return _depthwise(x, weight, stride)

    @staticmethod
    def backward(ctx: _Context, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        size = weight.shape[-1]
        by_x = by_weight = None
        if ctx.needs_input_grad[0]:
            if ctx.stride == 1:
                by_x = _depthwise(gradient, weight.flip(2, 3), 1)
            else:
                by_x = _gradients(gradient, x, weight, ctx.stride, (size // 2,) * 2)[0]
        if ctx.needs_input_grad[1]:
            if size == 5:
                by_weight = _by_wide(gradient, x, ctx.stride)
            else:
                by_weight = _by_weight(gradient, x, (3, 3), ctx.stride, (1, 1))
        return by_x, by_weight, None


def _by_wide(gradient: Tensor, x: Tensor, stride: int) -> Tensor:
    """The gradient by a 5x5 kernel, from those by two kernels of width 3.

    Of an even width, one is that of the middle columns; the other, of pixels two apart, is that of
    the outer ones. Else they are that of the left three columns, which see the image padded on its
    left, and of the right three, which see it padded on its right.
    """
    missing = 5 - gradient.shape[2]
    if missing > 0:  # rows of no gradient make the result as high as the kernel
        gradient = functional.pad(gradient, (0, 0, 0, missing))
        x = functional.pad(x, (0, 0, 0, stride * missing))
    if stride == 1 and x.shape[3] % 2 == 0:
        middle = _by_weight(gradient, x, (5, 3), 1, (2, 1))
        outer = _by_weight(_pairs(gradient), _pairs(x), (5, 3), 1, (2, 1))
        outer = outer.view(2, *middle.shape).sum(0)
        return torch.cat([outer[..., :1], middle, outer[..., 2:]], dim=-1)
    left, right = (_by_weight(gradient, padded, (5, 3), stride, (2, 0)) for padded in _padded(x))
    return torch.cat([left, right[..., 1:]], dim=-1)


def _pairs(x: Tensor) -> Tensor:
    """Two neighbours in a row as one pixel: (n, C, h, w) -> (n, 2C, h, w/2), channels-last."""
    images, channels, height, width = x.shape
    rows = x.permute(0, 2, 3, 1).reshape(images, height, width // 2, 2 * channels)
    return rows.permute(0, 3, 1, 2)


def _padded(x: Tensor) -> tuple[Tensor, Tensor]:
    """The image with two columns of zeros on its left, and on its right: (n, C, h, w + 2) each.

    Both are parts of one copy: what pads a row on its right pads the next one on its left.
    """
    images, channels, height, width = x.shape
    size, border = images * height * (width + 2) * channels, 2 * channels
    flat = x.new_empty(size + border)  # not functional.pad, which fills all of it with zeros first
    rows = flat[:size].view(images, height, width + 2, channels)
    rows[:, :, :2] = 0
    rows[:, :, 2:] = x.permute(0, 2, 3, 1)
    flat[size:] = 0
    left, right = (
        flat[start : start + size].view(images, height, width + 2, channels).permute(0, 3, 1, 2)
        for start in (0, border)
    )
    return left, right


def _by_weight(
    gradient: Tensor, x: Tensor, size: tuple[int, int], stride: int, padding: tuple[int, int]
) -> Tensor:
    """The gradient of a depthwise convolution by its kernels, which have this height and width.

    Their values do not matter, so these are any: kernels cut to size would be copied.
    """
    kernels = x.new_empty(x.shape[1], 1, *size)
    return _gradients(gradient, x, kernels, stride, padding, by_x=False)[1]


def _gradients(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: int,
    padding: tuple[int, ...],
    *,
    by_x: bool = True,
) -> tuple[Tensor, Tensor]:
    """The gradient of a depthwise convolution by its images, or else by its weights."""
    found: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        gradient,
        x,
        weight,
        None,
        [stride, stride],
        list(padding),
        [1, 1],
        False,
        [0, 0],
        x.shape[1],
        [by_x, not by_x, False],
    )
    return found[:2]


def join(images: Sequence[Tensor], kernels: Kernels, lanes: int = 1) -> Tensor:
    """The channels of S images (n, lanes·C, h, w) one after the other: (n, lanes·S·C, h, w)."""
    if kernels.joins_dense(images[0], lanes):
        joined: Tensor = _Join.apply(*images)
        return joined
    if lanes == 1:
        return torch.cat(list(images), dim=1)
    apart = [image.permute(0, 2, 3, 1).unflatten(3, (lanes, -1)) for image in images]
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
