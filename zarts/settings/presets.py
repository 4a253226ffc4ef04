"""Named settings: ``quick`` (minutes on two cores), ``standard`` (an hour) and the paper's own.

``paper`` searches the DARTS space without ``none`` (S6), ``paper-s1`` to ``paper-s4`` search the
small ones, ``paper-imagenet`` searches S6 on a random quarter of ImageNet.
"""

from __future__ import annotations

from zarts.optimizers import method_of
from zarts.settings.config import Config, ConfigError, Table, merge, nearest
from zarts.settings.variants import ALIASES, on_data, overlay

__all__ = ["PRESETS", "complete", "preset"]

PRESETS = (
    "quick",
    "standard",
    "paper",
    "paper-s1",
    "paper-s2",
    "paper-s3",
    "paper-s4",
    "paper-imagenet",
)

# Ours: the smallest problem on real images that still has a landscape. Images of 9x9, a short
# search whose rate of ω stays high (M steps at a rate near zero would be M = 0 again), and a plane
# of ±5 around an α of norm 2.
_QUICK: Table = {
    "data": {"name": "packaged", "downscale": 3, "batch_size": 32, "augment": "none"},
    "supernet": {"space": "s3", "channels": 8, "cells": 3},
    "search": {
        "epochs": 3,
        "learning_rate": 0.05,
        "learning_rate_min": 0.02,
        "inner_batch_size": 32,
    },
    "landscape": {"rows": 9, "cols": 9, "scale": 5.0},
}
_STANDARD: Table = {
    "data": {"name": "packaged", "batch_size": 64},
    "supernet": {"space": "s3", "channels": 8, "cells": 5},
    "search": {"epochs": 25, "learning_rate_min": 0.01},
    "landscape": {"rows": 21, "cols": 21, "val_batches": 8, "scale": 5.0},
}
# ZARTS §4.1 and the released scripts; the grid of Fig. 1, all of D_val and the released inner rate.
_PAPER: Table = {
    "data": {"name": "cifar10"},
    "supernet": {"space": "s6", "channels": 16, "cells": 8},
    "search": {"epochs": 50},
    "landscape": {"rows": 101, "cols": 101, "val_batches": 0, "inner_learning_rate": 1e-3},
}
# What defaults leave as it once was. The last short batch of an epoch is trained on, and D_val is
# all of D_val; a GPU rounds no more than a CPU, and to the same bits each time; the first updates
# of all paths are of one length.
_EVERY: Table = {
    "tf32": "off",
    "deterministic": "on",
    "data": {"last_batch": "keep"},
    "paths": {"step": "update"},
}

# The released script of the search on ImageNet: a quarter of the training images, drawn at random
# and cut in two; 224 pixels. 180 GB in memory, so the images stay in their files.
_IMAGENET: Table = merge(
    _PAPER,
    {
        "data": {"name": "imagenet", "batch_size": 256, "share": 0.25, "storage": "stream"},
        "supernet": {"stem": "imagenet"},
    },
)
_BASES = {"quick": _QUICK, "standard": _STANDARD, "paper": _PAPER, "paper-imagenet": _IMAGENET}


def preset(name: str, method: str, space: str | None = None, variant: str = "") -> Table:
    """The settings of a preset for one search method, as nested tables.

    Example:
        >>> from zarts import preset
        >>> preset("quick", "zarts-mgs")["supernet"]
        {'space': 's3', 'channels': 8, 'cells': 3}

    Args:
        name: One of ``PRESETS``.
        method: What moves α.
        space: The space that is searched, which MGS' σ and RS' ξ depend on; None: the preset's own.
        variant: A name in ``zarts.settings.variants``; empty: the plain search.

    Raises:
        ConfigError: If the preset or the variant is unknown; the nearest name is given.
    """
    if name not in PRESETS:
        raise ConfigError(f"unknown preset {name!r}; {nearest(name, PRESETS)}")
    base, _, own = (name, "", "") if name in _BASES else name.partition("-")
    table = _BASES[base]
    changed = overlay(variant, base, method)
    space = space or own or merge(table, changed)["supernet"]["space"]
    place: Table = {"supernet": {"space": space}}
    small = space in ("s1", "s2", "s3", "s4")
    moving = method_of(method).preset(base, small)
    return merge(_EVERY, table, {"search": {"method": method}}, moving, changed, place)


def complete(
    name: str, method: str, *given: Table, base: Table | None = None, variant: str = ""
) -> Config:
    """Merges defaults < preset < base < what is given, the last winning, to one checked config.

    Args:
        name: Of the preset.
        method: What moves α unless base or a given table says it. The preset is made for the method
            and the space that win.
        given: Settings.
        base: Settings of an existing run to build on; hyper-parameters of another method are left
            out.
        variant: What changes the preset. A name of the paper such as ``gzas``, given for a method,
            is a method and a variant.

    Raises:
        ConfigError: For anything that cannot be used.
    """
    wanted = merge(base or {}, *given)
    method = _text(wanted, "search", "method") or method
    if method in ALIASES:
        method, meant = ALIASES[method]
        if variant not in ("", meant):
            raise ConfigError(f"got variant {variant!r} for a method that is {meant!r}; leave one")
        variant, given = meant, (*given, {"search": {"method": method}})
    if base and base.get("search", {}).get("method") != method:
        base = {key: value for key, value in base.items() if key != "optimizer"}
    start = preset(name, method, _text(wanted, "supernet", "space"), variant)
    data = _text(wanted, "data", "name") or start["data"]["name"]
    own = _FOLDERS.get("folder" if data.endswith(".npz") else data, {})
    return Config.from_table(merge(start, own, on_data(variant, data), base or {}, *given))


# What new runs over images of one's own get: every class in both halves. ImageNet is never in
# memory whole.
_FOLDERS: dict[str, Table] = {
    "folder": {"data": {"split": "stratified"}},
    "imagenet": {"data": {"storage": "stream"}},
}


def _text(table: Table, section: str, name: str) -> str | None:
    """A setting if it is there and a text; what else it may be is refused later, by its name."""
    inner = table.get(section)
    value = inner.get(name) if isinstance(inner, dict) else None
    return value if isinstance(value, str) else None
