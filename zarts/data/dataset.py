"""The labelled images that everything else is computed from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import torch
from torch import Tensor

__all__ = ["Dataset", "Statistics", "from_tensors", "measure"]

Statistics = tuple[
    tuple[float, ...], tuple[float, ...]
]  # (mean, std), per channel of [0, 1] pixels


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images.

    Attributes:
        name: One of ``loaders.NAMES``, or any name for data made by hand.
        images: (n, c, h, w) uint8.
        labels: (n,) int64 in 0 … classes − 1, on the same device.
        classes: Number of classes.
        mean: Per channel, of [0, 1] pixels.
        std: Per channel, of [0, 1] pixels.
        fingerprint: SHA-256 of name, shape, images and labels; equal data gives an equal one.
    """

    name: str
    images: Tensor
    labels: Tensor
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str

    def to(self, device: torch.device | str) -> Dataset:
        """Returns the data set with its tensors on ``device``; no copy if they are there."""
        images, labels = self.images.to(device), self.labels.to(device)
        return self if images is self.images else replace(self, images=images, labels=labels)


def from_tensors(
    name: str, images: Tensor, labels: Tensor, classes: int, statistics: Statistics | None = None
) -> Dataset:
    """Makes a data set of CPU tensors.

    Args:
        name: Goes into the fingerprint.
        images: (n, c, h, w) uint8.
        labels: (n,) int64.
        classes: Number of classes.
        statistics: (mean, std) per channel of [0, 1] pixels; computed if not given.

    Returns:
        The data set, with its fingerprint.

    Raises:
        ValueError: If shapes, types, labels or statistics do not fit together.
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or not len(images):
        raise ValueError(
            f"{name}: got images {tuple(images.shape)} of {images.dtype}, expected (n, c, h, w) of "
            "torch.uint8 with n >= 1"
        )
    if labels.dtype != torch.int64 or labels.shape != (len(images),):
        raise ValueError(
            f"{name}: got labels {tuple(labels.shape)} of {labels.dtype}, expected "
            f"({len(images)},) of torch.int64, one per image"
        )
    if int(labels.min()) < 0 or int(labels.max()) >= classes:
        raise ValueError(
            f"{name}: got labels from {int(labels.min())} to {int(labels.max())}, expected 0 to "
            f"{classes - 1}; number the classes from 0"
        )
    mean, std = measure(images) if statistics is None else statistics
    if not len(mean) == len(std) == images.shape[1] or min(std) <= 0:
        raise ValueError(
            f"{name}: got mean {mean} and std {std}, expected one per channel ({images.shape[1]}) "
            "and std > 0; a channel whose pixels are all equal cannot be normalised, drop it"
        )
    digest = hashlib.sha256(repr((name, tuple(images.shape), classes)).encode())
    for tensor in (images, labels):
        digest.update(tensor.contiguous().numpy().data)
    return Dataset(name, images, labels, classes, mean, std, digest.hexdigest())


def measure(images: Tensor) -> Statistics:
    """Returns mean and population standard deviation per channel of [0, 1] pixels.

    Exact up to the last division: pixels are counted by value, never summed as floats.

    Args:
        images: (n, c, h, w) uint8.
    """
    channels = images.shape[1]
    counts = torch.zeros(channels, 256, dtype=torch.float64)
    for start in range(0, len(images), 1024):  # in parts: bincount widens what it counts
        chunk = images[start : start + 1024]
        for channel in range(channels):
            counts[channel] += torch.bincount(chunk[:, channel].flatten(), minlength=256)
    share = counts / counts.sum(dim=1, keepdim=True)
    value = torch.arange(256, dtype=torch.float64) / 255
    mean = share @ value
    std = (share * (value - mean[:, None]).square()).sum(dim=1).sqrt()
    return tuple(mean.tolist()), tuple(std.tolist())
