"""The labelled images that everything else is computed from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

__all__ = ["DamagedData", "Dataset", "MissingData", "Statistics", "from_tensors", "measure"]

Statistics = tuple[
    tuple[float, ...], tuple[float, ...]
]  # (mean, std), per channel of [0, 1] pixels


class MissingData(FileNotFoundError):
    """A data set is not where it was looked for. The message says how to get it."""


class DamagedData(ValueError):
    """A file of a data set is not what its publisher put there."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images.

    Attributes:
        name: One of ``loaders.NAMES``, a file's, or any name for data made by hand.
        images: (n, c, h, w) uint8.
        labels: (n,) int64 in 0 … classes − 1, on the same device.
        classes: Number of classes.
        mean: Per channel, of [0, 1] pixels.
        std: Per channel, of [0, 1] pixels.
        fingerprint: SHA-256 of name, shape, images and labels; equal data gives an equal one.
        names: Of the classes, where they come from folders.
        source: Shape of the images in their files, ``1×96×128``, where that is another one.
        largest: Value that white had in the files, where images were brought to bytes by it.
    """

    name: str
    images: Tensor
    labels: Tensor
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    names: tuple[str, ...] = ()
    source: str = ""
    largest: int = 255

    def pick(self, indices: Tensor) -> Tensor:
        """Images (n, c, h, w) uint8 at indices (n,) on the CPU, on the device of the labels."""
        return self.images[indices.to(self.images.device, non_blocking=True)]

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


def measure(images: Tensor | Iterable[Tensor]) -> Statistics:
    """Returns mean and population standard deviation per channel of [0, 1] pixels.

    Exact up to the last division: pixels are counted by value, never summed as floats.

    Args:
        images: (n, c, h, w) uint8, whole or in parts.
    """
    # in parts, as bincount widens what it counts
    parts = images.split(1024) if isinstance(images, Tensor) else images
    counts = torch.zeros(0, 256, dtype=torch.float64)
    for part in parts:
        rows = [torch.bincount(channel.flatten(), minlength=256) for channel in part.unbind(1)]
        counts = torch.stack(rows).double() + (counts if len(counts) else 0)
    share = counts / counts.sum(dim=1, keepdim=True)
    value = torch.arange(256, dtype=torch.float64) / 255
    mean = share @ value
    std = (share * (value - mean[:, None]).square()).sum(dim=1).sqrt()
    return tuple(mean.tolist()), tuple(std.tolist())
