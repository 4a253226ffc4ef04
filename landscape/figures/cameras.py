"""How scenes of Fig. 1 in three dimensions are seen: from where, in which box, with which axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from landscape.figures.bars import ceiling
from landscape.figures.look import Ink
from landscape.figures.plan import Panel

__all__ = ["CAMERAS", "LIFT", "SIDES", "dress_scene"]

LIFT = {"path": 0.02, "mark": 0.07}  # of the range, above a surface, so that it hides neither
SIDES = {"along x": 1, "along y": 0}  # the axis that is seen from its side
CAMERAS: dict[str, dict[str, Any]] = {
    # A little aside: labels stand left of the surface, and would be cut where its scene ends.
    "iso": {
        "eye": {"x": -1.29, "y": -1.4, "z": 0.97},
        "center": {"x": -0.06, "y": 0.05, "z": -0.12},
    },
    "top": {"eye": {"x": 0, "y": 0, "z": 2}, "up": {"x": 0, "y": 1, "z": 0}},
    "along x": {"eye": {"x": 2.2, "y": 0, "z": 0.12}},
    "along y": {"eye": {"x": 0, "y": -2.2, "z": 0.12}},
}
# The box that is looked at: among two scenes and among three, where labels need the room.
SIZES = {"iso": (1.0, 0.7), "top": (1.35, 1.0), "along x": (1.75, 1.0), "along y": (1.75, 1.0)}


def dress_scene(
    scene: go.layout.Scene,
    panel: Panel,
    axes: Sequence[str],
    ink: Ink,
    camera: str,
    *,
    narrow: bool,
) -> None:
    """Axes and camera of one scene."""
    shared, surface = panel.levels, panel.surface
    span = (1 + LIFT["mark"]) * (ceiling(shared) - shared.start)
    line = {
        "nticks": 5,
        "tickfont": {"size": 11},
        "gridcolor": ink.grid,
        "backgroundcolor": ink.paper,
        "zeroline": False,
    }
    if camera != "iso":  # else plotly turns some of them so that they are on each other
        line["tickangle"] = 0
    ticks = shared.ticks[:: -(-len(shared.ticks) // 4)]  # more would be on each other
    if camera == "iso":  # the lowest label would be on that of the corner
        ticks = [tick for tick in ticks if tick > shared.start + 0.05 * span]
    height = {"range": [shared.start, shared.start + span], "tickvals": ticks}
    width, depth = float(np.ptp(surface.x)) or 1.0, float(np.ptp(surface.y)) or 1.0
    unit = SIZES[camera][narrow] / max(width, depth)  # of a longer side more would be outside
    projection = {"type": "perspective" if camera == "iso" else "orthographic"}
    scene.update(
        xaxis={"title": {"text": axes[0]}, **line},
        yaxis={"title": {"text": axes[1]}, **line},
        zaxis=line | height | {"title": {"text": ""}, "ticktext": list(map(shared.label, ticks))},
        aspectmode="manual",
        aspectratio={"x": unit * width, "y": unit * depth, "z": 0.6 * unit * max(width, depth)},
        camera={**CAMERAS[camera], "projection": projection},
    )
    if along := {"top": "zaxis", "along x": "xaxis", "along y": "yaxis"}.get(camera):
        scene[along].visible = False  # it is seen from its end: all its labels are in one place
