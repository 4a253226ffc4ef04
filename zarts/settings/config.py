"""What a run depends on: frozen dataclasses and what their values must be. No torch in here."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from zarts.optimizers import METHODS, OwnName, method_of, name_of
from zarts.settings.sections import (
    METHOD_NAMES,
    DataConfig,
    LandscapeConfig,
    PathsConfig,
    SearchConfig,
    SupernetConfig,
    later,
    setting,
    without_later_defaults,
)
from zarts.settings.stages import PROGRAMS, Program, program_of
from zarts.settings.tables import (
    ConfigError,
    Table,
    build,
    commented,
    keys_of,
    merge,
    nearest,
    parse_assignment,
    read_toml,
)
from zarts.supernet.protocol import network_record
from zarts.supernet.spaces import TABLES

__all__ = [
    "METHOD_NAMES",
    "Config",
    "ConfigError",
    "DataConfig",
    "LandscapeConfig",
    "PathsConfig",
    "SearchConfig",
    "Settings",
    "SupernetConfig",
    "Table",
    "check_bounds",
    "check_device",
    "filled",
    "merge",
    "nearest",
    "parse_assignment",
    "read_toml",
]


class Settings:
    """What the dataclasses of all settings of a run can do: become tables, text and a hash."""

    def to_table(self, *, whole: bool = False) -> Table:
        """Nested tables of plain values; the inverse of ``from_table``.

        Args:
            whole: Name every setting. Else those added after commit 382ea1a stand there only if
                they differ from their default, as in stored settings and in ``hash``.
        """
        table: Table = json.loads(json.dumps(dataclasses.asdict(self)))  # type: ignore[call-overload]
        return table if whole else without_later_defaults(self, table)

    def to_toml(self, *, whole: bool = False) -> str:
        """The settings as TOML text that ``read_toml`` reads back to the same tables.

        Args:
            whole: Name every setting, and say in a comment what it is (``--print-config``).
        """
        import tomli_w  # here, as nothing that computes needs it

        text = tomli_w.dumps(self.to_table(whole=whole))
        return commented(text, self._kinds()) if whole else text

    def _kinds(self) -> dict[str, object]:
        """The class whose docstring explains each table, by name; under "" that of them all."""
        specs = dataclasses.fields(self)  # type: ignore[arg-type]
        return {"": type(self), **{spec.name: type(getattr(self, spec.name)) for spec in specs}}

    def hash(self) -> str:
        """SHA-256 of the canonical JSON form."""
        text = json.dumps(self.to_table(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Config(Settings):
    """Everything a run depends on: on one kind of CPU, equal configs give equal content.

    Example:
        >>> from zarts import Config
        >>> config = Config.from_table({"search": {"method": "zarts-gld", "epochs": 5}})
        >>> config.search.epochs, config.supernet.space
        (5, 's6')

    Attributes:
        seed: Of initialisation, data order, plane and all draws.
        device: ``cpu`` or ``cuda`` (``cuda:1`` ...).
        dtype: ``float32`` or ``float64``.
        tf32: What a GPU may round to ten bits in single precision: ``off``: nothing;
            ``convolutions``: those of cuDNN, as PyTorch does by itself; ``on``: matrix products
            too. A CPU rounds nothing.
        deterministic: ``on``: cuDNN takes only algorithms that give equal bits each time; ``off``:
            any, as PyTorch does by itself.
        data: Images and batches.
        supernet: The network.
        search: The training of α and ω.
        optimizer: Hyper-parameters of the method, by field name; missing ones keep their defaults.
        landscape: Plane and grid.
        paths: Optimizer paths on the plane.
        source: Content of the search whose ω is used (set by ``--run``); empty: its own search.
    """

    seed: int = setting(0, least=0)
    device: str = "cpu"
    dtype: Literal["float32", "float64"] = "float32"
    tf32: Literal["convolutions", "off", "on"] = later("convolutions")
    deterministic: Literal["off", "on"] = later("off")
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

        Methods may also be given as optimizers or their classes, which become their names.

        Raises:
            ConfigError: For unknown keys (the nearest is named), wrong types and impossible values.
        """
        config = build(cls, _named(table))
        check_bounds(config)
        _check_ranges(config)
        _check_choices(config)
        _check_epochs(config)
        return config

    def _kinds(self) -> dict[str, object]:
        return super()._kinds() | {"optimizer": method_of(self.search.method).optimizer}

    @property
    def program(self) -> Program:
        """The stages of the search."""
        return program_of(self.search, self.supernet)


def _named(table: object) -> object:
    """The settings, with names in place of optimizers."""

    def name(value: object) -> object:
        if isinstance(value, type) or dataclasses.is_dataclass(value):
            try:
                return name_of(value)
            except ValueError as error:
                raise ConfigError(str(error)) from error
        return value

    if not isinstance(table, Mapping):
        return table  # refused by name when it is built
    found = dict(table)
    search, paths = found.get("search"), found.get("paths")
    if isinstance(search, Mapping) and "method" in search:
        found["search"] = {**search, "method": name(search["method"])}
    if isinstance(paths, Mapping) and isinstance(paths.get("methods"), list | tuple):
        found["paths"] = {**paths, "methods": [name(each) for each in paths["methods"]]}
    return found


