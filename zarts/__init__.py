"""The bilevel problem of neural architecture search, and zero-order search on it.

The public names below are imported on first use: ``import zarts`` and ``--help`` load no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zarts.alpha import Group, Space, flat_space
    from zarts.config import Config
    from zarts.data.arrays import register_dataset
    from zarts.data.loaders import load_images
    from zarts.feed import ListFeed
    from zarts.inner import SGD, Diverged, descend
    from zarts.objective import Bilevel, Counted, Objective, Restricted
    from zarts.optimizers import DARTS, GLD, MGS, RandomSearch
    from zarts.presets import preset
    from zarts.search import Optimizer, Step

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
    "objective": ("Bilevel", "Counted", "Objective", "Restricted"),
    "optimizers": ("DARTS", "GLD", "MGS", "RandomSearch"),
    "presets": ("preset",),
    "search": ("Optimizer", "Step"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    """Imports the module that owns ``name`` and returns it (PEP 562).

    Raises:
        AttributeError: If no module of the package owns ``name``.
    """
    if name not in _HOME:
        raise AttributeError(f"{__name__} has no {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    """Lists the public names, whether they are imported yet or not."""
    return sorted(__all__)
