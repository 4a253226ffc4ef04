"""What panels show: the loss, or another quantity of the same points in its place."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from landscape.measure import Minimum, constant, minimum
from landscape.record import Figure1, Surface

__all__ = ["LOSS", "QUANTITIES", "Quantity", "quantity"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Quantity:
    """A quantity of a surface.

    Attributes:
        name: Of the array that has it, and in words.
        best: What the star marks, in words.
        sign: 1 if less is better, -1 if more is.
        bounded: No point can be far beyond all others, so levels reach all of them.
        per: What is shown of each: 100 for percent.
        digits: After the point, of one value.
        unit: That is shown behind a value.
        colours: Name of the colour map, the same in both renderers.
        signed: Whether zero means something: then it is the middle of the colours, and marked.
    """

    name: str
    best: str
    sign: int
    bounded: bool
    per: float = 1.0
    digits: int = 4
    unit: str = ""
    colours: str = "viridis"
    signed: bool = False

    @property
    def difference(self) -> Quantity:
        """What two surfaces of it differ by: blue where the second one is better."""
        colours = "RdBu_r" if self.sign > 0 else "RdBu"
        return replace(self, name=f"Δ {self.name}", colours=colours, signed=True)

    @property
    def title(self) -> str:
        """What a scale of it is called."""
        return f"{self.name},{self.unit}" if self.unit else self.name

    def say(self, value: float) -> str:
        """A value in words."""
        return f"{value:.{self.digits}f}{self.unit}"

    def read_out(self, of: str) -> str:
        """What Plotly shows of a variable where one points at."""
        return f"{self.name} %{{{of}:.{self.digits}f}}{self.unit}"

    def values(self, surface: Surface) -> Floats:
        """Its array (rows, cols), as it is shown."""
        found: Floats = getattr(surface, self.name)
        return found if self.per == 1 else self.per * found

    def shown(self, surface: Surface) -> Surface:
        """The surface with this quantity where the loss was, so that it is drawn as one."""
        return replace(surface, loss=self.values(surface))

    def optimum(self, shown: Surface) -> Minimum | None:
        """The best point of a surface that ``shown`` gave; None without a number."""
        if not np.isfinite(shown.loss).any():
            return None
        found = minimum(replace(shown, loss=self.sign * shown.loss))
        return replace(found, loss=self.sign * found.loss)

    def starred(self, shown: Surface) -> Minimum | None:
        """The same; None on a constant surface too, where no point is better than another."""
        return None if constant(shown) else self.optimum(shown)


LOSS = Quantity("loss", "minimum", 1, bounded=False)
_ACCURACY = Quantity("accuracy", "maximum", -1, bounded=True, per=100, digits=2, unit=" %")
QUANTITIES = {each.name: each for each in (LOSS, _ACCURACY)}


def quantity(name: str, record: Figure1) -> Quantity:
    """The quantity of a name, if the run has it.

    Raises:
        ValueError: If it is unknown, or no surface has a number of it.
    """
    if name not in QUANTITIES:
        raise ValueError(f"quantity = {name!r}, expected one of {', '.join(QUANTITIES)}")
    found = QUANTITIES[name]
    if found is LOSS or any(np.isfinite(found.values(each)).any() for each in record.surfaces):
        return found
    raise ValueError(
        f"run {record.name} stores no {name}: it is from before that was stored, or its loss has "
        "no images; draw the loss, or compute it again"
    )