def filled(table: Mapping[str, Any]) -> Table:
    """Stored settings with the defaults of settings that were added since; others as they are.

    Settings that lack a key of commit 382ea1a are not a run's: a preset is to complete them.

    Raises:
        ConfigError: If they are whole, and cannot be used.
    """
    first = set(keys_of(Config().to_table())) - {"optimizer"}
    if first <= set(keys_of(table)):
        return Config.from_table(table).to_table(whole=True)
    return dict(table)


# What a bound is called, whether a value breaks it, and what is expected instead.
_BOUNDS: tuple[tuple[str, Callable[[Any, Any], bool], str], ...] = (
    ("least", operator.lt, "{:g} or more"),
    ("above", operator.le, "a number > {:g}"),
    ("most", operator.gt, "at most {:g}"),
)


def check_bounds(section: Any, prefix: str = "") -> None:  # noqa: ANN401 - any dataclass
    """Checks the bounds that stand on the fields; raises ConfigError for the first broken one."""
    for spec in dataclasses.fields(section):
        key, value = prefix + spec.name, getattr(section, spec.name)
        if dataclasses.is_dataclass(value):
            check_bounds(value, f"{key}.")
        for name, broken, expected in _BOUNDS:
            if name in spec.metadata and broken(value, bound := spec.metadata[name]):
                raise ConfigError(f"{key} is {value}, expected {expected.format(bound)}")


def _check_ranges(config: Config) -> None:
    """Ranges that say more than a bound of one number."""
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
    known = (1, *land.more_steps, max(land.steps, 2))
    if any(left >= right for left, right in pairwise(known)):
        raise ConfigError(
            f"landscape.more_steps is {list(land.more_steps)}, expected increasing numbers above 1 "
            f"and below landscape.steps, {land.steps}; `--steps 2,5,10` sets both"
        )


def _check_choices(config: Config) -> None:
    """Settings that are one of several words, or a word or a number."""
    land, paths = config.landscape, config.paths
    check_device(config.device)
    for key, choice, words in (
        ("landscape.scale", land.scale, ("unit", "alpha")),
        ("landscape.inner_learning_rate", land.inner_learning_rate, ("search",)),
    ):
        if choice not in words and not (isinstance(choice, float) and choice > 0):
            raise ConfigError(f"{key} is {choice!r}, expected {' or '.join(words)} or a number > 0")
    if config.data.channels not in (0, 1, 3):
        raise ConfigError(f"data.channels is {config.data.channels}, expected 1 or 3")
    try:
        _ = config.data.sides
    except ValueError as error:
        raise ConfigError(str(error)) from None
    net = config.supernet
    for key, name, known in (
        ("supernet.space", net.space, TABLES),
        ("search.program", config.search.program, PROGRAMS),
    ):
        if name not in known:
            raise ConfigError(f"{key} is {name!r}; expected one of: {', '.join(known)}")
    try:
        record = network_record(net.network)
    except ValueError as error:
        raise ConfigError(f"supernet.network is {error}") from None
    named = [("search.method", config.search.method)]
    named += [(f"paths.methods[{n}]", method) for n, method in enumerate(paths.methods)]
    for key, method in named:
        if method not in METHODS and OwnName.parse(method) is None:
            raise ConfigError(f"{key} is {method!r}; {nearest(method, [*METHODS, 'MODULE:CLASS'])}")
        if method_of(method).stationary and record.redraws:
            fit = ", ".join(name for name, each in METHODS.items() if not each.stationary)
            raise ConfigError(
                f"{key} is {method!r}, which needs ω at an optimum of one loss, but the network "
                f"{net.network!r} is another one on each batch; use one of {fit}"
            )
    if not re.fullmatch(r"random|gradient|pca:[0-9a-f]{16}", land.axes):
        raise ConfigError(
            f"landscape.axes is {land.axes!r}, expected random or gradient; principal directions "
            "are set by --axes pca:FILE"
        )
    origin = config.search.origin
    if origin and not re.fullmatch(r"[A-Za-z0-9._-]+/epoch-\d{4,}/[0-9a-f]{16}", origin):
        raise ConfigError(f"search.origin is {origin!r}; it is set by --from RUN@EPOCH")
    if len(paths.start) != 2:
        raise ConfigError(f"paths.start is {list(paths.start)}, expected two numbers [x, y]")


def check_device(device: str) -> None:
    """Raises ConfigError if a device has no name that PyTorch knows."""
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise ConfigError(f"device is {device!r}, expected cpu, cuda or cuda:NUMBER")


def _check_epochs(config: Config) -> None:
    """What depends on the length of the search."""
    search, epoch = config.search, config.landscape.epoch
    if search.warmup >= search.epochs and not search.alpha:  # one that is given may stay
        raise ConfigError(
            f"search.warmup is {search.warmup} of {search.epochs} epochs, so α would never move; "
            "lower search.warmup or raise search.epochs"
        )
    if any(not 1 <= kept <= search.epochs for kept in search.snapshots):
        raise ConfigError(
            f"search.snapshots is {list(search.snapshots)}, expected epochs from 1 to "
            f"{search.epochs} (search.epochs)"
        )
    try:
        last = config.program.stages[-1]
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if epoch > last.epochs:
        raise ConfigError(
            f"landscape.epoch is {epoch}, expected at most {last.epochs} (search.epochs); "
            "0 means the last"
        )
    if epoch and not config.source and epoch not in last.snapshots:
        raise ConfigError(
            f"landscape.epoch is {epoch}, but the search keeps no ω of that epoch; "
            f"add it to search.snapshots, as in --set search.snapshots=[{epoch}]"
        )
