"""The two big parts of a problem on images, from settings: the data set and the supernet."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from zarts.bilevel.rng import key
from zarts.data.arrays import version
from zarts.data.dataset import DamagedData, Dataset, MissingData, measure
from zarts.data.loaders import NAMES, SIZES, load_images, side_lengths
from zarts.data.names import FIXED
from zarts.data.stream import draw_share, split, stratified
from zarts.settings.config import Config, ConfigError, DataConfig
from zarts.settings.stages import Stage
from zarts.supernet.protocol import Network, network_record

__all__ = [
    "at_stage",
    "data_facts",
    "data_lines",
    "gpus_of",
    "halves_of",
    "lanes_for",
    "lanes_of",
    "load_dataset",
    "network_of",
    "own_fingerprint",
    "parts_of",
    "set_precision",
]

# Candidates side by side. On a CPU four of them take 0.6 to 0.8 of the time up to so many bytes of
# the image of one edge, and save nothing beyond. A GPU is kept busy by larger ones: as many
# candidates as fit into its bytes; that limit is not measured.
_CPU_LANES, _CPU_BYTES = 4, 3 << 16
_GPU_LANES, _GPU_BYTES = 8, 8 << 20
# Bytes that the channels of all lanes must fill: gradients of the channels behind the last whole
# vector are summed in another order, and would not be those of another lane (measured).
_CPU_VECTOR = 32


def at_stage(config: Config, stage: Stage) -> Config:
    """The settings as they are in a stage, with a seed of its own after the first.

    Its space need have no name, so that stands in the stage alone.
    """
    search = dataclasses.replace(
        config.search,
        epochs=stage.epochs,
        warmup=stage.warmup,
        weight_decay=stage.weight_decay,
        snapshots=stage.snapshots,
    )
    seed = key(config.seed, "stage", stage.index) if stage.index else config.seed
    return dataclasses.replace(config, seed=seed, search=search)


def network_of(
    config: Config, classes: int, image_channels: int, stage: Stage | None = None
) -> Network:
    """The supernet of a config for images of a data set, in a stage (None: the first).

    Raises:
        ConfigError: If such a network cannot be built.
    """
    net = config.supernet
    record = network_record(net.network)
    stage = stage or config.program.stages[0]
    settings = {
        name: stage.cells if name == "cells" else getattr(net, name) for name in record.settings
    }
    try:
        network: Network = record.load().build(stage.space, classes, image_channels, settings)
    except ValueError as error:
        raise ConfigError(f"supernet: {error}") from error
    except (KeyError, TypeError) as error:  # of a class of one's own
        told = f"{net.network} cannot be built of {settings}: {type(error).__name__}: {error}"
        raise ConfigError(told) from error
    return network


def lanes_of(config: Config) -> int:
    """How many candidates with an ω of their own are computed side by side (``bilevel.chunk``).

    It follows from the config alone, so all processes of a run agree. No data set is loaded.

    Raises:
        ConfigError: If the data set is unknown, or values would depend on the lane.
    """
    data = config.data
    try:
        height, width = side_lengths(data.name, data.sides)
    except DamagedData as error:  # it names the file
        raise ConfigError(str(error)) from error
    except ValueError as error:
        raise ConfigError(f"data.name: {error}") from error
    return lanes_for(config, max(1, height // data.downscale), max(1, width // data.downscale))


def lanes_for(config: Config, height: int, width: int) -> int:
    """The same for images of a size, without loading any.

    Raises:
        ConfigError: If values would depend on which of the lanes they are computed in.
    """
    net = config.supernet
    shrink, width_of_stem = (4, net.channels // 2) if net.stem == "imagenet" else (1, net.channels)
    item = 8 if config.dtype == "float64" else 4
    on_cpu = torch.device(config.device).type == "cpu"

    def apart(lanes: int) -> bool:
        return not on_cpu or lanes == 1 or lanes * width_of_stem * item % _CPU_VECTOR == 0

    try:
        kind = network_record(net.network).load()
    except ValueError as error:
        raise ConfigError(f"supernet.network: {error}") from error
    if not hasattr(kind, "each"):
        if net.lanes > 1:
            raise ConfigError(
                f"supernet.lanes is {net.lanes}, but the network {net.network!r} computes one "
                "candidate at a time; use 0 or 1"
            )
        return 1
    if net.lanes:
        if not apart(net.lanes):
            fitting = [lanes for lanes in (1, 2, 4, 8, 16, 32, 64) if apart(lanes)]
            raise ConfigError(
                f"supernet.lanes is {net.lanes}; with {net.channels} channels of {config.dtype} "
                "values would differ in their last digits from one lane to the next; "
                f"use one of {', '.join(map(str, fitting))}, or 0"
            )
        return net.lanes
    pixels = -(-height // shrink) * -(-width // shrink) * config.search.inner_batch_size
    size = pixels * net.channels * item
    if on_cpu:
        return _CPU_LANES if size <= _CPU_BYTES and apart(_CPU_LANES) else 1
    return max(1, min(_GPU_LANES, _GPU_BYTES // size))


def gpus_of(device: str) -> tuple[str, ...]:
    """The GPUs that worker processes may share out, named as in CUDA_VISIBLE_DEVICES.

    None for the device ``cpu``, and none for one GPU that is asked for by its number.
    """
    if device != "cuda":
        return ()
    count = torch.cuda.device_count()
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    return tuple(named[:count]) if named[0] else tuple(map(str, range(count)))


class Rounding(Protocol):
    """Settings that say what computes and how it rounds, see ``Config``."""

    @property
    def device(self) -> str: ...
    @property
    def tf32(self) -> str: ...
    @property
    def deterministic(self) -> str: ...


def set_precision(config: Rounding) -> None:
    """Lets the libraries of a GPU round, and choose algorithms, as the config says."""
    if config.device == "cpu":
        return
    torch.backends.cudnn.allow_tf32 = config.tf32 != "off"
    torch.backends.cuda.matmul.allow_tf32 = config.tf32 == "on"
    torch.backends.cudnn.deterministic = config.deterministic == "on"
    torch.backends.cudnn.benchmark = False  # it chooses by the clock


def load_dataset(config: Config, part: str = "train") -> Dataset:
    """The data set of a config, on its device; loaded once per process.

    Args:
        config: Its section ``data``, and the device.
        part: ``train``, or ``test`` for networks that are retrained.

    Raises:
        ConfigError: If the device is not there or the name is unknown.
        MissingData: If the data set is not there.
    """
    data = config.data
    return dataset_of(
        data.name,
        version(data.name),
        size=data.sides,
        channels=data.channels,
        storage=data.storage,
        factor=data.downscale,
        device=config.device,
        part=part,
    )


def parts_of(
    config: Config, stage: Stage | None = None
) -> tuple[Dataset, Network, tuple[Tensor, Tensor]]:
    """Data set, supernet of a stage, and the indices of D_train and D_val."""
    dataset = load_dataset(config)
    network = network_of(config, dataset.classes, dataset.images.shape[1], stage)
    return dataset, network, halves_of(config, dataset)


def halves_of(config: Config, dataset: Dataset) -> tuple[Tensor, Tensor]:
    """Indices of D_train and of D_val."""
    data, labels = config.data, dataset.labels.cpu()
    try:
        if data.share == 1:
            return _split(data, labels, dataset.names)
        used = draw_share(len(labels), data.share)
        train, val = _split(data, labels[used], dataset.names)
    except ValueError as error:
        raise ConfigError(f"data.subset / data.portion / data.share: {error}") from error
    return used[train], used[val]


def _split(data: DataConfig, labels: Tensor, names: Sequence[str]) -> tuple[Tensor, Tensor]:
    if data.split == "stratified":
        return stratified(labels, data.portion, data.subset or None, names)
    return split(len(labels), data.portion, data.subset or None)


def own_fingerprint(config: Config) -> str:
    """The fingerprint of images of a user's own; empty of others, and where they are not here."""
    if config.data.name in FIXED:
        return ""
    try:
        return load_dataset(config).fingerprint
    except (ConfigError, MissingData):
        return ""


