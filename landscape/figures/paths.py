"""Paths of optimizers over a surface, and the frames that play them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from landscape.figures.look import extent, path_label, style
from landscape.measure import endings
from landscape.record import Figure1, Path, Surface

__all__ = ["add_frames", "add_paths"]

Floats = NDArray[np.float64]


def add_paths(
    figure: go.Figure, record: Figure1, surfaces: Sequence[Surface]
) -> list[tuple[int, Floats, bool]]:
    """Draws every path on every panel.

    Returns:
        For each moving trace its index, the points of its path (n, 2), and whether it shows
        the last one only.
    """
    moving: list[tuple[int, Floats, bool]] = []
    ends = endings(record)
    ranges, target = extent(record, surfaces), record.surfaces[-1].inner_steps
    for col in range(1, len(surfaces) + 1):
        for end in ends:
            points = end.path.xy[: end.step + 1]
            casing, line, head = path_traces(end.path, points, target)
            head.update(name=escape(path_label(end, ranges)), showlegend=col == 1)
            first = len(figure.data)
            figure.add_traces([casing, line, head], rows=1, cols=col)
            moving += [
                (first, points, False),
                (first + 1, points, False),
                (first + 2, points, True),
            ]
        starts = (
            np.unique(np.array([end.path.xy[0] for end in ends]), axis=0)
            if ends
            else np.empty((0, 2))
        )
        for x, y in starts:
            figure.add_trace(start(float(x), float(y)), row=1, col=col)
    return moving


def path_traces(path: Path, points: Floats, target: int) -> tuple[go.Scatter, ...]:
    """White casing, line with arrows, and the mark of the current point."""
    look = style(path.method)
    label = escape(look.label)
    shared = {"legendgroup": escape(path.method), "showlegend": False}
    steps = np.arange(len(points))
    known = np.column_stack([steps, path.loss[: len(points)], path.target_loss[: len(points)]])
    hover = (
        f"<b>{label}</b> step %{{customdata[0]:.0f}}<br>x %{{x:.3f}} · y %{{y:.3f}}<br>"
        f"L<sub>{path.inner_steps}</sub> %{{customdata[1]:.4f}} · "
        f"L<sub>{target}</sub> %{{customdata[2]:.4f}}<extra></extra>"
    )
    x, y = points.T
    casing = go.Scatter(
        x=x,
        y=y,
        mode="lines",
        line={"color": "#ffffff", "width": 6},
        hoverinfo="skip",
        name=label,
        **shared,
    )
    line = go.Scatter(
        x=x,
        y=y,
        mode="lines+markers",
        line={"color": look.color, "width": 2.5, "dash": look.dash},
        marker={
            "symbol": "arrow",
            "angleref": "previous",
            "size": np.where(steps == 0, 0, 11),
            "color": look.color,
            "line": {"width": 0.5, "color": "#ffffff"},
        },
        customdata=known,
        hovertemplate=hover,
        name=label,
        **shared,
    )
    head = go.Scatter(
        x=x[-1:],
        y=y[-1:],
        mode="lines+markers",  # the line is for the legend
        line={"color": look.color, "width": 2.5, "dash": look.dash},
        marker={
            "symbol": look.symbol,
            "size": 13,
            "color": look.color,
            "line": {"width": 1.5, "color": "#ffffff"},
        },
        hoverinfo="skip",
        **shared,
    )
    return casing, line, head


def start(x: float, y: float) -> go.Scatter:
    """The hollow mark of a starting point."""
    return go.Scatter(
        x=[x],
        y=[y],
        mode="markers+text",
        text=["start"],
        textposition="top center",
        textfont={"color": "#ffffff", "size": 12, "shadow": "0 0 3px #333333, 0 0 2px #333333"},
        marker={
            "symbol": "circle",
            "size": 11,
            "color": "#ffffff",
            "line": {"width": 2, "color": "#000000"},
        },
        hoverinfo="skip",
        showlegend=False,
        name="start",
    )


def add_frames(figure: go.Figure, record: Figure1, moving: list[tuple[int, Floats, bool]]) -> None:
    """One frame per optimizer step with the moving traces only, a slider and two buttons."""
    if not moving:
        return
    last = max(len(points) for _, points, _ in moving) - 1
    frames = []
    for step in range(last + 1):
        shown = [
            points[: step + 1][-1:] if head else points[: step + 1] for _, points, head in moving
        ]
        data = [go.Scatter(x=part[:, 0], y=part[:, 1]) for part in shown]
        frames.append(go.Frame(name=str(step), traces=[index for index, _, _ in moving], data=data))
    figure.frames = frames
    # With redraw off, contours and heat maps vanish from a panel as soon as its scatters move, so
    # every frame redraws (plotly/plotly.js#4491); it still carries no surface.
    at_once = {
        "frame": {"duration": 0, "redraw": True},
        "mode": "immediate",
        "transition": {"duration": 0},
    }
    playing = {
        "frame": {"duration": 450, "redraw": True},
        "mode": "immediate",
        "transition": {"duration": 0},
    }
    figure.update_layout(
        sliders=[
            {
                "active": last,
                "currentvalue": {"prefix": "optimizer step ", "font": {"size": 12}},
                "pad": {"t": 70, "l": 125},
                "x": 0,
                "len": 1,
                "steps": [
                    {"label": str(step), "method": "animate", "args": [[str(step)], at_once]}
                    for step in range(last + 1)
                ],
            }
        ],
        updatemenus=[
            {
                "type": "buttons",
                "direction": "left",
                "x": 0,
                "xanchor": "left",
                "y": 0,
                "yanchor": "top",
                "pad": {"t": 88},
                "showactive": False,
                "buttons": [
                    {"label": "▶ Play", "method": "animate", "args": [None, playing]},
                    {"label": "❚❚", "method": "animate", "args": [[None], at_once]},
                ],
            }
        ],
    )
