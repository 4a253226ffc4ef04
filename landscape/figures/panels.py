"""Fig. 1: surfaces side by side under one scale, with what is missing, the minima and the paths."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from textwrap import wrap
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from landscape.figures import look, words
from landscape.figures.bars import add_bar, bars_of, ceiling, colours, place, room
from landscape.figures.look import Ink, Levels, Scale
from landscape.figures.partial import stage, thinned
from landscape.figures.plan import panels
from landscape.figures.quantity import LOSS
from landscape.figures.traces import Marks, add_marks, add_paths
from landscape.record import Figure1, Status, Surface

__all__ = ["figure_1"]

MOST, FINE = 201, 61  # points along an axis on a screen, and whose standard errors are sent too
NARROW = 900  # pixels: below this width three panels are shown by scrolling
LINE, LEGEND, BELOW = 17, 45, 58  # pixels: a line of a title, two rows of entries, an axis's title


def figure_1(
    record: Figure1,
    inner_steps: Sequence[int] | None = None,
    *,
    log: bool = False,
    dark: bool = False,
    caption: bool = True,
    levels: int | Sequence[float] = 22,
    zmax: float | None = None,
    scale: Scale = "shared",
    quantity: Literal["loss", "accuracy"] = "loss",
    difference: bool = False,
    marks: Marks | None = None,
    screen: bool = False,
) -> go.Figure:
    """Fig. 1 of the paper: surfaces side by side, the paths on each.

    ``to_html`` and the page play the steps; what they need is in the figure's ``meta``.

    Example:
        >>> from landscape import compute_surface, figure_1
        >>> from zarts import Quadratic
        >>> toy = Quadratic.random()
        >>> record = compute_surface(toy.problem(), toy.center, steps=(0, 3), rows=3, cols=3)
        >>> [trace.type for trace in figure_1(record).select_traces("contour")]
        ['contour', 'contour']

    Args:
        record: What a run holds.
        inner_steps: M of the panels from left to right; by default first-order and exact.
        log: Colours and levels even in the logarithm of the loss above the lowest one.
        dark: For a dark page.
        caption: Whether the settings stand under the figure.
        levels: About how many contour levels, or the losses that get one, increasing.
        zmax: No level is above this loss. What is above the highest level is marked and counted;
            by default those are the points far above all others.
        scale: One scale for all panels, or for each its ``own``, which the figure then says.
        quantity: What the panels show: L_M, or the accuracy of the supernet on the images of
            L_val in percent, whose highest point then has the star. Paths are of the loss in any
            case.
        difference: One panel more: the last M minus the first one, with zero in the middle of the
            colours and as a line.
        marks: Points to mark on every panel, (x, y) in axis units: ``A`` and ``B``, with the line
            between them, and one without a name.
        screen: Small enough to be sent to a page: contours of a grid with more than 201 points
            along an axis skip some, hovers read single precision, and of more than 61 points no
            standard errors. Levels, stars and words are of all points.

    Raises:
        ValueError: If the record has no surface, or not the asked one, or levels are none, or the
            run does not store the quantity, or there is no second M to take a difference from.
    """
    plan = panels(
        record,
        inner_steps,
        log=log,
        levels=levels,
        zmax=zmax,
        scale=scale,
        quantity=quantity,
        difference=difference,
    )
    ink = look.DARK if dark else look.LIGHT
    titles = ["<br>".join([f"<b>{panel.title}</b>", *panel.lines]) for panel in plan]
    narrow = str.maketrans({"(": "<br>("}) if difference else {}
    figure = make_subplots(
        rows=1,
        cols=len(plan),
        shared_xaxes="all",
        shared_yaxes="all",
        subplot_titles=[title.replace(" · ", "<br>").translate(narrow) for title in titles],
    )
    figure.update_annotations(font={"size": 13})
    above = LEGEND + LINE * max(note.text.count("<br>") + 1 for note in figure.layout.annotations)
    bars = bars_of(plan, scale)
    place(figure, bars)
    for col, (panel, (axis, _)) in enumerate(zip(plan, bars, strict=True), start=1):
        figure.add_traces(setup(panel.surface, panel.levels, axis, screen), rows=1, cols=col)
    figure.layout.meta = {"steps": [], "narrowest": NARROW if len(plan) > 2 else 0}
    surfaces = [panel.surface for panel in plan]
    add_paths(figure, record, surfaces)
    for col, panel in enumerate(plan, start=1):
        figure.add_traces(star(panel.surface, panel.levels), rows=1, cols=col)
    if marks is not None:
        add_marks(figure, marks, len(plan))
    dress_axes(figure, record, surfaces, ink)
    for col, (panel, (axis, own)) in enumerate(zip(plan, bars, strict=True), start=1):
        if own:
            add_bar(figure, panel.levels, axis, col)
    dress(figure, ink, above)
    if screen:  # else plotly draws all of it again and again until the margins fit
        figure.update_layout(margin={"autoexpand": False, "r": room(plan[-1].levels)})
    if caption:
        add_caption(figure, words.caption(record))
    return figure


def setup(
    surface: Surface, shared: Levels, axis: str, screen: bool = False
) -> list[go.Contour | go.Heatmap | go.Scatter]:
    """What lies below the paths: contours, and cells where it is missing.

    Of an unfinished surface the contours are those of its finest finished level, below all else
    and silent, as a hover there would read out a point that may be far away; above them are the
    computed points, each for itself.
    """
    partial = stage(surface)
    if partial is None:
        drawn = thinned(surface, MOST) if screen else surface
        return [contour(drawn, shared, axis, screen), *zero(drawn, shared), *missing(surface)]
    below: list[go.Contour] = []
    if partial.grid is not None:
        preview = contour(partial.grid, shared, axis)
        preview.update(zorder=-1, hoverinfo="skip", hovertemplate=None)
        preview.contours.showlabels = False  # the points would cover half of each
        below = [preview]
    return [*below, points(surface, shared), *missing(surface)]


def zero(surface: Surface, shared: Levels) -> list[go.Contour]:
    """The line where a difference is zero, if it has both signs."""
    loss = surface.loss[np.isfinite(surface.loss)]
    if not (shared.quantity.signed and (loss < 0).any() and (loss > 0).any()):
        return []
    return [
        go.Contour(
            x=surface.x,
            y=surface.y,
            z=surface.loss.astype(np.float32),
            autocontour=False,
            contours={"start": 0, "end": 0, "size": 1, "coloring": "none"},
            line={"width": 2.5, "color": look.ZERO, "smoothing": 0},
            showscale=False,
            showlegend=False,
            hoverinfo="skip",
            name="zero",
        )
    ]


def points(surface: Surface, shared: Levels) -> go.Heatmap:
    """The computed points of an unfinished surface: squares in their own colour."""
    loss = np.where(np.isfinite(surface.loss), surface.loss, np.nan)
    return go.Heatmap(
        x=surface.x,
        y=surface.y,
        z=shared.drawn(loss).astype(np.float32),
        customdata=loss,
        zmin=shared.start,  # the colour axis is for contours alone: a bar of both is neither's
        zmax=ceiling(shared),
        colorscale=colours(shared, 1 - shared.step / (ceiling(shared) - shared.start)),
        showscale=False,
        hoverongaps=False,
        **read_out(surface, shared),
        name="computed points",
    )


def contour(surface: Surface, shared: Levels, axis: str, screen: bool = False) -> go.Contour:
    """The filled, labelled contours of one surface."""
    loss = np.where(np.isfinite(surface.loss), surface.loss, np.nan)
    signed = shared.quantity.signed  # its middle is white
    ink, line = (look.ZERO, "rgba(0,0,0,0.3)") if signed else ("#ffffff", "rgba(255,255,255,0.75)")
    drawn = shared.drawn(loss)
    same = screen and np.array_equal(drawn, loss, equal_nan=True)  # then it need not be sent twice
    coarse = not screen or surface.loss.size <= FINE**2  # else a picked point has its error
    return go.Contour(
        x=surface.x,
        y=surface.y,
        z=drawn.astype(np.float32),
        customdata=None if same else loss.astype(np.float32) if screen else loss,
        connectgaps=False,
        autocontour=False,
        coloraxis=axis,
        contours={
            "start": shared.start,
            "end": shared.stop,
            "size": shared.step,
            "showlabels": shared.even,  # else a label would show what is drawn, not the loss
            "labelformat": f".{shared.decimals}f",
            "labelfont": {"size": 11, "color": ink},
        },
        line={"width": 0.7, "color": line, "smoothing": 0},  # as in print
        **read_out(surface, shared, "z" if same else "customdata", with_error=coarse),
        name=f"M = {surface.inner_steps}",
        showlegend=False,
    )


def read_out(
    surface: Surface, shared: Levels, of: str = "customdata", *, with_error: bool = True
) -> dict[str, Any]:
    """What is read where one points at: the number and, where it is known, its standard error."""
    text, error = {}, np.where(np.isfinite(surface.loss), surface.error, np.nan)
    known = np.isfinite(error) & (with_error and shared.quantity is LOSS)
    if known.any():
        text = {"text": np.where(known, np.char.mod(" ± %.4f", error), "")}
    number = f"<b>{shared.quantity.read_out(of)}</b>{'%{text}' if text else ''}"
    place = "x %{x:.3f} · y %{y:.3f}"
    return text | {"hovertemplate": f"{place}<br>{number}<extra>M = {surface.inner_steps}</extra>"}


def missing(surface: Surface) -> list[go.Heatmap | go.Scatter]:
    """Cells over points whose loss is missing: greyed if pending, grey and crossed out if tried."""
    kind = np.where(np.isfinite(surface.loss), np.nan, 1.0)
    kind[(surface.status == Status.PENDING) & np.isnan(surface.loss)] = 0.0
    if np.isnan(kind).all():
        return []
    names = np.array([status.name.lower() for status in Status])[np.minimum(surface.status, 5)]
    cells = go.Heatmap(
        x=surface.x,
        y=surface.y,
        z=kind,
        customdata=np.where(surface.status == Status.OK, "not finite", names),
        zmin=0,
        zmax=1,
        colorscale=[[0, f"rgba{(*look.PENDING, look.VEIL)}"], [1, look.LOST]],
        showscale=False,
        hoverongaps=False,
        hovertemplate="x %{x:.3f} · y %{y:.3f}<br><b>%{customdata}</b><extra></extra>",
        name="missing",
    )
    rows, cols = np.nonzero(kind == 1)
    crosses = go.Scatter(
        x=surface.x[cols],
        y=surface.y[rows],
        mode="markers",
        marker={"symbol": "x-thin", "size": 9, "line": {"width": 2, "color": "#1f2430"}},
        hoverinfo="skip",
        showlegend=False,
        name="missing points",
    )
    return [cells, crosses] if len(rows) else [cells]


def star(surface: Surface, shared: Levels) -> list[go.Scatter]:
    """The star at the best point of one surface, if it has one."""
    low, best = shared.quantity.starred(surface), shared.quantity.best
    if low is None:
        return []
    return [
        go.Scatter(
            x=[low.x],
            y=[low.y],
            mode="markers",
            marker={
                "symbol": "star",
                "size": 16,
                "color": look.STAR,
                "line": {"width": 1.5, "color": "#000000"},
            },
            hovertemplate=f"{best} {shared.quantity.say(low.loss)}<br>"
            "x %{x:.3f} · y %{y:.3f}<extra></extra>",
            showlegend=False,
            cliponaxis=False,  # a minimum on the border is whole
            name=f"{best}, M = {surface.inner_steps}",
        )
    ]


def dress_axes(figure: go.Figure, record: Figure1, surfaces: Sequence[Surface], ink: Ink) -> None:
    """Equal units on both axes, as the directions are orthonormal; titles say how long one is."""
    horizontal, vertical = look.extent(record, surfaces)
    pad = [0.02 * (high - low or 1.0) for low, high in (horizontal, vertical)]
    aspect = pad[1] / pad[0]
    figure.layout.meta |= {"aspect": aspect, "below": BELOW}
    shared = {"constrain": "domain", "zeroline": False, "gridcolor": ink.grid, "ticks": "outside"}
    figure.update_xaxes(
        range=[horizontal[0] - pad[0], horizontal[1] + pad[0]],
        title={"text": escape(look.axis_title(0, record)), "font": {"size": 12}},
        **shared,
    )
    figure.update_yaxes(
        range=[vertical[0] - pad[1], vertical[1] + pad[1]], constraintoward="top", **shared
    )
    title = {"text": escape(look.axis_title(1, record)), "font": {"size": 12}}
    figure.update_yaxes(title=title, scaleanchor="x", col=1)  # the other panels match the first


def dress(figure: go.Figure, ink: Ink, top: int) -> None:
    """Template, margins and legend."""
    figure.update_layout(
        template=ink.template,
        colorway=["#0072B2", "#D55E00", "#009E73", "#CC79A7"],
        paper_bgcolor=ink.paper,
        plot_bgcolor=ink.paper,
        font={"family": "sans-serif", "size": 13, "color": ink.text},
        height=top + 400 + BELOW,
        margin={"l": 70, "r": 20, "t": top, "b": BELOW},
        hovermode="closest",
        legend={"orientation": "h", "x": 0, "y": 1, "yref": "container", "yanchor": "top"},
    )


def add_caption(figure: go.Figure, text: str) -> None:
    """A line under everything, broken where a narrow page would cut it."""
    lines = wrap(escape(text), 110)
    figure.add_annotation(
        text="<br>".join(lines),
        xref="paper",
        yref="paper",
        x=0,
        y=0,
        yshift=-BELOW,
        xanchor="left",
        yanchor="top",
        align="left",
        showarrow=False,
        font={"size": 11},
        name="caption",  # by which a page finds it: there it is text
    )
    more = 15 * len(lines) + 10
    figure.update_layout(margin={"b": BELOW + more}, height=figure.layout.height + more)
