"""What moves α: gradient descent (DARTS) and the zero-order optimizers of ZARTS, one file each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zarts.optimizers.darts import DARTS
    from zarts.optimizers.gld import GLD
    from zarts.optimizers.mgs import MGS
    from zarts.optimizers.random_search import RandomSearch

__all__ = ["DARTS", "GLD", "METHODS", "MGS", "RandomSearch"]

_MODULES = {"DARTS": "darts", "GLD": "gld", "MGS": "mgs", "RandomSearch": "random_search"}

# Method on the command line -> (class, fields it fixes). The order is that of legends and tables.
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "darts-1": ("DARTS", {"order": 1}),
    "darts-2": ("DARTS", {"order": 2}),
    "zarts-rs": ("RandomSearch", {}),
    "zarts-mgs": ("MGS", {}),
    "zarts-gld": ("GLD", {}),
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - the module protocol
    """Imports an optimizer, and with it torch, when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