def data_facts(config: Config) -> dict[str, Any]:
    """What the data of a config are, for people and for provenance.

    Returns:
        ``images``, ``pixels`` (``1×96×128 → 3×32×32``), ``classes`` (name or number to its images
        in D_train and D_val), and ``largest`` where white is another value than 255 in the files.
    """
    dataset = load_dataset(config)
    labels = dataset.labels.cpu()
    names = dataset.names or tuple(map(str, range(dataset.classes)))
    counts = [
        labels[half].bincount(minlength=dataset.classes) for half in halves_of(config, dataset)
    ]
    shape = "×".join(map(str, dataset.images.shape[1:]))
    pixels = shape if dataset.source in ("", shape) else f"{dataset.source} → {shape}"
    classes = dict(zip(names, torch.stack(counts, dim=1).tolist(), strict=True))
    facts = {"images": len(labels), "pixels": pixels, "classes": classes}
    return facts if dataset.largest == 255 else facts | {"largest": dataset.largest}


def data_lines(name: str, facts: Mapping[str, Any]) -> list[str]:
    """The data of a run for its first lines; of a few classes, how many images each has."""
    classes = facts["classes"]
    deep = f", white is {facts['largest']:,}" if "largest" in facts else ""
    lines = [
        f"data set   {name} (real images, {facts['images']:,}), {len(classes):,} classes, "
        f"{facts['pixels']}{deep}"
    ]
    if name in SIZES or name not in NAMES:  # images of one's own
        if len(classes) <= 20:
            each = [f"{key} {train:,} + {val:,}" for key, (train, val) in classes.items()]
        else:
            both = [train + val for train, val in classes.values()]
            each = [f"{min(both):,} to {max(both):,} images each"]
        lines.append(f"classes    {', '.join(each)} (D_train + D_val)")
    for part, half in enumerate(("D_train", "D_val")):
        if missing := [key for key, counts in classes.items() if not counts[part]]:
            lines.append(f"warning    {half} has no image of {', '.join(missing[:20])}")
    return lines


