"""Makes toy.npz, the surfaces and paths of the page Learn.

    python -m landscape.learn.make

The surfaces are the closed form of a ``Quadratic``. The paths are made by the optimizers of this
project, which ask L_M or its gradient as they would ask a supernet; ω stays frozen, as in Fig. 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landscape.learn import FILE, OPTIMIZERS, STEPS, UNIT
from zarts.bilevel.alpha import Space
from zarts.bilevel.objective import Objective
from zarts.bilevel.rng import generator
from zarts.bilevel.search import Memory, take_step
from zarts.optimizers import method_of
from zarts.problems.optimizer import build_optimizer
from zarts.problems.toy import Quadratic

__all__ = ["DRAWS", "SIDE", "UPDATES", "Known", "arrays", "quadratic", "walk"]

SIDE, DRAWS, UPDATES = 17, 3, 10
TRAIL = (*range(13), math.inf)


def quadratic() -> Quadratic:
    """The toy: the minimum of L_0 is far from that of L_∞, and L_10 is close to L_∞."""

    def numbers(*values: Any) -> Tensor:  # noqa: ANN401 - nested lists
        return torch.tensor(values, dtype=torch.float64)

    return Quadratic(
        response=numbers([1.0, -0.7], [0.2, 0.6]),
        curvature=numbers([2.0, 0.5], [0.5, 4.0]),
        target=numbers(1.55, -1.01),
        center=numbers(-0.55, 0.5),
        penalty=numbers(0.6, 1.3),
        start=numbers(-0.22, -0.34),
    )


@dataclass(frozen=True)
class Known:
    """L_M of a quadratic toy by its closed form: the same numbers as its problem, sooner.

    Attributes:
        toy: Whose.
        inner_steps: M.
    """

    toy: Quadratic
    inner_steps: int

    @property
    def space(self) -> Space:
        """That of the toy's problem."""
        return self.toy.problem().space

    def __call__(self, alpha: Tensor) -> Tensor:
        """L_M (scalar)."""
        return self.toy.loss_at(alpha, self.inner_steps)

    def evaluate(self, alphas: Tensor) -> Tensor:
        """L_M (n,) at (n, d)."""
        return torch.stack([self(alpha) for alpha in alphas])

    def grad(self, alpha: Tensor, through: object = None) -> Tensor:
        """∇L_M (d,), exact."""
        del through
        return self.toy.gradient_at(alpha, self.inner_steps)

    def at(self, inner_steps: int) -> Known:
        """The same toy with another M."""
        return replace(self, inner_steps=inner_steps)

    def advance(self, alpha: Tensor) -> Known:
        """Itself: ω is frozen."""
        del alpha
        return self


def walk(objective: Objective, method: str, draw: int, start: tuple[float, float]) -> Tensor:
    """Where the updates of a method lead, the start first (updates + 1, 2).

    All starts see the same draws, so that they differ by where they are alone.
    """
    optimizer = build_optimizer(method, OPTIMIZERS[method])
    alpha = torch.tensor(start, dtype=torch.float64)
    memory: Memory = {}
    visited = [alpha]
    for update in range(UPDATES):
        rng = generator(draw, "learn", method, update)
        step = take_step(optimizer, objective, alpha, memory, rng)
        alpha, memory = step.alpha, step.memory
        visited.append(alpha)
    return torch.stack(visited)


def arrays() -> dict[str, Any]:
    """All that the file holds."""
    toy, steps = quadratic(), (*STEPS, math.inf)
    minima = torch.stack([toy.minimum(m) for m in steps])
    starts, none = np.linspace(-1.0, 1.0, SIDE), np.int16(0)

    @cache
    def paths(method: str, m: int, draw: int) -> NDArray[np.float64]:
        known = Known(toy, m)
        return np.array(
            [[walk(known, method, draw, (x, y)).numpy() for x in starts] for y in starts]
        )

    def walks(name: str) -> list[list[NDArray[np.float64]]]:
        # Gradient methods draw nothing and have an M of their own: they need to walk but once.
        once = method_of(name).gradients
        return [
            [paths(name, 0 if once else m, 0 if once else d) for d in range(DRAWS)] for m in STEPS
        ]

    whole = np.rint(np.array([walks(name) for name in OPTIMIZERS]) / UNIT).astype(np.int16)
    return {
        "steps": np.array(steps),
        "minimum": minima.numpy(),
        "lowest": np.array([float(toy.loss_at(a, m)) for a, m in zip(minima, steps, strict=True)]),
        "curvature": torch.stack([toy.hessian(m) for m in steps]).numpy(),
        "trail": torch.stack([toy.minimum(m) for m in TRAIL]).numpy(),
        "starts": starts,
        "changes": np.diff(np.diff(whole, axis=-4, prepend=none), axis=-3, prepend=none),
    }


if __name__ == "__main__":
    np.savez_compressed(FILE, **arrays())
