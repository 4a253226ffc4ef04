"""What a run depends on: frozen dataclasses and what their values must be. No torch in here."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from zarts.optimizers import METHODS
from zarts.tables import (
    ConfigError,
    Table,
    build,
    merge,
    nearest,
    parse_assignment,
    read_toml,
    to_toml,
)

__all__ = [
    "METHOD_NAMES",
    "Config",
    "ConfigError",
    "DataConfig",
    "LandscapeConfig",
    "PathsConfig",
    "SearchConfig",
    "SupernetConfig",
    "Table",
    "merge",
    "nearest",
    "parse_assignment",
    "read_toml",
]

METHOD_NAMES = tuple(METHODS)


@dataclass(frozen=True)
class DataConfig:
    """Which images, and how batches are made of them.

    Attributes:
        name: ``packaged`` or a torchvision data set, see ``zarts.data.loaders``. Where it lies is
            no setting but the environment variable ZARTS_DATA: no run depends on a folder.
        subset: Use the first so many images of each half; 0: all.
        portion: Share of D_train, by index order (DARTS: one half).
        batch_size: Images per batch of the outer training and of L_val in a search (paper: 64).
        augment: ``standard``: random crop with padding 4 and horizontal flip, on both halves as in
            DARTS; ``none``.
        cutout: Side of the square that is cut out, in pixels; 0: none, as in the searches of DARTS
            and ZARTS.
        downscale: Average so many pixels on each axis to one before anything else (NAS on small
            images, as ImageNet16 in NAS-Bench-201); 1: full size. The crop's padding shrinks too.
    """

    name: str = "packaged"
    subset: int = 0
    portion: float = 0.5
    batch_size: int = 64
    augment: Literal["standard", "none"] = "standard"
    cutout: int = 0
    downscale: int = 1


@dataclass(frozen=True)
class SupernetConfig:
    """The network that contains all architectures.

    Attributes:
        space: ``s1`` to ``s4``, ``s5`` (DARTS) or ``s6`` (DARTS without ``none``).
        channels: C of the first cells, 16 in the paper.
        cells: L, 8 in the paper; cells L//3 and 2L//3 reduce.
        stem: ``cifar`` or ``imagenet`` (two more halvings).
    """

    space: Literal["s1", "s2", "s3", "s4", "s5", "s6"] = "s6"
    channels: int = 16
    cells: int = 8
    stem: Literal["cifar", "imagenet"] = "cifar"


@dataclass(frozen=True)
class SearchConfig:
    """How α and ω are trained (ZARTS Alg. 1, DARTS Alg. 1).

    Attributes:
        method: What moves α: one of ``METHOD_NAMES``.
        epochs: Passes over D_train.
        warmup: First epochs that train ω only (ZARTS: 10).
        period: ω steps per α update (ZARTS: 10, DARTS: 1).
        learning_rate: Of ω, falling to ``learning_rate_min`` along a cosine, once per epoch.
        learning_rate_min: Its end.
        momentum: Of ω's SGD.
        weight_decay: Of ω's SGD.
        clip: Largest gradient norm of ω's SGD; 0: no clip.
        inner_steps: M; DARTS uses its order − 1.
        inner_learning_rate: Of the M steps; 0: the current rate of ω.
        inner_batch_size: Images per inner batch (48 in the released code).
        inner_batches: ``own``: drawn from D_train for this purpose; ``next``: the coming training
            batches, as DARTS-2nd does.
        inner_velocity: ``zero``, or ``copy`` ω's momentum buffer (DARTS-2nd).
        inner_clip: Clip of the inner steps; 0: no clip (DARTS-2nd).
        sigma_schedule: Of MGS' σ: ``cosine`` to almost zero at the last epoch, or ``constant``.
        snapshots: Epochs whose ω is kept (counted from 1); the last is always kept.
    """

    method: str = "zarts-mgs"
    epochs: int = 50
    warmup: int = 0
    period: int = 1
    learning_rate: float = 0.025
    learning_rate_min: float = 0.001
    momentum: float = 0.9
    weight_decay: float = 3e-4
    clip: float = 5.0
    inner_steps: int = 10
    inner_learning_rate: float = 0.0
    inner_batch_size: int = 48
    inner_batches: Literal["own", "next"] = "own"
    inner_velocity: Literal["zero", "copy"] = "zero"
    inner_clip: float = 5.0
    sigma_schedule: Literal["cosine", "constant"] = "cosine"
    snapshots: tuple[int, ...] = ()


@dataclass(frozen=True)
class LandscapeConfig:
    """The plane and the grid of Fig. 1 (a), (b).

    Attributes:
        steps: M of the exact surface; M = 0 and M = 1 are computed beside it.
        rows: Grid points along y.
        cols: Grid points along x.
        range: The grid spans −range to range on both axes, in axis units.
        scale: Length of an axis unit in α-space: ``unit`` (1), ``alpha`` (‖α‖ at the origin, to
            which the released code's normalisation amounts) or a number.
        inner_learning_rate: Of the M steps: ``search`` (the search's rate at the snapshot) or a
            number (1e-3 in the released landscape code).
        val_batches: Batches in L_val; 0: all of D_val.
        val_batch_size: Images in each.
        epoch: Which snapshot is the origin (counted from 1); 0: the last.
    """

    steps: int = 10
    rows: int = 9
    cols: int = 9
    range: float = 1.0
    scale: str | float = "alpha"
    inner_learning_rate: str | float = "search"
    val_batches: int = 4
    val_batch_size: int = 64
    epoch: int = 0


@dataclass(frozen=True)
class PathsConfig:
    """The optimizer paths of Fig. 1(c).

    Attributes:
        methods: Which optimizers walk.
        updates: α updates of each.
        start: (x, y) of the first point, in axis units.
        space: ``plane``: the optimizer sees the two coordinates only; ``full``: it moves all of α
            and the path is projected, with the share outside the plane recorded.
        weights: ``frozen`` at the snapshot, or ``trained`` on between updates, by M steps for every
            optimizer (the released code: one step for DARTS, M + 1 for ZARTS).
        noise: ``surface``: the batches of the grid; ``fresh``: new batches at every update.
        step: ``matched``: one expected step length for all; ``paper``: the released path settings.
        fraction: The matched step length as a share of the half-range of the grid.
        samples: N of RS (antithetic pairs) and MGS, and number of radii of GLD.
        temperature: τ of MGS.
    """

    methods: tuple[str, ...] = METHOD_NAMES
    updates: int = 10
    start: tuple[float, ...] = (-0.5, 0.5)
    space: Literal["plane", "full"] = "plane"
    weights: Literal["frozen", "trained"] = "frozen"
    noise: Literal["surface", "fresh"] = "surface"
    step: Literal["matched", "paper"] = "matched"
    fraction: float = 0.15
    samples: int = 4
    temperature: float = 0.01


@dataclass(frozen=True)
class Config:
    """Everything a run depends on: on one kind of CPU, equal configs give equal content.

    Attributes:
        seed: Of initialisation, data order, plane and all draws.
        device: ``cpu`` or ``cuda`` (``cuda:1`` ...).
        dtype: ``float32`` or ``float64``.
        data: Images and batches.
        supernet: The network.
        search: The training of α and ω.
        optimizer: Hyper-parameters of the method, by field name; missing ones keep their defaults.
        landscape: Plane and grid.
        paths: Optimizer paths on the plane.
        source: Content of the search whose ω is used (set by ``--run``); empty: its own search.
    """

    seed: int = 0
    device: str = "cpu"
    dtype: Literal["float32", "float64"] = "float32"
    data: DataConfig = field(default_factory=DataConfig)
    supernet: SupernetConfig = field(default_factory=SupernetConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    optimizer: Mapping[str, Any] = field(default_factory=dict)
    landscape: LandscapeConfig = field(default_factory=LandscapeConfig)
    paths: PathsConfig = field(default_factory=PathsConfig)
    source: str = ""

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Config:
        """Builds and checks a config from nested tables.

        Raises:
            ConfigError: For unknown keys (the nearest is named), wrong types and impossible values.
        """
        config = build(cls, table)
        _check_ranges(config)
        _check_choices(config)
        _check_epochs(config)
        return config

    def to_table(self) -> Table:
        """Nested tables of plain values; the inverse of ``from_table``."""
        table: Table = json.loads(json.dumps(dataclasses.asdict(self)))
        return table

    def to_toml(self) -> str:
        """The config as TOML text that ``read_toml`` reads back to the same tables."""
        return to_toml(self.to_table())

    def hash(self) -> str:
        """SHA-256 of the canonical JSON form."""
        text = json.dumps(self.to_table(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


_AT_LEAST = {
    "seed": 0,
    "data.subset": 0,
    "data.batch_size": 2,  # BatchNorm needs two values of each channel
    "data.cutout": 0,
    "data.downscale": 1,
    "supernet.channels": 1,
    "supernet.cells": 1,
    "search.epochs": 1,
    "search.warmup": 0,
    "search.period": 1,
    "search.learning_rate_min": 0,
    "search.momentum": 0,
    "search.weight_decay": 0,
    "search.clip": 0,
    "search.inner_steps": 0,
    "search.inner_learning_rate": 0,
    "search.inner_batch_size": 2,
    "search.inner_clip": 0,
    "landscape.steps": 0,
    "landscape.rows": 2,
    "landscape.cols": 2,
    "landscape.val_batches": 0,
    "landscape.val_batch_size": 2,
    "landscape.epoch": 0,
    "paths.updates": 0,
    "paths.samples": 1,
}
_ABOVE_ZERO = (
    "data.portion",
    "search.learning_rate",
    "landscape.range",
    "paths.fraction",
    "paths.temperature",
)


def _check_ranges(config: Config) -> None:
    """Bounds of single numbers."""
    for key, least in _AT_LEAST.items():
        if (value := operator.attrgetter(key)(config)) < least:
            raise ConfigError(f"{key} is {value}, expected {least} or more")
    for key in _ABOVE_ZERO:
        if (value := operator.attrgetter(key)(config)) <= 0:
            raise ConfigError(f"{key} is {value}, expected a number > 0")
    if config.data.portion >= 1:
        raise ConfigError(
            f"data.portion is {config.data.portion}, expected a share below 1 such as 0.5"
        )
    land = config.landscape
    if max(land.rows, land.cols) > 1001:
        raise ConfigError(
            f"the grid is {land.rows}x{land.cols}, expected at most 1001 points per axis "
            "(the paper uses 101x101); choose a smaller --grid"
        )


def _check_choices(config: Config) -> None:
    """Settings that are one of several words, or a word or a number."""
    land, paths = config.landscape, config.paths
    if not re.fullmatch(r"cpu|cuda(:\d+)?", config.device):
        raise ConfigError(f"device is {config.device!r}, expected cpu, cuda or cuda:NUMBER")
    for key, choice, words in (
        ("landscape.scale", land.scale, ("unit", "alpha")),
        ("landscape.inner_learning_rate", land.inner_learning_rate, ("search",)),
    ):
        if choice not in words and not (isinstance(choice, float) and choice > 0):
            raise ConfigError(f"{key} is {choice!r}, expected {' or '.join(words)} or a number > 0")
    named = [("search.method", config.search.method)]
    named += [(f"paths.methods[{n}]", method) for n, method in enumerate(paths.methods)]
    for key, method in named:
        if method not in METHODS:
            raise ConfigError(f"{key} is {method!r}; {nearest(method, METHODS)}")
    if len(paths.start) != 2:
        raise ConfigError(f"paths.start is {list(paths.start)}, expected two numbers [x, y]")


def _check_epochs(config: Config) -> None:
    """What depends on the length of the search."""
    search, epoch = config.search, config.landscape.epoch
    if search.warmup >= search.epochs:
        raise ConfigError(
            f"search.warmup is {search.warmup} of {search.epochs} epochs, so α would never move; "
            "lower search.warmup or raise search.epochs"
        )
    if any(not 1 <= kept <= search.epochs for kept in search.snapshots):
        raise ConfigError(
            f"search.snapshots is {list(search.snapshots)}, expected epochs from 1 to "
            f"{search.epochs} (search.epochs)"
        )
    if epoch > search.epochs:
        raise ConfigError(
            f"landscape.epoch is {epoch}, expected at most {search.epochs} (search.epochs); "
            "0 means the last"
        )
    if epoch and not config.source and epoch not in (*search.snapshots, search.epochs):
        raise ConfigError(
            f"landscape.epoch is {epoch}, but the search keeps no ω of that epoch; "
            f"add it to search.snapshots, as in --set search.snapshots=[{epoch}]"
        )
