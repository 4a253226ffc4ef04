"""How things look on screen and in print: colours, symbols, contour levels, the words on a panel.

Both renderers, plotly and matplotlib, take their choices from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landscape.figures.partial import lost, stage
from landscape.measure import Ending, Minimum, lowest, read
from landscape.record import Figure1, Surface

__all__ = [
    "DARK",
    "LIGHT",
    "Ink",
    "Levels",
    "Style",
    "axis_title",
    "choose",
    "extent",
    "levels",
    "panel_title",
    "path_label",
    "starred",
    "style",
    "subtitle",
]

Floats = NDArray[np.float64]
Ranges = tuple[tuple[float, float], tuple[float, float]]  # of the x and the y axis


@dataclass(frozen=True)
class Style:
    """How one optimizer is drawn: colour, symbol and dash together tell it apart."""

    label: str
    color: str
    symbol: str
    dash: str


# Okabe-Ito colours with at least 3:1 contrast on white and on black. Gradient methods share blue.
STYLES = {
    "darts-1": Style("DARTS-1st", "#0072B2", "circle", "solid"),
    "darts-2": Style("DARTS-2nd", "#0072B2", "cross", "dot"),
    "zarts-rs": Style("ZARTS-RS", "#D55E00", "triangle-up", "solid"),
    "zarts-mgs": Style("ZARTS-MGS", "#009E73", "square", "solid"),
    "zarts-gld": Style("ZARTS-GLD", "#CC79A7", "diamond", "solid"),
}
COLORMAP = "viridis"
STAR = "#FFD54A"
PENDING, VEIL = (228, 228, 228), 0.6  # not computed yet: a grey that lets a coarser level through
LOST = "#9a9a9a"  # tried, and the loss is missing


def style(method: str) -> Style:
    """The style of a method; grey crosses for one this version does not know."""
    return STYLES.get(method, Style(method, "#666666", "x", "dash"))


@dataclass(frozen=True)
class Ink:
    """Colours of what is not data."""

    template: str
    paper: str
    text: str
    grid: str


LIGHT = Ink("plotly_white", "#ffffff", "#1f2430", "#d9dce3")
DARK = Ink("plotly_dark", "rgba(0,0,0,0)", "#e6e8ee", "#3a3f4b")


@dataclass(frozen=True)
class Levels:
    """Contour levels shared by all panels.

    Attributes:
        start: Lowest level, in the drawn quantity.
        stop: Highest level.
        step: Distance between levels.
        log: Whether the drawn quantity is log10 of ``loss - floor``.
        floor: Subtracted before the logarithm.
    """

    start: float
    stop: float
    step: float
    log: bool = False
    floor: float = 0.0

    @property
    def values(self) -> Floats:
        """All levels (n,), in the drawn quantity."""
        count = round((self.stop - self.start) / self.step)
        values: Floats = self.start + self.step * np.arange(count + 1.0)
        return values

    @property
    def decimals(self) -> int:
        """Digits after the point that tell the levels apart."""
        return max(0, int(np.ceil(-np.log10(self.step) - 1e-9)))

    def drawn(self, loss: Floats) -> Floats:
        """The drawn quantity of losses of any shape."""
        return np.log10(loss - self.floor) if self.log else loss

    def loss(self, drawn: Floats) -> Floats:
        """The loss of a drawn quantity: the inverse of ``drawn``."""
        return 10**drawn + self.floor if self.log else drawn


def levels(surfaces: Sequence[Surface], log: bool = False, count: int = 22) -> Levels:
    """Levels for all surfaces together: round numbers, in steps of 1, 2 or 5 times a power of ten.

    Args:
        surfaces: What will be drawn side by side.
        log: Levels that are even in the logarithm of the loss above the lowest one. One per cent
            of the range is added, so that the lowest point itself has a logarithm.
        count: About how many.
    """
    finite = np.concatenate([surface.loss[np.isfinite(surface.loss)] for surface in surfaces])
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):  # constant, or nothing at all
        half = max(abs(low), 1e-3) / 100
        return Levels(low - half, low + half, half)
    floor = low - (high - low) / 100 if log else 0.0
    if log:
        low, high = float(np.log10(low - floor)), float(np.log10(high - floor))
    power = 10.0 ** np.floor(np.log10((high - low) / count))
    step = (
        min((1, 2, 5, 10), key=lambda nice: abs(np.log(nice * power * count / (high - low))))
        * power
    )
    start, stop = np.floor(low / step + 1e-9) * step, np.ceil(high / step - 1e-9) * step
    return Levels(float(start), float(stop), float(step), log, floor)


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


def subtitle(surface: Surface) -> list[str]:
    """The minimum of a panel and what is missing from it: short lines."""
    reading, partial = read(surface), stage(surface)
    low = reading.minimum
    if low is None:
        lines = ["no finite loss"]
    elif reading.constant:
        lines = [f"constant {low.loss:.4f}"]
    else:
        lines = [f"★ {low.loss:.4f} at ({low.x:.2f}, {low.y:.2f})".replace("-", "−")]
        lines[0] += " so far" if partial else ""
    if min(surface.loss.shape) < 2:
        lines.append("a single line of points has no contours")
    if partial:
        lines.append(str(partial))
    if count := lost(surface):
        lines.append(f"{count} missing")
    return lines


def starred(surface: Surface) -> Minimum | None:
    """The point that gets the star; none on a constant surface, where every point is as low."""
    return lowest(surface)


def path_label(end: Ending, ranges: Ranges) -> str:
    """A path in the legend, with why it ended early, or that its end is not in the picture."""
    (left, right), (bottom, top) = ranges
    inside = left <= end.x <= right and bottom <= end.y <= top
    note = end.path.note[:60] or ("" if inside else "ends outside")
    label = style(end.path.method).label
    return f"{label} ({note})" if note else label


def axis_title(axis: int, scale: float) -> str:
    """Title of an axis: its unit is a length in α-space along a unit direction."""
    return f"{'xy'[axis]} (1 unit = {scale:.3g} along direction {axis + 1})"


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
