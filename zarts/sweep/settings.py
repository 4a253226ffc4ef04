"""The file of a sweep: which searches there are, and the settings of each. No torch."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zarts import cli
from zarts.retrain.presets import complete as complete_retraining
from zarts.runs.runfile import runs_root, valid_name
from zarts.settings.config import Config, ConfigError, Table, merge, nearest, read_toml
from zarts.settings.presets import complete
from zarts.sweep.tasks import Retraining, Search

__all__ = ["Sweep", "read_sweep"]

_LIMIT = 10_000  # searches: a grid beyond is a slip of the pen, and no list of it can be read
# `method` is short for search.method, `variant` changes the preset, `retrain` is for what is found
_BESIDE = ("variant", "retrain")
_SETTINGS = (
    "method",
    *_BESIDE,
    *(field.name for field in dataclasses.fields(Config) if field.name != "seed"),
)


@dataclass(frozen=True)
class Sweep:
    """The searches of a file.

    Attributes:
        name: What the names of all its runs begin with.
        searches: Experiment by experiment, in each seed by seed.
        retrain: Of each experiment whose cells are retrained, the settings of that: ``preset``, and
            what differs from it.
    """

    name: str
    searches: tuple[Search, ...]
    retrain: Mapping[str, Table] = field(default_factory=dict)

    @property
    def experiments(self) -> tuple[str, ...]:
        """The names of the experiments, in the file's order."""
        return tuple(dict.fromkeys(search.experiment for search in self.searches))

    def retraining(self, search: Search, genotype: str) -> Retraining | None:
        """What the cells that a search found are retrained by; None: they are not.

        Raises:
            ConfigError: If the settings cannot be used.
        """
        if search.experiment not in self.retrain:
            return None
        table = dict(self.retrain[search.experiment])
        preset = str(table.pop("preset", "quick"))
        given = merge(table, {"genotype": genotype, "seed": search.config.seed})
        config = complete_retraining(preset, given, space=search.config.supernet.space)
        folder = cli.run_folder(None, f"retrain-{preset}", config)
        return Retraining(search.experiment, config, folder)


def read_sweep(file: Path, name: str | None = None) -> Sweep:
    """Reads the searches of a sweep; each goes through the checks of ``python -m zarts``.

    Args:
        file: TOML: ``preset``, ``seeds``, settings for all experiments as in a config file,
            ``[axes]``, ``[retrain]`` and one ``[[experiment]]`` for each, with a name and settings
            of its own.
        name: Of the sweep; None: the file's.

    Raises:
        ConfigError: For anything that cannot be used; of an experiment, its name is given.
    """
    table = read_toml(file)
    _refuse_unknown(table, ("preset", "seeds", "axes", "experiment", *_SETTINGS), "")
    name = file.stem if name is None else name
    seeds = _seeds(table.get("seeds"))
    experiments = _experiments(table, len(seeds))
    searches: list[Search] = []
    retrain: dict[str, Table] = {}
    labels: set[str] = set()
    known: dict[str, str] = {}
    for label, settings in experiments:
        if label in labels:
            raise ConfigError(f"two experiments are called {label!r}; give each its own name")
        labels.add(label)
        if "retrain" in settings:
            retrain[label] = settings["retrain"]
        for seed in seeds:
            run = f"{name}-{label}-seed-{seed}"
            if not (valid_name(run) and name[:1].isalnum() and label):  # "-x" is an option
                raise ConfigError(
                    f"run name {run!r} may hold letters, digits, '.', '_' and '-', at most 80, and "
                    "begins with a letter or a digit; rename the experiment or the sweep (--out)"
                )
            config = _resolve(label, settings, table.get("preset", "quick"), seed)
            twin = known.setdefault(config.hash(), label)
            if twin != label:
                raise ConfigError(
                    f"experiments {twin!r} and {label!r} have the same settings; take one out"
                )
            searches.append(Search(label, config, runs_root() / run))
    sweep = Sweep(name, tuple(searches), retrain)
    for search in searches:  # what cannot be used is told before anything is searched
        try:
            sweep.retraining(search, "")
        except (ConfigError, TypeError) as error:
            raise ConfigError(f"retrain of experiment {search.experiment!r}: {error}") from error
    return sweep


