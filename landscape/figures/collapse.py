"""The study of collapse: what cells are worth, seed by seed, and skips over the epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from statistics import mean
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from landscape.figures import look
from landscape.figures.traces import add_absence

__all__ = ["figure_collapse"]

_DARTS, _MGS = look.style("darts-1"), look.style("zarts-mgs")
# Of each arm: colour, symbol and dash; arms of one optimizer share its colour.
_LOOKS = {
    "DARTS-1st": (_DARTS.color, _DARTS.symbol, "solid"),
    "ZARTS-MGS": (_MGS.color, _MGS.symbol, "solid"),
    "MGS at M = 0": (_MGS.color, f"{_MGS.symbol}-open", "dash"),
    "random walk": ("#D55E00", "diamond", "dot"),
    "random cells": ("#7A7A7A", "x", "dot"),
}


def figure_collapse(entries: Sequence[Mapping[str, Any]], *, dark: bool = False) -> go.Figure:
    """Per space: test accuracy of the retrained cells of each arm, and its skips over the epochs.

    A thin line joins what has one seed, so that pairs can be seen; a bar is an arm's mean.

    Example:
        >>> entry = {"row": "S2", "column": "DARTS-1st", "seed": 0, "test_error": 20.0}
        >>> figure = figure_collapse([entry, entry | {"seed": 1, "test_error": 21.0}])
        >>> [list(trace.y) for trace in figure.data if trace.name == "DARTS-1st"]
        [[80.0, 79.0]]

    Args:
        entries: Of each search: ``row`` (the space), ``column`` (the arm), ``seed`` and, as far as
            they are known, ``test_error`` (percent) and ``skips_by_epoch``. As ``zarts.collect``
            gives them.
        dark: For a dark page.
    """
    ink = look.DARK if dark else look.LIGHT
    spaces = list(dict.fromkeys(str(entry["row"]) for entry in entries)) or [""]
    titles = [
        title
        for space in spaces
        for title in (
            f"{space}: test accuracy after retraining, %",
            f"{space}: skip connections of 16",
        )
    ]
    figure = make_subplots(
        rows=len(spaces),
        cols=2,
        vertical_spacing=0.16,
        horizontal_spacing=0.08,
        subplot_titles=[escape(title) for title in titles],
    )
    named: set[str] = set()
    for row, space in enumerate(spaces, 1):
        mine = [entry for entry in entries if entry["row"] == space]
        arms = list(dict.fromkeys(str(entry["column"]) for entry in mine))
        _pairs(figure, mine, arms, row, ink)
        for place, arm in enumerate(arms):
            own = [entry for entry in mine if entry["column"] == arm]
            color, symbol, dash = _LOOKS.get(arm, (ink.text, "square", "solid"))
            shared = {
                "name": escape(arm), "legendgroup": escape(arm), "showlegend": arm not in named,
            }  # fmt: skip
            done = [entry for entry in own if entry.get("test_error") is not None]
            if done:
                accuracy = [100 - entry["test_error"] for entry in done]
                figure.add_trace(
                    go.Scatter(
                        x=[place] * len(done),
                        y=accuracy,
                        mode="markers",
                        marker={"color": color, "symbol": symbol, "size": 9},
                        customdata=[entry["seed"] for entry in done],
                        hovertemplate=f"<b>{escape(arm)}</b> seed %{{customdata}}: %{{y:.2f}} %"
                        "<extra></extra>",
                        **shared,
                    ),
                    row=row,
                    col=1,
                )
                figure.add_shape(
                    type="line", x0=place - 0.25, x1=place + 0.25, y0=mean(accuracy),
                    y1=mean(accuracy), line={"color": color, "width": 3}, row=row, col=1,
                )  # fmt: skip
                named.add(arm)
                shared["showlegend"] = False
            curve = _mean_skips(own)
            if curve:
                figure.add_trace(
                    go.Scatter(
                        x=list(curve),
                        y=list(curve.values()),
                        mode="lines",
                        line={"color": color, "width": 2.5, "dash": dash},
                        hovertemplate=f"<b>{escape(arm)}</b> epoch %{{x}}: %{{y:.1f}}"
                        "<extra></extra>",
                        **shared,
                    ),
                    row=row,
                    col=2,
                )
                named.add(arm)
        known = ("test_error", "skips_by_epoch")
        for col, name in enumerate(known, 1):
            if not any(entry.get(name) for entry in mine):
                add_absence(figure, row, col)
        figure.update_xaxes(
            tickvals=list(range(len(arms))), ticktext=[escape(arm) for arm in arms],
            range=[-0.6, max(len(arms), 1) - 0.4], row=row, col=1,
        )  # fmt: skip
    figure.update_xaxes(title="epoch of the search", row=len(spaces), col=2)
    figure.update_yaxes(range=[0, 16], col=2)
    for update in (figure.update_xaxes, figure.update_yaxes):
        update(gridcolor=ink.grid, zeroline=False)
    figure.update_layout(
        template=ink.template,
        paper_bgcolor=ink.paper,
        plot_bgcolor=ink.paper,
        font={"family": "sans-serif", "size": 13, "color": ink.text},
        height=150 + 320 * len(spaces),
        margin={"l": 60, "r": 20, "t": 100, "b": 60},
        legend={"orientation": "h", "x": 0.5, "xanchor": "center", "y": 1.06, "yanchor": "bottom"},
    )
    return figure


def _pairs(
    figure: go.Figure,
    entries: Sequence[Mapping[str, Any]],
    arms: Sequence[str],
    row: int,
    ink: look.Ink,
) -> None:
    """Joins the accuracies of one seed over the arms that search."""
    for seed in dict.fromkeys(entry["seed"] for entry in entries):
        found = {
            arms.index(str(entry["column"])): 100 - entry["test_error"]
            for entry in entries
            if entry["seed"] == seed
            and entry.get("test_error") is not None
            and entry.get("skips_by_epoch")
        }
        if len(found) > 1:
            line = go.Scatter(
                x=list(found),
                y=list(found.values()),
                mode="lines",
                line={"color": ink.grid, "width": 1},
                hoverinfo="skip",
                showlegend=False,
            )
            figure.add_trace(line, row=row, col=1)


def _mean_skips(entries: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    """Epoch to the mean over searches, where all that are there have it."""
    curves = [
        {int(epoch): skips for epoch, skips in entry["skips_by_epoch"].items()}
        for entry in entries
        if entry.get("skips_by_epoch")
    ]
    shared = set.intersection(*map(set, curves)) if curves else set()
    return {epoch: mean(curve[epoch] for curve in curves) for epoch in sorted(shared)}
