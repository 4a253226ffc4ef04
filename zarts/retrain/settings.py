"""What a retraining depends on: frozen dataclasses with bounds, and its schedules. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from zarts.settings.config import ConfigError, Settings, check_bounds, check_device
from zarts.settings.sections import DataConfig, setting
from zarts.settings.tables import build
from zarts.supernet.genotype import parse

__all__ = ["Images", "Network", "RetrainConfig", "Training"]

TAIL = 5  # last epochs of the linear schedule, which falls slower there


@dataclass(frozen=True)
class Network:
    """The network that the cells make.

    Attributes:
        channels: C of the first cells (DARTS: 36 on CIFAR, 48 on ImageNet).
        cells: L (DARTS: 20 and 14); cells L//3 and 2L//3 reduce.
        stem: ``cifar`` or ``imagenet``, which halves the image three times.
        layout: Of images in memory: channels ``last``, or ``first``.
    """

    channels: int = setting(36, least=2, most=4096)
    cells: int = setting(20, least=1, most=1000)
    stem: Literal["cifar", "imagenet"] = "cifar"
    layout: Literal["last", "first"] = "last"


@dataclass(frozen=True)
class Images:
    """Which images the network is trained on, which it is tested on, and how they are changed.

    Attributes:
        name: As in the search: ``packaged``, ``cifar10``, ..., FILE.npz or a registered name.
        size: Of images of ``imagenet`` and ``folder``, as in the search: a side in pixels, or
            HEIGHTxWIDTH; 0: 224 for ``imagenet``, 32 for ``folder``.
        channels: Of images of ``imagenet`` and ``folder``: 3, or 1 for grey; 0: 3.
        downscale: Average so many pixels on each axis to one; the crop's padding shrinks too.
        first: The first image of the training part that is used, counted from 0, and ...
        count: ... how many from there on; 0: all. So a search can be kept apart from a retraining.
        test: The images that accuracy is measured on: the data set's own ``test`` part, or the
            ``rest`` of its training part.
        batch_size: Images per step of all processes together.
        augment: ``standard``: random crop with padding 4 and horizontal flip; ``resized``: a random
            part of the picture brought to size, flip, and random brightness, contrast, saturation
            and hue, for images that stream from their files (ImageNet); ``none``.
        cutout: Side of the square that is cut out, in pixels; 0: none (DARTS retrains with 16).
    """

    name: str = "cifar10"
    size: str | float = 0.0
    channels: int = 0
    downscale: int = setting(1, least=1)
    first: int = setting(0, least=0)
    count: int = setting(0, least=0)
    test: Literal["test", "rest"] = "test"
    batch_size: int = setting(96, least=2)
    augment: Literal["standard", "resized", "none"] = "standard"
    cutout: int = setting(16, least=0)

    @property
    def sides(self) -> tuple[int, int] | None:
        """Height and width that ``size`` asks for; None: the data set's own."""
        return DataConfig(size=self.size).sides


