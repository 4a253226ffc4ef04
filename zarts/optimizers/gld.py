"""ZARTS-GLD: gradientless descent, a binary search over radii (ZARTS Eq. 10)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zarts.optimizers.method import Method, Style, Walk, zarts_loop
from zarts.optimizers.sampling import check_positive, check_types, sphere

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from zarts.bilevel.objective import Objective
    from zarts.bilevel.search import Memory, Step

__all__ = ["GLD", "METHODS"]


@dataclass(frozen=True)
class GLD:
    """α ← argmin over {α} ∪ {α + 2^{-k} R v_k : k = 0..K}, with v_k uniform on the unit sphere.

    K = ⌊log2(R/r)⌋. The incumbent is judged by the same fine-tuned loss as the candidates (the
    released code compares with the loss before fine-tuning, which biases it towards moving). Losses
    that are not finite never win.

    Example:
        >>> from zarts import GLD, Quadratic, search
        >>> toy = Quadratic.random()
        >>> rule = GLD(0.4, 0.1)
        >>> *_, (step, _) = search(toy.problem(10), rule, toy.center, iterations=15, seed=0)
        >>> [round(float(toy.loss_at(alpha, 10)), 2) for alpha in (toy.center, step.alpha)]
        [9.84, 0.91]

    Attributes:
        radius_max: R. 0.13 after the rescaling in the released path code.
        radius_min: r. The paper publishes none; its search cost implies R/r near 2^10.

    Source: ZARTS Eq. 10; Golovin et al., ICLR 2020, Alg. 1.
    """

    radius_max: float = 0.13
    radius_min: float = 0.13 / 2**10

    def __post_init__(self) -> None:
        check_types(self)
        check_positive(self, "radius_max", "radius_min")
        if self.radius_min > self.radius_max:
            raise ValueError(
                f"radius_min {self.radius_min} is above radius_max {self.radius_max}; swap them"
            )

    @property
    def radii(self) -> list[float]:
        """The K + 1 radii, from R down."""
        # 1e-9: a ratio that is a power of two up to rounding counts as one
        levels = math.floor(math.log2(self.radius_max / self.radius_min) + 1e-9)
        return [self.radius_max / 2**level for level in range(levels + 1)]

    @property
    def evaluations(self) -> int:
        """Loss values asked for per step, the incumbent's included."""
        return len(self.radii) + 1

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
        radii = torch.tensor(self.radii, dtype=alpha.dtype).unsqueeze(1)
        deltas = radii * sphere(len(radii), alpha, rng)
        points = torch.cat([alpha.unsqueeze(0), alpha + deltas])
        losses = objective.evaluate(points)
        # argmin returns the first of equals, so a tie keeps the incumbent
        best = int(losses.where(losses.isfinite(), math.inf).argmin())
        return Step(
            alpha=points[best],
            loss=float(losses[0]),
            candidates=points[1:],
            losses=losses[1:],
            diagnostics={
                "update_norm": float(torch.linalg.vector_norm(points[best] - alpha)),
                "radius": float(radii[best - 1]) if best else 0.0,
                "dropped": float((~losses.isfinite()).sum()),
            },
        )


def _preset(base: str, small: bool) -> dict[str, Any]:
    del small
    # R of the released path code; r is ours: the 11 candidates that the paper's cost implies
    return zarts_loop(base) | {"optimizer": {"radius_max": 0.13, "radius_min": 0.13 / 2**10}}


def _reach(paths: Walk, dim: int, length: float) -> dict[str, Any]:
    """The largest radius is this length."""
    del dim
    return {"radius_max": length, "radius_min": length / 2 ** (paths.samples - 1)}


METHODS = (
    Method(
        name="zarts-gld",
        style=Style("ZARTS-GLD", "#CC79A7", "diamond", "solid"),
        optimizer=GLD,
        preset=_preset,
        paper={"radius_max": 0.13, "radius_min": 0.13 / 2**14},  # 15 radii
        reach=_reach,
        rank=13,
    ),
)
