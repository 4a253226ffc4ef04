"""The loss along each path, by step and by what it cost."""

from __future__ import annotations

from html import escape

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from landscape.figures import look
from landscape.figures.partial import stage
from landscape.measure import endings, lowest
from landscape.record import Figure1

__all__ = ["losses"]

FAINT = 0.15  # as the player shows the other paths


def losses(record: Figure1, *, dark: bool = False, path: str | None = None) -> go.Figure:
    """The target loss along each path: by optimizer step, and by the SGD steps of ω it cost.

    Updates of one optimizer cost the same, so its budget is spread evenly over its steps.

    Example:
        >>> import torch
        >>> from landscape import compute_surface, losses
        >>> from zarts import Quadratic
        >>> toy = Quadratic.random()
        >>> paths = {"mine": torch.stack([toy.center, toy.minimum(10)])}
        >>> record = compute_surface(toy.problem(), toy.center, rows=3, cols=3, paths=paths)
        >>> [trace.name for trace in losses(record).data]
        ['mine', 'mine']

    Args:
        record: What a run holds.
        dark: For a dark page.
        path: The method whose curves stand out; None: all are alike.

    Raises:
        ValueError: If the record has no surface.
    """
    target = look.choose(record)[-1]
    ink = look.DARK if dark else look.LIGHT
    titles = ("by optimizer step", "by SGD steps of ω spent")
    figure = make_subplots(
        rows=1, cols=2, shared_yaxes="all", horizontal_spacing=0.05, subplot_titles=titles
    )
    for end in endings(record):
        walk, style = end.path, look.style(end.path.method)
        steps = np.arange(end.step + 1)
        for col, x in ((1, steps), (2, steps * walk.weight_steps / max(len(walk.xy) - 1, 1))):
            trace = go.Scatter(
                x=x,
                y=walk.target_loss[: end.step + 1],
                mode="lines+markers",
                line={"color": style.color, "width": 2.5, "dash": style.dash},
                marker={"symbol": style.symbol, "size": 8},
                cliponaxis=False,  # at no steps of ω they would be cut in two
                name=escape(style.label),
                opacity=FAINT if path and walk.method != path else 1,
                legendgroup=escape(walk.method),
                showlegend=col == 1,
                hovertemplate=f"<b>{escape(style.label)}</b> %{{x:.0f}}: %{{y:.4f}}<extra></extra>",
            )
            figure.add_trace(trace, row=1, col=col)
    so_far = " so far" if stage(target) else ""
    if low := lowest(target):
        figure.add_hline(
            y=low.loss,
            line={"dash": "dash", "width": 1.5, "color": ink.text},
            annotation={"text": "★ lowest on the grid" + so_far, "font": {"size": 11}},
            annotation_position="top left",
            col=1,
        )
    shared = {"gridcolor": ink.grid, "zeroline": False}
    figure.update_xaxes(title="optimizer step", dtick=1, col=1, **shared)
    figure.update_xaxes(
        title="SGD steps of ω, all updates so far", rangemode="tozero", col=2, **shared
    )
    figure.update_yaxes(title=f"loss after {target.inner_steps} steps of ω", col=1)
    figure.update_yaxes(**shared)
    figure.update_layout(
        template=ink.template,
        paper_bgcolor=ink.paper,
        plot_bgcolor=ink.paper,
        font={"family": "sans-serif", "size": 13, "color": ink.text},
        height=380,
        margin={"l": 70, "r": 20, "t": 80, "b": 60},
        legend={"orientation": "h", "x": 0.5, "xanchor": "center", "y": 1.12, "yanchor": "bottom"},
    )
    return figure
