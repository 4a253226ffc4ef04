"""The bilevel problem of neural architecture search, and zero-order search on it.

The public names below are imported on first use: ``import zarts`` and ``--help`` load no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zarts.facade import facade

if TYPE_CHECKING:
    from zarts.alpha import Group, Space, flat_space
    from zarts.config import Config
    from zarts.data.arrays import register_dataset
    from zarts.data.loaders import load_images
    from zarts.feed import ListFeed
    from zarts.inner import SGD, Diverged, descend
    from zarts.objective import Bilevel, Objective
    from zarts.optimizers import DARTS, GLD, MGS, RandomSearch
    from zarts.presets import preset
    from zarts.search import Optimizer, Step
    from zarts.wrappers import Counted, Restricted

__version__ = "0.1.0"

__all__ = [
    "DARTS",
    "GLD",
    "MGS",
    "SGD",
    "Bilevel",
    "Config",
    "Counted",
    "Diverged",
    "Group",
    "ListFeed",
    "Objective",
    "Optimizer",
    "RandomSearch",
    "Restricted",
    "Space",
    "Step",
    "__version__",
    "descend",
    "flat_space",
    "load_images",
    "preset",
    "register_dataset",
]

# `search()` is missing on purpose: its name is its module's too, so it comes from `zarts.search`.
_HOMES = {
    "alpha": ("Group", "Space", "flat_space"),
    "config": ("Config",),
    "data.arrays": ("register_dataset",),
    "data.loaders": ("load_images",),
    "feed": ("ListFeed",),
    "inner": ("SGD", "Diverged", "descend"),
    "objective": ("Bilevel", "Objective"),
    "optimizers": ("DARTS", "GLD", "MGS", "RandomSearch"),
    "presets": ("preset",),
    "search": ("Optimizer", "Step"),
    "wrappers": ("Counted", "Restricted"),
}
__getattr__, __dir__ = facade(__name__, _HOMES, __all__)
