"""A toy whose answer is known: its surfaces, and what five optimizers do on them from many starts.

All of it is computed beforehand by ``landscape.learn.make`` with the optimizers themselves, so it
is read without torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FILE", "OPTIMIZERS", "STEPS", "UNIT", "Toy", "toy"]

FILE = Path(__file__).with_name("toy.npz")
STEPS = (0, 1, 3, 10)  # M that there are paths for
UNIT = 1e-3  # of stored positions
# A gradient step is proportional to its rate, one of MGS about to σ²/τ: these are nearly alike, so
# that what differs between the paths is what they descend and how they ask.
GRADIENT = {"update": "sgd", "learning_rate": 0.45, "weight_decay": 0.0}
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "darts-1": GRADIENT,
    "darts-2": GRADIENT,
    "zarts-rs": {"samples": 4, "smoothing": 0.1, "learning_rate": 0.45},
    "zarts-mgs": {"samples": 4, "sigma": 0.2, "temperature": 0.08},
    "zarts-gld": {"radius_max": 0.4, "radius_min": 0.4 / 2**4},
}

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Toy:
    """What the page Learn shows.

    L_M(α) = lowest + ½ (α − minimum)ᵀ curvature (α − minimum), exactly, for every M.

    Example:
        >>> from landscape.learn import toy
        >>> known = toy()
        >>> path = known.path("darts-1", 10, 0, (-0.5, -0.75))
        >>> path.shape, known.excess(path, np.inf)[[0, -1]].round(2).tolist()
        ((11, 2), [0.76, 2.19])

    Attributes:
        steps: M of the surfaces (m,); the last one is infinite.
        minimum: Where L_M is lowest (m, 2).
        lowest: L_M there (m,).
        curvature: The second derivative of L_M (m, 2, 2).
        trail: Where L_M is lowest for M = 0, 1, 2, … and last for M = ∞ (k, 2).
        starts: x and likewise y of the starts (n,), evenly spaced.
        paths: Positions (method, M, draw, y, x, update, 2) in units of ``UNIT``, the start first.
            Gradient methods draw nothing and have an M of their own: theirs are all the same.
    """

    steps: Floats
    minimum: Floats
    lowest: Floats
    curvature: Floats
    trail: Floats
    starts: Floats
    paths: NDArray[np.int16]

    @property
    def draws(self) -> int:
        """How many draws there are of every path of a zero-order optimizer."""
        return int(self.paths.shape[2])

    @property
    def updates(self) -> int:
        """Updates of every path."""
        return int(self.paths.shape[5]) - 1

    def path(self, method: str, steps: int, draw: int, start: tuple[float, float]) -> Floats:
        """The start and where each update leads (updates + 1, 2).

        Raises:
            ValueError: If no path was computed from there.
        """
        x, y = (np.flatnonzero(np.isclose(self.starts, value)) for value in start)
        if not len(x) or not len(y):
            raise ValueError(f"start is {start}, expected two of {self.starts.tolist()}")
        found = self.paths[list(OPTIMIZERS).index(method), STEPS.index(steps), draw, y[0], x[0]]
        return np.asarray(found * UNIT, dtype=np.float64)

    def excess(self, points: Floats, steps: float) -> Floats:
        """How far L_M is above its lowest value at points (..., 2); ``steps`` may be infinite."""
        which = self.steps.tolist().index(steps)
        away = points - self.minimum[which]
        found = 0.5 * np.einsum("...i,ij,...j", away, self.curvature[which], away)
        return np.asarray(found, dtype=np.float64)


@cache
def toy() -> Toy:
    """Reads it from the package."""
    with np.load(FILE, allow_pickle=False) as found:
        stored = {name: found[name] for name in found.files}
    # Of neighbouring starts, which are small numbers and take little room.
    changes = stored.pop("changes")
    paths = changes.cumsum(-4, dtype=np.int16).cumsum(-3, dtype=np.int16)
    return Toy(paths=paths, **stored)
