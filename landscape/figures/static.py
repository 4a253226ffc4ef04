"""Fig. 1 for print: the same levels, colours and words as on screen, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from itertools import pairwise
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from landscape.figures import look, words
from landscape.figures.look import Floats, Levels, Scale
from landscape.figures.partial import stage
from landscape.figures.plan import Panel, panels
from landscape.measure import endings
from landscape.record import Figure1, Status, Surface

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

__all__ = ["static"]

RcParams = dict[Any, Any]  # matplotlib types its settings as one long literal
KIND = Literal["png", "svg", "pdf"]
Dash = Literal["-", ":", "--", "-."]

SETTINGS: RcParams = {
    "svg.hashsalt": "zarts",  # else every file has other ids
    "pdf.fonttype": 42,  # text stays text
    "text.parse_math": False,  # a dollar in a note is a dollar
    "font.size": 9,
    "hatch.linewidth": 0.6,
}
MARKERS = {  # those of Plotly
    "circle": "o", "cross": "P", "triangle-up": "^", "square": "s", "diamond": "D", "x": "X",
    "pentagon": "p", "star": "*", "hexagon": "h", "star-diamond": "d", "bowtie": ">",
    "hourglass": "v",
}  # fmt: skip
DASHES: dict[str, Dash] = {"solid": "-", "dot": ":", "dash": "--", "dashdot": "-."}


def static(
    record: Figure1,
    kind: KIND = "png",
    inner_steps: Sequence[int] | None = None,
    *,
    log: bool = False,
    caption: bool = True,
    levels: int | Sequence[float] = 22,
    zmax: float | None = None,
    scale: Scale = "shared",
    quantity: Literal["loss", "accuracy"] = "loss",
    difference: bool = False,
) -> bytes:
    """The bytes of a picture file; the same record gives the same bytes.

    Example:
        >>> from landscape import compute_surface, static
        >>> from zarts import Quadratic
        >>> toy = Quadratic.random()
        >>> record = compute_surface(toy.problem(), toy.center, steps=(3,), rows=3, cols=3)
        >>> static(record, "png")[1:4]
        b'PNG'

    Args:
        record: What a run holds.
        kind: Format of the file.
        inner_steps: M of the panels from left to right; by default first-order and exact.
        log: Colours and levels even in the logarithm of the loss above the lowest one.
        caption: Whether the settings stand under the figure.
        levels: About how many contour levels, or the losses that get one, increasing.
        zmax: No level is above this loss. What is above the highest level is marked and counted;
            by default those are the points far above all others.
        scale: One scale for all panels, or for each its ``own``, which the figure then says.
        quantity: What the panels show, as in ``figure_1``.
        difference: One panel more: the last M minus the first one, as there.

    Raises:
        ValueError: If the record has no surface, or not the asked one, or levels are none, or the
            kind is unknown, or the run does not store the quantity.
        ModuleNotFoundError: If matplotlib, the ``export`` extra, is not installed.
    """
    kinds = get_args(KIND)
    if kind not in kinds:
        raise ValueError(f"got kind {kind!r}, expected one of {', '.join(kinds)}")
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "pictures for print need matplotlib, which is missing; pip install 'zarts[export]'"
        ) from error

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
    with rc_context(SETTINGS):
        picture = Figure(figsize=(5.0 * len(plan) + 0.8, 6.3), layout="constrained")
        row = picture.subplots(1, len(plan), sharex=True, sharey=True, squeeze=False)[0]
        filled = [draw(axes, panel, record) for axes, panel in zip(row, plan, strict=True)]
        best = plan[0].levels.quantity.best
        finish(picture, list(row), record, [panel.surface for panel in plan], best)
        if scale == "own":
            groups = [[place] for place in range(len(plan))]
        else:
            losses = len(plan) - difference
            groups = [[*range(losses)], *([losses] for _ in range(difference))]
        for group in groups:
            colours = [filled[place] for place in group]
            add_bar(picture, [row[place] for place in group], colours, plan[group[0]].levels)
        if caption:
            text = "\n".join(wrap(words.caption(record), 75 * len(plan)))
            picture.supxlabel(text, fontsize=7, color="#555555")
        buffer = BytesIO()
        created = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
        picture.savefig(buffer, format=kind, dpi=160, metadata=created[kind])
    return buffer.getvalue()


def draw(axes: Axes, panel: Panel, record: Figure1) -> ScalarMappable | None:
    """One panel; returns what carries its colours, if anything is finite."""
    surface, shared = panel.surface, panel.levels
    axes.set_title("\n".join([panel.title, *panel.lines]), pad=10)  # room for a star on the border
    partial = stage(surface)
    if partial is None:
        filled = draw_contours(axes, surface, shared)
    else:
        filled = draw_contours(axes, partial.grid, shared, labels=False)
        points = draw_points(axes, surface, shared)
        filled = filled or points
    mark_missing(axes, surface)
    if low := shared.quantity.starred(surface):
        axes.plot(
            low.x,
            low.y,
            "*",
            color=look.STAR,
            markeredgecolor="black",
            markersize=13,
            zorder=10,
            clip_on=False,  # a minimum on the border is whole
        )
    draw_paths(axes, record)
    return filled


def draw_contours(
    axes: Axes, surface: Surface | None, shared: Levels, *, labels: bool = True
) -> ScalarMappable | None:
    """The filled contours of a grid; None where there are none."""
    filled = None
    if surface and min(surface.loss.shape) > 1 and np.isfinite(surface.loss).any():
        loss = np.ma.masked_invalid(shared.drawn(surface.loss))
        filled = axes.contourf(
            surface.x,
            surface.y,
            loss,
            levels=shared.values,
            cmap=colormap(shared),
            extend="both" if shared.quantity.signed else "max" if shared.over else "neither",
        )
        inside = shared.values[(shared.values > loss.min()) & (shared.values < loss.max())]
        if inside.size:
            lines = axes.contour(
                surface.x,
                surface.y,
                np.ma.masked_greater(loss, shared.stop),  # else the steps up to one are all lines
                levels=inside,
                colors="#555555" if shared.quantity.signed else "white",
                linewidths=0.6,
                linestyles="solid",  # else negative levels, as of a logarithm, are dashed
            )
            if shared.quantity.signed and 0.0 in inside:
                axes.contour(surface.x, surface.y, loss, levels=[0.0], colors=look.ZERO)
            if labels:
                labelled = inside[:: 2 if len(inside) > 12 else 1]  # else steep sides are all text
                axes.clabel(lines, labelled, fmt=shared.label, fontsize=7)
    return filled


def draw_points(axes: Axes, surface: Surface, shared: Levels) -> ScalarMappable | None:
    """The points of an unfinished surface: computed ones in their colour, the others greyed."""
    from matplotlib.colors import ListedColormap

    cells = edges(surface.x), edges(surface.y)
    above: dict[str, Any] = {
        "zorder": 3,
        "rasterized": True,
    }  # else a fine grid is a page of rectangles
    grey = ListedColormap([(*(part / 255 for part in look.PENDING), look.VEIL)])
    axes.pcolormesh(
        *cells, np.ma.masked_not_equal(surface.status, Status.PENDING), cmap=grey, **above
    )
    colours = axes.pcolormesh(
        *cells,
        np.ma.masked_invalid(shared.drawn(surface.loss)),
        vmin=shared.start,
        vmax=shared.stop,
        cmap=colormap(shared),
        **above,
    )
    return colours if np.isfinite(surface.loss).any() else None


def edges(line: Floats) -> Floats:
    """Borders (n + 1,) of the cells around the points of an axis (n,)."""
    half = float(np.diff(line).min()) / 2 if len(line) > 1 else 0.5
    return np.append(line - half, line[-1] + half)


def colormap(shared: Levels) -> Colormap:
    """The colours of the levels, and the mark of what is above them."""
    from matplotlib import colormaps

    found = colormaps[shared.quantity.colours]
    return found.with_extremes(over=look.OVER) if shared.over else found


def mark_missing(axes: Axes, surface: Surface) -> None:
    """Grey, hatched cells over points that were tried and have no number."""
    x, y = edges(surface.x), edges(surface.y)
    for row, col in np.argwhere(~np.isfinite(surface.loss) & (surface.status != Status.PENDING)):
        axes.fill(
            [x[col], x[col + 1], x[col + 1], x[col]],
            [y[row], y[row], y[row + 1], y[row + 1]],
            facecolor=look.LOST,
            edgecolor="#444444",
            hatch="xx",
            linewidth=0,
            zorder=3,
        )


def draw_paths(axes: Axes, record: Figure1) -> None:
    """Every path with a white casing, arrows, a hollow start and its own mark at the end."""
    for end in endings(record):
        style = look.style(end.path.method)
        points = end.path.xy[np.isfinite(end.path.xy).all(axis=1)]
        x, y = points.T
        axes.plot(x, y, "-", color="white", linewidth=look.LINE + 2 * look.CASING, zorder=6)
        axes.plot(x, y, DASHES[style.dash], color=style.color, linewidth=look.LINE, zorder=7)
        for tail, tip in pairwise(points):
            arrow = {
                "arrowstyle": "-|>,head_width=0.35,head_length=0.6",
                "color": style.color,
                "shrinkA": 0,
                "shrinkB": 0,
                "lw": 0.01,
                "mutation_scale": 10,
            }
            axes.annotate("", xy=tuple(tip), xytext=tuple(tail), arrowprops=arrow, zorder=7)
        mark = MARKERS.get(style.symbol, "X")
        axes.plot(
            x[-1], y[-1], mark, color=style.color, markeredgecolor="white", markersize=8, zorder=9
        )
        axes.plot(x[0], y[0], "o", color="white", markeredgecolor="black", markersize=8, zorder=8)


def finish(
    picture: Figure, row: list[Axes], record: Figure1, surfaces: Sequence[Surface], best: str
) -> None:
    """Equal units, titles of the axes and the legend of the paths."""
    horizontal, vertical = look.extent(record, surfaces)
    for axes in row:
        axes.set_aspect("equal")
        axes.set_xlim(*horizontal)
        axes.set_ylim(*vertical)
        axes.set_xlabel(look.axis_title(0, record))
    row[0].set_ylabel(look.axis_title(1, record))
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [],
            [],
            color=style.color,
            linestyle=DASHES[style.dash],
            marker=MARKERS.get(style.symbol, "X"),
            label=look.path_label(end, (horizontal, vertical)),
        )
        for end in endings(record)
        for style in [look.style(end.path.method)]
    ]
    if handles:
        handles += [
            Line2D([], [], ls="", marker=marker, color=color, mec="black", ms=size, label=word)
            for marker, color, size, word in (
                ("o", "white", 8, "start"),
                ("*", look.STAR, 12, f"{best} of the panel"),
            )
        ]
        picture.legend(
            handles=handles,
            loc="outside upper center",
            ncols=3 * len(surfaces),
            frameon=False,
        )


def add_bar(
    picture: Figure, row: list[Axes], filled: Sequence[ScalarMappable | None], shared: Levels
) -> None:
    """The one colour bar of these panels; none if nothing is finite."""
    drawn = [colours for colours in filled if colours is not None]
    if drawn:
        place = row[-1].inset_axes((1.04, 0, 0.05, 1))  # as tall as the panel
        words = f"{'' if shared.quantity.signed else 'validation '}{shared.quantity.title}"
        bar = picture.colorbar(drawn[0], cax=place, label=words)
        bar.set_ticks(shared.ticks, labels=[shared.label(tick) for tick in shared.ticks])
