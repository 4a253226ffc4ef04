"""Paths of optimizers over a surface, and what is needed to play them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from landscape.figures.look import CASING, LINE, extent, path_label, style
from landscape.measure import endings
from landscape.record import Figure1, OptimizerPath, Surface

__all__ = ["MARKS", "Marks", "add_absence", "add_marks", "add_paths", "shown_marks"]

Floats = NDArray[np.float64]
FRAMES = 200  # the player shows no more steps than these, and as many arrows: more are no help
PIXELS = 96 / 72  # in a point
Marks = Mapping[str, tuple[float, float]]
MARKS = {"": "x", "A": "circle", "B": "circle"}  # the picked point, two pins; their symbols


def add_paths(figure: go.Figure, record: Figure1, surfaces: Sequence[Surface]) -> None:
    """Draws every path on every panel, and adds to ``meta`` what the player needs of them.

    ``meta["steps"]`` are the steps it shows. ``meta["paths"]`` are the points of each path, ``x``
    and ``y``, and the indices of the traces that show them: ``lines`` up to a step, ``heads`` the
    point of that step. ``method`` is whose path it is, escaped.
    """
    ends = endings(record)
    ranges, target = extent(record, surfaces), record.surfaces[-1].inner_steps
    played = []
    for end in ends:
        x, y = end.path.xy[: end.step + 1].T.tolist()
        method = escape(end.path.method)
        played.append({"method": method, "x": x, "y": y, "lines": [], "heads": []})
    for col in range(1, len(surfaces) + 1):
        for end, player in zip(ends, played, strict=True):
            casing, line, head = path_traces(end.path, end.path.xy[: end.step + 1], target)
            head.update(name=escape(path_label(end, ranges)), showlegend=col == 1)
            first = len(figure.data)
            figure.add_traces([casing, line, head], rows=1, cols=col)
            player["lines"] += [first, first + 1]
            player["heads"] += [first + 2]
        if ends:
            starts = np.unique(np.array([end.path.xy[0] for end in ends]), axis=0)
            figure.add_trace(start(starts, shown=col == 1), row=1, col=col)
    if ends:
        last = max(end.step for end in ends)
        steps = np.linspace(0, last, min(last + 1, FRAMES)).round().astype(int).tolist()
        figure.layout.meta |= {"steps": steps, "paths": played}


def shown_marks(marks: Marks) -> dict[str, dict[str, list[Any]]]:
    """Marked points by name (those of ``MARKS``) as the player and the traces need them."""
    there = [(name, *marks[name]) for name in MARKS if name in marks]
    names, x, y = (list(each) for each in zip(*there, strict=True)) if there else ([], [], [])
    ends = [marks[name] for name in ("A", "B") if name in marks]
    ends = ends if len(ends) == 2 else []
    return {
        "points": {"x": x, "y": y, "text": names, "symbol": [MARKS[name] for name in names]},
        "line": {"x": [end[0] for end in ends], "y": [end[1] for end in ends]},
    }


def add_marks(figure: go.Figure, marks: Marks, panels: int) -> None:
    """Draws marked points and the line between the pins on every panel.

    ``meta["marks"]`` says by which traces, so that a page moves them without a new figure.
    """
    shown, found = shown_marks(marks), {"lines": list[int](), "points": list[int]()}
    for col in range(1, panels + 1):
        line = go.Scatter(
            **shown["line"],
            mode="lines",
            line={"color": "#ffffff", "width": 2.5, "dash": "6px,4px"},
            hoverinfo="skip",
            showlegend=False,
            name="line between the pins",
        )
        points = go.Scatter(
            x=shown["points"]["x"],
            y=shown["points"]["y"],
            text=shown["points"]["text"],
            mode="markers+text",
            textfont={"size": 13, "color": "#000000"},
            marker={
                "symbol": shown["points"]["symbol"],
                "size": 19,
                "color": "#ffffff",
                "line": {"width": 2.5, "color": "#000000"},
            },
            hoverinfo="skip",
            showlegend=False,
            cliponaxis=False,
            name="marked points",
        )
        first = len(figure.data)
        figure.add_traces([line, points], rows=1, cols=col)
        found["lines"].append(first)
        found["points"].append(first + 1)
    figure.layout.meta |= {"marks": found}


def path_traces(path: OptimizerPath, points: Floats, target: int) -> tuple[go.Scatter, ...]:
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
        line={"color": "#ffffff", "width": PIXELS * (LINE + 2 * CASING)},
        hoverinfo="skip",
        name=label,
        **shared,
    )
    line = go.Scatter(
        x=x,
        y=y,
        mode="lines+markers",
        line={"color": look.color, "width": PIXELS * LINE, "dash": look.dash},
        marker={
            "symbol": "arrow",
            "angleref": "previous",
            "size": np.where(steps == 0, 0, 11),
            "maxdisplayed": FRAMES,
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
        line={"color": look.color, "width": PIXELS * LINE, "dash": look.dash},
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


def start(points: Floats, *, shown: bool) -> go.Scatter:
    """The hollow marks of starting points (n, 2); the word stands in the legend if ``shown``."""
    return go.Scatter(
        x=points[:, 0],
        y=points[:, 1],
        mode="markers",
        marker={
            "symbol": "circle",
            "size": 11,
            "color": "#ffffff",
            "line": {"width": 2, "color": "#000000"},
        },
        hoverinfo="skip",
        showlegend=shown,
        name="start",
    )


def add_absence(figure: go.Figure, row: int, col: int) -> None:
    """Says of a panel that nothing of it is known yet, instead of an empty frame."""
    figure.add_trace(go.Scatter(x=[None], y=[None], showlegend=False), row=row, col=col)
    domain = {"xref": "x domain", "yref": "y domain", "x": 0.5, "y": 0.5}
    figure.add_annotation(text="not here yet", showarrow=False, row=row, col=col, **domain)
