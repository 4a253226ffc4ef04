"""Fig. 1: surfaces side by side under one scale, with what is missing, the minima and the paths."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from textwrap import wrap

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from landscape.figures import look, words
from landscape.figures.look import Ink, Levels
from landscape.figures.partial import stage
from landscape.figures.paths import add_frames, add_paths
from landscape.record import Figure1, Status, Surface

__all__ = ["figure_1"]


def figure_1(
    record: Figure1,
    inner_steps: Sequence[int] | None = None,
    *,
    log: bool = False,
    dark: bool = False,
    caption: bool = True,
) -> go.Figure:
    """Fig. 1 of the paper: surfaces side by side, the paths on each, the steps playable.

    Args:
        record: What a run holds.
        inner_steps: M of the panels from left to right; by default first-order and exact.
        log: Colours and levels even in the logarithm of the loss above the lowest one.
        dark: For a dark page.
        caption: Whether the settings stand under the figure.

    Raises:
        ValueError: If the record has no surface, or not the asked one.
    """
    surfaces = look.choose(record, inner_steps)
    shared, ink = look.levels(surfaces, log), look.DARK if dark else look.LIGHT
    figure = make_subplots(
        rows=1,
        cols=len(surfaces),
        shared_xaxes="all",
        shared_yaxes="all",
        horizontal_spacing=0.05,
        subplot_titles=[
            f"<b>{look.panel_title(surface, record)}</b><br>" + "<br>".join(look.subtitle(surface))
            for surface in surfaces
        ],
    )
    figure.update_annotations(font={"size": 13})
    for col, surface in enumerate(surfaces, start=1):
        figure.add_traces(ground(surface, shared), rows=1, cols=col)
    moving = add_paths(figure, record, surfaces)
    for col, surface in enumerate(surfaces, start=1):
        figure.add_traces(star(surface), rows=1, cols=col)
    add_frames(figure, record, moving)
    dress_axes(figure, record, surfaces, ink)
    dress(figure, shared, ink)
    if caption:
        add_caption(figure, words.caption(record))
    return figure


def ground(surface: Surface, shared: Levels) -> list[go.Contour | go.Heatmap | go.Scatter]:
    """What lies below the paths: contours, and cells where it is missing.

    Of an unfinished surface the contours are those of its finest finished level, below all else
    and silent, as a hover there would read out a point that may be far away; above them are the
    computed points, each for itself.
    """
    partial = stage(surface)
    if partial is None:
        return [contour(surface, shared), *missing(surface)]
    below: list[go.Contour] = []
    if partial.grid is not None:
        preview = contour(partial.grid, shared)
        preview.update(zorder=-1, hoverinfo="skip", hovertemplate=None)
        preview.contours.showlabels = False  # the points would cover half of each
        below = [preview]
    return [*below, points(surface, shared), *missing(surface)]


def points(surface: Surface, shared: Levels) -> go.Heatmap:
    """The computed points of an unfinished surface: squares in their own colour."""
    loss = np.where(np.isfinite(surface.loss), surface.loss, np.nan)
    return go.Heatmap(
        x=surface.x,
        y=surface.y,
        z=shared.drawn(loss).astype(np.float32),
        customdata=loss,
        zmin=shared.start,  # the colour axis is for contours alone: a bar of both is neither's
        zmax=shared.stop,
        colorscale=look.COLORMAP,
        showscale=False,
        hoverongaps=False,
        hovertemplate=(
            "x %{x:.3f} · y %{y:.3f}<br><b>loss %{customdata:.4f}</b>"
            f"<extra>M = {surface.inner_steps}</extra>"
        ),
        name="computed points",
    )


def contour(surface: Surface, shared: Levels) -> go.Contour:
    """The filled, labelled contours of one surface."""
    label = f"M = {surface.inner_steps}"
    loss = np.where(np.isfinite(surface.loss), surface.loss, np.nan)
    return go.Contour(
        x=surface.x,
        y=surface.y,
        z=shared.drawn(loss).astype(np.float32),
        customdata=loss,
        connectgaps=False,
        autocontour=False,
        coloraxis="coloraxis",
        contours={
            "start": shared.start,
            "end": shared.stop,
            "size": shared.step,
            "showlabels": not shared.log,  # a label would show the logarithm
            "labelformat": f".{shared.decimals}f",
            "labelfont": {"size": 11, "color": "#ffffff"},
        },
        line={"width": 0.7, "color": "rgba(255,255,255,0.75)"},
        hovertemplate=(
            f"x %{{x:.3f}} · y %{{y:.3f}}<br><b>loss %{{customdata:.4f}}</b><extra>{label}</extra>"
        ),
        name=label,
        showlegend=False,
    )


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


def star(surface: Surface) -> list[go.Scatter]:
    """The star at the minimum of one surface, if it has one."""
    low = look.starred(surface)
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
            hovertemplate=f"minimum {low.loss:.4f}<br>x %{{x:.3f}} · y %{{y:.3f}}<extra></extra>",
            showlegend=False,
            cliponaxis=False,  # a minimum on the border is whole
            name=f"minimum, M = {surface.inner_steps}",
        )
    ]


def dress_axes(figure: go.Figure, record: Figure1, surfaces: Sequence[Surface], ink: Ink) -> None:
    """Equal units on both axes, as the directions are orthonormal; titles say how long one is."""
    horizontal, vertical = look.extent(record, surfaces)
    pad = [0.02 * (high - low or 1.0) for low, high in (horizontal, vertical)]
    shared = {"constrain": "domain", "zeroline": False, "gridcolor": ink.grid, "ticks": "outside"}
    figure.update_xaxes(
        range=[horizontal[0] - pad[0], horizontal[1] + pad[0]],
        title={"text": look.axis_title(0, record.scale), "font": {"size": 12}},
        **shared,
    )
    figure.update_yaxes(
        range=[vertical[0] - pad[1], vertical[1] + pad[1]], constraintoward="top", **shared
    )
    title = {"text": look.axis_title(1, record.scale), "font": {"size": 12}}
    figure.update_yaxes(title=title, scaleanchor="x", col=1)  # the other panels match the first


def dress(figure: go.Figure, shared: Levels, ink: Ink) -> None:
    """Template, colour bar and legend."""
    ticks = shared.values[:: max(1, len(shared.values) // 9)]
    labels = [f"{value:.{shared.decimals}f}" for value in ticks]
    if shared.log:
        labels = [f"{value:.4g}" for value in shared.loss(ticks)]
    figure.update_layout(
        template=ink.template,
        colorway=["#0072B2", "#D55E00", "#009E73", "#CC79A7"],
        paper_bgcolor=ink.paper,
        plot_bgcolor=ink.paper,
        font={"family": "sans-serif", "size": 13, "color": ink.text},
        height=655,
        margin={"l": 70, "r": 20, "t": 125, "b": 150},
        hovermode="closest",
        coloraxis={
            "colorscale": look.COLORMAP,
            "cmin": shared.start,
            "cmax": shared.stop,
            "colorbar": {
                "title": {
                    "text": "validation<br>loss" + (" (log)" if shared.log else ""),
                    "font": {"size": 12},
                },
                "tickvals": ticks,
                "ticktext": labels,
                "thickness": 14,
                "len": 1.0,
            },
        },
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
        yshift=-150,
        xanchor="left",
        yanchor="top",
        align="left",
        showarrow=False,
        font={"size": 11},
    )
    more = 15 * max(0, len(lines) - 3)
    figure.update_layout(margin={"b": 205 + more}, height=710 + more)