@lru_cache(maxsize=2)  # of one process search, grid and paths, or epochs of a retraining, share
def dataset_of(
    name: str,
    version: Hashable,
    *,
    size: tuple[int, int] | None,
    channels: int,
    storage: str,
    factor: int,
    device: str,
    part: str = "train",
) -> Dataset:
    """The images of these settings, on their device; the last two asked for are kept.

    Raises:
        ConfigError: If the device is not there, or the data cannot be used.
    """
    del version  # arrays of another version are another data set of the same name
    if torch.device(device).type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device is {device!r}, but no CUDA device is here; use --device cpu")
    try:
        stream = storage == "stream"
        found = load_images(name, size=size, channels=channels or None, stream=stream, part=part)
        small = _downscaled(found, factor)
        if part != "train" and factor != 1:
            like = _downscaled(load_images(name, size=size, channels=channels or None), factor)
            small = dataclasses.replace(small, mean=like.mean, std=like.std)
        return small.to(device)
    except DamagedData as error:  # it names the file
        raise ConfigError(str(error)) from error
    except ValueError as error:
        raise ConfigError(f"data.name: {error}") from error


def _downscaled(dataset: Dataset, factor: int) -> Dataset:
    if factor == 1:
        return dataset
    if min(dataset.images.shape[2:]) < factor:
        raise ConfigError(
            f"data.downscale is {factor}, expected at most {min(dataset.images.shape[2:])}, "
            "the side of the images"
        )
    if dataset.images.device.type == "meta":
        raise ConfigError(
            f"data.downscale is {factor}, expected 1 for images that stream from their files; "
            "use data.size"
        )
    small = avg_pool2d(dataset.images.float(), factor).round().to(torch.uint8)
    mean, std = measure(small)
    source = dataset.source or "×".join(map(str, dataset.images.shape[1:]))
    return dataclasses.replace(dataset, images=small, mean=mean, std=std, source=source)
