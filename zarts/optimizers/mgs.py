"""ZARTS-MGS: maximum-likelihood guided search by importance sampling, the paper's default."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from zarts.optimizers.method import GradientCost, Method, Style, Walk, zarts_loop
from zarts.optimizers.sampling import ball, check_positive, check_types

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from zarts.bilevel.objective import Objective
    from zarts.bilevel.search import Memory, Step

__all__ = ["METHODS", "MGS", "importance_weights"]


@dataclass(frozen=True)
class MGS:
    """α ← α + Σ_i w_i u_i with u_i ~ q, w_i the importance weights of p(u) ∝ exp(−ΔL(u)/τ).

    Example:
        >>> from zarts import MGS, Quadratic, search
        >>> toy = Quadratic.random()
        >>> rule = MGS(sigma=0.1)
        >>> *_, (step, _) = search(toy.problem(10), rule, toy.center, iterations=15, seed=0)
        >>> [round(float(toy.loss_at(alpha, 10)), 2) for alpha in (toy.center, step.alpha)]
        [9.84, 0.93]

    Attributes:
        samples: N = 4 in the paper.
        sigma: σ, the standard deviation of the Gaussians, or the radius ε of the ball. 0.025 in the
            DARTS space, 0.2 in S1-S4 (released scripts).
        temperature: τ = 0.01 (released scripts).
        proposal: What q is.
            ``gaussian``: N(0, σ²I), needs no gradient (default).
            ``ball``: uniform on ‖u‖ <= σ, the set of Prop. 1; ``softmax`` and ``exact`` coincide.
            ``grad``: N(−(1−λ)g, ((1−λ)²+λ²)σ²I) with g = ∇_α L_0; what the released code samples.
            ``mixture``: N(−g, σ²I) with probability 1 − λ, else N(0, σ²I) (the search it builds on,
            Welleck & Cho 2020).
        weighting: ``softmax``: w ∝ exp(−ΔL/τ), exact for the target q(u)·exp(−ΔL/τ), i.e. with q as
            the prior of u. ``exact``: w ∝ exp(−ΔL/τ)/q(u), Eq. 8 to the letter; with a Gaussian q
            in many dimensions it collapses onto the sample farthest from the mean of q.
        mix: λ = 1e-3 (released scripts).

    Candidates whose loss is not finite get weight zero; if none is left, α stays.

    Source: ZARTS Eq. 5-8 and Prop. 1.
    """

    samples: int = 4
    sigma: float = 0.025
    temperature: float = 0.01
    proposal: Literal["gaussian", "ball", "grad", "mixture"] = "gaussian"
    weighting: Literal["softmax", "exact"] = "softmax"
    mix: float = 1e-3

    def __post_init__(self) -> None:
        check_types(self)
        check_positive(self, "samples", "sigma", "temperature")
        if self.proposal not in ("gaussian", "ball", "grad", "mixture"):
            raise ValueError(
                f"proposal is {self.proposal!r}, expected 'gaussian', 'ball', 'grad' or 'mixture'"
            )
        if self.weighting not in ("softmax", "exact"):
            raise ValueError(f"weighting is {self.weighting!r}, expected 'softmax' or 'exact'")
        if not 0 <= self.mix <= 1:
            raise ValueError(f"mix is {self.mix}, expected a number in [0, 1]")

    @property
    def evaluations(self) -> int:
        """Loss values asked for per step."""
        return self.samples

    @property
    def gradients(self) -> int:
        """Gradients asked for per step."""
        return int(self.proposal in ("grad", "mixture"))

    def gradient_cost(self, inner_steps: int) -> GradientCost:
        """That of L_0, around which a guided proposal lies."""
        del inner_steps
        return GradientCost(0, 1)

    def step(
        self, objective: Objective, alpha: Tensor, memory: Memory, rng: torch.Generator
    ) -> Step:
        """One update of α (d,) from ``evaluations`` values (and ``gradients``) of the objective.

        Raises:
            Diverged: If a guided proposal needs a gradient that is not finite.
        """
        import torch

        from zarts.bilevel.search import Step

        del memory  # memoryless
        deltas, log_density = self._propose(objective, alpha, rng)
        candidates = alpha + deltas
        losses = objective.evaluate(candidates)
        weights = importance_weights(
            losses, self.temperature, log_density if self.weighting == "exact" else None
        )
        change = (weights @ deltas.double()).to(alpha)
        square = float(weights @ weights)
        return Step(
            alpha=alpha + change,
            loss=math.nan,  # L(α) cancels in the weights, so it is not asked for
            candidates=candidates,
            losses=losses,
            weights=weights,
            diagnostics={
                "update_norm": float(torch.linalg.vector_norm(change)),
                "ess": 1 / square if square else 0.0,  # Kish
                # sqrt(mean (N w − 1)²): what the released code logs under the name ESS
                "cv": float(((self.samples * weights - 1) ** 2).mean().sqrt()),
                "dropped": float((~losses.isfinite()).sum()),
            },
        )

    def _propose(
        self, objective: Objective, alpha: Tensor, rng: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draws u (n, d) ~ q; returns them and log q(u) (n,) in float64 up to a constant."""
        import torch

        if self.proposal == "ball":
            deltas = self.sigma * ball(self.samples, alpha, rng)
            return deltas, torch.zeros(self.samples, dtype=torch.float64)
        normal = torch.randn(self.samples, alpha.numel(), generator=rng, dtype=alpha.dtype)
        if self.proposal == "gaussian":
            deltas = self.sigma * normal
            return deltas, _log_gaussian(deltas, torch.zeros_like(alpha), self.sigma)
        gradient = objective.at(0).grad(alpha)
        if self.proposal == "grad":
            center = -(1 - self.mix) * gradient
            width = self.sigma * math.hypot(1 - self.mix, self.mix)
            deltas = center + width * normal
            return deltas, _log_gaussian(deltas, center, width)
        prior = torch.rand(self.samples, 1, generator=rng) < self.mix
        deltas = torch.where(prior, torch.zeros_like(gradient), -gradient) + self.sigma * normal
        parts = torch.stack(
            [
                _log_gaussian(deltas, -gradient, self.sigma) + _log(1 - self.mix),
                _log_gaussian(deltas, torch.zeros_like(alpha), self.sigma) + _log(self.mix),
            ]
        )
        return deltas, parts.logsumexp(0)


