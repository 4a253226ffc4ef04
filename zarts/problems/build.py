"""The one place where settings become objects: Config -> data, supernet, Bilevel, optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from zarts.bilevel.alpha import Space
from zarts.bilevel.inner import SGD, Weights
from zarts.bilevel.objective import Bilevel
from zarts.bilevel.rng import generator
from zarts.data.augment import NONE, Augmentation
from zarts.data.dataset import Dataset
from zarts.data.stream import Batch, Stream
from zarts.problems.image import ImageFeed, ImageLoss, cosine, with_rate
from zarts.problems.parts import (
    at_stage,
    halves_of,
    lanes_of,
    load_dataset,
    parts_of,
    set_precision,
)
from zarts.settings.config import Config, ConfigError, DataConfig
from zarts.settings.stages import Stage

__all__ = [
    "Problem",
    "landscape_objective",
    "make_problem",
    "val_batch_count",
    "val_image_count",
]


@dataclass(frozen=True, eq=False)
class Problem:
    """Everything a search starts from.

    Attributes:
        objective: The bilevel problem at iteration 0 with freshly drawn ω.
        alpha: α at the start (d,).
        feed: The objective's feed, for the bookkeeping of epochs.
        loss: The network's loss, for whole-set measurements.
        validation: D_val in order, without augmentation; of all its images, or of whole batches
            only, as ``data.last_batch`` says.
        dataset: The images.
    """

    objective: Bilevel[Batch]
    alpha: Tensor
    feed: ImageFeed
    loss: ImageLoss
    validation: Stream
    dataset: Dataset

    def validate(self, weights: Weights, alpha: Tensor, epoch: int = 0) -> tuple[float, float]:
        """Loss (nats) and accuracy over D_val with the ω given, without fine-tuning.

        The network draws as in ``epoch`` (from 0), but drops nothing. Means are over images.
        BatchNorm uses the statistics of each batch, so a smaller last one is another network to its
        images; it counts by their number.
        """
        stream = self.validation
        strengths = self.feed.strengths(epoch).without_drops()
        batches = [
            replace(batch, chance=strengths.chance(batch.chance.key))
            for batch in map(stream.batch, range(stream.batches_per_epoch))
        ]
        return self.loss.measure(weights, alpha, batches)


def make_problem(config: Config, stage: Stage | None = None) -> Problem:
    """Builds the search problem of a config, in a stage (None: the first).

    Example:
        >>> from zarts import Config, make_problem, preset
        >>> problem = make_problem(Config.from_table(preset("quick", "zarts-mgs")))
        >>> problem.objective.inner_steps, problem.alpha.shape, problem.dataset.name
        (10, torch.Size([84]), 'packaged')

    Raises:
        ConfigError: If the device is not there or the data does not fit the settings.
        MissingData: If the data set is not there.
    """
    set_precision(config)
    stage = stage or config.program.stages[0]
    config = at_stage(config, stage)
    dataset, network, halves = parts_of(config, stage)
    loss = ImageLoss(network)
    feed = _search_feed(config, stage, dataset, halves)
    validation = _stream(
        config,
        dataset,
        halves[1],
        purpose="validation",
        size=config.data.batch_size,
        augmentation=NONE,
        sequential=True,
        keep_last=_keeps_last(config),
    )
    objective = Bilevel(
        space=network.space,
        train_loss=loss,
        val_loss=ImageLoss(network, config.search.draws),
        weights=_placed(network.init(generator(config.seed, "weights"), _dtype(config)), config),
        feed=feed,
        inner_steps=config.search.inner_steps,
        inherit_velocity=config.search.inner_velocity == "copy",
        lanes=lanes_of(config),
    )
    alpha = _alpha(config, stage, network.space)
    return Problem(objective, alpha, feed, loss, validation, dataset)


def _alpha(config: Config, stage: Stage, space: Space) -> Tensor:
    """α at the start of a stage: drawn, or in the first one as the settings say."""
    if stage.index or not config.search.alpha:
        return space.init(generator(config.seed, "alpha"), _dtype(config))
    alpha = torch.tensor(config.search.alpha, dtype=_dtype(config))
    try:
        space.check(alpha)
    except ValueError as error:
        raise ConfigError(f"search.alpha: {error}") from error
    return alpha


def landscape_objective(
    config: Config,
    weights: Mapping[str, Tensor],
    rate: float,
    stage: Stage | None = None,
    epoch: int = 0,
) -> Bilevel[Batch]:
    """The objective of grids and paths: a snapshot's ω, fixed images of D_val, M steps at ``rate``.

    Iteration 0 has the batches of the grid; later iterations have fresh ones for paths that ask
    for them. L_val is taken over the first ``val_batches`` of D_val in order, without augmentation,
    or over all of D_val; a smaller last batch counts by its images.
    The M steps have the momentum, weight decay and clip of the search's ω and velocity zero, also
    where the search's own inner steps have other rules (DARTS-2nd): all M share one rule.
    Network, weight decay and draws, but no drops, are those of the snapshot's stage and epoch.

    Raises:
        ConfigError: If the data or the device does not fit the settings.
    """
    set_precision(config)
    stage = stage or config.program.stages[0]
    dataset, network, (train, val) = parts_of(config, stage)
    land, search = config.landscape, config.search
    count = val_batch_count(config)
    rule = SGD(rate, search.momentum, stage.weight_decay, search.clip or None)
    strengths = stage.strength((epoch or stage.epochs) - 1).without_drops()

    def stream(purpose: str, size: int) -> Stream:
        return _stream(
            config,
            dataset,
            train,
            purpose=f"landscape-{purpose}",
            size=size,
            augmentation=_augmentation(config.data),
        )

    feed = ImageFeed(
        train=stream("train", config.data.batch_size),
        inner=stream("inner", search.inner_batch_size),
        val=_stream(
            config,
            dataset,
            val,
            purpose="landscape-val",
            size=land.val_batch_size,
            augmentation=NONE,
            sequential=True,
            keep_last=_keeps_last(config),
        ),
        outer=lambda epoch: rule,
        inner_rule=lambda outer: rule,
        period=max(1, land.steps),
        val_batches_per_iteration=count,
        stride=max(1, land.steps),
        strengths=lambda epoch: strengths,
    )
    return Bilevel(
        space=network.space,
        train_loss=ImageLoss(network),
        val_loss=ImageLoss(network, land.draws),
        weights=_placed(weights, config),
        feed=feed,
        inner_steps=land.steps,
        lanes=lanes_of(config),
    )


def val_batch_count(config: Config) -> int:
    """The batches in L_val of a landscape; makes none of them.

    Each has ``val_batch_size`` images, but for the last one of all, see ``data.last_batch``.

    Raises:
        ConfigError: If D_val has fewer images, or the data does not fit the settings.
        MissingData: If the data set is not there.
    """
    return _val_extent(config)[0]


def val_image_count(config: Config) -> int:
    """The images in L_val of a landscape; raises as ``val_batch_count`` does."""
    return _val_extent(config)[1]


def _val_extent(config: Config) -> tuple[int, int]:
    """Batches and images in L_val of a landscape."""
    land = config.landscape
    images, size = len(halves_of(config, load_dataset(config))[1]), land.val_batch_size
    whole, rest = divmod(images, size)
    count = land.val_batches or whole
    if not 1 <= count <= whole:
        raise ConfigError(
            f"landscape.val_batches × val_batch_size = {count} × {size}, "
            f"D_val has {images} images; lower one of them"
        )
    if land.val_batches or not _keeps_last(config):
        return count, count * size
    return count + (rest > 1), images


def _search_feed(
    config: Config, stage: Stage, dataset: Dataset, halves: tuple[Tensor, Tensor]
) -> ImageFeed:
    data, search = config.data, config.search
    augmentation = _augmentation(data)
    train, val = halves

    def stream(indices: Tensor, purpose: str, size: int, *, keep_last: bool = False) -> Stream:
        return _stream(
            config,
            dataset,
            indices,
            purpose=purpose,
            size=size,
            augmentation=augmentation,
            keep_last=keep_last,
        )

    def outer(epoch: int) -> SGD:
        rate = cosine(search.learning_rate, search.learning_rate_min, epoch, search.epochs)
        return SGD(rate, search.momentum, search.weight_decay, search.clip or None)

    def cut(epoch: int) -> float:
        return epoch / max(1, search.epochs - 1)

    own = search.inner_batches == "own"
    return ImageFeed(
        train=stream(train, "train", data.batch_size, keep_last=_keeps_last(config)),
        inner=stream(train, "inner", search.inner_batch_size) if own else None,
        val=stream(val, "val", data.batch_size),
        outer=outer,
        inner_rule=with_rate(search.inner_learning_rate, search.inner_clip or None),
        period=search.period,
        stride=max(1, search.inner_steps),
        strengths=stage.strength,
        cutout=cut if data.cutout_schedule == "rising" else lambda epoch: 1.0,
    )


def _stream(
    config: Config,
    dataset: Dataset,
    indices: Tensor,
    *,
    purpose: str,
    size: int,
    augmentation: Augmentation,
    sequential: bool = False,
    keep_last: bool = False,
) -> Stream:
    if size > len(indices):
        own = {"inner": "search.inner_batch_size", "landscape-val": "landscape.val_batch_size",
               "landscape-inner": "search.inner_batch_size"}  # fmt: skip
        half = "D_val" if "val" in purpose else "D_train"
        raise ConfigError(
            f"{own.get(purpose, 'data.batch_size')} is {size}, expected at most {len(indices)}, "
            f"the images of {half}; lower it or use more images (data.subset, data.share)"
        )
    try:
        return Stream(
            dataset,
            indices,
            size,
            config.seed,
            purpose,
            augmentation=augmentation,
            sequential=sequential,
            keep_last=keep_last,
            device=config.device,
            dtype=_dtype(config),
        )
    except ValueError as error:
        raise ConfigError(f"batches for {purpose}: {error}") from error


def _keeps_last(config: Config) -> bool:
    return config.data.last_batch == "keep"


def _augmentation(data: DataConfig) -> Augmentation:
    if data.augment == "none":
        return Augmentation(padding=0, flip=False, cutout=data.cutout)
    return Augmentation(padding=4 // data.downscale, cutout=data.cutout)


def _dtype(config: Config) -> torch.dtype:
    return torch.float64 if config.dtype == "float64" else torch.float32


def _placed(weights: Mapping[str, Tensor], config: Config) -> dict[str, Tensor]:
    return {
        name: weight.to(device=config.device, dtype=_dtype(config))
        for name, weight in weights.items()
    }
