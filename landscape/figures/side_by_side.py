"""Two runs side by side under one scale, and what one has more than the other where that is said.

Whether the planes are the same is for the records to tell (``landscape.planes``): a difference of
surfaces on two planes is a number of nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from landscape.figures import look
from landscape.figures.bars import add_bar, place
from landscape.figures.panels import BELOW, LEGEND, LINE, dress, setup, star
from landscape.figures.plan import signed
from landscape.figures.quantity import LOSS
from landscape.figures.traces import path_traces, start
from landscape.measure import endings
from landscape.record import Figure1, Surface

__all__ = ["side_by_side"]


def side_by_side(
    first: Figure1,
    second: Figure1,
    inner_steps: int,
    *,
    delta: bool = False,
    log: bool = False,
    dark: bool = False,
) -> go.Figure:
    """L_M of two runs with one scale for both, their paths, and the second minus the first.

    Example:
        >>> from landscape import compute_surface
        >>> from landscape.figures import side_by_side
        >>> from zarts import Quadratic
        >>> toy = Quadratic.random()
        >>> record = compute_surface(toy.problem(), toy.center, steps=(0, 3), rows=3, cols=3)
        >>> figure = side_by_side(record, record, 3, delta=True)
        >>> float(abs(list(figure.select_traces("contour"))[2].z).max())
        0.0

    Args:
        first: What a run holds.
        second: What another one holds.
        inner_steps: M, which both have.
        delta: Whether there is a third panel: only for two surfaces on the same plane and grid.
        log: Colours even in the logarithm of the loss above the lowest one of both.
        dark: For a dark page.

    Raises:
        ValueError: If a run has no surface with this M, or Δ is asked for on different grids.
    """
    records = (first, second)
    surfaces = [look.choose(record, [inner_steps])[0] for record in records]
    shared = look.scales(surfaces, log)[0]
    ink = look.DARK if dark else look.LIGHT
    names = [_short(record.name) for record in records]
    titles = [
        [f"<b>{letter} · {escape(name)}</b>", *look.subtitle(surface, shared)]
        for letter, name, surface in zip("AB", names, surfaces, strict=True)
    ]
    third = signed(surfaces[0], surfaces[1], LOSS, "Δ: B minus A") if delta else None
    if third:
        titles.append([f"<b>{third.title}</b>", *third.lines])
    figure = make_subplots(
        rows=1,
        cols=len(titles),
        shared_xaxes="all" if third else False,
        shared_yaxes="all" if third else False,
        horizontal_spacing=0.11,
        subplot_titles=["<br>".join(lines) for lines in titles],
    )
    figure.update_annotations(font={"size": 13})
    above = LEGEND + LINE * max(note.text.count("<br>") + 1 for note in figure.layout.annotations)
    figure.layout.meta = {}
    named: set[str] = set()
    for col, (record, surface) in enumerate(zip(records, surfaces, strict=True), start=1):
        figure.add_traces(setup(surface, shared, "coloraxis"), rows=1, cols=col)
        _add_paths(figure, record, col, named)
        figure.add_traces(star(surface, shared), rows=1, cols=col)
    if third:
        figure.add_traces(setup(third.surface, third.levels, "coloraxis3"), rows=1, cols=3)
        figure.update_traces(contours_showlabels=False, selector={"type": "contour"})  # too small
        place(figure, [("coloraxis", False), ("coloraxis", True), ("coloraxis3", True)])
    for col in range(1, len(titles) + 1):
        shown = records[min(col, 2) - 1]
        pair = surfaces if delta else [surfaces[col - 1]]
        _dress_axes(figure, shown, pair, col, ink)
    add_bar(figure, shared, "coloraxis", 2)
    dress(figure, ink, above)
    if third:
        add_bar(figure, third.levels, "coloraxis3", 3)
        figure.update_layout(height=above + 250 + BELOW)
    return figure


def _short(name: str) -> str:
    return name if len(name) <= 34 else f"{name[:20]}…{name[-12:]}"


def _add_paths(figure: go.Figure, record: Figure1, col: int, named: set[str]) -> None:
    target = record.surfaces[-1].inner_steps
    ends = endings(record)
    for end in ends:
        traces = path_traces(end.path, end.path.xy[: end.step + 1], target)
        label = escape(look.style(end.path.method).label)
        traces[-1].update(name=label, showlegend=end.path.method not in named)
        named.add(end.path.method)
        figure.add_traces(traces, rows=1, cols=col)
    if ends:
        starts = np.unique(np.array([end.path.xy[0] for end in ends]), axis=0)
        figure.add_trace(start(starts, shown="" not in named), row=1, col=col)
        named.add("")


def _dress_axes(
    figure: go.Figure, record: Figure1, surfaces: Sequence[Surface], col: int, ink: look.Ink
) -> None:
    """Equal units on both axes; panels of other planes have axes of their own."""
    for axis, (low, high) in enumerate(look.extent(record, surfaces)):
        pad = 0.02 * (high - low or 1.0)
        update = (figure.update_xaxes, figure.update_yaxes)[axis]
        update(
            range=[low - pad, high + pad],
            title={"text": escape(look.axis_title(axis, record)), "font": {"size": 12}},
            constrain="domain",
            zeroline=False,
            gridcolor=ink.grid,
            ticks="outside",
            row=1,
            col=col,
        )
    if len(surfaces) > 1 and col > 1:  # the same axis as the first panel's, which names it
        figure.update_yaxes(title=None, row=1, col=col)
    anchor = f"x{col if col > 1 else ''}"
    figure.update_yaxes(scaleanchor=anchor, constraintoward="top", row=1, col=col)
