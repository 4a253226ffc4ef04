"""Searches over their epochs: a curve of each number that an epoch has, and the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from landscape.figures import look
from landscape.figures.words import Row
from zarts.runs.epochs import Trace

__all__ = ["arrays_of", "dress", "figure_search", "numbers_of"]

# Okabe and Ito's, which the colour-blind can tell apart, and dashes besides.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A7A7A")
_DASHES = ("solid", "dash", "dot", "dashdot")
TOOLS, BELOW = 16, 12  # pixels above a legend, for the tools of a page, and around it, for titles
# What each panel shows: its name in a record, its title, a factor.
_PANELS = (
    ("val_loss", "validation loss", 1.0),
    ("val_accuracy", "validation accuracy, %", 100.0),
    ("skip_share", "skip connections of 16", 16.0),
    ("alpha_entropy", "entropy of α, nats per edge", 1.0),
    ("update_norm", "length of an update of α, mean", 1.0),
    ("lambda_max", "λ_max of ∇²_α L_val", 1.0),
    ("ess", "effective sample size of MGS", 1.0),
    ("distinct", "distinct candidates per update", 1.0),
)


def figure_search(traces: Sequence[Trace], *, dark: bool = False) -> go.Figure:
    """Of one search or several: a panel for each number that an epoch has, over the epochs.

    A star marks the epoch that a search chose; a dotted line the begin of a later stage.

    Example:
        >>> import landscape
        >>> from pathlib import Path
        >>> from zarts import Run
        >>> from zarts.runs.epochs import trace
        >>> run = Run.open(Path(landscape.__file__).parent / "demo" / "quick-ec257f9a")
        >>> [note.text for note in figure_search([trace(run)]).layout.annotations[:2]]
        ['validation loss', 'validation accuracy, %']

    Args:
        traces: Each with an epoch or more.
        dark: For a dark page.
    """
    ink = look.DARK if dark else look.LIGHT
    told = [each for trace in traces for each in trace.epochs]
    shown = [panel for panel in _PANELS if any(np.isfinite(each.number(panel[0])) for each in told)]
    rows = max(1, -(-len(shown) // 2))
    figure = make_subplots(
        rows=rows,
        cols=2,
        horizontal_spacing=0.09,
        vertical_spacing=0.27 / rows,
        subplot_titles=[title for _, title, _ in shown],
    )
    for place, (name, _, factor) in enumerate(shown):
        at = {"row": place // 2 + 1, "col": place % 2 + 1}
        for number, trace in enumerate(traces):
            color = _COLORS[number % len(_COLORS)]
            dash = _DASHES[number // len(_COLORS) % len(_DASHES)]
            x = list(range(1, len(trace.epochs) + 1))
            y = [factor * each.number(name) for each in trace.epochs]
            known = [pair for pair in zip(x, y, strict=True) if np.isfinite(pair[1])]
            if not known:
                continue
            label = escape(trace.name)
            figure.add_trace(
                go.Scatter(
                    x=[pair[0] for pair in known],
                    y=[pair[1] for pair in known],
                    mode="lines+markers" if len(known) < 40 else "lines",
                    line={"color": color, "width": 2.5, "dash": dash},
                    marker={"size": 6},
                    name=label,
                    legendgroup=label,
                    showlegend=place == 0,
                    hovertemplate=f"<b>{label}</b> epoch %{{x}}: %{{y:.4~g}}<extra></extra>",
                ),
                **at,
            )
            _mark(figure, trace, dict(known), color, at)
        if name in ("skip_share", "ess", "distinct"):
            figure.update_yaxes(rangemode="tozero", **at)
    shared = {"gridcolor": ink.grid, "zeroline": False}
    most = max((len(trace.epochs) for trace in traces), default=1)
    figure.update_xaxes(range=[0.7, most + 0.3 + most / 40], nticks=min(most + 1, 12), **shared)
    figure.update_xaxes(title="epoch", row=rows)
    if len(shown) % 2 and rows > 1:
        figure.update_xaxes(title="epoch", row=rows - 1, col=2)
    figure.update_yaxes(**shared)
    several = len(traces) > 1
    dress(figure, ink, 80 + 40 * several + 230 * rows)
    figure.update_layout(showlegend=several, margin={"t": 90 if several else 60})
    return figure


def _mark(
    figure: go.Figure,
    trace: Trace,
    known: dict[int, float],
    color: str,
    at: dict[str, int],
) -> None:
    """A star at the epoch that was chosen, and a line where a stage begins."""
    places = {each.point: place for place, each in enumerate(trace.epochs, start=1)}
    if trace.chosen in places and (x := places[trace.chosen]) in known:
        figure.add_trace(
            go.Scatter(
                x=[x],
                y=[known[x]],
                mode="markers",
                marker={
                    "symbol": "star",
                    "size": 14,
                    "color": look.STAR,
                    "line": {"width": 1.5, "color": color},
                },
                cliponaxis=False,  # at zero it would be cut in two
                legendgroup=escape(trace.name),
                showlegend=False,
                hovertemplate=f"<b>{escape(trace.name)}</b> chose epoch %{{x}}<extra></extra>",
            ),
            **at,
        )
    for begin in trace.begins:
        figure.add_vline(x=begin + 0.5, line={"color": color, "width": 1.5, "dash": "dot"}, **at)


def numbers_of(traces: Sequence[Trace]) -> list[Row]:
    """A row per epoch: of which run and stage it is, all its numbers, and its cells.

    Example:
        >>> import landscape
        >>> from pathlib import Path
        >>> from zarts import Run
        >>> from zarts.runs.epochs import trace
        >>> run = Run.open(Path(landscape.__file__).parent / "demo" / "quick-ec257f9a")
        >>> [row["epoch"] for row in numbers_of([trace(run)])]
        [1, 2, 3]
    """
    return [
        {
            "run": trace.name,
            "method": trace.method,
            "stage": each.point.stage,
            "epoch": each.point.epoch,
            **each.facts,
            **each.means,
            "seconds": each.seconds,
            "genotype": str(each.genotype),
        }
        for trace in traces
        for each in trace.epochs
    ]


def arrays_of(traces: Sequence[Trace]) -> dict[str, np.ndarray]:
    """The same as arrays over the epochs (n,), with α (n, d): below ``RUN``, or ``RUN/stage-K``."""
    found: dict[str, np.ndarray] = {}
    for trace in traces:
        for stage in dict.fromkeys(each.point.stage for each in trace.epochs):
            place = f"{trace.name}/stage-{stage}" if stage else trace.name
            told = [each for each in trace.epochs if each.point.stage == stage]
            found[f"{place}/epoch"] = np.array([each.point.epoch for each in told])
            found[f"{place}/alpha"] = np.stack([each.alpha for each in told])
            for name in dict.fromkeys(key for each in told for key in {**each.facts, **each.means}):
                values = np.array([each.number(name) for each in told])
                found[f"{place}/{name.replace('/', '-')}"] = values
    return found


def dress(figure: go.Figure, ink: look.Ink, height: int) -> None:
    """Template, margins and legend of a figure of a search."""
    figure.update_annotations(font={"size": 13})
    for update in (figure.update_xaxes, figure.update_yaxes):
        update(title_font={"size": 12})
    figure.update_layout(
        template=ink.template,
        paper_bgcolor=ink.paper,
        plot_bgcolor=ink.paper,
        font={"family": "sans-serif", "size": 13, "color": ink.text},
        height=height,
        margin={"l": 80, "r": 20, "t": 90, "b": 60},
        legend={
            "orientation": "h",
            "x": 0,
            "y": 1 - TOOLS / height,
            "yref": "container",
            "yanchor": "top",
            "borderwidth": BELOW,
            "bordercolor": "rgba(0, 0, 0, 0)",
        },
    )
