"""ZARTS-RS: random search, a Monte-Carlo gradient of the smoothed loss (ZARTS Eq. 4)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from zarts.optimizers.method import Method, Style, Walk, zarts_loop
from zarts.optimizers.sampling import check_positive, check_types, sphere

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from zarts.bilevel.objective import Objective
    from zarts.bilevel.search import Memory, Step

__all__ = ["METHODS", "RandomSearch"]


@dataclass(frozen=True)
class RandomSearch:
    """α ← α − ξ φ(d)/(2μN) Σ_i [L(α + μu_i) − L(α − μu_i)] u_i.

    Example:
        >>> from zarts import Quadratic, RandomSearch, search
        >>> toy = Quadratic.random()
        >>> rule = RandomSearch(samples=2, learning_rate=0.1)
        >>> *_, (step, _) = search(toy.problem(10), rule, toy.center, iterations=15, seed=0)
        >>> [round(float(toy.loss_at(alpha, 10)), 2) for alpha in (toy.center, step.alpha)]
        [9.84, 0.81]

    Attributes:
        samples: N directions. The released path code uses 8.
        smoothing: μ, the length of a probe. 0.1 in the released path code.
        learning_rate: ξ. 1e-4 in the released path code; the paper has no value for the search.
        direction: ``sphere`` (φ(d) = d) or ``normal`` (φ = 1).
        antithetic: Probe both α + μu and α − μu (2N evaluations); else α itself is the base of a
            forward difference (N + 1 evaluations), ξ φ(d)/(μN) Σ_i [L(α + μu_i) − L(α)] u_i.

    Directions whose losses are not finite are dropped and counted; N is then the number left.

    Source: ZARTS Eq. 4, after Nesterov & Spokoiny 2017.
    """

    samples: int = 4
    smoothing: float = 0.1
    learning_rate: float = 1e-4
    direction: Literal["sphere", "normal"] = "sphere"
    antithetic: bool = True

    def __post_init__(self) -> None:
        check_types(self)
        check_positive(self, "samples", "smoothing", "learning_rate")
        if self.direction not in ("sphere", "normal"):
            raise ValueError(f"direction is {self.direction!r}, expected 'sphere' or 'normal'")

    @property
    def evaluations(self) -> int:
        """Loss values asked for per step."""
        return 2 * self.samples if self.antithetic else self.samples + 1

    @property
    def gradients(self) -> int:
        """Gradients asked for per step."""
        return 0

    def step(
        self, objective: Objective, alpha: Tensor, memory: Memory, rng: torch.Generator
    ) -> Step:
        """One update of α (d,) from ``evaluations`` values of the objective."""
        import torch

        from zarts.bilevel.search import Step

        del memory  # memoryless
        if self.direction == "sphere":
            directions, factor = sphere(self.samples, alpha, rng), alpha.numel()
        else:
            directions = torch.randn(self.samples, alpha.numel(), generator=rng, dtype=alpha.dtype)
            factor = 1
        ahead = alpha + self.smoothing * directions
        behind = alpha - self.smoothing * directions if self.antithetic else alpha.unsqueeze(0)
        candidates = torch.cat([ahead, behind])
        losses = objective.evaluate(candidates)
        width = 2 * self.smoothing if self.antithetic else self.smoothing
        slopes = (losses[: self.samples] - losses[self.samples :]) / width
        kept = slopes.isfinite()
        estimate = torch.zeros_like(alpha)
        if kept.any():
            weighted = slopes[kept].unsqueeze(1) * directions[kept].double()
            estimate = (factor * weighted.mean(0)).to(alpha)
        change = -self.learning_rate * estimate
        return Step(
            alpha=alpha + change,
            loss=math.nan if self.antithetic else float(losses[-1]),
            candidates=candidates,
            losses=losses,
            diagnostics={
                "update_norm": float(torch.linalg.vector_norm(change)),
                "gradient_norm": float(torch.linalg.vector_norm(estimate)),
                "dropped": float((~kept).sum()),
            },
        )


def _preset(base: str, small: bool) -> dict[str, Any]:
    # ours, as the paper gives no values for the search: with this ξ a step is about as long as one
    # of MGS where ‖g‖ ~ 0.1
    own = {"samples": 4, "smoothing": 0.1, "learning_rate": 1.0 if small else 0.25}
    return zarts_loop(base) | {"optimizer": own}


def _reach(paths: Walk, dim: int, length: float) -> dict[str, Any]:
    """Probes of this length; ξ is 1."""
    del dim
    return {"samples": max(1, paths.samples // 2), "smoothing": length, "learning_rate": 1.0}


METHODS = (
    Method(
        name="zarts-rs",
        style=Style("ZARTS-RS", "#D55E00", "triangle-up", "solid"),
        optimizer=RandomSearch,
        preset=_preset,
        paper={"samples": 8, "smoothing": 0.1, "learning_rate": 1e-4},
        reach=_reach,
        rate="learning_rate",
        rank=11,
    ),
)
