"""The images of a retraining: cut into steps and parts for training, and in order for the test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from zarts.bilevel import rng
from zarts.data.arrays import version
from zarts.data.augment import NONE, Augmentation, normalise
from zarts.data.dataset import Dataset
from zarts.data.folders import Streamed
from zarts.data.stream import Stream
from zarts.data.streaming import Cutter, Place, read_batches
from zarts.problems.parts import dataset_of
from zarts.retrain.ranks import ALONE, Ranks
from zarts.retrain.settings import RetrainConfig
from zarts.settings.config import ConfigError

__all__ = ["Feed", "Loaded", "Part", "load"]


MORE = 4  # test images per image of a part: what is tested keeps nothing for a backward pass


class Part(NamedTuple):
    """Some images of a batch, which the network sees together.

    Attributes:
        place: Which part of its batch; of the test, which batch.
        images: (n, c, h, w), normalised, on the device.
        labels: (n,) int64.
        key: Seed of what the network draws.
        share: Its images per those of the whole batch.
    """

    place: int
    images: Tensor
    labels: Tensor
    key: int
    share: float


@dataclass(frozen=True, eq=False)
class Loaded:
    """The two data sets of a retraining, and which of their images are used.

    Attributes:
        train: Where the training images are.
        test: Where the test images are.
        used: Indices of the training images.
        tested: Indices of the test images.
    """

    train: Dataset
    test: Dataset
    used: Tensor
    tested: Tensor

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    def facts(self) -> dict[str, Any]:
        """What a run keeps of its data."""
        shape, source = "×".join(map(str, self.shape)), self.train.source
        return {
            "data_fingerprint": self.train.fingerprint,
            "test_fingerprint": self.test.fingerprint,
            "data": {
                "images": len(self.used),
                "test_images": len(self.tested),
                "classes": self.train.classes,
                "pixels": shape if source in ("", shape) else f"{source} → {shape}",
            },
        }


def load(config: RetrainConfig, device: str | None = None) -> Loaded:
    """Loads the images of a retraining.

    Args:
        config: Its settings.
        device: Where they are to be; None: where the settings say.

    Raises:
        ConfigError: If the device is not there, or the data do not fit the settings.
        MissingData: If a data set is not there.
    """
    data = config.data

    def part(name: str) -> Dataset:
        return dataset_of(
            data.name,
            version(data.name),
            part=name,
            size=data.sides,
            channels=data.channels,
            storage="stream" if data.augment == "resized" or data.name == "imagenet" else "memory",
            factor=data.downscale,
            device=device or config.device,
        )

    train = part("train")
    total = len(train.labels)
    last = data.first + data.count if data.count else total
    if not data.first < last <= total:
        raise ConfigError(
            f"data.first = {data.first} and data.count = {data.count} ask for images up to {last}, "
            f"{data.name} has {total}; lower one of them"
        )
    used = torch.arange(data.first, last)
    if data.test == "rest":
        rest = torch.cat([torch.arange(data.first), torch.arange(last, total)])
        if not len(rest):
            raise ConfigError("data.test is rest, and there is none; lower data.count")
        return Loaded(train, train, used, rest)
    test = part("test")
    return Loaded(train, test, used, torch.arange(len(test.labels)))


class Feed:
    """The batches of a retraining, as far as they are this process's.

    Every epoch visits all images in a new order that is keyed by seed and epoch; those left over
    for a whole batch are a smaller last one. A step's batch is cut into parts of equal size, as far
    as that goes.

    Attributes:
        steps: Batches of an epoch.
        images: Images of an epoch.
        tests: Batches of a pass over the test images.
        classes: Of the images.
    """

    def __init__(
        self,
        config: RetrainConfig,
        loaded: Loaded,
        ranks: Ranks = ALONE,
        *,
        device: str | None = None,
    ) -> None:
        data, self._parts = config.data, config.training.accumulate
        self._ranks, self._config = ranks, config
        self._device = torch.device(device or config.device)
        place = dict[str, Any](device=self._device, keep_last=True)
        padding = 0 if data.augment == "none" else 4 // data.downscale
        try:
            self._train = Stream(
                loaded.train,
                loaded.used,
                data.batch_size,
                config.seed,
                "retrain",
                augmentation=Augmentation(padding, data.augment != "none", data.cutout),
                least=2 * self._parts,
                **place,
            )
            self._test = Stream(
                loaded.test,
                loaded.tested,
                min(MORE * data.batch_size // self._parts, len(loaded.tested)),
                config.seed,
                "test",
                sequential=True,
                augmentation=NONE,
                **place,
            )
        except ValueError as error:
            raise ConfigError(f"data: {error}") from error
        self.steps, self.images = self._train.batches_per_epoch, len(loaded.used)
        self.tests, self.classes = self._test.batches_per_epoch, loaded.train.classes

    def epoch(self, epoch: int, first: int = 0) -> Iterator[list[Part]]:
        """This process's parts of the batches of an epoch from step ``first`` on."""
        numbers = range(epoch * self.steps + first, (epoch + 1) * self.steps)
        if self._config.data.augment == "resized":
            yield from self._decoded(epoch, numbers)
            return
        for number in numbers:
            batch = self._train.batch(number)
            pieces = [each.tensor_split(self._parts) for each in (batch.images, batch.labels)]
            yield [
                self._part(index, pieces[0][index], pieces[1][index], number, len(batch.labels))
                for index in self._ranks.mine(self._parts)
            ]

    def test(self, passes: int) -> Iterator[Part]:
        """This process's batches of some passes over the test images."""
        numbers = range(self._ranks.rank, passes * self.tests, self._ranks.count)
        picked = [self._test.picked(number % self.tests) for number in numbers]
        if self._config.data.augment == "resized":
            found = self._read(
                self._test.dataset, None, [[(0, i) for i in p.tolist()] for p in picked]
            )
        else:
            found = (self._test.batch(number % self.tests).images for number in numbers)
        for number, chosen, images in zip(numbers, picked, found, strict=True):
            labels = self._test.dataset.labels[chosen.to(self._device)]
            key = rng.key(self._config.seed, "test", "key", number)
            yield Part(number, self._laid(images), labels, key, 1.0)

    def _decoded(self, epoch: int, numbers: range) -> Iterator[list[Part]]:
        """The same of images that stream from their files."""
        mine, dataset = self._ranks.mine(self._parts), self._train.dataset
        wholes = [self._train.picked(number) for number in numbers]
        pieces = [whole.tensor_split(self._parts)[index] for whole in wholes for index in mine]
        places = [[(epoch, index) for index in piece.tolist()] for piece in pieces]
        images = self._read(dataset, self._config.seed, places)
        for number, whole in zip(numbers, wholes, strict=True):
            parts = []
            for index in mine:
                labels = dataset.labels[whole.tensor_split(self._parts)[index].to(self._device)]
                parts.append(self._part(index, next(images), labels, number, len(whole)))
            yield parts

    def _read(
        self, dataset: Dataset, seed: int | None, places: list[list[Place]]
    ) -> Iterator[Tensor]:
        assert isinstance(dataset, Streamed)
        assert dataset.pictures is not None
        height, width = dataset.pictures.size
        on_gpu = self._device.type == "cuda"
        mean, std = (
            torch.tensor(each, device=self._device) for each in (dataset.mean, dataset.std)
        )
        for images in read_batches(
            dataset.pictures, Cutter((height, width), seed), places, pin=on_gpu
        ):
            yield normalise(images.to(self._device, non_blocking=True), mean, std)

    def _part(self, index: int, images: Tensor, labels: Tensor, number: int, whole: int) -> Part:
        key = rng.key(self._config.seed, "retrain", "part", number, index)
        return Part(index, self._laid(images), labels, key, len(labels) / whole)

    def _laid(self, images: Tensor) -> Tensor:
        last = self._config.network.layout == "last"
        layout = torch.channels_last if last else torch.contiguous_format
        return images.contiguous(memory_format=layout)
