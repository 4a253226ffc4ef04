"""Surfaces along a straight line of the plane: loss by distance."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from landscape.figures import look
from landscape.point import profile
from landscape.record import Figure1

__all__ = ["along_line"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#8F6A00")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")


def along_line(
    record: Figure1,
    first: tuple[float, float],
    second: tuple[float, float],
    inner_steps: Sequence[int] | None = None,
    *,
    dark: bool = False,
) -> go.Figure:
    """L_M along the line from one point of the plane to another, bilinear between grid points.

    Args:
        record: What a run holds.
        first: A, in axis units.
        second: B.
        inner_steps: Which M; by default first-order and exact.
        dark: For a dark page.

    Raises:
        ValueError: If the record has no surface, or not the asked one.
    """
    chosen, found = look.choose(record, inner_steps), profile(record, first, second)
    ink = look.DARK if dark else look.LIGHT
    figure = go.Figure()
    for place, surface in enumerate(chosen):
        figure.add_trace(
            go.Scatter(
                x=found.distance,
                y=found.losses[surface.inner_steps],
                customdata=found.xy,
                mode="lines",
                line={
                    "color": COLOURS[place % len(COLOURS)],
                    "dash": DASHES[place % len(DASHES)],
                    "width": 2.5,
                },
                name=f"M = {surface.inner_steps}",
                hovertemplate="x %{customdata[0]:.3f} · y %{customdata[1]:.3f}<br>"
                f"<b>L<sub>{surface.inner_steps}</sub> %{{y:.4f}}</b><extra></extra>",
            )
        )
    end = float(found.distance[-1])
    figure.update_xaxes(
        title="distance from A, axis units; read off between grid points (bilinear)",
        range=[0, end or 1.0],
        gridcolor=ink.grid,
        zeroline=False,
    )
    figure.update_yaxes(title="validation loss", gridcolor=ink.grid, zeroline=False)
    for name, x in (("A", 0.0), ("B", end)):
        figure.add_annotation(
            text=f"<b>{name}</b>", x=x, y=1, yref="paper", yanchor="bottom", showarrow=False
        )
    figure.update_layout(
        template=ink.template,
        paper_bgcolor=ink.paper,
        plot_bgcolor=ink.paper,
        font={"family": "sans-serif", "size": 13, "color": ink.text},
        height=320,
        margin={"l": 70, "r": 20, "t": 60, "b": 55},
        showlegend=True,
        legend={"orientation": "h", "x": 0.5, "xanchor": "center", "y": 1.08, "yanchor": "bottom"},
    )
    return figure
