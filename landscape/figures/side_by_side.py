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
from landscape.figures.panels import BELOW, LEGEND, LINE, add_bar, dress, setup, star
from landscape.figures.traces import path_traces, start
from landscape.measure import endings
from landscape.record import Figure1, Surface

__all__ = ["side_by_side"]

# Blue is below, white the same, red above: ColorBrewer's RdBu, which the colour-blind can read.
_SIGNED = ["#2166ac", "#92c5de", "#f7f7f7", "#f4a582", "#b2182b"]


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
    if delta:
        titles.append(["<b>B − A</b>", _range(surfaces)])
    figure = make_subplots(
        rows=1,
        cols=len(titles),
        shared_xaxes="all" if delta else False,
        shared_yaxes="all" if delta else False,
        horizontal_spacing=0.07 if delta else 0.11,
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
    if delta:
        figure.update_traces(contours_showlabels=False, selector={"type": "contour"})  # too small
        figure.add_traces(_difference(surfaces), rows=1, cols=3)
    for col in range(1, len(titles) + 1):
        shown = records[min(col, 2) - 1]
        pair = surfaces if delta else [surfaces[col - 1]]
        _dress_axes(figure, shown, pair, col, ink)
    add_bar(figure, shared, 0)
    bar = figure.layout.coloraxis.colorbar
    if delta:  # between the second panel and the third, which has one of its own
        bar.update(orientation="h", x=0.31, y=-0.21, yanchor="top", len=0.5, title={"side": "top"})
        bar.title.text = f"validation loss, M = {inner_steps}" + (" (log)" if log else "")
    dress(figure, ink, above)
    if delta:
        figure.update_layout(margin={"b": BELOW + 70}, height=above + 290 + BELOW + 70)
    return figure


def _short(name: str) -> str:
    return name if len(name) <= 34 else f"{name[:20]}…{name[-12:]}"


def _range(surfaces: Sequence[Surface]) -> str:
    difference = _minus(surfaces)
    if not np.isfinite(difference).any():
        return "no point is in both"
    low, high = float(np.nanmin(difference)), float(np.nanmax(difference))
    if low == high == 0:
        return "the same everywhere"
    return f"{low:+.4f} to {high:+.4f}".replace("-", "−")


def _minus(surfaces: Sequence[Surface]) -> np.ndarray:
    one, other = surfaces
    if not (np.array_equal(one.x, other.x) and np.array_equal(one.y, other.y)):
        raise ValueError(
            f"the surfaces have grids of {one.loss.shape} and {other.loss.shape} points or other "
            "coordinates, expected the same for a difference"
        )
    with np.errstate(invalid="ignore"):
        return np.asarray(other.loss - one.loss)


def _difference(surfaces: Sequence[Surface]) -> list[go.Contour]:
    """The second minus the first, with a line where they are the same."""
    difference = _minus(surfaces)
    finite = np.abs(difference[np.isfinite(difference)])
    most = float(finite.max()) if finite.size and finite.max() > 0 else 1e-6
    power = 10 ** np.floor(np.log10(most / 8))
    step = next(nice * power for nice in (1, 2, 5, 10) if 8 * nice * power >= most * (1 - 1e-9))
    reach = float(np.ceil(most / step - 1e-9) * step)
    common = {"x": surfaces[0].x, "y": surfaces[0].y, "z": difference.astype(np.float32)}
    filled = go.Contour(
        **common,
        connectgaps=False,
        colorscale=_SIGNED,
        zmin=-reach,
        zmax=reach,
        contours={"start": -reach, "end": reach, "size": float(step)},
        line={"width": 0.4, "color": "rgba(31,36,48,0.35)", "smoothing": 0},
        colorbar={"title": {"text": "B − A", "font": {"size": 12}}, "thickness": 14, "len": 1.0},
        hovertemplate="x %{x:.3f} · y %{y:.3f}<br><b>B − A %{z:+.4f}</b><extra></extra>",
        name="B − A",
    )
    zero = go.Contour(
        **common,
        contours={"start": 0, "end": 0, "size": 1, "coloring": "none", "showlabels": True},
        line={"width": 2, "color": "#1f2430", "smoothing": 0},
        showscale=False,
        showlegend=False,
        hoverinfo="skip",
        name="the same",
    )
    low, high = float(np.nanmin(difference, initial=0)), float(np.nanmax(difference, initial=0))
    return [filled, zero] if low < 0 < high else [filled]


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
    anchor = f"x{col if col > 1 else ''}"
    figure.update_yaxes(scaleanchor=anchor, constraintoward="top", row=1, col=col)
