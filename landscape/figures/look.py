"""How things look on screen and in print: colours, symbols, contour levels, the words on a panel.

Both renderers, plotly and matplotlib, take their choices from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from landscape.figures.partial import lost, stage
from landscape.figures.quantity import LOSS, Quantity
from landscape.figures.scale import Levels, levels
from landscape.measure import Ending, read
from landscape.record import Figure1, Surface
from zarts.optimizers import Style, method_of

__all__ = [
    "DARK",
    "LIGHT",
    "Ink",
    "Levels",
    "Scale",
    "Style",
    "axis_title",
    "choose",
    "extent",
    "levels",
    "panel_title",
    "path_label",
    "scales",
    "style",
    "subtitle",
]

Floats = NDArray[np.float64]
Ranges = tuple[tuple[float, float], tuple[float, float]]  # of the x and the y axis
Scale = Literal["shared", "own"]  # of the panels


STAR = "#FFD54A"
PENDING, VEIL = (228, 228, 228), 0.6  # not computed yet: a grey that lets a coarser level through
ZERO = "#111111"  # the line where a difference is zero
LOST = "#9a9a9a"  # tried, and the loss is missing
OVER = "#e6447a"  # above the highest level: no colour of the map
SEEN = 0.005  # a share outside the plane that rounds to a per cent
LINE, CASING = 2.0, 0.8  # widths in points: of a path, and of the white beyond it on each side


@dataclass(frozen=True)
class Ink:
    """Colours of what is not data."""

    template: str
    paper: str
    text: str
    grid: str


LIGHT = Ink("plotly_white", "#ffffff", "#1f2430", "#d9dce3")
DARK = Ink("plotly_dark", "rgba(0,0,0,0)", "#e6e8ee", "#3a3f4b")


def style(method: str) -> Style:
    """How paths of a method are drawn."""
    return method_of(method).style


def scales(
    surfaces: Sequence[Surface],
    log: bool = False,
    count: int | Sequence[float] = 22,
    zmax: float | None = None,
    scale: Scale = "shared",
    *,
    quantity: Quantity = LOSS,
) -> list[Levels]:
    """The levels of each surface: the same for all of them, or its own ones.

    Raises:
        ValueError: If ``scale`` is neither, or ``levels`` refuses.
    """
    if scale not in get_args(Scale):
        raise ValueError(f"scale = {scale!r}, expected one of {get_args(Scale)}")
    if scale == "own":
        return [levels([surface], log, count, zmax, quantity) for surface in surfaces]
    return [levels(surfaces, log, count, zmax, quantity)] * len(surfaces)


def choose(record: Figure1, inner_steps: Sequence[int] | None = None) -> tuple[Surface, ...]:
    """The surfaces to draw: the asked M, or the first-order and the exact one.

    Raises:
        ValueError: If the record has no surface, or not the asked one.
    """
    if not record.surfaces:
        raise ValueError(f"run {record.name} has no surface yet; compute one, then draw it")
    by_steps = {surface.inner_steps: surface for surface in record.surfaces}
    asked = inner_steps if inner_steps is not None else (min(by_steps), max(by_steps))
    if absent := [m for m in asked if m not in by_steps]:
        raise ValueError(f"run {record.name} has M = {sorted(by_steps)}, asked for {absent}")
    return tuple(by_steps[m] for m in dict.fromkeys(asked))


def panel_title(surface: Surface, record: Figure1) -> str:
    """What a panel shows, in words."""
    m, names = surface.inner_steps, {0: "First order, M = 0", 1: "Second order, M = 1"}
    near = " (≈ ω*)" if m == record.surfaces[-1].inner_steps else ""
    return names.get(m, f"After {m} inner steps{near}")


def subtitle(surface: Surface, levels: Levels, scale: Scale = "shared") -> list[str]:
    """The best point of a panel, what is missing from it or beyond its levels: short lines."""
    reading, partial = read(surface), stage(surface)
    low = levels.quantity.optimum(surface)
    if low is None:
        begun = partial is None or partial.count.computed  # else nothing was tried that failed
        lines = [f"no finite {levels.quantity.name}"] if begun else []
    elif reading.constant:
        lines = [f"constant {levels.quantity.say(low.loss)}"]
    else:
        best = levels.quantity.say(low.loss)
        lines = [f"★ {best} at ({low.x:.2f}, {low.y:.2f})".replace("-", "−")]
        lines[0] += " so far" if partial else ""
    if min(surface.loss.shape) < 2:
        lines.append("a single line of points has no contours")
    if partial:
        lines.append(str(partial))
    if count := lost(surface):
        lines.append(f"{count} missing")
    if count := levels.above(surface):
        points = "1 point" if count == 1 else f"{count} points"
        lines.append(f"{points} above {levels.label(levels.stop)}, in red")
    if scale == "own":
        lines.append("colours of this panel only")
    return lines


def path_label(end: Ending, ranges: Ranges) -> str:
    """A path in the legend, with why it ended early, or that its end is not in the picture."""
    (left, right), (bottom, top) = ranges
    inside = left <= end.x <= right and bottom <= end.y <= top
    notes = [end.path.note[:60] or ("" if inside else "ends outside")]
    if end.residual >= SEEN:  # what the picture does not show of the way
        notes.append(f"{end.residual:.0%} outside the plane")
    said = ", ".join(filter(None, notes))
    label = style(end.path.method).label
    return f"{label} ({said})" if said else label


def axis_title(axis: int, record: Figure1) -> str:
    """Title of an axis: what it is, or that its unit is a length along a unit direction of α."""
    names = record.facts.get("axes")
    if isinstance(names, list) and len(names) == 2:
        return str(names[axis])[:80]
    return f"{'xy'[axis]} (1 unit = {record.scale:.3g} along direction {axis + 1})"


def extent(record: Figure1, surfaces: Sequence[Surface]) -> Ranges:
    """Ranges of the axes: the grid, and the paths up to a quarter of the grid beyond it."""
    ranges = []
    for axis, lines in enumerate(
        ([surface.x for surface in surfaces], [surface.y for surface in surfaces])
    ):
        low, high = min(line[0] for line in lines), max(line[-1] for line in lines)
        margin = (high - low or 1.0) / 4
        points = np.concatenate([[low, high], *(path.xy[:, axis] for path in record.paths)])
        points = np.clip(points[np.isfinite(points)], low - margin, high + margin)
        ranges.append((float(points.min()), float(points.max())))
    return ranges[0], ranges[1]