@dataclass(frozen=True)
class Training:
    """How the network is trained: SGD, one learning rate an epoch.

    Attributes:
        epochs: Passes over the training images.
        learning_rate: Of SGD, at its largest.
        schedule: ``cosine`` to 0, or ``linear`` to 0, of which the last five epochs are a slower
            piece (P-DARTS and PC-DARTS on ImageNet).
        warmup: First epochs e in which the rate is (e + 1) / warmup of the schedule's.
        momentum: Of SGD.
        weight_decay: Of SGD, on all parameters as in DARTS.
        clip: Largest norm of all gradients; 0: no clip.
        label_smoothing: Share of the target that is spread over all classes (ImageNet: 0.1).
        auxiliary: Weight of the loss of a second head after two thirds of the cells; 0: none.
        drop_path: Probability, in the last epoch, that what an operation gives is dropped, per
            image; it rises linearly from 0. Identities are never dropped.
        precision: ``float32``, or what autocast computes in: ``bf16``, or ``fp16`` with scaled
            losses, where a step whose gradients overflow is left out, and the scale halved.
        accumulate: Parts that a step's batch is cut into, each with BatchNorm statistics of its
            own, so that memory is that of one. Processes share them out, so their number must
            divide this one; the result does not depend on it.
        passes: Passes over the test images that are averaged where the cells draw ``noise``.
    """

    epochs: int = setting(600, least=1, most=100_000)
    learning_rate: float = setting(0.025, above=0)
    schedule: Literal["cosine", "linear"] = "cosine"
    warmup: int = setting(0, least=0)
    momentum: float = setting(0.9, least=0)
    weight_decay: float = setting(3e-4, least=0)
    clip: float = setting(5.0, least=0)
    label_smoothing: float = setting(0.0, least=0, most=1)
    auxiliary: float = setting(0.4, least=0)
    drop_path: float = setting(0.2, least=0)
    precision: Literal["float32", "bf16", "fp16"] = "float32"
    accumulate: int = setting(1, least=1, most=4096)
    passes: int = setting(4, least=1, most=1000)

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 0.

        Source: DARTS (cosine); the released code of P-DARTS for ImageNet (linear and warm-up).
        """
        share = (1 + math.cos(math.pi * epoch / self.epochs)) / 2
        if self.schedule == "linear":
            main = self.epochs - TAIL
            share = (self.epochs - epoch) / self.epochs
            if main > 0:
                last = (self.epochs - epoch) / (TAIL * main)
                share = (main - epoch) / main if epoch < main else last
        return self.learning_rate * share * min(1.0, (epoch + 1) / max(1, self.warmup))

    def drop(self, epoch: int) -> float:
        """The probability of drop-path in an epoch, counted from 0."""
        return self.drop_path * epoch / self.epochs


@dataclass(frozen=True)
class RetrainConfig(Settings):
    """Everything a retraining depends on: on one kind of CPU, equal settings give equal content.

    Example:
        >>> config = RetrainConfig.from_table({"training": {"epochs": 600}})
        >>> f"{config.training.rate(599):.4e}"
        '1.7135e-07'

    Attributes:
        genotype: The cells, as the tuple text of the field. Where they came from is provenance:
            equal cells share one retraining.
        seed: Of initialisation, data order and all draws.
        device: ``cpu`` or ``cuda`` (``cuda:1`` ...).
        tf32: What a GPU may round to ten bits, as in a search: ``off``: nothing; ``convolutions``;
            ``on``: matrix products too.
        deterministic: ``on``: only algorithms that give equal bits each time; ``off``: any.
        network: The network.
        data: Its images.
        training: How it is trained on them.
    """

    genotype: str = ""
    seed: int = setting(0, least=0)
    device: str = "cpu"
    tf32: Literal["convolutions", "off", "on"] = "off"
    deterministic: Literal["off", "on"] = "on"
    network: Network = field(default_factory=Network)
    data: Images = field(default_factory=Images)
    training: Training = field(default_factory=Training)

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> RetrainConfig:
        """Builds and checks settings from nested tables.

        Raises:
            ConfigError: For unknown keys (the nearest is named), wrong types and impossible values.
        """
        config = build(cls, table)
        check_bounds(config)
        check_device(config.device)
        _check_ranges(config)
        return config


def _check_ranges(config: RetrainConfig) -> None:
    """What says more than a bound of one number.

    Raises:
        ConfigError: If a value is impossible.
    """
    data, train = config.data, config.training
    if config.genotype:
        try:
            text = str(parse(config.genotype))
        except ValueError as error:
            raise ConfigError(f"genotype: {error}") from None
        if text != config.genotype:  # or equal cells would not be equal settings
            raise ConfigError(f"genotype is {config.genotype!r}, expected {text!r}")
    if config.network.channels % 2:
        raise ConfigError(f"network.channels is {config.network.channels}, expected an even number")
    if data.channels not in (0, 1, 3):
        raise ConfigError(f"data.channels is {data.channels}, expected 1 or 3")
    try:
        _ = data.sides
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if train.drop_path >= 1:
        raise ConfigError(f"training.drop_path is {train.drop_path}, expected less than 1")
    if data.batch_size < 2 * train.accumulate:
        raise ConfigError(
            f"data.batch_size is {data.batch_size} in training.accumulate = {train.accumulate} "
            "parts, expected two images or more in each; lower training.accumulate"
        )
    if data.augment == "resized" and data.name not in ("imagenet", "folder"):
        raise ConfigError(
            f"data.augment is resized, which is for imagenet and folder, not for {data.name!r}; "
            "use standard"
        )
    if data.augment == "resized" and (data.cutout or data.downscale > 1):
        raise ConfigError(
            "data.augment is resized, which goes without data.cutout and data.downscale; set them "
            "to 0 and 1"
        )
    if data.test == "rest" and not data.count:
        raise ConfigError(
            "data.test is rest, but data.count = 0 trains on all images; say how many in data.count"
        )
