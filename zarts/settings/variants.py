"""The paper's variants of a search: what each changes in a preset, whatever moves α."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from zarts.optimizers import method_of
from zarts.settings.tables import ConfigError, Table, merge, nearest

__all__ = ["ALIASES", "VARIANTS", "Variant", "overlay"]


@dataclass(frozen=True)
class Variant:
    """A way to search that goes with any optimizer that can use it.

    Attributes:
        label: What it does, for people.
        preset: ``preset(base, gradients)`` gives the settings that differ from those of a preset's
            base (``quick``, ``standard``, ``paper``, ``paper-imagenet``), for methods that take
            gradients or for the others.
        on: What differs besides on some data sets, by name.
    """

    label: str
    preset: Callable[[str, bool], Table]
    on: Mapping[str, Table] = field(default_factory=dict)


def _staged(base: str, gradients: bool) -> Table:
    """P-DARTS §4.2 and its released code; a reduced one of ours for the smaller presets."""
    if base == "quick":
        size: Table = {
            "data": {"subset": 500},
            "search": {"epochs": 4, "warmup": 1, "stage_cells": [3, 4, 5]},
        }
    elif base == "standard":
        size = {"search": {"epochs": 10, "warmup": 4, "stage_cells": [5, 7, 9]}}
    else:
        rates = {"learning_rate": 0.025, "learning_rate_min": 0.0}
        size = {"search": {"epochs": 25, "warmup": 10, "stage_cells": [5, 11, 17], **rates}}
    stages: Table = {
        "supernet": {"space": "s5"},
        "search": {
            "program": "staged",
            "stage_drops": [3, 2],
            "stage_dropout": [0.0, 0.4, 0.7],
            "derivation": "pdarts",
        },
    }
    if base == "paper":
        size["data"] = {"batch_size": 96}
    if gradients:
        paper = base.startswith("paper")
        size["optimizer"] = {"clip": 5.0, **({"learning_rate": 6e-4} if paper else {})}
    return merge(size, stages)


def _dropping(base: str, gradients: bool) -> Table:
    """R-DARTS §6.1: drop-path and cutout that rise together; 0.2 of its 0, 0.2, 0.4, 0.6."""
    del gradients
    side = {"quick": 4, "standard": 14}.get(base, 16)
    return {
        "search": {"drop_path": 0.2},
        "data": {"cutout": side, "cutout_schedule": "rising"},
    }


def _decaying(base: str, gradients: bool) -> Table:
    """R-DARTS §6.2: more decay of ω; 27e-4, the middle of its 3e-4 times 3, 9, ... 81."""
    del base, gradients
    return {"search": {"weight_decay": 27e-4}}


def _watching(program: str, base: str) -> Table:
    """R-DARTS §5: a program that watches λ_max; in shorter searches more often, or from earlier."""
    search: Table = {"program": program}
    if base == "quick":
        rule = {"epochs": 10, "stop_every": 1, "stop_start": 1}
        return {"data": {"subset": 500}, "search": search | rule}
    return {"search": search | ({"stop_start": 4} if base == "standard" else {})}


# AutoDL-Projects' GDAS, as far as there are settings for it: 6 cells, batches of 256, 250 epochs.
_GDAS: Table = {
    "data": {"batch_size": 256},
    "supernet": {"cells": 6},
    "search": {"epochs": 250, "weight_decay": 5e-4},
}


_SMALL = ("quick", "standard")


def _sampled(base: str, gradients: bool) -> Table:
    """GZAS otherwise is ZARTS' search, with values over several draws (ours: not published).

    So are landscapes, unless L_val has hundreds of batches, each with a draw of its own.
    """
    tau = {"gumbel_temperature": 10.0, "gumbel_temperature_end": 0.1}
    table = {
        "supernet": {"network": "sampled"},
        "search": {"derivation": "gdas", "draws": 1 if gradients else 4, **tau},
        "landscape": {"draws": 4 if base in _SMALL else 1},
    }
    return merge(table, _GDAS if gradients and base == "paper" else {})


def _merged(base: str, gradients: bool) -> Table:
    """As the plain search, but in a space that has something to merge."""
    del gradients
    space = {"space": "s6"} if base in _SMALL else {}
    return {"supernet": {"network": "merged", **space}}


VARIANTS: dict[str, Variant] = {
    "sampled": Variant("one drawn operation per edge (GDAS, GZAS)", _sampled),
    "merged": Variant("one kernel for an edge's convolutions (MergeNAS, MergeZARTS)", _merged),
    "staged": Variant(
        "P-DARTS: three stages of more cells and fewer operations, dropout after skips",
        _staged,
        on={"cifar100": {"search": {"stage_dropout": [0.1, 0.2, 0.3]}}},
    ),
    "dp": Variant("R-DARTS DP: drop-path and cutout that rise with the epochs", _dropping),
    "l2": Variant("R-DARTS L2: more weight decay of ω", _decaying),
    "es": Variant(
        "R-DARTS ES: stops early, when the curvature of the validation loss in α has risen",
        lambda base, gradients: _watching("early-stop", base),
    ),
    "ada": Variant(
        "R-DARTS ADA: goes back when that has risen, with ten times the weight decay",
        lambda base, gradients: _watching("adaptive-decay", base),
    ),
}

# What the paper calls a method with a variant.
ALIASES: dict[str, tuple[str, str]] = {
    "p-darts": ("darts-1", "staged"),
    "p-zarts": ("zarts-mgs", "staged"),
    "gdas": ("darts-1", "sampled"),
    "gzas": ("zarts-mgs", "sampled"),
    "merge-nas": ("darts-1", "merged"),
    "merge-zarts": ("zarts-mgs", "merged"),
}


def on_data(variant: str, name: str) -> Table:
    """What a variant changes besides where the data set of this name is searched on."""
    return dict(VARIANTS[variant].on.get(name, {})) if variant else {}


def overlay(variant: str, base: str, method: str) -> Table:
    """What a variant changes in the settings of a preset.

    Args:
        variant: A name in ``VARIANTS``; empty: nothing.
        base: Of the preset.
        method: What moves α.

    Raises:
        ConfigError: If there is no such variant; the nearest name is given.
    """
    if not variant:
        return {}
    if variant in ALIASES:
        raise ConfigError(
            f"{variant!r} names a method with a variant; take the variant {ALIASES[variant][1]!r}, "
            f"or for a search the method {variant!r}"
        )
    if variant not in VARIANTS:
        raise ConfigError(f"unknown variant {variant!r}; {nearest(variant, VARIANTS)}")
    return VARIANTS[variant].preset(base, method_of(method).gradients)
