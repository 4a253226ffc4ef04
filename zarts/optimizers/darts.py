"""DARTS: gradient descent on α, first or second order (Liu et al., ICLR 2019)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from zarts.difference import Hypergradient
from zarts.objective import Objective
from zarts.optimizers.sampling import check_positive, check_types
from zarts.search import Memory, Step

__all__ = ["DARTS"]


@dataclass(frozen=True)
class DARTS:
    """Descends ∇_α L_{k-1} for order k: L_0 (ω fixed) or L_1 (ω makes one virtual step).

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

    Source: DARTS Eq. 6-8 and its released search settings.
    """

    order: int = 1
    hypergradient: Hypergradient = "exact"
    update: Literal["adam", "sgd"] = "adam"
    learning_rate: float = 3e-4
    beta1: float = 0.5
    beta2: float = 0.999
    weight_decay: float = 1e-3
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        check_types(self)
        check_positive(self, "learning_rate", "epsilon")
        if self.order not in (1, 2):
            raise ValueError(f"DARTS.order is {self.order}, expected 1 or 2")
        if self.hypergradient not in (("exact",) if self.order == 1 else ("exact", "difference")):
            raise ValueError(
                f"DARTS.hypergradient is {self.hypergradient!r} with order {self.order}, expected "
                "'exact', or 'difference' with order 2"
            )
        if self.update not in ("adam", "sgd"):
            raise ValueError(f"DARTS.update is {self.update!r}, expected 'adam' or 'sgd'")
        if not (0 <= self.beta1 < 1 and 0 <= self.beta2 < 1):
            raise ValueError(f"betas are ({self.beta1}, {self.beta2}), expected numbers in [0, 1)")
        if not self.weight_decay >= 0:
            raise ValueError(f"DARTS.weight_decay is {self.weight_decay}, expected >= 0")

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
            Diverged: If the loss is not finite.
        """
        del rng  # deterministic
        gradient = objective.at(self.order - 1).grad(alpha, self.hypergradient)
        slope = gradient + self.weight_decay * alpha
        if self.update == "sgd":
            change, memory = -self.learning_rate * slope, {}
        else:
            change, memory = self._adam(slope, memory)
        return Step(
            alpha=alpha + change,
            loss=math.nan,
            candidates=alpha.new_empty(0, alpha.numel()),
            losses=torch.empty(0, dtype=torch.float64),
            memory=memory,
            diagnostics={
                "update_norm": float(torch.linalg.vector_norm(change)),
                "gradient_norm": float(torch.linalg.vector_norm(gradient)),
            },
        )

    def _adam(self, slope: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Kingma & Ba 2015, Alg. 1, with the bias corrections of ``torch.optim.Adam``."""
        zero = torch.zeros_like(slope)
        count = int(memory.get("count", torch.zeros((), dtype=torch.int64))) + 1
        first = self.beta1 * memory.get("first", zero) + (1 - self.beta1) * slope
        second = self.beta2 * memory.get("second", zero) + (1 - self.beta2) * slope**2
        scale = (second / (1 - self.beta2**count)).sqrt() + self.epsilon
        change = -self.learning_rate / (1 - self.beta1**count) * first / scale
        return change, {"first": first, "second": second, "count": torch.tensor(count)}
