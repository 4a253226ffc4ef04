"""Colour axes of the panels of Fig. 1, their bars, and the room that these need."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.colors import get_colorscale

from landscape.figures import look
from landscape.figures.look import Levels, Scale
from landscape.figures.plan import Panel

__all__ = ["add_bar", "bars_of", "ceiling", "colours", "domains", "place", "room"]

BESIDE, THICK, TICK, TITLE = 16, 24, 7, 6.5  # pixels: before a bar, to its labels, of a letter


def bars_of(plan: Sequence[Panel], scale: Scale) -> list[tuple[str, bool]]:
    """The colour axis of each panel, and whether its bar stands right of that panel."""
    found = []
    for col, panel in enumerate(plan, start=1):
        signed = panel.levels.quantity.signed
        apart = col > 1 and (scale == "own" or signed)
        last = col == len(plan) or plan[col].levels.quantity.signed
        found.append((f"coloraxis{col}" if apart else "coloraxis", scale == "own" or last))
    return found


def domains(bars: Sequence[tuple[str, bool]]) -> list[tuple[float, float]]:
    """Equal widths for the panels, as shares from 0 to 1, with room behind each that has a bar."""
    wide = 0.16 if len(bars) < 3 else 0.12
    gaps = [wide if own else 0.05 for _, own in bars[:-1]]
    width = (1 - sum(gaps)) / len(bars)
    lefts = [col * width + sum(gaps[:col]) for col in range(len(bars))]
    return [(left, min(1.0, left + width)) for left in lefts]


def place(figure: go.Figure, bars: Sequence[tuple[str, bool]]) -> None:
    """Gives the panels equal widths, with room behind each that has a bar."""
    for col, (note, domain) in enumerate(
        zip(figure.layout.annotations, domains(bars), strict=True)
    ):
        figure.layout[f"xaxis{col + 1 if col else ''}"].domain = domain
        note.x = sum(domain) / 2


def ceiling(shared: Levels) -> float:
    """The end of the colours, in the drawn quantity: one step more where points are above."""
    return shared.stop + shared.step if shared.over else shared.stop


def colours(shared: Levels, share: float) -> list[list[float | str]]:
    """A colour scale that ends in the mark of what is above the highest level, if anything is.

    Args:
        shared: The levels.
        share: Where the mark begins on the scale, from 0 to 1.
    """
    scale = [[float(place), color] for place, color in get_colorscale(shared.quantity.colours)]
    if not shared.over:
        return scale
    return [[place * share, color] for place, color in scale] + [[share, look.OVER], [1, look.OVER]]


def add_bar(figure: go.Figure, shared: Levels, axis: str, col: int) -> None:
    """A colour axis and its bar, right of the panel of a column."""
    ticks = shared.ticks
    right = figure.layout[f"xaxis{col if col > 1 else ''}"].domain[1]
    half = 0.5 / len(shared.values)  # plotly centres one band beyond the levels on each end
    figure.layout[axis] = {
        "colorscale": colours(shared, 1 - half),
        "cmin": shared.start,
        "cmax": ceiling(shared),
        "colorbar": {
            "title": {"text": title(shared), "font": {"size": 12}},
            "tickvals": ticks,
            "ticktext": [shared.label(tick) for tick in ticks],
            "thickness": 14,
            "len": 1.0,
            "x": right + 0.005,
        },
    }


def title(shared: Levels) -> str:
    """What stands above a bar."""
    words = f"{'' if shared.quantity.signed else 'validation<br>'}{shared.quantity.title}"
    return words + (" (log)" if shared.log else "")


def room(shared: Levels) -> int:
    """Pixels that a bar takes right of the last panel, so that no browser has to find them."""
    ticks = THICK + TICK * max(len(shared.label(tick)) for tick in shared.ticks)
    return BESIDE + round(max(ticks, TITLE * max(map(len, title(shared).split("<br>")))))