def _resolve(label: str, settings: Table, preset: object, seed: int) -> Config:
    """The config that ``python -m zarts`` makes of the same settings."""
    if not isinstance(preset, str):
        raise ConfigError(f"preset is {preset!r}, expected the name of one, in quotes")
    try:
        own = {key: value for key, value in settings.items() if key not in _BESIDE}
        variant = str(settings.get("variant", ""))
        return complete(preset, "zarts-mgs", own, {"seed": seed}, variant=variant)
    except ConfigError as error:
        raise ConfigError(f"experiment {label!r}: {error}") from error


def _experiments(table: Table, seeds: int) -> list[tuple[str, Table]]:
    """Names and settings of all experiments, every point of their axes being one."""
    tables = table.get("experiment")
    if not isinstance(tables, list) or not tables:
        raise ConfigError("the sweep has no experiments; begin each with a line [[experiment]]")
    shared, common = _axes(table.get("axes", {})), _settings(table)
    found: list[tuple[str, Table]] = []
    for number, each in enumerate(tables, 1):
        name = each.get("name") if isinstance(each, Mapping) else None
        if not isinstance(name, str):
            raise ConfigError(f"experiment {number} has name {name!r}, expected a text in quotes")
        where = f" of experiment {name!r}"
        _refuse_unknown(each, ("name", "axes", *_SETTINGS), where)
        own = _settings(each)
        axes = shared | _axes(each.get("axes", {}))
        if fixed := [key for key in axes if _holds(own, key)]:
            raise ConfigError(f"{fixed[0]}{where} is an axis and has a value; take one out")
        count = seeds * math.prod(map(len, axes.values()))
        if count > _LIMIT:
            raise ConfigError(f"the axes{where} make {count:,} searches, at most {_LIMIT:,} go")
        found += [(name + tail, merge(common, own, point)) for tail, point in _points(axes)]
    return found


def _settings(table: Table) -> Table:
    """What belongs into a config, ``method`` where a config has it."""
    settings = {key: value for key, value in table.items() if key in _SETTINGS}
    method = settings.pop("method", None)
    return settings if method is None else merge(settings, {"search": {"method": method}})


def _axes(table: object, prefix: str = "") -> dict[str, list[Any]]:
    """Values by dotted key, whether the file has dots or tables in tables."""
    if not isinstance(table, Mapping):
        raise ConfigError(f"axes is {table!r}, expected a table such as [axes]")
    axes: dict[str, list[Any]] = {}
    for name, values in table.items():
        key = prefix + name
        _refuse_unknown([key.partition(".")[0]], _SETTINGS, " in axes")
        if isinstance(values, Mapping):
            found = _axes(values, f"{key}.")
        elif isinstance(values, list) and values:
            found = {"search.method" if key == "method" else key: values}
        else:
            raise ConfigError(f"axis {key} is {values!r}, expected a list of its values")
        if twice := axes.keys() & found.keys():
            raise ConfigError(f"axis {min(twice)} is there under two names; take one out")
        axes |= found
    return axes


def _points(axes: Mapping[str, list[Any]]) -> Iterator[tuple[str, Table]]:
    """Every combination: what it adds to the experiment's name, and its settings."""
    for values in itertools.product(*axes.values()):
        tail, point = "", Table()
        for key, value in zip(axes, values, strict=True):
            nested = value
            for part in reversed(key.split(".")):
                nested = {part: nested}
            point = merge(point, nested)
            # the last part says enough, and what a folder's name cannot hold is left out
            word = re.sub(r"[^A-Za-z0-9.-]+", "_", str(value)).strip("_")
            tail += f"-{key.rpartition('.')[2]}-{word}"
        yield tail, point


def _holds(table: object, key: str) -> bool:
    """Whether nested tables have a value at a dotted key."""
    for part in key.split("."):
        if not isinstance(table, Mapping) or part not in table:
            return False
        table = table[part]
    return True


def _seeds(seeds: object) -> list[int]:
    if not isinstance(seeds, list) or not seeds:
        raise ConfigError(f"seeds is {seeds!r}, expected a list such as seeds = [0, 1, 2]")
    for number, seed in enumerate(seeds):
        if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
            raise ConfigError(f"seeds[{number}] is {seed!r}, expected a whole number, 0 or more")
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"seeds is {seeds}, expected each seed once")
    return seeds


def _refuse_unknown(names: Iterable[str], known: Iterable[str], where: str) -> None:
    for name in names:
        if name == "seed":
            raise ConfigError(f"got seed{where}; the seeds of all are one list: seeds = [0, 1, 2]")
        if name not in known:
            raise ConfigError(f"unknown setting {name!r}{where}; {nearest(name, known)}")
