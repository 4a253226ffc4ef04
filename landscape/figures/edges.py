"""A search edge by edge: which operation won when, and the weights that α gives them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from landscape.figures import look
from landscape.figures.searches import dress
from zarts.runs.epochs import Told, Trace
from zarts.supernet.genotype import Genotype
from zarts.supernet.layout import EDGES

__all__ = ["figure_alpha", "figure_timeline"]

# Okabe and Ito's, which the colour-blind can tell apart.
_OPERATIONS = {
    "skip_connect": "#009E73",
    "sep_conv_3x3": "#0072B2",
    "sep_conv_5x5": "#56B4E9",
    "dil_conv_3x3": "#6B3FA0",
    "dil_conv_5x5": "#CC79A7",
    "max_pool_3x3": "#D55E00",
    "avg_pool_3x3": "#E69F00",
    "noise": "#7A7A7A",
}
_STATES = ("c(k−2)", "c(k−1)", "0", "1", "2", "3")
MOST_STEPS = 60  # of the slider: more say no more, and each costs bytes


def figure_timeline(trace: Trace, *, dark: bool = False) -> go.Figure:
    """Which operation each epoch's cells have on each edge; a gap: the edge is not in the cells.

    Args:
        trace: A search with an epoch or more.
        dark: For a dark page.
    """
    ink = look.DARK if dark else look.LIGHT
    names = list(_OPERATIONS)
    figure = make_subplots(
        rows=1,
        cols=2,
        shared_yaxes=True,
        horizontal_spacing=0.03,
        subplot_titles=["normal cell", "reduction cell"],
    )
    labels = [f"{_STATES[edge.source]} → {edge.node}" for edge in EDGES]
    steps = [
        [place / len(names), color] if end == 0 else [(place + 1) / len(names), color]
        for place, color in enumerate(_OPERATIONS.values())
        for end in (0, 1)
    ]
    x, places = list(range(1, len(trace.epochs) + 1)), range(len(EDGES))
    seen: set[str] = set()
    for col, cell in enumerate(("normal", "reduce"), start=1):
        won = [_won(each.genotype, cell) for each in trace.epochs]
        seen |= {name for row in won for name in row.values()}
        codes = np.array(
            [
                [names.index(row[e]) if e in row else np.nan for row in won]
                for e in range(len(EDGES))
            ]
        )
        said = [[row.get(e, "not in the cells") for row in won] for e in places]
        figure.add_trace(
            go.Heatmap(
                x=x,
                y=list(range(len(EDGES))),
                z=codes.astype(np.float32),
                customdata=np.array(said),
                text=[[label] * len(x) for label in labels],
                zmin=-0.5,
                zmax=len(names) - 0.5,
                colorscale=steps,
                showscale=False,
                xgap=1 if len(x) < 100 else 0,
                ygap=2,
                hovertemplate="epoch %{x}, edge %{text}<br><b>%{customdata}</b><extra></extra>",
            ),
            row=1,
            col=col,
        )
        for begin in trace.begins:
            figure.add_vline(
                x=begin + 0.5, line={"color": ink.text, "width": 1.5, "dash": "dot"}, row=1, col=col
            )
    for name in names:  # the legend: a heat map has none
        if name in seen:
            figure.add_trace(
                go.Scatter(
                    x=[None],
                    y=[None],
                    mode="markers",
                    marker={"symbol": "square", "size": 13, "color": _OPERATIONS[name]},
                    name=name,
                )
            )
    for node in range(1, 4):  # a thin line above the edges of each further node
        figure.add_hline(
            y=sum(range(2, node + 2)) - 0.5, line={"color": ink.grid, "width": 1}, col="all"
        )
    figure.update_xaxes(
        title="epoch", range=[0.5, len(x) + 0.5], showgrid=False, zeroline=False,
        nticks=min(len(x) + 1, 12),
    )  # fmt: skip
    figure.update_yaxes(
        tickvals=list(range(len(EDGES))), ticktext=labels, range=[len(EDGES) - 0.5, -0.5],
        showgrid=False, zeroline=False,
    )  # fmt: skip
    figure.update_yaxes(title="edge: from a state to a node", col=1)
    dress(figure, ink, 520)
    return figure


def _won(genotype: Genotype, cell: str) -> dict[int, str]:
    """The operation of each edge that is in a cell, by the place of the edge in ``EDGES``."""
    inputs = genotype.normal if cell == "normal" else genotype.reduce
    places = {(edge.node, edge.source): place for place, edge in enumerate(EDGES)}
    return {places[place // 2, source]: name for place, (name, source) in enumerate(inputs)}


def figure_alpha(trace: Trace, *, dark: bool = False) -> go.Figure:
    """The weight of each operation on each edge after the last epoch, and what plays the others.

    ``to_page`` and the page show any epoch; what they need is in the figure's ``meta``. Weights
    are the softmax over an edge. A gap: the edge does not offer the operation, as in S1 and in
    later stages.

    Args:
        trace: A search with an epoch or more, whose epochs say their space.
        dark: For a dark page.

    Raises:
        ValueError: If they do not say it, or it is not one of cells.
    """
    ink = look.DARK if dark else look.LIGHT
    if any(each.space is None for each in trace.epochs):
        raise ValueError(f"run {trace.name} does not say what its α means")
    offered = {
        name: None
        for each in trace.epochs
        for group in (each.space.groups if each.space else ())
        for edge in group.operations
        for name in edge
    }
    labels = [f"{_STATES[edge.source]} → {edge.node}" for edge in EDGES]
    names = [name for name in ("none", *_OPERATIONS) if name in offered]
    count = min(len(trace.epochs), MOST_STEPS)
    picked = sorted(set(np.linspace(0, len(trace.epochs) - 1, count).round().astype(int).tolist()))
    tables = [_weights(trace.epochs[place], names) for place in picked]
    figure = make_subplots(
        rows=1,
        cols=2,
        shared_yaxes=True,
        horizontal_spacing=0.03,
        subplot_titles=["normal cell", "reduction cell"],
    )
    for col, table in enumerate(tables[-1], start=1):
        figure.add_trace(
            go.Heatmap(
                x=names,
                y=list(range(len(EDGES))),
                z=table,
                coloraxis="coloraxis",
                customdata=[[label] * len(names) for label in labels],
                xgap=1,
                ygap=1,
                hovertemplate="%{x} on edge %{customdata}<br><b>%{z:.3f}</b><extra></extra>",
            ),
            row=1,
            col=col,
        )
    figure.layout.meta = {
        "steps": [place + 1 for place in picked],
        "tables": [[_listed(each) for each in table] for table in tables],
        "unit": "after epoch",
    }
    figure.update_yaxes(
        tickvals=list(range(len(EDGES))), ticktext=labels, range=[len(EDGES) - 0.5, -0.5],
        showgrid=False, zeroline=False,
    )  # fmt: skip
    figure.update_yaxes(title="edge: from a state to a node", col=1)
    figure.update_xaxes(showgrid=False, zeroline=False, tickangle=-35)
    dress(figure, ink, 500)
    low, high = (
        float(end([end(table) for pair in tables for table in pair]))
        for end in (np.nanmin, np.nanmax)
    )
    figure.update_layout(
        coloraxis={
            "colorscale": "viridis",
            "cmin": low,
            "cmax": max(high, low + 1e-3),
            "colorbar": {
                "title": {"text": "weight", "font": {"size": 12}},
                "thickness": 14,
                "len": 1.0,
            },
        },
        margin={"b": 90, "t": 50},
    )
    return figure


def _weights(told: Told, names: Sequence[str]) -> list[np.ndarray]:
    """Of both cells, weights (edges, operations); NaN where an edge does not offer one."""
    assert told.space is not None
    found = []
    weights = told.space.weights(told.alpha)
    if [group.name for group in told.space.groups] != ["normal", "reduce"]:
        raise ValueError(f"space {told.space.name} has no normal and reduction cell")
    for group in told.space.groups:
        table = np.full((len(EDGES), len(names)), np.nan)
        for edge, operations in enumerate(group.operations):
            for place, name in enumerate(operations):
                table[edge, names.index(name)] = round(float(weights[group.name][edge, place]), 4)
        found.append(table)
    return found


def _listed(table: np.ndarray) -> list[list[float | None]]:
    """As JSON has it, in which there is no NaN."""
    return [[None if np.isnan(value) else float(value) for value in row] for row in table]
