"""Named settings of retrainings. No torch.

``cifar`` is DARTS', ``imagenet`` that of P-DARTS and PC-DARTS, which ZARTS follows. For cells of S1
to S4 sources disagree: ``rdarts`` has the sizes that published numbers imply, ``rdarts_code`` those
of the code of RobustDARTS, ``zarts_repo`` those of the code of ZARTS. ``quick`` takes less than a
minute on one core.
"""

from __future__ import annotations

from zarts.retrain.settings import RetrainConfig
from zarts.settings.config import ConfigError, Table, merge, nearest

__all__ = ["PRESETS", "complete", "preset"]

_SMALL: Table = {"network": {"channels": 16, "cells": 8}}
_IMAGENET: Table = {
    "network": {"channels": 48, "cells": 14, "stem": "imagenet"},
    "data": {"name": "imagenet", "batch_size": 1024, "augment": "resized", "cutout": 0},
    "training": {
        "epochs": 250,
        "learning_rate": 0.5,
        "schedule": "linear",
        "warmup": 5,
        "weight_decay": 3e-5,
        "label_smoothing": 0.1,
        "drop_path": 0.0,
    },
}
# Ours: small, and yet cells of skips are worse than cells of convolutions.
_QUICK: Table = {
    "network": {"channels": 8, "cells": 5, "layout": "first"},
    "data": {"name": "packaged", "downscale": 2, "batch_size": 64, "cutout": 0, "count": 3000},
    "training": {"epochs": 8, "learning_rate": 0.05, "auxiliary": 0.0, "drop_path": 0.0},
}
_TABLES: dict[str, Table] = {
    "cifar": {},  # the defaults
    "rdarts": {},
    "rdarts_code": _SMALL,
    "zarts_repo": {"data": {"batch_size": 64}},
    "imagenet": _IMAGENET,
    "quick": _QUICK,
}
PRESETS = tuple(_TABLES)
SPACES = ("s1", "s2", "s3", "s4", "s5", "s6")


def preset(name: str, data: str | None = None, space: str | None = None) -> Table:
    """The settings of a preset, as nested tables.

    Example:
        >>> preset("rdarts", "cifar10", "s2")["network"]
        {'channels': 16, 'cells': 20}

    Args:
        name: One of ``PRESETS``.
        data: The data set; None: the preset's own.
        space: That the cells were searched in, which ``rdarts`` depends on; None: not known.

    Raises:
        ConfigError: If the preset or the space is unknown; the nearest name is given.
    """
    if name not in PRESETS:
        raise ConfigError(f"unknown preset {name!r}; {nearest(name, PRESETS)}")
    if space is not None and space not in SPACES:
        raise ConfigError(f"unknown space {space!r}; {nearest(space, SPACES)}")
    table = _TABLES[name]
    own: Table = {"data": {"name": data}} if data else {}
    if name != "rdarts":
        return merge(table, own)
    if (data or "cifar10") != "cifar10":
        return merge(_SMALL, own)
    return merge({"network": {"channels": 16 if space in ("s2", "s4") else 36, "cells": 20}}, own)


def complete(name: str, *given: Table, space: str | None = None) -> RetrainConfig:
    """Merges defaults < preset < what is given, the last winning, to checked settings.

    Args:
        name: Of the preset.
        given: Settings.
        space: As for ``preset``.

    Raises:
        ConfigError: For anything that cannot be used.
    """
    wanted = merge(*given)
    section = wanted.get("data")
    data = section.get("name") if isinstance(section, dict) else None
    start = preset(name, data if isinstance(data, str) else None, space)
    return RetrainConfig.from_table(merge(start, wanted))
