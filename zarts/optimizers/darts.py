"""DARTS: gradient descent on α, first or second order (Liu et al., ICLR 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from zarts.optimizers.descent import ALPHA_RATE, RELEASED, check_rule, reach, step_along
from zarts.optimizers.method import SECOND, GradientCost, Method, Style

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from zarts.bilevel.objective import Objective
    from zarts.bilevel.search import Memory, Step

__all__ = ["DARTS", "METHODS"]


@dataclass(frozen=True)
class DARTS:
    """Descends ∇_α L_{k-1} for order k: L_0 (ω fixed) or L_1 (ω makes one virtual step).

    Example:
        >>> from zarts import DARTS, Quadratic, search
        >>> toy = Quadratic.random()
        >>> rule = DARTS(order=2, learning_rate=0.1)
        >>> *_, (step, _) = search(toy.problem(1), rule, toy.center, iterations=15, seed=0)
        >>> [round(float(toy.loss_at(alpha, 1)), 2) for alpha in (toy.center, step.alpha)]
        [2.72, 1.87]

    Attributes:
        order: 1 or 2.
        hypergradient: How order 2 differentiates through its step: ``exact``, by double backward,
            or ``difference``, the finite difference of DARTS' released code, with which its results
            were had. On supernets they point elsewhere (``docs/methods.md``).
        update: ``adam`` as in the DARTS search, or ``sgd`` as in the ZARTS authors' code for
            Fig. 1(c).
        learning_rate: 3e-4 in DARTS' search and in the released path code.
        beta1: 0.5 in DARTS.
        beta2: 0.999 in DARTS.
        weight_decay: L2 term 1e-3 · α added to the gradient in DARTS; 0 in the released path code.
        epsilon: 1e-8, Adam's default.
        clip: Largest norm of the gradient of α, before decay; 0: no clip, as in DARTS (P-DARTS: 5).

    Source: DARTS Eq. 6-8 and its released search settings.
    """

    order: int = 1
    hypergradient: Literal["exact", "difference"] = "exact"
    update: Literal["adam", "sgd"] = "adam"
    learning_rate: float = 3e-4
    beta1: float = 0.5
    beta2: float = 0.999
    weight_decay: float = 1e-3
    epsilon: float = 1e-8
    clip: float = 0.0

    def __post_init__(self) -> None:
        check_rule(self)
        if self.order not in (1, 2):
            raise ValueError(f"DARTS.order is {self.order}, expected 1 or 2")
        if self.hypergradient not in (("exact",) if self.order == 1 else ("exact", "difference")):
            raise ValueError(
                f"DARTS.hypergradient is {self.hypergradient!r} with order {self.order}, expected "
                "'exact', or 'difference' with order 2"
            )

    @property
    def evaluations(self) -> int:
        """Loss values asked for per step."""
        return 0

    @property
    def gradients(self) -> int:
        """Gradients asked for per step."""
        return 1

    def gradient_cost(self, inner_steps: int) -> GradientCost:
        """That of L_0 or L_1, whatever M is."""
        del inner_steps
        return GradientCost(SECOND * (self.order - 1), 2 * self.order - 1)

    def step(
        self, objective: Objective, alpha: Tensor, memory: Memory, rng: torch.Generator
    ) -> Step:
        """One gradient step of α (d,); draws nothing.

        Raises:
            Diverged: If the loss is not finite.
        """
        from zarts.bilevel.difference import through_step

        del rng  # deterministic
        through = through_step if self.hypergradient == "difference" else None
        gradient = objective.at(self.order - 1).grad(alpha, through)
        return step_along(self, alpha, gradient, memory)


def _first(base: str, small: bool) -> dict[str, Any]:
    del small
    search = {"inner_steps": 0, "period": 1}
    return {"search": search, "optimizer": {"learning_rate": ALPHA_RATE[base]}}


def _second(base: str, small: bool) -> dict[str, Any]:
    """DARTS Eq. 7 as published: the coming step's training batch, ω's momentum, no clip.

    In the paper's presets also the finite difference that published results were had with.
    """
    del small
    published = {"hypergradient": "difference"} if base == "paper" else {}
    search = {
        "inner_steps": 1,
        "period": 1,
        "inner_batches": "next",
        "inner_velocity": "copy",
        "inner_clip": 0.0,
    }
    return {"search": search, "optimizer": {"learning_rate": ALPHA_RATE[base], **published}}


METHODS = tuple(
    Method(
        name=f"darts-{order}",
        style=style,
        optimizer=DARTS,
        fixed={"order": order},
        descends=order - 1,
        gradients=True,
        preset=preset,
        paper=RELEASED,
        reach=reach,
        rate="learning_rate",
        rank=order,
    )
    for order, preset, style in (
        (1, _first, Style("DARTS-1st", "#00619E", "circle", "solid")),
        (2, _second, Style("DARTS-2nd", "#4098D7", "cross", "dot")),
    )
)
