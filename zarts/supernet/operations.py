"""The candidate operations: the shapes of their parameters and how they act on an image.

The weights of the E edges that leave one source are stacked along the first dimension. Small images
are convolved for all edges at once, which saves calls; large ones edge by edge, which keeps each
edge in the cache. All BatchNorms use the statistics of the batch. Everything can be differentiated
twice. Source of the definitions: DARTS, ``operations.py``; ``noise``: RobustDARTS, space S4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from zarts.supernet.depthwise import average_pool, depthwise
from zarts.supernet.kernels import (
    Kernels,
    channels_last,
    factorized_reduce,
    from_phases,
    pointwise,
)
from zarts.supernet.normalization import batch_norm

__all__ = [
    "OPERATIONS",
    "batch_norm",
    "convolve",
    "is_shared",
    "names",
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


@cache
def names(operation: str, stride: int) -> tuple[str, ...]:
    """The names in ``shapes``, looked up at every call of the network."""
    return tuple(shapes(operation, 1, stride))


def _pool(operation: str, x: Tensor, stride: int, kernels: Kernels, lanes: int) -> Tensor:
    if operation == "max_pool_3x3":
        pooled = functional.max_pool2d(x, 3, stride, padding=1)
    else:
        pooled = average_pool(x, stride, kernels, lanes)
    return batch_norm(pooled)


def is_shared(operation: str, stride: int) -> bool:
    """Tells whether an operation gives every edge that leaves a source the same tensor."""
    return operation in _POOLS or (operation == "skip_connect" and stride == 1)


def share(operation: str, x: Tensor, stride: int, kernels: Kernels, lanes: int = 1) -> Tensor:
    """Applies a shared operation: (n, C, h, w) -> (n, C, h/stride, w/stride), rounded up."""
    return x if operation == "skip_connect" else _pool(operation, x, stride, kernels, lanes)


def noise(x: Tensor, stride: int, rng: torch.Generator, lanes: int = 1) -> Tensor:
    """Draws N(0, 1) of the strided shape of ``x``, the same for all lanes; only its shape matters.

    Drawn in single precision on the CPU, so every device and precision sees the same numbers.
    """
    images, channels, height, width = x.shape
    shape = (images, channels // lanes, -(-height // stride), -(-width // stride))
    # named, as the defaults of torch are the caller's: its global precision, a `with` of a device
    drawn = torch.randn(shape, generator=rng, dtype=torch.float32, device="cpu")
    return channels_last(drawn.to(x.device, x.dtype).repeat(1, lanes, 1, 1))


def convolve(
    operation: str,
    x: Tensor,
    weights: Mapping[str, Tensor],
    *,
    stride: int,
    edges: int,
    mixture: Tensor | None,
    kernels: Kernels,
    crop: tuple[int, int] | None = None,
    lanes: int = 1,
) -> Sequence[Tensor]:
    """Applies one convolutional operation for all edges that leave one source.

    Args:
        operation: A separable or dilated convolution, or ``skip_connect`` at stride 2.
        x: What it reads (n, L·C, h, w): the source after ReLU; for a dilated convolution sorted by
            ``to_phases`` (stride 1), or its even pixels (stride 2).
        weights: The tensors named by ``shapes``, along dimension 0 stacked over E edges and, within
            an edge, over L lanes.
        stride: 1 or 2.
        edges: E.
        mixture: Weight of the operation on each edge (E,), of each lane if there are several
            (E, L), or None for outputs without it.
        kernels: How the edges are convolved.
        crop: Height and width of the source if these are odd and its phases are padded: the result
            is in the order of the source then.
        lanes: L, the candidates that are computed side by side.

    Returns:
        The output times its mixture weight of each edge (n, L·C, h/stride, w/stride), in the order
        of pixels of ``x``. The product costs nothing: it is the scale of the last BatchNorm.
    """
    if edges > 1 and not kernels.stacks(x, lanes):
        pieces = {name: weight.chunk(edges) for name, weight in weights.items()}
        return [
            convolve(
                operation,
                x,
                {name: piece[edge] for name, piece in pieces.items()},
                stride=stride,
                edges=1,
                mixture=None if mixture is None else mixture[edge : edge + 1],
                kernels=kernels,
                crop=crop,
                lanes=lanes,
            )[0]
            for edge in range(edges)
        ]
    # A contiguous copy per channel: the gradient of batch_norm is wrong for an expanded scale.
    channels = x.shape[1] // lanes
    scale = None
    if mixture is not None:
        scale = mixture.unsqueeze(-1).expand(*mixture.shape, channels).contiguous().flatten()
    if operation == "skip_connect":
        y = factorized_reduce(x, weights["pointwise_0"], edges, lanes)
        return _apart(batch_norm(y, scale), edges, kernels, lanes)
    y = torch.cat([x] * edges, dim=1) if edges > 1 else x
    first = 1 if operation.startswith("dil") else stride
    y = depthwise(y, weights["depthwise_0"], first, kernels, lanes)
    if crop:
        y = from_phases(y)[:, :, : crop[0], : crop[1]]
    y = pointwise(y, weights["pointwise_0"], edges * lanes, kernels)
    if "depthwise_1" in weights:
        y = depthwise(batch_norm(y), weights["depthwise_1"], 1, kernels, lanes, rectify=True)
        y = pointwise(y, weights["pointwise_1"], edges * lanes, kernels)
    return _apart(batch_norm(y, scale), edges, kernels, lanes)


def _apart(y: Tensor, edges: int, kernels: Kernels, lanes: int) -> Sequence[Tensor]:
    """The image of each edge.

    Of an edge that is convolved alone it is no part, as the gradient of a part is a copy; but the
    copy is what makes the gradient dense where ``kernels.join`` does not.
    """
    return (y,) if edges == 1 and kernels.joins_dense(y, lanes) else y.chunk(edges, dim=1)
