"""Implicit gradients: how the optimal ω moves with α, by the implicit function theorem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from zarts.optimizers.descent import RELEASED, check_rule, preset, reach, step_along
from zarts.optimizers.method import SECOND, GradientCost, Method, Style
from zarts.optimizers.sampling import check_positive

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from zarts.bilevel.chunk import Problem
    from zarts.bilevel.inner import Weights
    from zarts.bilevel.objective import Objective
    from zarts.bilevel.search import Memory, Step

__all__ = ["METHODS", "Implicit"]


@dataclass(frozen=True)
class Implicit:
    """Descends ∂L_val/∂α − (∂²L_train/∂α∂ω) H⁻¹ ∂L_val/∂ω at ω*_M(α), with H = ∂²L_train/∂ω².

    M is that of the objective: the better ω is tuned, the truer the formula, which takes ω for the
    optimum. L_train is over the last of the batches that ω was tuned on, with the weight decay of
    its steps; a clip is left out. Memory does not grow with M.

    Example:
        >>> from zarts import Implicit, Quadratic, search
        >>> toy = Quadratic.random()
        >>> rule = Implicit(learning_rate=0.1)
        >>> *_, (step, _) = search(toy.problem(10), rule, toy.center, iterations=15, seed=0)
        >>> [round(float(toy.loss_at(alpha, 10)), 2) for alpha in (toy.center, step.alpha)]
        [9.84, 0.91]

    Attributes:
        solver: How H⁻¹ is applied. ``neumann``: ξ Σ_{j=0..k} (I − ξH)^j with the learning rate ξ of
            the inner steps, which converges if ξH has eigenvalues in (0, 2). ``cg``: k steps of
            conjugate gradients, which stop where the curvature is not positive.
        terms: k.
        damping: Added to the diagonal of H, for curvature that is small or negative.
        update: ``adam``, or ``sgd``.
        learning_rate: Of α.
        beta1: Of Adam; 0.5 as in DARTS.
        beta2: Of Adam.
        weight_decay: L2 term added to the gradient.
        epsilon: Of Adam.
        clip: As ``DARTS.clip``.

    Source: Lorraine et al., AISTATS 2020, Alg. 3 (Neumann); Rajeswaran et al., NeurIPS 2019 (CG).
    """

    solver: Literal["neumann", "cg"] = "neumann"
    terms: int = 10
    damping: float = 0.0
    update: Literal["adam", "sgd"] = "adam"
    learning_rate: float = 3e-4
    beta1: float = 0.5
    beta2: float = 0.999
    weight_decay: float = 1e-3
    epsilon: float = 1e-8
    clip: float = 0.0

    def __post_init__(self) -> None:
        check_rule(self)
        check_positive(self, "terms")
        if self.solver not in ("neumann", "cg"):
            raise ValueError(f"Implicit.solver is {self.solver!r}, expected 'neumann' or 'cg'")
        if not self.damping >= 0:
            raise ValueError(f"Implicit.damping is {self.damping}, expected >= 0")

    @property
    def evaluations(self) -> int:
        """Loss values asked for per step."""
        return 0

    @property
    def gradients(self) -> int:
        """Gradients asked for per step."""
        return 1

    def gradient_cost(self, inner_steps: int) -> GradientCost:
        """M steps, and a product with the Hessian per term; one backward pass is kept."""
        return GradientCost(inner_steps + SECOND * (self.terms + 1), 3)

    def step(
        self, objective: Objective, alpha: Tensor, memory: Memory, rng: torch.Generator
    ) -> Step:
        """One gradient step of α (d,); draws nothing.

        Raises:
            Diverged: If the loss or the gradient is not finite.
        """
        del rng  # deterministic
        return step_along(self, alpha, objective.grad(alpha, _Response(self)), memory)


@dataclass(frozen=True)
class _Response:
    """(∂ω*/∂α)ᵀ b by the implicit function theorem; see ``zarts.bilevel.objective.Through``."""

    settings: Implicit

    @property
    def steps(self) -> int:
        """The time it takes, in SGD steps of ω."""
        return SECOND * (self.settings.terms + 1)

    def __call__(
        self, problem: Problem[Any], tuned: Weights, alpha: Tensor, slope: Weights
    ) -> Tensor:
        import torch

        rule = problem.feed.inner_sgd(problem.iteration)
        batches = problem.feed.inner_batches(problem.iteration, max(1, problem.inner_steps))
        names = list(tuned)
        leaves = [tuned[name].detach().requires_grad_() for name in names]
        loss = problem.train_loss(dict(zip(names, leaves, strict=True)), alpha, batches[-1])
        gradients = torch.autograd.grad(loss, leaves, create_graph=True, materialize_grads=True)
        gradient = torch.cat([part.flatten() for part in gradients])
        shift = rule.weight_decay + self.settings.damping

        def product(vector: Tensor) -> Tensor:
            """(H + shift I) v, for v (p,)."""
            if not gradient.requires_grad:  # a loss that is linear in ω and does not read α
                return shift * vector
            parts = torch.autograd.grad(
                gradient, leaves, vector, retain_graph=True, materialize_grads=True
            )
            return torch.cat([part.flatten() for part in parts]) + shift * vector

        right = torch.cat([slope[name].flatten() for name in names])
        if self.settings.solver == "neumann":
            solved = _neumann(product, right, rule.learning_rate, self.settings.terms)
        else:
            solved = _conjugate_gradients(product, right, self.settings.terms)
        if not gradient.requires_grad:
            return torch.zeros_like(alpha)
        (mixed,) = torch.autograd.grad(gradient, alpha, solved, materialize_grads=True)
        return -mixed


def _neumann(product: Callable[[Tensor], Tensor], right: Tensor, rate: float, terms: int) -> Tensor:
    """ξ Σ_{j=0..k} (I − ξH)^j b: k more steps of SGD, told of b."""
    term, total = right, right
    for _ in range(terms):
        term = term - rate * product(term)
        total = total + term
    return rate * total


def _conjugate_gradients(product: Callable[[Tensor], Tensor], right: Tensor, steps: int) -> Tensor:
    """H x = b by Hestenes and Stiefel, from x = 0, in at most so many steps."""
    import torch

    found = torch.zeros_like(right)
    residual = direction = right
    square = residual @ residual
    for _ in range(steps):
        moved = product(direction)
        curvature = direction @ moved
        if not (curvature > 0 and square > 0):
            break
        length = square / curvature
        found = found + length * direction
        residual = residual - length * moved
        before, square = square, residual @ residual
        direction = residual + square / before * direction
    return found


METHODS = (
    Method(
        name="implicit",
        style=Style("Implicit", "#14808C", "pentagon", "dashdot"),
        optimizer=Implicit,
        gradients=True,
        preset=preset,
        paper=RELEASED,
        reach=reach,
        rate="learning_rate",
        rank=4,
        stationary=True,
    ),
)
