"""Which losses get a contour: round levels over the bulk of the points, so that outliers hide none.

A surface near a divergence has a few points far above all others. Levels that reached them would
leave none for the rest. They end with the bulk instead, and what lies above is marked and counted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from landscape.figures.quantity import LOSS, Quantity
from landscape.measure import SAME
from landscape.record import Surface

__all__ = ["Levels", "levels"]

Floats = NDArray[np.float64]

BULK, REACH = 0.9, 2.0  # levels may reach beyond this share of the points by twice its range
LOG_REACH = 0.5  # and by half of it in the logarithm, where that range is two powers of ten or more
DEEP = 10.0  # and below it by ten times: a deep minimum is what one looks for


@dataclass(frozen=True)
class Levels:
    """Contour levels of one panel, or of all of them.

    Drawn is the loss itself, its logarithm, or, between listed levels, the index of a level. It
    ends one range of the levels beyond them on either side, so no outlier overflows a drawing.

    Attributes:
        start: Lowest level, in the drawn quantity.
        stop: Highest level.
        step: Distance between levels.
        log: Whether the drawn quantity is log10 of ``loss - floor``.
        floor: Subtracted before the logarithm.
        listed: Levels asked for one by one, as losses; empty if they are even.
        over: Whether a point lies above the highest level.
        quantity: What they are levels of; "loss" stands for its values everywhere here.
    """

    start: float
    stop: float
    step: float
    log: bool = False
    floor: float = 0.0
    listed: tuple[float, ...] = ()
    over: bool = False
    quantity: Quantity = LOSS

    @property
    def values(self) -> Floats:
        """All levels (n,), in the drawn quantity."""
        count = round((self.stop - self.start) / self.step)
        values: Floats = self.start + self.step * np.arange(count + 1.0)
        return values

    @property
    def ticks(self) -> list[float]:
        """Nine levels at most, in the drawn quantity: the highest one among them, or zero."""
        if self.quantity.signed:
            half = self.values[len(self.values) // 2 :]
            right = [float(each) for each in half[:: -(-len(half) // 4)]]
            return [-each for each in right[:0:-1]] + right
        every = -(-len(self.values) // 8)
        return [float(value) for value in self.values[::-every][::-1]]

    @property
    def even(self) -> bool:
        """Whether the drawn quantity is the loss, so that a level can be labelled with it."""
        return not self.log and not self.listed

    @property
    def decimals(self) -> int:
        """Digits after the point that tell even levels apart."""
        return max(0, int(np.ceil(-np.log10(self.step) - 1e-9)))

    @property
    def top(self) -> float:
        """The highest level as a loss."""
        return float(self.loss(np.array(self.stop)))

    def label(self, value: float) -> str:
        """A level, in the drawn quantity, as a loss in words."""
        loss = float(self.loss(np.array(value)))
        said = f"{loss:.{self.decimals}f}" if self.even and abs(loss) < 1e6 else f"{loss:.4g}"
        return said.replace("-", "−")  # as beside the lines

    def drawn(self, loss: Floats) -> Floats:
        """The drawn quantity of losses of any shape; NaN where there is no number."""
        span = self.stop - self.start
        ends = self.loss(np.array([self.start - span, self.stop + span]))
        inside = np.clip(np.where(np.isfinite(loss), loss, np.nan), *ends)
        if self.listed:
            places, losses = self._knots()
            return np.asarray(np.interp(inside, losses, places))
        return np.log10(inside - self.floor) if self.log else inside

    def loss(self, drawn: Floats) -> Floats:
        """The loss of a drawn quantity: the inverse of ``drawn``."""
        if self.listed:
            return np.asarray(np.interp(drawn, *self._knots()))
        return 10**drawn + self.floor if self.log else drawn

    def above(self, surface: Surface) -> int:
        """Number of points of a surface above the highest level."""
        return int((surface.loss[np.isfinite(surface.loss)] > self.top).sum())

    def _knots(self) -> tuple[Floats, Floats]:
        """Index and loss of each listed level, and of one point a range beyond either end."""
        first, last, span = self.listed[0], self.listed[-1], self.listed[-1] - self.listed[0]
        losses = np.array([first - span, *self.listed, last + span])
        places = np.array([-self.stop, *range(len(self.listed)), 2 * self.stop])
        return places, losses


def levels(
    surfaces: Sequence[Surface],
    log: bool = False,
    count: int | Sequence[float] = 22,
    zmax: float | None = None,
    quantity: Quantity = LOSS,
) -> Levels:
    """Levels for surfaces together: round numbers, in steps of 1, 2 or 5 times a power of ten.

    They span all points but those far above the lower 90 %: by more than twice the range of
    these, or half of it where it is one of logarithms. Likewise ten times below the upper 90 %.
    Of a bounded quantity they span all points.

    Args:
        surfaces: What will be drawn under one scale.
        log: Levels that are even in the logarithm of the loss above the lowest one. One per cent
            of the range of the bulk is added, so that the lowest point itself has a logarithm.
        count: About how many, at least two; or the losses themselves, increasing.
        zmax: No level is above this loss; by default the points decide.
        quantity: What the surfaces have in place of the loss.

    Raises:
        ValueError: If ``count`` or ``zmax`` is none of these, or no loss is below ``zmax``.
    """
    finite = np.concatenate([surface.loss[np.isfinite(surface.loss)] for surface in surfaces])
    if isinstance(count, Sequence):
        asked = _listed(finite, tuple(float(level) for level in count))
        return replace(asked, quantity=quantity)
    if count < 2:
        raise ValueError(f"levels = {count}, expected at least 2 or a list of losses")
    far = math.inf if quantity.bounded else 1.0
    low, high = _bulk(finite, REACH * far)
    if zmax is not None:
        if not math.isfinite(zmax) or (finite.size and zmax <= low):
            raise ValueError(f"zmax = {zmax}, expected a finite loss above the lowest, {low:.6g}")
        high = zmax if finite.size else high
    if high - low <= SAME * max(abs(low), abs(high), 1e-300):  # constant, or nothing at all
        half = max(abs(low), 1e-3) / 100
        return _over(Levels(low - half, low + half, half, quantity=quantity), finite)
    floor = low - (high - low) / 100 if log else 0.0
    if log:
        shown = np.log10(np.maximum(finite, low) - floor)
        low, high = np.log10(low - floor), _bulk(shown, LOG_REACH * far)[1]
        if zmax is not None:
            high = np.log10(zmax - floor)
    power = 10.0 ** np.floor(np.log10((high - low) / count))
    step = (
        min((1, 2, 5, 10), key=lambda nice: abs(np.log(nice * power * count / (high - low))))
        * power
    )
    start, stop = np.floor(low / step + 1e-9) * step, np.ceil(high / step - 1e-9) * step
    if zmax is not None:
        stop = max(np.floor(high / step + 1e-9) * step, start + step)
    found = Levels(float(start), float(stop), float(step), log, float(floor), quantity=quantity)
    return _over(found, finite)


def _bulk(values: Floats, reach: float = REACH) -> tuple[float, float]:
    """Lowest and highest of the values that are no outliers; zeros without a value."""
    if not values.size:
        return 0.0, 0.0
    low = float(np.quantile(values, 1 - BULK))
    high = float(np.quantile(values, BULK))
    if math.isinf(reach):
        return float(values.min()), float(values.max())
    low = float(values[values >= low - DEEP * (high - low)].min())
    return low, float(values[values <= high + reach * (high - low)].max())


def _listed(finite: Floats, asked: tuple[float, ...]) -> Levels:
    steps = np.diff(asked)
    if len(asked) < 2 or not np.isfinite(asked).all() or (steps <= 0).any():
        raise ValueError(f"levels = {list(asked)}, expected two or more increasing losses")
    return _over(Levels(0.0, len(asked) - 1.0, 1.0, listed=asked), finite)


def _over(found: Levels, finite: Floats) -> Levels:
    return replace(found, over=bool((finite > found.top).any()))