def importance_weights(
    losses: Tensor, temperature: float, log_density: Tensor | None = None
) -> Tensor:
    """Self-normalised weights (n,), float64, ∝ exp(−L_i/τ) [/ q(u_i)], computed in log space.

    Args:
        losses: (n,); a constant added to all cancels. Not finite: weight zero.
        temperature: τ.
        log_density: log q(u_i) (n,) up to a constant, or None for 1/q left out.

    Source: ZARTS Eq. 8, in log space because exp overflows float32 at ΔL < −0.89 for τ = 0.01.
    """
    import torch

    kept = losses.isfinite()
    if not kept.any():
        return torch.zeros_like(losses, dtype=torch.float64)
    # differences first: exact for close losses, however large they are beside τ
    scores = -(losses.double() - losses[kept].double().min()) / temperature
    if log_density is not None:
        scores = scores - log_density.double()
    scores = scores.masked_fill(~kept, -math.inf)
    return (scores - scores.logsumexp(0)).exp()


def _log_gaussian(deltas: Tensor, center: Tensor, width: float) -> Tensor:
    return -((deltas - center).double() ** 2).sum(1) / (2 * width**2)


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf


def _preset(base: str, small: bool) -> dict[str, Any]:
    # released scripts: σ = 0.025 in the DARTS space, 0.2 in S1-S4
    own = {"samples": 4, "sigma": 0.2 if small else 0.025, "temperature": 0.01}
    return zarts_loop(base) | {"optimizer": own}


def _reach(paths: Walk, dim: int, length: float) -> dict[str, Any]:
    """Draws of this length on average: the mean of a Gaussian one is σ √2 Γ((d+1)/2)/Γ(d/2)."""
    mean = math.sqrt(2) * math.exp(math.lgamma((dim + 1) / 2) - math.lgamma(dim / 2))
    return {"samples": paths.samples, "sigma": length / mean, "temperature": paths.temperature}


METHODS = (
    Method(
        name="zarts-mgs",
        style=Style("ZARTS-MGS", "#009E73", "square", "solid"),
        optimizer=MGS,
        preset=_preset,
        # around the first-order gradient
        paper={"samples": 4, "sigma": 1e-3, "temperature": 1.0, "mix": 0.1, "proposal": "grad"},
        reach=_reach,
        rank=12,
    ),
)
