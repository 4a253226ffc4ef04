"""Two runs side by side under one scale, and what one has more than the other where that is said.

Whether the planes are the same is for the records to tell (``landscape.planes``): a difference of
surfaces on two planes is a number of nothing.
"""

from __future__ import annotations

from html import escape

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from landscape.figures import look
from landscape.figures.bars import add_bar
from landscape.figures.panels import LEGEND, LINE, dress, setup, star
from landscape.figures.plan import signed
from landscape.figures.quantity import LOSS
from landscape.figures.traces import path_traces, start
from landscape.figures.words import Row
from landscape.measure import endings
from landscape.record import Figure1, Surface

__all__ = ["minus", "numbers_of_pair", "side_by_side"]

HEIGHT, MOST = 330, 18  # pixels of a panel with its margin below the axes, letters of a name


def side_by_side(
    first: Figure1, second: Figure1, inner_steps: int, *, log: bool = False, dark: bool = False
) -> go.Figure:
    """L_M of two runs with one scale for both, and their paths.

    Example:
        >>> from landscape import compute_surface
        >>> from landscape.figures import side_by_side
        >>> from zarts import Quadratic
        >>> toy = Quadratic.random()
        >>> record = compute_surface(toy.problem(), toy.center, steps=(0, 3), rows=3, cols=3)
        >>> [trace.name for trace in side_by_side(record, record, 3).select_traces("contour")]
        ['M = 3', 'M = 3']

    Args:
        first: What a run holds.
        second: What another one holds.
        inner_steps: M, which both have.
        log: Colours even in the logarithm of the loss above the lowest one of both.
        dark: For a dark page.

    Raises:
        ValueError: If a run has no surface with this M.
    """
    records = (first, second)
    surfaces = [look.choose(record, [inner_steps])[0] for record in records]
    shared = look.scales(surfaces, log)[0]
    ink = look.DARK if dark else look.LIGHT
    titles = [
        [f"<b>{letter} · {escape(_short(record.name))}</b>", *look.subtitle(surface, shared)]
        for letter, record, surface in zip("AB", records, surfaces, strict=True)
    ]
    figure = make_subplots(
        rows=1,
        cols=2,
        horizontal_spacing=0.1,
        subplot_titles=["<br>".join(lines).replace(" at (", "<br>at (") for lines in titles],
    )
    named: set[str] = set()
    for col, (record, surface) in enumerate(zip(records, surfaces, strict=True), start=1):
        figure.add_traces(setup(surface, shared, "coloraxis"), rows=1, cols=col)
        _add_paths(figure, record, col, named)
        figure.add_traces(star(surface, shared), rows=1, cols=col)
        _dress_axes(figure, record, surface, col, ink)
    figure.update_traces(contours_showlabels=False, selector={"type": "contour"})  # too small
    add_bar(figure, shared, "coloraxis", 2)
    return _finished(figure, ink)


def minus(first: Figure1, second: Figure1, inner_steps: int, *, dark: bool = False) -> go.Figure:
    """L_M of the second run minus that of the first: for two surfaces on one plane and grid.

    Example:
        >>> from landscape import compute_surface
        >>> from landscape.figures import minus
        >>> from zarts import Quadratic
        >>> toy = Quadratic.random()
        >>> record = compute_surface(toy.problem(), toy.center, steps=(0, 3), rows=3, cols=3)
        >>> float(abs(minus(record, record, 3).data[0].z).max())
        0.0

    Args:
        first: What a run holds.
        second: What another one holds; ``landscape.planes`` tells whether the planes are the same.
        inner_steps: M, which both have.
        dark: For a dark page.

    Raises:
        ValueError: If a run has no surface with this M, or the grids differ.
    """
    pair = [look.choose(record, [inner_steps])[0] for record in (first, second)]
    panel = signed(pair[0], pair[1], LOSS, "Δ: B minus A")
    ink = look.DARK if dark else look.LIGHT
    lines = [f"<b>{panel.title}</b>", *panel.lines]
    figure = make_subplots(rows=1, cols=1, subplot_titles=["<br>".join(lines)])
    figure.add_traces(setup(panel.surface, panel.levels, "coloraxis"), rows=1, cols=1)
    figure.update_traces(contours_showlabels=False, selector={"type": "contour"})
    _dress_axes(figure, first, pair[0], 1, ink)
    add_bar(figure, panel.levels, "coloraxis", 1)
    return _finished(figure, ink)


def numbers_of_pair(first: Figure1, second: Figure1, inner_steps: int, *, same: bool) -> list[Row]:
    """A row per grid point of both: where, the loss, its standard error and the accuracy.

    Args:
        first: What a run holds.
        second: What another one holds.
        inner_steps: M, which both have.
        same: Whether their planes are the same: then rows of B have the difference to A too.
    """
    pair = [look.choose(record, [inner_steps])[0] for record in (first, second)]
    found: list[Row] = []
    for letter, record, surface in zip("AB", (first, second), pair, strict=True):
        less = surface.loss - pair[0].loss if same and letter == "B" else None
        for place in np.ndindex(*surface.loss.shape):
            row: Row = {"side": letter, "run": record.name, "M": inner_steps}
            row |= {"x": float(surface.x[place[1]]), "y": float(surface.y[place[0]])}
            for name in ("loss", "error", "accuracy"):
                row[name] = float(getattr(surface, name)[place])
            if less is not None:
                row["B minus A"] = float(less[place])
            found.append(row)
    return found


def _finished(figure: go.Figure, ink: look.Ink) -> go.Figure:
    figure.update_annotations(font={"size": 13})
    above = LEGEND + LINE * (max(note.text.count("<br>") for note in figure.layout.annotations) + 1)
    dress(figure, ink, above + LINE)
    figure.update_layout(height=above + LINE + HEIGHT, margin={"l": 60})
    return figure


def _short(name: str) -> str:
    return name if len(name) <= MOST else f"{name[:9]}…{name[-8:]}"


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
    figure: go.Figure, record: Figure1, surface: Surface, col: int, ink: look.Ink
) -> None:
    """Equal units on both axes; each panel has axes of its own, as its plane may be another."""
    named = "axes" in record.facts
    for axis, (low, high) in enumerate(look.extent(record, [surface])):
        pad = 0.02 * (high - low or 1.0)
        update = (figure.update_xaxes, figure.update_yaxes)[axis]
        short = f"{'xy'[axis]} (1 unit = {record.scale:.3g} in α)"
        update(
            range=[low - pad, high + pad],
            title={
                "text": escape(look.axis_title(axis, record)) if named else short,
                "font": {"size": 12},
            },
            constrain="domain",
            zeroline=False,
            gridcolor=ink.grid,
            ticks="outside",
            row=1,
            col=col,
        )
    anchor = f"x{col if col > 1 else ''}"
    figure.update_yaxes(scaleanchor=anchor, constraintoward="top", row=1, col=col)
    figure.update_xaxes(nticks=5, row=1, col=col)
    if col > 1:  # its unit is that of x below it; there is no room between panels
        figure.update_yaxes(title={"text": ""}, row=1, col=col)
