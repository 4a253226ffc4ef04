"""Fig. 2: what a search has found, epoch by epoch, and how well conditioned its loss is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from landscape.figures import look
from landscape.figures.traces import add_absence

__all__ = ["figure_2"]

# What each panel shows: its name in the entries, its title, and factor.
_PANELS = (
    ("test_error", "test error after retraining, %", 1, 1),
    ("condition_number", "condition number Q of L_10", 1, 2),
    ("parameters", "parameters of the retrained network", 2, 1),
    ("ess", "effective sample size of MGS", 2, 2),
    ("skips", "skip connections of 16", 3, 1),
    ("cv", "coefficient of variation of MGS' weights", 3, 2),
)


def figure_2(entries: Sequence[Mapping[str, Any]], *, dark: bool = False) -> go.Figure:
    """Test error, parameters and skips over the epochs of searches; Q, ESS and CV beside them.

    Example:
        >>> point = {"column": "ZARTS-MGS", "method": "zarts-mgs", "epoch": 25, "skips": 4}
        >>> figure = figure_2([point, point | {"epoch": 50, "skips": 3}])
        >>> [tuple(trace.y) for trace in figure.data if trace.name]
        [(4, 3)]

    Args:
        entries: Of each epoch of a search that is retrained: ``column`` (its label), ``method``,
            ``epoch``, ``skips`` and, as far as they are known, ``test_error`` (percent),
            ``parameters``, ``condition_number``, ``ess``, ``cv``. As ``python -m zarts.reproduce
            fig2 --json`` gives them.
        dark: For a dark page.

    Source: ZARTS Fig. 2 (accuracy and parameters), §5 (Q and ESS).
    """
    ink = look.DARK if dark else look.LIGHT
    figure = make_subplots(
        rows=3,
        cols=2,
        shared_xaxes="all",
        vertical_spacing=0.09,
        horizontal_spacing=0.09,
        subplot_titles=[title for _, title, _, _ in _PANELS],
    )
    named: set[str] = set()
    for name, _, row, col in _PANELS:
        for label in dict.fromkeys(str(entry["column"]) for entry in entries):
            mine = [entry for entry in entries if entry["column"] == label]
            known = [entry for entry in mine if entry.get(name) is not None]
            if not known:
                continue
            style = look.style(str(mine[0]["method"]))
            trace = go.Scatter(
                x=[entry["epoch"] for entry in known],
                y=[entry[name] for entry in known],
                mode="lines+markers",
                line={"color": style.color, "width": 2.5, "dash": style.dash},
                marker={"symbol": style.symbol, "size": 8},
                name=escape(label),
                legendgroup=escape(label),
                showlegend=label not in named,
                hovertemplate=f"<b>{escape(label)}</b> epoch %{{x}}: %{{y:.4~g}}<extra></extra>",
            )
            named.add(label)
            figure.add_trace(trace, row=row, col=col)
        if all(entry.get(name) is None for entry in entries):
            add_absence(figure, row, col)
    figure.update_annotations(font={"size": 13})
    shared = {"gridcolor": ink.grid, "zeroline": False}
    figure.update_xaxes(**shared)
    figure.update_xaxes(title="epoch of the search", row=3)
    figure.update_yaxes(rangemode="tozero", **shared)
    figure.update_yaxes(rangemode="normal", row=1, col=1)
    figure.update_layout(
        template=ink.template,
        paper_bgcolor=ink.paper,
        plot_bgcolor=ink.paper,
        font={"family": "sans-serif", "size": 13, "color": ink.text},
        height=720,
        margin={"l": 70, "r": 20, "t": 90, "b": 60},
        legend={"orientation": "h", "x": 0.5, "xanchor": "center", "y": 1.06, "yanchor": "bottom"},
        showlegend=True,
    )
    return figure
