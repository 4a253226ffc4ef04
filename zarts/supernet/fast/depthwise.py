"""Depthwise convolutions and 3x3 means, by the fastest of oneDNN's kernels on a CPU.

All can be differentiated twice. What is chosen depends on shapes and ``Kernels`` alone.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from zarts.supernet.fast.kernels import Kernels, channels_last

__all__ = ["average_pool", "depthwise"]


def depthwise(
    x: Tensor,
    weight: Tensor,
    stride: int,
    kernels: Kernels,
    lanes: int = 1,
    *,
    rectify: bool = False,
) -> Tensor:
    """Convolves each channel of (n, C, h, w) with its own kernel (C, 1, k, k), k odd.

    Args:
        x: Images.
        weight: Kernels.
        stride: 1 or 2.
        kernels: How.
        lanes: How many candidates share the image.
        rectify: Whether ReLU comes first. ``x`` is overwritten then, so nothing else may need it.
    """
    wide = weight.shape[-1] == 5
    if x.device.type == "cpu" and (wide or (stride == 1 and not kernels.stacks(x, lanes))):
        y: Tensor = _Depthwise.apply(x, weight, stride, rectify)
        return y
    return _depthwise(functional.relu(x, inplace=True) if rectify else x, weight, stride)


def _depthwise(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    return functional.conv2d(x, weight, None, stride, weight.shape[-1] // 2, groups=x.shape[1])


class _Context(torch.autograd.function.FunctionCtx):
    """What autograd keeps of a call, for the type checker."""

    stride: int
    rectify: bool
    saved_tensors: tuple[Tensor, Tensor]
    needs_input_grad: tuple[bool, bool, bool, bool]


class _Depthwise(torch.autograd.Function):
    """A depthwise convolution, maybe after ReLU, whose gradients take the fast kernels of oneDNN.

    The gradient by the image is a convolution by the turned kernel, which takes three quarters of
    the time of what oneDNN has for it. For the gradient by the weights it has a fast kernel of
    width 3 and of a height up to that of the result; beyond, it takes five to forty times as long.
    That kernel reads the image in an order which is slow if it is no longer in the cache; ReLU's
    gradient comes before it, which reads it in a fast one.
    """

    @staticmethod
    def forward(ctx: _Context, x: Tensor, weight: Tensor, stride: int, rectify: bool) -> Tensor:
        ctx.stride, ctx.rectify = stride, rectify
        if rectify:
            x.relu_()
        ctx.save_for_backward(x, weight)
        return _depthwise(x, weight, stride)

    @staticmethod
    def backward(
        ctx: _Context, gradient: Tensor
    ) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        if ctx.rectify and torch.is_grad_enabled():
            x = functional.relu(x)  # changes no number, but is part of the second derivative
        size = weight.shape[-1]
        by_x = by_weight = None
        if ctx.needs_input_grad[0]:
            if ctx.stride == 1:
                by_x = _depthwise(gradient, weight.flip(2, 3), 1)
            else:
                by_x = _gradient(gradient, x, weight, ctx.stride, (size // 2,) * 2, by_x=True)
            if ctx.rectify:
                by_x = _by_relu(by_x, x)
        if ctx.needs_input_grad[1]:
            if size == 5:
                by_weight = _by_wide(gradient, x, ctx.stride)
            else:
                by_weight = _by_weight(gradient, x, (3, 3), ctx.stride, (1, 1))
        return by_x, by_weight, None, None


def _by_relu(gradient: Tensor, y: Tensor) -> Tensor:
    """The gradient by what ReLU made ``y`` of; in place, if no second derivative is asked for."""
    if torch.is_grad_enabled():
        masked: Tensor = torch.ops.aten.threshold_backward(gradient, y, 0)
        return masked
    torch.ops.aten.threshold_backward.grad_input(gradient, y, 0, grad_input=gradient)
    return gradient


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
    return _gradient(gradient, x, kernels, stride, padding, by_x=False)


def _gradient(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: int,
    padding: tuple[int, ...],
    *,
    by_x: bool,
) -> Tensor:
    """The gradient of a depthwise convolution by its images or by its weights."""
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
    return found[0] if by_x else found[1]


def average_pool(x: Tensor, stride: int, kernels: Kernels, lanes: int = 1) -> Tensor:
    """The mean over the pixels that exist of each 3x3: (n, C, h, w) -> (n, C, h/stride, w/stride).

    Of a large image it is a depthwise convolution, which takes a third of the time of the pool.
    """
    if x.device.type != "cpu" or stride > 1 or kernels.stacks(x, lanes):
        return functional.avg_pool2d(x, 3, stride, padding=1, count_include_pad=False)
    _, channels, height, width = x.shape
    sums = depthwise(x, x.new_ones(channels, 1, 3, 3), 1, kernels, lanes)
    counts = _neighbours(x, height).view(-1, 1) * _neighbours(x, width)
    # spelled out for all channels, so that the product runs along memory
    return sums * channels_last(counts.reciprocal().expand(1, channels, height, width))


def _neighbours(x: Tensor, size: int) -> Tensor:
    """How many of a place and the two next to it are within a row of this size: (size,)."""
    places = torch.arange(size, device=x.device)
    return 1 + (places > 0).to(x.dtype) + (places < size - 1)
