"""The candidate operations: the shapes of their parameters and how they act on an image.

Convolutions act on one source for all its outgoing edges at once: the weights of E edges are
stacked along the first dimension, so C input channels become E·C output channels. All BatchNorms
use the statistics of the batch. Everything is native autograd, so it can be differentiated twice.
Source of the definitions: DARTS, ``operations.py``; ``noise``: RobustDARTS, space S4.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

__all__ = [
    "OPERATIONS",
    "batch_norm",
    "convolve",
    "factorized_reduce",
    "is_shared",
    "noise",
    "shapes",
    "share",
]

Shapes = dict[str, tuple[int, ...]]

OPERATIONS = (
    "none",
    "noise",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
_POOLS = ("max_pool_3x3", "avg_pool_3x3")


def shapes(operation: str, channels: int, stride: int, *, affine: bool = False) -> Shapes:
    """Returns the shapes of the parameters of one operation on one edge.

    Args:
        operation: Its name.
        channels: Channels C before and after it.
        stride: 1 or 2.
        affine: Whether its BatchNorms have a scale and a shift, as they do in retraining only.

    Raises:
        ValueError: If there is no such operation.
    """
    if operation not in OPERATIONS:
        raise ValueError(f"got operation {operation!r}, expected one of {', '.join(OPERATIONS)}")
    point = (channels, channels, 1, 1)
    found: Shapes = {}
    if operation.startswith(("sep_conv", "dil_conv")):
        kernel = int(operation[-1])
        for layer in range(2 if operation.startswith("sep_conv") else 1):
            found[f"depthwise_{layer}"] = (channels, 1, kernel, kernel)
            found[f"pointwise_{layer}"] = point
    elif operation == "skip_connect" and stride == 2:
        found["pointwise_0"] = point
    if affine:
        for name in [name for name in found if name.startswith("pointwise")]:
            layer_norm = name.removeprefix("pointwise")
            found |= {f"scale{layer_norm}": (channels,), f"shift{layer_norm}": (channels,)}
    return found


def batch_norm(x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
    """Normalises with the statistics of the batch, so that ω is the whole state of the network."""
    return functional.batch_norm(x, None, None, scale, shift, training=True)


def _pool(operation: str, x: Tensor, stride: int) -> Tensor:
    if operation == "max_pool_3x3":
        pooled = functional.max_pool2d(x, 3, stride, padding=1)
    else:
        pooled = functional.avg_pool2d(x, 3, stride, padding=1, count_include_pad=False)
    return batch_norm(pooled)


def is_shared(operation: str, stride: int) -> bool:
    """Tells whether an operation gives every edge that leaves a source the same tensor."""
    return operation in _POOLS or (operation == "skip_connect" and stride == 1)


def share(operation: str, x: Tensor, stride: int) -> Tensor:
    """Applies a shared operation: (n, C, h, w) -> (n, C, h/stride, w/stride), rounded up."""
    return x if operation == "skip_connect" else _pool(operation, x, stride)


def noise(x: Tensor, stride: int, rng: torch.Generator) -> Tensor:
    """Draws N(0, 1) of the strided shape of ``x``; nothing else of ``x`` matters.

    Drawn in single precision on the CPU, so every device and precision sees the same numbers.
    """
    images, channels, height, width = x.shape
    shape = (images, channels, -(-height // stride), -(-width // stride))
    drawn = torch.randn(shape, generator=rng)
    return drawn.to(x.device, x.dtype).contiguous(memory_format=torch.channels_last)


def factorized_reduce(x: Tensor, pointwise: Tensor, edges: int = 1) -> Tensor:
    """Halves an image: half of the output channels read the even pixels, half the odd ones.

    Both are one 2x2 convolution of stride 2 whose kernels have one weight per input channel. An odd
    size gets a row and a column of zeros at its end.

    Args:
        x: Image after ReLU (n, B, h, w).
        pointwise: Weights (edges·C, B, 1, 1); of each edge, the first C//2 rows read even pixels.
        edges: How many edges are stacked.
    """
    even, odd = _halves(pointwise.unflatten(0, (edges, -1)))
    even = functional.pad(even, (0, 1, 0, 1))
    odd = functional.pad(odd, (1, 0, 1, 0))
    return functional.conv2d(_pad_to_even(x), torch.cat([even, odd], dim=1).flatten(0, 1), stride=2)


def _pad_to_even(x: Tensor) -> Tensor:
    """Appends a row or a column of zeros to an odd size."""
    bottom, right = x.shape[2] % 2, x.shape[3] % 2
    return functional.pad(x, (0, right, 0, bottom)) if bottom or right else x


def _halves(pointwise: Tensor) -> tuple[Tensor, Tensor]:
    half = pointwise.shape[1] // 2
    return pointwise[:, :half], pointwise[:, half:]


def _depthwise(x: Tensor, kernel: Tensor, stride: int) -> Tensor:
    return functional.conv2d(x, kernel, None, stride, kernel.shape[-1] // 2, groups=x.shape[1])


def _dilated_depthwise(x: Tensor, kernel: Tensor, stride: int) -> Tensor:
    """A depthwise convolution of dilation 2, written as plain ones on every second pixel.

    With dilation 2 the four phases of the pixel grid (even or odd row, even or odd column) never
    mix, so each is convolved on its own; with stride 2 only the even phase is asked for. The
    gradient of a dilated depthwise kernel is 20 to 40 times slower than that of a plain one on a
    CPU.
    """
    if stride == 2:
        return _depthwise(x[:, :, ::2, ::2], kernel, 1)
    images, channels, height, width = x.shape
    rows, columns = -(-height // 2), -(-width // 2)
    phases = _pad_to_even(x).permute(0, 2, 3, 1).reshape(images, rows, 2, columns, 2, channels)
    phases = phases.permute(2, 4, 0, 1, 3, 5).reshape(4 * images, rows, columns, channels)
    y = _depthwise(phases.permute(0, 3, 1, 2), kernel, 1).permute(0, 2, 3, 1)
    y = y.reshape(2, 2, images, rows, columns, channels).permute(2, 3, 0, 4, 1, 5)
    y = y.reshape(images, 2 * rows, 2 * columns, channels).permute(0, 3, 1, 2)
    return y[:, :, :height, :width]


def convolve(
    operation: str, x: Tensor, weights: Mapping[str, Tensor], stride: int, mixture: Tensor
) -> Tensor:
    """Applies one convolutional operation for all edges that leave one source.

    Args:
        operation: A separable or dilated convolution, or ``skip_connect`` at stride 2.
        x: The source after ReLU (n, C, h, w).
        weights: The tensors named by ``shapes``, each stacked over E edges along dimension 0.
        stride: 1 or 2.
        mixture: Weight of the operation on each edge (E,).

    Returns:
        The outputs times their mixture weights (n, E·C, h/stride, w/stride), edge by edge. The
        product costs nothing: it is the scale of the last BatchNorm.
    """
    edges = mixture.numel()
    # A contiguous copy per channel: the gradient of batch_norm is wrong for an expanded scale.
    scale = mixture.repeat_interleave(x.shape[1])
    if operation == "skip_connect":
        return batch_norm(factorized_reduce(x, weights["pointwise_0"], edges), scale)
    depthwise = _dilated_depthwise if operation.startswith("dil") else _depthwise
    y = torch.cat([x] * edges, dim=1)
    y = depthwise(y, weights["depthwise_0"], stride)
    y = functional.conv2d(y, weights["pointwise_0"], groups=edges)
    if "depthwise_1" in weights:
        y = functional.relu(batch_norm(y))
        y = _depthwise(y, weights["depthwise_1"], 1)
        y = functional.conv2d(y, weights["pointwise_1"], groups=edges)
    return batch_norm(y, scale)
