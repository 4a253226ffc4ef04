"""Seeded batches without state: batch k is a pure function of (seed, purpose, k)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from zarts.bilevel import rng
from zarts.bilevel.chance import Chance
from zarts.data.augment import NONE, SEARCH, Augmentation
from zarts.data.dataset import Dataset

__all__ = ["Batch", "Stream", "draw_share", "split", "stratified"]


@dataclass(frozen=True, eq=False)
class Batch:
    """What a loss is evaluated on.

    Attributes:
        images: (n, c, h, w) floating point, normalised, on the device.
        labels: (n,) int64, on the device.
        chance: What the network draws with.
        weight: Factor of this batch's loss in a mean over several: its images per those of a mean
            batch, so that every image counts the same; 1 where all have one size.
    """

    images: Tensor
    labels: Tensor
    chance: Chance
    weight: float = 1.0


def split(n: int, portion: float = 0.5, subset: int | None = None) -> tuple[Tensor, Tensor]:
    """Splits n images in two by index order, as DARTS does: the first are D_train, the rest D_val.

    Args:
        n: Number of images.
        portion: Share of D_train; its size is rounded down (SVHN: 36,628 and 36,629).
        subset: Use only the first so many images of each part. Of the packaged data every ten
            images hold each class once, so a multiple of 10 is class-balanced.

    Returns:
        (train indices, val indices), int64 on the CPU; they never overlap.

    Raises:
        ValueError: If a part is empty or smaller than ``subset``.
    """
    if not 0 < portion < 1:
        raise ValueError(f"got portion={portion}, expected a share in (0, 1) such as 0.5")
    first = int(n * portion)
    parts = torch.arange(first), torch.arange(first, n)
    smaller = min(len(part) for part in parts)
    if subset is None:
        subset = n
    elif not 1 <= subset <= smaller:
        raise ValueError(
            f"got subset={subset}, expected 1 to {smaller}, the smaller part of {n} images; "
            "choose a smaller subset or leave it out"
        )
    if smaller == 0:
        raise ValueError(f"{n} images at portion={portion} leave one part empty; use more images")
    return parts[0][:subset], parts[1][:subset]


def stratified(
    labels: Tensor,
    portion: float = 0.5,
    subset: int | None = None,
    names: Sequence[str] = (),
) -> tuple[Tensor, Tensor]:
    """Splits the images of every class in two by index order; no class is in one part alone.

    In each part the classes are spread evenly, so that its first images, which a landscape is
    scored on and ``subset`` keeps, hold every class in its proportion.

    Args:
        labels: (n,) int64 on the CPU.
        portion: Share of D_train in each class, rounded down, but one image at least in each part.
        subset: Use only the first so many images of each part.
        names: Of the classes, for the error.

    Returns:
        (train indices, val indices), int64 on the CPU; they never overlap.

    Raises:
        ValueError: If a part lacks a class, or is smaller than ``subset``.
    """
    split(len(labels), portion, None)
    spread: tuple[list[Tensor], list[Tensor]] = ([], [])
    where: tuple[list[Tensor], list[Tensor]] = ([], [])
    for label in labels.unique().tolist():
        members = torch.nonzero(labels == label).flatten()
        if len(members) < 2:
            raise ValueError(
                f"class {repr(names[label]) if names else label} has one image, so it would be "
                "missing in D_train or D_val; add images, or leave the class out"
            )
        first = min(max(int(len(members) * portion), 1), len(members) - 1)
        for part, half in enumerate((members[:first], members[first:])):
            where[part].append(half)
            spread[part].append((torch.arange(len(half)).double() + 0.5) / len(half))
    # a stable sort: among equals the lower class comes first
    halves = [
        torch.cat(indices)[torch.cat(places).argsort(stable=True)]
        for indices, places in zip(where, spread, strict=True)
    ]
    smaller = min(map(len, halves))
    if subset is not None:
        if not 1 <= subset <= smaller:
            raise ValueError(
                f"got subset={subset}, expected 1 to {smaller}, the smaller part of "
                f"{len(labels)} images; choose a smaller subset or leave it out"
            )
        halves = [half[:subset] for half in halves]
        if any(len(labels[half].unique()) < len(where[0]) for half in halves):
            raise ValueError(
                f"the first {subset} images of a part do not hold every class; choose a larger "
                "subset or leave it out"
            )
    return halves[0], halves[1]


def draw_share(n: int, share: float) -> Tensor:
    """Draws a share of n images: their indices in random order, the same for every seed of a run.

    Raises:
        ValueError: If that is fewer than two images.
    """
    count = round(n * share)
    if count < 2:
        raise ValueError(f"share={share} of {n} images is {count}; choose a larger share")
    return torch.randperm(n, generator=rng.generator(0, "share"))[:count]


@dataclass(frozen=True, eq=False)
class Stream:
    """An endless, resumable sequence of batches; ``batch(k)`` gives any of them in any order.

    Every epoch visits the images in a new order; a sequential stream visits them in the order of
    ``indices``, without augmentation. Images left over at the end of an epoch are dropped, so that
    all batches have one size, or with ``keep_last`` are a smaller last batch (DARTS and ZARTS train
    on it: 25,000 images are 391 batches of 64). A single image left over joins the batch before
    it: BatchNorm uses the statistics of the batch, and of one image these are no estimate.

    Attributes:
        dataset: Where the images are. It is moved to ``device`` unless it is there: to share one
            copy between several streams, call ``dataset.to(device)`` first.
        indices: (n,) int64, the images to use.
        batch_size: Images per batch.
        seed: Seed of the run.
        purpose: Names the stream, e.g. "train", "val", "inner"; other purposes draw otherwise.
        augmentation: Applied per image; ignored by a sequential stream.
        sequential: Whether to visit the images in order.
        keep_last: Whether an epoch has all images.
        least: Images that make a smaller last batch; fewer join the batch before it.
        device: Where the batches are.
        dtype: Of the images, torch.float32 or torch.float64.
    """

    dataset: Dataset
    indices: Tensor
    batch_size: int
    seed: int
    purpose: str
    _: KW_ONLY
    augmentation: Augmentation = SEARCH
    sequential: bool = False
    keep_last: bool = False
    least: int = 2
    device: torch.device | str = "cpu"
    dtype: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        count = len(self.dataset.labels)
        if self.indices.ndim != 1 or self.indices.dtype != torch.int64 or not len(self.indices):
            raise ValueError(
                f"got indices of shape {tuple(self.indices.shape)} and {self.indices.dtype}, "
                "expected a non-empty 1-D int64 tensor; use split()"
            )
        if int(self.indices.min()) < 0 or int(self.indices.max()) >= count:
            raise ValueError(
                f"got indices from {int(self.indices.min())} to {int(self.indices.max())}, but "
                f"{self.dataset.name} has images 0 to {count - 1}; use split({count})"
            )
        if not 1 <= self.batch_size <= len(self.indices):
            raise ValueError(
                f"got batch_size={self.batch_size} for {len(self.indices)} images of purpose "
                f"{self.purpose!r}, expected 1 to {len(self.indices)}; lower the batch size or use "
                "more images (a larger data.subset or data.share)"
            )
        if not self.dtype.is_floating_point:
            raise ValueError(f"got {self.dtype}, expected torch.float32 or torch.float64")
        object.__setattr__(self, "dataset", self.dataset.to(self.device))

    @property
    def batches_per_epoch(self) -> int:
        """Batches of one pass over the images."""
        whole, rest = divmod(len(self.indices), self.batch_size)
        return whole + (self.keep_last and rest >= self.least)

    def batch(self, k: int, cutout: float = 1.0) -> Batch:
        """Returns batch k ≥ 0, the same bits whichever batches were asked for before.

        Args:
            k: Its number.
            cutout: Probability that an image is cut out, where the augmentation cuts any.

        Raises:
            ValueError: If k is negative.
        """
        if k < 0:
            raise ValueError(f"got batch {k}, expected k >= 0; batches are counted from 0")
        picked = self.picked(k)
        augmentation = NONE if self.sequential else self.augmentation
        generator = rng.generator(self.seed, self.purpose, "augment", k)
        mean, std = self._statistics
        images = augmentation(self.dataset.pick(picked), mean, std, generator, cutout)
        chance = Chance(rng.key(self.seed, self.purpose, "key", k))
        labels = self.dataset.labels
        return Batch(images, labels[picked.to(labels.device, non_blocking=True)], chance)

    def picked(self, k: int) -> Tensor:
        """Returns the indices of the images in batch k: (batch_size,) int64 on the CPU."""
        epoch, position = divmod(k, self.batches_per_epoch)
        end = (position + 1) * self.batch_size
        if self.keep_last and position == self.batches_per_epoch - 1:
            end = len(self.indices)
        window = slice(position * self.batch_size, end)
        if self.sequential:
            return self.indices[window]
        return self.indices[_order(self.seed, self.purpose, epoch, len(self.indices))[window]]

    @cached_property
    def _statistics(self) -> tuple[Tensor, Tensor]:
        mean, std = (
            torch.tensor(values, dtype=self.dtype, device=self.dataset.labels.device)
            for values in (self.dataset.mean, self.dataset.std)
        )
        return mean, std


@lru_cache(maxsize=8)  # the train, val and inner streams alternate within one epoch
def _order(seed: int, purpose: str, epoch: int, n: int) -> Tensor:
    """Returns the permutation of one epoch, (n,) int64; never to be changed in place."""
    return torch.randperm(n, generator=rng.generator(seed, purpose, "order", epoch))
