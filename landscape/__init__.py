"""Looks at any objective: planes, grids, paths, measures of them, and figures.

The public names below are imported on first use, so that ``import landscape`` loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from landscape.figures import figure_1, losses, static, to_html
    from landscape.own import compute_surface, save
    from landscape.pipeline import compute_run
    from landscape.plane import Plane
    from landscape.record import Figure1, Path, Status, Surface, load

__all__ = [
    "Figure1",
    "Path",
    "Plane",
    "Status",
    "Surface",
    "compute_run",
    "compute_surface",
    "figure_1",
    "load",
    "losses",
    "save",
    "static",
    "to_html",
]

_HOMES = {
    "figures": ("figure_1", "losses", "static", "to_html"),
    "own": ("compute_surface", "save"),
    "pipeline": ("compute_run",),
    "plane": ("Plane",),
    "record": ("Figure1", "Path", "Status", "Surface", "load"),
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
