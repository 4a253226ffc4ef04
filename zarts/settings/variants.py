"""The paper's variants of a search: what each changes in a preset, whatever moves α."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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
    """

    label: str
    preset: Callable[[str, bool], Table]


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
}

# What the paper calls a method with a variant.
ALIASES: dict[str, tuple[str, str]] = {
    "gdas": ("darts-1", "sampled"),
    "gzas": ("zarts-mgs", "sampled"),
    "merge-nas": ("darts-1", "merged"),
    "merge-zarts": ("zarts-mgs", "merged"),
}


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
    if variant not in VARIANTS:
        raise ConfigError(f"unknown variant {variant!r}; {nearest(variant, VARIANTS)}")
    return VARIANTS[variant].preset(base, method_of(method).gradients)
