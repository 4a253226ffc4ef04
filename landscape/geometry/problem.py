"""Where optimizers walk: the problem of the surfaces, their plane, and losses asked once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landscape.geometry.plane import Plane
from zarts.bilevel.alpha import Space
from zarts.bilevel.objective import Bilevel, Objective, Through
from zarts.data.stream import Batch
from zarts.settings.config import PathsConfig

__all__ = ["PlaneProblem"]


@dataclass(frozen=True)
class PlaneProblem:
    """Where all optimizers of one figure walk.

    Example:
        >>> import landscape
        >>> from pathlib import Path
        >>> from zarts import Run
        >>> run = Run.open(Path(landscape.__file__).parent / "demo" / "quick-ec257f9a")
        >>> setup = landscape.problem_of(run)
        >>> setup.scores(setup.plane.origin.unsqueeze(0), inner_steps=0).shape
        (1,)

    Attributes:
        objective: The problem of the surfaces, at the M of the exact one.
        plane: Their plane.
        extent: Half-range of the grid, in axis units.
        settings: How to walk.
        seed: Of all draws.
    """

    objective: Bilevel[Batch]
    plane: Plane
    extent: float
    settings: PathsConfig
    seed: int
    _scores: dict[tuple[int, bytes], float] = field(default_factory=dict, repr=False)

    def scores(self, alphas: Tensor, inner_steps: int) -> NDArray[np.float64]:
        """L_M of the surfaces at α's (n, d), each asked once: the losses a path is judged by."""
        found: NDArray[np.float64] = self.remembered(inner_steps).evaluate(alphas).numpy()
        return found

    def remembered(self, inner_steps: int) -> Objective:
        """The problem of the surfaces at another M, whose values are not computed twice.

        A path is judged by losses its optimizer often asked for itself.
        """
        return _Remembered(self.objective.at(inner_steps), self._scores)


@dataclass(frozen=True, eq=False)
class _Remembered:
    """An objective that looks its values up first; they are pure, so nothing changes but time."""

    objective: Bilevel[Batch]
    known: dict[tuple[int, bytes], float]

    @property
    def space(self) -> Space:
        return self.objective.space

    @property
    def inner_steps(self) -> int:
        return self.objective.inner_steps

    def __call__(self, alpha: Tensor) -> Tensor:
        return self.evaluate(alpha.unsqueeze(0))[0]

    def evaluate(self, alphas: Tensor) -> Tensor:
        keys = [(self.inner_steps, alpha.double().numpy().tobytes()) for alpha in alphas]
        new = {key: row for row, key in enumerate(keys) if key not in self.known}
        if new:
            losses = self.objective.evaluate(alphas[list(new.values())])
            self.known.update(zip(new, losses.tolist(), strict=True))
        return torch.tensor([self.known[key] for key in keys], dtype=torch.float64)

    def grad(self, alpha: Tensor, through: Through | None = None) -> Tensor:
        return self.objective.grad(alpha, through)

    def at(self, inner_steps: int) -> _Remembered:
        return replace(self, objective=self.objective.at(inner_steps))

    def advance(self, alpha: Tensor) -> Objective:
        return self.objective.advance(alpha)  # another ω: nothing is known of it
