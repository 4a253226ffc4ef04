"""Settings: frozen dataclasses, to and from nested tables, TOML and ``key=value``. No torch in here."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import math
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

__all__ = [
    "Config",
    "ConfigError",
    "DataConfig",
    "LandscapeConfig",
    "PathsConfig",
    "SearchConfig",
    "SupernetConfig",
    "merge",
    "nearest",
    "parse_assignment",
    "read_toml",
]

Table = dict[str, Any]
METHOD_NAMES = ("darts-1", "darts-2", "zarts-rs", "zarts-mgs", "zarts-gld")
SPACES = ("s1", "s2", "s3", "s4", "s5", "s6")


class ConfigError(ValueError):
    """A setting that cannot be used; the message says got, expected and what to do."""


@dataclass(frozen=True)
class DataConfig:
    """Which images, and how batches are made of them.

    Attributes:
        name: ``packaged`` or a torchvision data set, see ``zarts.data.load``; where it lies is no setting but
            the environment variable ZARTS_DATA, so that a run does not depend on a folder.
        subset: Use the first so many images of each half; 0: all.
        portion: Share of D_train, by index order (DARTS: one half).
        batch_size: Images per batch of the outer training and of L_val in a search (64 in the paper).
        augment: ``standard``: random crop with padding 4 and horizontal flip, on both halves as in
            DARTS; ``none``.
        downscale: Average so many pixels on each axis to one before anything else (NAS on small images,
            as ImageNet16 in NAS-Bench-201); 1: full size. The crop's padding shrinks with it.
        cutout: Side of the square that is cut out, in pixels; 0: none, as in DARTS' and ZARTS' search.
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
        method: What moves α.
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

    method: Literal["darts-1", "darts-2", "zarts-rs", "zarts-mgs", "zarts-gld"] = "zarts-mgs"
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
        scale: Length of an axis unit in α-space: ``unit`` (1), ``alpha`` (‖α‖ at the origin, to which the
            released code's normalisation amounts) or a number.
        inner_learning_rate: Of the M steps: ``search`` (the search's rate at the snapshot) or a number
            (1e-3 in the released landscape code).
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
        space: ``plane``: the optimizer sees the two coordinates only; ``full``: it moves all of α and the
            path is projected, with the share outside the plane recorded.
        weights: ``frozen`` at the snapshot, or ``trained`` on between updates as in a search.
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
    """Everything a run depends on; two runs with equal configs have equal content on one kind of CPU.

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
        config: Config = _build(cls, table, "")
        _check(config)
        return config

    def to_table(self) -> Table:
        """Nested tables of plain values; the inverse of ``from_table``."""
        table: Table = json.loads(json.dumps(dataclasses.asdict(self)))
        return table

    def to_toml(self) -> str:
        """The config as TOML text that ``read_toml`` reads back to the same tables."""
        return "\n".join(_emit(self.to_table(), "")) + "\n"

    def hash(self) -> str:
        """SHA-256 of the canonical JSON form."""
        text = json.dumps(self.to_table(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def merge(*tables: Mapping[str, Any]) -> Table:
    """Merges nested tables; later ones win key by key."""
    merged: Table = {}
    for table in tables:
        for name, value in table.items():
            old = merged.get(name)
            if isinstance(value, Mapping):
                value = merge(old if isinstance(old, Mapping) else {}, value)
            merged[name] = value
    return merged


def nearest(name: str, known: typing.Iterable[str]) -> str:
    """The end of an error message: the most similar known name, or all of them."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"expected one of: {', '.join(known)}"


def parse_assignment(text: str) -> Table:
    """Turns ``search.epochs=3`` into ``{"search": {"epochs": 3}}``; values are TOML, else strings.

    Raises:
        ConfigError: If there is no ``=``.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"got --set {text!r}, expected key=value such as search.epochs=3")
    try:
        parsed: Any = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    for part in reversed(key.strip().split(".")):
        parsed = {part: parsed}
    table: Table = parsed
    return table


def read_toml(path: Path) -> Table:
    """Reads nested tables from a TOML file.

    Raises:
        ConfigError: If the file cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read the config {path}: {error}") from error


def _build(kind: Any, table: object, prefix: str) -> Any:  # noqa: ANN401 - one dataclass or another
    if not isinstance(table, Mapping):
        raise ConfigError(f"{prefix.rstrip('.')} is {table!r}, expected a table of settings")
    hints = typing.get_type_hints(kind)
    names = [spec.name for spec in fields(kind)]
    values: Table = {}
    for name, value in table.items():
        if name not in names:
            raise ConfigError(f"unknown setting {prefix + name!r}; {nearest(name, names)}")
        hint = hints[name]
        if dataclasses.is_dataclass(hint):
            values[name] = _build(hint, value, f"{prefix}{name}.")
        else:
            values[name] = _convert(hint, value, prefix + name)
    return kind(**values)


def _convert(hint: Any, value: Any, key: str) -> Any:  # noqa: ANN401 - by the field's own type
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value not in arguments:
            raise ConfigError(f"{key} is {value!r}; {nearest(str(value), arguments)}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{key} is {value!r}, expected a list such as [1, 2]")
        return tuple(_convert(arguments[0], item, key) for item in value)
    if origin is types.UnionType:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return _convert(float if number else str, value, key)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if hint is float and isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{key} is {value}, expected a finite number")
    if hint in (int, float, str) and (not isinstance(value, hint) or isinstance(value, bool)):
        raise ConfigError(f"{key} is {value!r}, expected {hint.__name__}")
    return dict(value) if isinstance(value, Mapping) else value


def _check(config: Config) -> None:
    """Ranges of single settings and the few that depend on each other."""
    land, search, paths = config.landscape, config.search, config.paths
    at_least = {
        "seed": (config.seed, 0),
        "data.subset": (config.data.subset, 0),
        "data.batch_size": (config.data.batch_size, 2),
        "data.cutout": (config.data.cutout, 0),
        "data.downscale": (config.data.downscale, 1),
        "supernet.channels": (config.supernet.channels, 1),
        "supernet.cells": (config.supernet.cells, 1),
        "search.epochs": (search.epochs, 1),
        "search.warmup": (search.warmup, 0),
        "search.period": (search.period, 1),
        "search.learning_rate_min": (search.learning_rate_min, 0),
        "search.momentum": (search.momentum, 0),
        "search.weight_decay": (search.weight_decay, 0),
        "search.clip": (search.clip, 0),
        "search.inner_steps": (search.inner_steps, 0),
        "search.inner_learning_rate": (search.inner_learning_rate, 0),
        "search.inner_batch_size": (search.inner_batch_size, 2),
        "search.inner_clip": (search.inner_clip, 0),
        "landscape.steps": (land.steps, 0),
        "landscape.rows": (land.rows, 2),
        "landscape.cols": (land.cols, 2),
        "landscape.val_batches": (land.val_batches, 0),
        "landscape.val_batch_size": (land.val_batch_size, 2),
        "landscape.epoch": (land.epoch, 0),
        "paths.updates": (paths.updates, 0),
        "paths.samples": (paths.samples, 1),
    }
    for key, (value, least) in at_least.items():
        if value < least:
            raise ConfigError(f"{key} is {value}, expected {least} or more")
    for key, value in {
        "search.learning_rate": search.learning_rate,
        "landscape.range": land.range,
        "paths.fraction": paths.fraction,
        "paths.temperature": paths.temperature,
    }.items():
        if value <= 0:
            raise ConfigError(f"{key} is {value}, expected a number > 0")
    if max(land.rows, land.cols) > 1001:
        raise ConfigError(
            f"the grid is {land.rows}x{land.cols}, expected at most 1001 points per axis "
            "(the paper uses 101x101); choose a smaller --grid"
        )
    for key, choice, word in (
        ("landscape.scale", land.scale, ("unit", "alpha")),
        ("landscape.inner_learning_rate", land.inner_learning_rate, ("search",)),
    ):
        if choice not in word and not (isinstance(choice, float) and choice > 0):
            raise ConfigError(f"{key} is {choice!r}, expected {' or '.join(word)} or a number > 0")
    if search.method.startswith("zarts") and search.warmup >= search.epochs:
        raise ConfigError(
            f"search.warmup is {search.warmup} of {search.epochs} epochs, so α would never move; "
            "lower search.warmup or raise search.epochs"
        )
    late = [epoch for epoch in (*search.snapshots, land.epoch) if epoch > search.epochs]
    if late or any(epoch < 1 for epoch in search.snapshots):
        raise ConfigError(
            f"snapshots {search.snapshots} and epoch {land.epoch} must lie in 1..{search.epochs}"
        )
    if len(paths.start) != 2:
        raise ConfigError(f"paths.start is {paths.start}, expected two numbers (x, y)")
    for method in paths.methods:
        if method not in METHOD_NAMES:
            raise ConfigError(
                f"unknown method {method!r} in paths.methods; {nearest(method, METHOD_NAMES)}"
            )


def _emit(table: Table, prefix: str) -> list[str]:
    plain = {name: value for name, value in table.items() if not isinstance(value, dict)}
    lines = [f"{name} = {_literal(value)}" for name, value in plain.items()]
    for name, value in table.items():
        if isinstance(value, dict):
            lines += ["", f"[{prefix}{name}]", *_emit(value, f"{prefix}{name}.")]
    return lines


def _literal(value: Any) -> str:  # noqa: ANN401 - any TOML value
    if isinstance(value, list):
        return "[" + ", ".join(_literal(item) for item in value) + "]"
    # JSON writes strings, booleans and finite numbers as TOML does.
    return json.dumps(value, ensure_ascii=False)
