"""Problems with closed forms, of the same class as the supernets: the oracle of all other parts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zarts.bilevel.alpha import flat_space
from zarts.bilevel.inner import SGD, Weights
from zarts.bilevel.objective import Bilevel
from zarts.bilevel.rng import generator

__all__ = ["CLASSICS", "ConstantFeed", "Quadratic", "classic", "darts_example"]

PLAIN = SGD(learning_rate=0.1, momentum=0.0, weight_decay=0.0, clip=None)


@dataclass(frozen=True)
class ConstantFeed:
    """A feed without data: every batch is None and the step rules never change.

    Attributes:
        outer: Rule of the outer training.
        inner: Rule of the inner steps.
        outer_steps: Training steps per iteration.
    """

    outer: SGD = PLAIN
    inner: SGD = PLAIN
    outer_steps: int = 1

    def train_batches(self, iteration: int) -> Sequence[None]:
        """One None per outer step."""
        del iteration
        return [None] * self.outer_steps

    def inner_batches(self, iteration: int, steps: int) -> Sequence[None]:
        """One None per inner step."""
        del iteration
        return [None] * steps

    def val_batches(self, iteration: int) -> Sequence[None]:
        """A single None."""
        del iteration
        return [None]

    def outer_sgd(self, iteration: int) -> SGD:
        """The constant outer rule."""
        del iteration
        return self.outer

    def inner_sgd(self, iteration: int) -> SGD:
        """The constant inner rule."""
        del iteration
        return self.inner


@dataclass(frozen=True)
class Quadratic:
    """L_train = ½(ω − Aα)ᵀH(ω − Aα),  L_val = ½‖ω − c‖² + ½(α − b)ᵀD(α − b).

    The response is ω*(α) = Aα, and M plain gradient steps from ω₀ give
    ω*_M(α) = Aα + (I − ξH)^M (ω₀ − Aα), so every L_M, its gradient and its minimum are known. All
    matrices are asymmetric or of unequal sizes on purpose: an exchange of axes changes the numbers.

    Example:
        >>> import torch
        >>> from zarts import Quadratic
        >>> toy = Quadratic.random(dim=4)
        >>> best = toy.minimum(steps=10)
        >>> bool(torch.isclose(toy.problem(inner_steps=10)(best), toy.loss_at(best, 10)))
        True

    Attributes:
        response: A (p, d).
        curvature: H (p, p), symmetric positive definite.
        target: c (p,).
        center: b (d,).
        penalty: Diagonal of D (d,).
        start: ω₀ (p,).
    """

    response: Tensor
    curvature: Tensor
    target: Tensor
    center: Tensor
    penalty: Tensor
    start: Tensor

    @classmethod
    def random(cls, dim: int = 3, weights: int = 2, seed: int = 0) -> Quadratic:
        """Draws a well-conditioned problem in float64 with d = ``dim`` and p = ``weights``."""
        rng = generator(seed, "toy", dim, weights)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=rng, dtype=torch.float64)

        factor = normal(weights, weights)
        return cls(
            response=normal(weights, dim),
            curvature=torch.eye(weights, dtype=torch.float64) + 0.3 * factor @ factor.T,
            target=normal(weights),
            center=normal(dim),
            penalty=torch.linspace(0.2, 1.0, dim, dtype=torch.float64),
            start=normal(weights),
        )

    @property
    def dim(self) -> int:
        """d, the number of entries of α."""
        return self.response.shape[1]

    def train_loss(self, weights: Weights, alpha: Tensor, batch: None) -> Tensor:
        """L_train (scalar)."""
        del batch
        gap = weights["omega"] - self.response @ alpha
        return 0.5 * gap @ self.curvature @ gap

    def val_loss(self, weights: Weights, alpha: Tensor, batch: None) -> Tensor:
        """L_val (scalar)."""
        del batch
        miss = weights["omega"] - self.target
        away = alpha - self.center
        return 0.5 * miss @ miss + 0.5 * (self.penalty * away) @ away

    def problem(
        self, inner_steps: int = 0, inner: SGD = PLAIN, outer: SGD = PLAIN
    ) -> Bilevel[None]:
        """The bilevel objective with ω = ω₀."""
        return Bilevel(
            space=flat_space("quadratic", self.dim),
            train_loss=self.train_loss,
            val_loss=self.val_loss,
            weights={"omega": self.start},
            feed=ConstantFeed(outer=outer, inner=inner),
            inner_steps=inner_steps,
        )

    def _decay(self, steps: float, rate: float) -> Tensor:
        """(I − ξH)^M; zero for M = ∞."""
        identity = torch.eye(len(self.start), dtype=self.start.dtype)
        if math.isinf(steps):
            return torch.zeros_like(identity)
        shrink: Tensor = torch.linalg.matrix_power(identity - rate * self.curvature, int(steps))
        return shrink

    def weights_at(self, alpha: Tensor, steps: float, rate: float = PLAIN.learning_rate) -> Tensor:
        """ω*_M(α) (p,) of plain gradient descent; ``steps`` may be infinite."""
        optimum = self.response @ alpha
        return optimum + self._decay(steps, rate) @ (self.start - optimum)

    def loss_at(self, alpha: Tensor, steps: float, rate: float = PLAIN.learning_rate) -> Tensor:
        """L_M(α) (scalar) in closed form."""
        return self.val_loss({"omega": self.weights_at(alpha, steps, rate)}, alpha, None)

    def gradient_at(self, alpha: Tensor, steps: float, rate: float = PLAIN.learning_rate) -> Tensor:
        """∇L_M(α) (d,) in closed form."""
        moved = self._response(steps, rate)
        miss = self.weights_at(alpha, steps, rate) - self.target
        return moved.T @ miss + self.penalty * (alpha - self.center)

    def minimum(self, steps: float, rate: float = PLAIN.learning_rate) -> Tensor:
        """The minimiser of L_M (d,): the solution of a linear system."""
        zero = torch.zeros(self.dim, dtype=self.start.dtype)
        offset = self.gradient_at(zero, steps, rate)
        best: Tensor = torch.linalg.solve(self.hessian(steps, rate), -offset)
        return best

    def hessian(self, steps: float, rate: float = PLAIN.learning_rate) -> Tensor:
        """∇²L_M (d, d), the same at every α."""
        moved = self._response(steps, rate)
        return moved.T @ moved + torch.diag(self.penalty)

    def _response(self, steps: float, rate: float) -> Tensor:
        """∂ω*_M/∂α (p, d)."""
        identity = torch.eye(len(self.start), dtype=self.start.dtype)
        return (identity - self._decay(steps, rate)) @ self.response


def darts_example(inner_steps: int = 0, inner: SGD = PLAIN, outer: SGD = PLAIN) -> Bilevel[None]:
    """DARTS' own example: L_val = αω − 2α + 1, L_train = ω² − 2αω + α², from ω = −2 (and α = 2).

    ω*(α) = α, so L_∞(α) = (α − 1)² with its minimum at 1; the first-order L_0 = α(ω − 2) + 1 has
    none.

    Source: DARTS Fig. 2.
    """

    def train_loss(weights: Weights, alpha: Tensor, batch: None) -> Tensor:
        del batch
        return ((weights["omega"] - alpha) ** 2).sum()

    def val_loss(weights: Weights, alpha: Tensor, batch: None) -> Tensor:
        del batch
        return (alpha * weights["omega"] - 2 * alpha + 1).sum()

    return Bilevel(
        space=flat_space("darts-example", 1),
        train_loss=train_loss,
        val_loss=val_loss,
        weights={"omega": torch.tensor([-2.0], dtype=torch.float64)},
        feed=ConstantFeed(outer=outer, inner=inner),
        inner_steps=inner_steps,
    )


def _bowl(alpha: Tensor) -> Tensor:
    return 0.5 * (torch.linspace(0.5, 2.0, alpha.numel(), dtype=alpha.dtype) * alpha**2).sum()


def _rosenbrock(alpha: Tensor) -> Tensor:
    ahead, behind = alpha[1:], alpha[:-1]
    return (100 * (ahead - behind**2) ** 2 + (1 - behind) ** 2).sum()


def _rastrigin(alpha: Tensor) -> Tensor:
    return (10 + alpha**2 - 10 * torch.cos(2 * math.pi * alpha)).sum()


# Single-level functions with minimum 0, at 0 (bowl, Rastrigin) or at 1 (Rosenbrock).
CLASSICS: dict[str, Callable[[Tensor], Tensor]] = {
    "bowl": _bowl,
    "rosenbrock": _rosenbrock,
    "rastrigin": _rastrigin,
}


def classic(name: str, dim: int = 3, inner_steps: int = 0) -> Bilevel[None]:
    """A single-level classic as a bilevel problem: weights do not matter, all L_M are the same.

    Raises:
        ValueError: If the name is unknown or the function has no such dimension.
    """
    if name not in CLASSICS:
        raise ValueError(f"unknown function {name!r}, expected one of {sorted(CLASSICS)}")
    if dim < 1 + (name == "rosenbrock"):
        raise ValueError(f"{name} in {dim} dimensions is constant; use more")
    function = CLASSICS[name]

    def train_loss(weights: Weights, alpha: Tensor, batch: None) -> Tensor:
        del alpha, batch
        return (weights["omega"] ** 2).sum()

    def val_loss(weights: Weights, alpha: Tensor, batch: None) -> Tensor:
        del weights, batch
        return function(alpha)

    return Bilevel(
        space=flat_space(name, dim),
        train_loss=train_loss,
        val_loss=val_loss,
        weights={"omega": torch.ones(1, dtype=torch.float64)},
        feed=ConstantFeed(),
        inner_steps=inner_steps,
    )
