"""BatchNorm with the statistics of the batch, in single precision as exact as its numbers allow.

PyTorch sums the pixels of channels-last images on a CPU one after the other in the precision of
the image. Over 65,536 pixels that leaves errors of 3e-5 in the normalised image, sixty times those
of the contiguous layout, which takes three times as long. Here few pixels are summed that way.
Small images and few pixels are left to PyTorch: a function of our own would cost a quick step an
eighth of its time.
"""

from __future__ import annotations

from functools import cache
from math import isqrt

import torch
from torch import Tensor

from zarts.supernet.fast.kernels import channels_last

__all__ = ["batch_norm"]

_EPSILON = 1e-5  # added to the variance
# Numbers in an image from which on its sums are ours. A single step of the quick preset is below it
# nearly everywhere, candidates side by side and the paper's network are above it.
_LEAST = 1 << 16
_LEAST_PIXELS = 512  # of all images together; over fewer, losses at M = 10 are as exact without
_SIGNS = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)


def batch_norm(x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
    """Normalises with the statistics of the batch, so that ω is the whole state of the network.

    Args:
        x: Images (n, C, h, w).
        scale: Factor of each channel (C,), or None for 1.
        shift: What is added to each channel (C,), or None for 0.

    Raises:
        ValueError: If there is one value per channel.
    """
    pixels = x.numel() // x.shape[1]
    if pixels == 1:
        raise ValueError(
            f"got an image of shape {tuple(x.shape)}, expected at least 2 values per channel to "
            "normalise; use larger images or batches"
        )
    large = x.numel() >= _LEAST and pixels >= _LEAST_PIXELS
    if large and x.dtype == torch.float32 and x.device.type == "cpu":
        normal: Tensor = _BatchNorm.apply(channels_last(x), scale, shift)
        return normal
    # not functional.batch_norm, whose own check of this takes a third of the call for small images
    return torch.batch_norm(
        x, scale, shift, None, None, True, 0.1, _EPSILON, torch.backends.cudnn.enabled
    )


class _Context(torch.autograd.function.FunctionCtx):
    """What autograd keeps of a call, for the type checker."""

    scale: Tensor | None
    saved_tensors: tuple[Tensor, Tensor | None, Tensor, Tensor]
    needs_input_grad: tuple[bool, bool, bool]


class _BatchNorm(torch.autograd.Function):
    """PyTorch's BatchNorm and its gradients, with other sums for the statistics."""

    @staticmethod
    def forward(ctx: _Context, x: Tensor, scale: Tensor | None, shift: Tensor | None) -> Tensor:
        mean, variance = _moments(x)
        ctx.save_for_backward(x, scale, mean, variance)  # type: ignore[arg-type]
        normal: Tensor = torch.native_batch_norm(
            x, scale, shift, mean, variance, False, 0.0, _EPSILON
        )[0]
        return normal

    @staticmethod
    def backward(
        ctx: _Context, gradient: Tensor
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, scale, mean, variance = ctx.saved_tensors
        # its derivative takes mean and deviation as the functions of x that they are
        found: tuple[Tensor | None, Tensor | None, Tensor | None] = (
            torch.ops.aten.native_batch_norm_backward.default(
                gradient,
                x,
                scale,
                None,
                None,
                mean,
                (variance + _EPSILON).rsqrt_(),
                True,
                _EPSILON,
                ctx.needs_input_grad,
            )
        )
        return found


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (C,) of each channel of channels-last images (n, C, h, w).

    In groups of pixels, each a channel of its own in the same memory, and then over the groups in
    double precision. There a group is two values, its mean more or less its deviation: these have
    the mean and the variance of its pixels.
    """
    channels = x.shape[1]
    pixels = x.numel() // channels
    groups = _groups(pixels)
    width = groups * channels
    rows = x.as_strided((pixels // groups, width), (width, 1))  # in one call, for its time
    mean, variance = torch.batch_norm_update_stats(rows, None, None, 0.0)
    pairs = torch.addcmul(mean, _SIGNS, variance.sqrt_()).view(-1, channels)
    mean, variance = torch.batch_norm_update_stats(pairs, None, None, 0.0)
    return mean.float(), variance.float()


@cache
def _groups(pixels: int) -> int:
    """The least divisor from the square root on: as many groups as pixels in each, or more."""
    return next(count for count in range(isqrt(pixels), pixels + 1) if pixels % count == 0)
