"""Looks at any objective: planes, grids, paths, measures of them, and figures.

The public names below are imported on first use, so that ``import landscape`` loads no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zarts.facade import facade

if TYPE_CHECKING:
    from landscape.compute.own import compute_surface, save
    from landscape.compute.pipeline import compute_run
    from landscape.compute.work import problem_of
    from landscape.figures import figure_1, figure_2, figure_collapse, losses, static, to_html
    from landscape.geometry.grid import empty_surface, fill
    from landscape.geometry.plane import Plane, orthonormal
    from landscape.geometry.problem import PlaneProblem
    from landscape.record import Figure1, OptimizerPath, Status, Surface, load

_HOMES = {
    "compute.own": ("compute_surface", "save"),
    "compute.pipeline": ("compute_run",),
    "compute.work": ("problem_of",),
    "figures": ("figure_1", "figure_2", "figure_collapse", "losses", "static", "to_html"),
    "geometry.grid": ("empty_surface", "fill"),
    "geometry.plane": ("Plane", "orthonormal"),
    "geometry.problem": ("PlaneProblem",),
    "record": ("Figure1", "OptimizerPath", "Status", "Surface", "load"),
}
__all__ = [
    "Figure1",
    "OptimizerPath",
    "Plane",
    "PlaneProblem",
    "Status",
    "Surface",
    "compute_run",
    "compute_surface",
    "empty_surface",
    "figure_1",
    "figure_2",
    "figure_collapse",
    "fill",
    "load",
    "losses",
    "orthonormal",
    "problem_of",
    "save",
    "static",
    "to_html",
]
__getattr__, __dir__ = facade(__name__, _HOMES, __all__)
