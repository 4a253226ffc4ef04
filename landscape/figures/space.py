"""Fig. 1 in three dimensions: two surfaces as landscapes, seen from chosen places."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from landscape.figures import look
from landscape.figures.bars import ceiling, colours
from landscape.figures.look import Floats, Levels, Scale
from landscape.figures.plan import panels
from landscape.figures.traces import PIXELS, Marks
from landscape.measure import endings, interpolate
from landscape.record import Figure1, Surface

__all__ = ["CAMERAS", "figure_3d"]

LIFT = {"path": 0.015, "mark": 0.05}  # of the range, above a surface, so that it hides neither
CAMERAS: dict[str, dict[str, Any]] = {
    "iso": {"eye": {"x": -1.4, "y": -1.65, "z": 1.1}, "center": {"x": 0, "y": 0, "z": -0.12}},
    "top": {"eye": {"x": 0, "y": 0, "z": 2}, "up": {"x": 0, "y": 1, "z": 0}},
    "along x": {"eye": {"x": -2.2, "y": 0, "z": 0.12}},
    "along y": {"eye": {"x": 0, "y": -2.2, "z": 0.12}},
}


def figure_3d(
    record: Figure1,
    inner_steps: Sequence[int] | None = None,
    *,
    camera: str = "iso",
    log: bool = False,
    dark: bool = False,
    scale: Scale = "shared",
    quantity: str = "loss",
    marks: Marks | None = None,
) -> go.Figure:
    """The surfaces of Fig. 1 as landscapes, with the paths laid on them.

    Heights are those of the contour levels: what lies above the highest one is cut there. Both
    scenes are seen from the same place.

    Args:
        record: What a run holds.
        inner_steps: M from left to right, two at most: browsers draw few such scenes at a time.
        camera: One of ``CAMERAS``; ``along x`` looks along the x axis.
        log: Heights are the logarithm of the loss above the lowest one.
        dark: For a dark page.
        scale: One scale for both, or for each its ``own``.
        quantity: As in ``figure_1``.
        marks: Points to mark, as there.

    Raises:
        ValueError: As ``figure_1``, or if the camera is unknown.
    """
    if camera not in CAMERAS:
        raise ValueError(f"camera = {camera!r}, expected one of {', '.join(CAMERAS)}")
    plan = panels(record, inner_steps, log=log, scale=scale, quantity=quantity)[:2]
    ink = look.DARK if dark else look.LIGHT
    figure = make_subplots(
        rows=1,
        cols=len(plan),
        specs=[[{"type": "surface"}] * len(plan)],
        horizontal_spacing=0.02 if scale == "shared" else 0.12,
        subplot_titles=["<br>".join([f"<b>{each.title}</b>", *each.lines]) for each in plan],
    )
    figure.update_annotations(font={"size": 13}, y=1.0)
    axes = [escape(look.axis_title(axis, record).partition(" (")[0]) for axis in (0, 1)]
    projection = {"type": "perspective" if camera == "iso" else "orthographic"}
    for col, panel in enumerate(plan, start=1):
        shared, surface = panel.levels, panel.surface
        low, high = shared.start, ceiling(shared)
        shown = [_surface(surface, shared, colour_bar=col == len(plan) or scale == "own", col=col)]
        shown += _paths(record, surface, shared, legend=col == 1)
        if best := shared.quantity.starred(surface):
            place = np.array([[best.x, best.y]])
            shown.append(_points(surface, shared, place, symbol="diamond", color=look.STAR))
        if marks:
            shown.append(_marked(surface, shared, marks))
        figure.add_traces(shown, rows=1, cols=col)
        line = {
            "nticks": 5,
            "tickfont": {"size": 11},
            "gridcolor": ink.grid,
            "backgroundcolor": ink.paper,
            "zeroline": False,
        }
        ticks = shared.ticks[:: -(-len(shared.ticks) // 4)]  # more would be on each other
        labels = [shared.label(each) for each in ticks]
        height = {"range": [low, high], "tickvals": ticks, "ticktext": labels}
        width, depth = float(np.ptp(surface.x)) or 1.0, float(np.ptp(surface.y)) or 1.0
        scene = figure.layout[f"scene{col if col > 1 else ''}"]
        scene.update(
            xaxis={"title": {"text": axes[0]}, **line},
            yaxis={"title": {"text": axes[1]}, **line},
            zaxis={"title": {"text": ""}, **height, **line},
            aspectmode="manual",
            aspectratio={"x": 1, "y": depth / width, "z": 0.6},
            camera={**CAMERAS[camera], "projection": projection},
        )
        if along := {"top": "zaxis", "along x": "xaxis", "along y": "yaxis"}.get(camera):
            scene[along].visible = False  # it is seen from its end: all its labels are in one place
    figure.update_layout(
        template=ink.template,
        paper_bgcolor=ink.paper,
        font={"family": "sans-serif", "size": 13, "color": ink.text},
        height=540,
        margin={"l": 0, "r": 10, "t": 110, "b": 10},
        legend={"orientation": "h", "x": 0, "y": 1, "yref": "container", "yanchor": "top"},
    )
    return figure


def _surface(surface: Surface, shared: Levels, *, colour_bar: bool, col: int) -> go.Surface:
    loss = np.where(np.isfinite(surface.loss), surface.loss, np.nan)
    right = {"x": 0.44} if col == 1 else {}
    return go.Surface(
        x=surface.x,
        y=surface.y,
        z=_height(loss, shared).astype(np.float32),
        customdata=loss.astype(np.float32),
        cmin=shared.start,
        cmax=ceiling(shared),
        colorscale=colours(shared, 1 - 0.5 / len(shared.values)),
        showscale=colour_bar,
        colorbar={
            "title": {"text": shared.quantity.name + (" (log)" if shared.log else "")},
            "tickvals": shared.ticks,
            "ticktext": [shared.label(each) for each in shared.ticks],
            "thickness": 14,
            "len": 0.7,
            **right,
        },
        lighting={"ambient": 0.85, "diffuse": 0.35, "specular": 0.05},
        hovertemplate=f"x %{{x:.3f}} · y %{{y:.3f}}<br><b>{shared.quantity.name} "
        f"%{{customdata:.4f}}</b><extra>M = {surface.inner_steps}</extra>",
        name=f"M = {surface.inner_steps}",
        showlegend=False,
    )


def _height(loss: Floats, shared: Levels) -> Floats:
    """Losses of any shape as heights, cut at the ends of the levels."""
    return np.clip(shared.drawn(loss), shared.start, ceiling(shared))


def _over(surface: Surface, shared: Levels, xy: Floats, share: float) -> Floats:
    """Heights (n,) a little over a surface at points (n, 2); NaN where it has none."""
    lift = share * (ceiling(shared) - shared.start)
    return _height(interpolate(surface, xy), shared) + lift


def _paths(record: Figure1, surface: Surface, shared: Levels, *, legend: bool) -> list[Any]:
    found = []
    for end in endings(record):
        style, xy = look.style(end.path.method), end.path.xy[: end.step + 1]
        sizes = np.where(np.arange(len(xy)) == end.step, 6, 2)
        found.append(
            go.Scatter3d(
                x=xy[:, 0],
                y=xy[:, 1],
                z=_over(surface, shared, xy, LIFT["path"]),
                mode="lines+markers",
                line={"color": style.color, "width": 2 * PIXELS * look.LINE},
                marker={"color": style.color, "size": sizes},
                name=escape(look.path_label(end, look.extent(record, [surface]))),
                legendgroup=escape(end.path.method),
                showlegend=legend,
                hoverinfo="skip",
            )
        )
    return found


def _points(
    surface: Surface,
    shared: Levels,
    xy: Floats,
    *,
    symbol: str,
    color: str,
    names: Sequence[str] = (),
) -> go.Scatter3d:
    return go.Scatter3d(
        x=xy[:, 0],
        y=xy[:, 1],
        z=_over(surface, shared, xy, LIFT["mark"]),
        mode="markers+text" if names else "markers",
        text=names,
        marker={
            "symbol": symbol,
            "size": 7,
            "color": color,
            "line": {"width": 2, "color": "#000000"},
        },
        showlegend=False,
        hoverinfo="skip",
    )


def _marked(surface: Surface, shared: Levels, marks: Marks) -> go.Scatter3d:
    xy, names = np.array([*marks.values()]), [*marks]
    return _points(surface, shared, xy, symbol="circle", color="#ffffff", names=names)
