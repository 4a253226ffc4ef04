"""Looks at any objective: planes, grids, paths, measures of them, and figures.

The public names below are imported on first use, so that ``import landscape`` loads no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zarts.facade import facade

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
__getattr__, __dir__ = facade(__name__, _HOMES, __all__)
