"""DARTS-M: gradient descent on the true objective, through all M steps of ω."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from zarts.optimizers.descent import RELEASED, check_rule, preset, reach, step_along
from zarts.optimizers.method import Method, Style

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from zarts.bilevel.objective import Objective
    from zarts.bilevel.search import Memory, Step

__all__ = ["METHODS", "Unrolled"]


@dataclass(frozen=True)
class Unrolled:
    """Descends ∇_α L_M, exactly, with the M of the objective: what ZARTS descends by values alone.

    Its memory grows with M, as all M steps are kept for the backward pass.

    Example:
        >>> from zarts import Quadratic, Unrolled, search
        >>> toy = Quadratic.random()
        >>> rule = Unrolled(learning_rate=0.1)
        >>> *_, (step, _) = search(toy.problem(10), rule, toy.center, iterations=15, seed=0)
        >>> [round(float(toy.loss_at(alpha, 10)), 2) for alpha in (toy.center, step.alpha)]
        [9.84, 0.91]

    Attributes:
        update: ``adam``, or ``sgd``.
        learning_rate: Of α.
        beta1: Of Adam; 0.5 as in DARTS.
        beta2: Of Adam.
        weight_decay: L2 term added to the gradient.
        epsilon: Of Adam.
        clip: As ``DARTS.clip``.

    Source: the hypergradient by reverse-mode differentiation of Franceschi et al., ICML 2017; for
    M = 1 DARTS Eq. 7.
    """

    update: Literal["adam", "sgd"] = "adam"
    learning_rate: float = 3e-4
    beta1: float = 0.5
    beta2: float = 0.999
    weight_decay: float = 1e-3
    epsilon: float = 1e-8
    clip: float = 0.0

    def __post_init__(self) -> None:
        check_rule(self)

    @property
    def evaluations(self) -> int:
        """Loss values asked for per step."""
        return 0

    @property
    def gradients(self) -> int:
        """Gradients asked for per step."""
        return 1

    def step(
        self, objective: Objective, alpha: Tensor, memory: Memory, rng: torch.Generator
    ) -> Step:
        """One gradient step of α (d,); draws nothing.

        Raises:
            Diverged: If the loss or its gradient is not finite.
        """
        del rng  # deterministic
        return step_along(self, alpha, objective.grad(alpha), memory)


METHODS = (
    Method(
        name="darts-m",
        style=Style("DARTS-M", "#0B3C5D", "x", "dashdot"),
        optimizer=Unrolled,
        gradients=True,
        preset=preset,
        paper=RELEASED,
        reach=reach,
        rate="learning_rate",
        rank=3,
    ),
)
