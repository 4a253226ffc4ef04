"""The one function everything is a view of: L_M(α) = L_val(ω*_M(α), α).

ω*_M(α) is ω after M steps of SGD on L_train(·, α). M = 0 is the first-order surface of DARTS, M = 1
its second-order one, M = 10 what ZARTS evaluates. Search, landscape and paths all ask this object.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from zarts.bilevel.alpha import Space
from zarts.bilevel.chunk import Measured, Problem, measured_at, samples_at
from zarts.bilevel.feed import Feed, Loss
from zarts.bilevel.inner import Diverged, Weights, descend, single_thread

__all__ = ["Bilevel", "Feed", "Loss", "Measured", "Objective", "Through"]

BatchT = TypeVar("BatchT")
# How ω*_M depends on α, in place of the derivative of the M steps: (problem, ω*_M, α, b) to an
# approximation of (∂ω*/∂α)ᵀ b (d,), with b the gradient of L_val by ω*_M. Its attribute ``steps``,
# if it has one, is how many inner steps it takes the time of, for ``Counted``.
Through = Callable[[Problem[Any], Weights, Tensor, Weights], Tensor]


class Objective(Protocol):
    """A scalar function of α that is pure: asking never changes it, advancing makes a new one.

    Example:
        >>> import torch
        >>> from zarts import Objective, Quadratic
        >>> def lower(objective: Objective, alpha):
        ...     return alpha - 0.1 * objective.grad(alpha)
        >>> toy = Quadratic.random().problem(inner_steps=10)
        >>> alpha = torch.ones(3, dtype=torch.float64)
        >>> bool(toy(lower(toy, alpha)) < toy(alpha))
        True
    """

    @property
    def space(self) -> Space:
        """What the entries of α mean; ``space.dim`` is their number d."""

    @property
    def inner_steps(self) -> int:
        """M, the SGD steps ω makes before the loss is taken."""

    def __call__(self, alpha: Tensor) -> Tensor:
        """Loss (scalar, float64) at α (d,); the same α gives the same number."""

    def evaluate(self, alphas: Tensor) -> Tensor:
        """Losses (n,), float64, at the rows of ``alphas`` (n, d); NaN where not finite."""

    def grad(self, alpha: Tensor, through: Through | None = None) -> Tensor:
        """Derivative (d,) of ``__call__`` at α, or what ``through`` takes for it."""

    def at(self, inner_steps: int) -> Objective:
        """The same problem with another M."""

    def advance(self, alpha: Tensor) -> Objective:
        """The problem of the next iteration: ω trained at this α, next batches."""


@dataclass(frozen=True, eq=False)  # tensors have no single truth value to compare by
class Bilevel(Generic[BatchT]):
    """L_M(α) for two losses, weights ω and a feed of batches. Supernets and toys alike.

    All candidates of one iteration see the same batches (common random numbers), and every
    evaluation runs on one thread, so a value depends on (ω, α, iteration) alone.

    Example:
        >>> from zarts import SGD, Bilevel, ListFeed, Quadratic, flat_space
        >>> toy = Quadratic.random()  # it has two losses, which need no batches
        >>> omega, feed = {"omega": toy.start}, ListFeed([None], [None], SGD(0.1))
        >>> mine = Bilevel(flat_space("mine", 3), toy.train_loss, toy.val_loss, omega, feed)
        >>> [round(float(mine.at(steps)(toy.center)), 2) for steps in (0, 1, 10)]
        [1.8, 2.5, 16.67]

    Attributes:
        space: What α means.
        train_loss: ``train_loss(weights, alpha, batch)``, a scalar: L_train.
        val_loss: The same signature: L_val.
        weights: ω; the whole state of the problem besides ``velocity``.
        feed: Batches and step rules per iteration.
        inner_steps: M.
        velocity: Momentum buffer of the outer training; None: at rest.
        inherit_velocity: Start the inner steps with ``velocity`` (DARTS-2nd as published) instead
            of at rest (default; momentum belongs to ω's own history, not to a candidate).
        iteration: Which batches and rates are current.
        lanes: How many rows ``evaluate`` takes at a time, see ``zarts.bilevel.chunk``.

    Source: ZARTS Eq. 1-3; DARTS Eq. 3-6.
    """

    space: Space
    train_loss: Loss[BatchT]
    val_loss: Loss[BatchT]
    weights: Weights
    feed: Feed[BatchT]
    inner_steps: int = 0
    velocity: Weights | None = None
    inherit_velocity: bool = False
    iteration: int = 0
    lanes: int = 1

    def __post_init__(self) -> None:
        if self.inner_steps < 0:
            raise ValueError(f"inner_steps is {self.inner_steps}, expected M >= 0")
        if self.lanes < 1:
            raise ValueError(f"lanes is {self.lanes}, expected at least 1: one α after the other")

    def __call__(self, alpha: Tensor) -> Tensor:
        """Loss at one α: ``evaluate`` of one row, there is no second path."""
        return self.evaluate(alpha.unsqueeze(0))[0]

    def evaluate(self, alphas: Tensor) -> Tensor:
        """Losses (n,) in float64 at the rows of ``alphas`` (n, d).

        NaN where a training loss diverged or the validation loss is not finite: a number is never
        invented, and the other rows are not affected.

        Raises:
            ValueError: If ``alphas`` is not (n, d).
        """
        return self.measure(alphas).loss

    def measure(self, alphas: Tensor) -> Measured:
        """What ``evaluate`` gives, with its standard error over images and their accuracy.

        All from the same forward passes; where L_val has no images (toys), the latter are NaN.

        Raises:
            ValueError: If ``alphas`` is not (n, d).
        """
        if alphas.ndim != 2:
            raise ValueError(
                f"alphas has shape {tuple(alphas.shape)}, expected (n, {self.space.dim}); "
                "for one α call objective(alpha)"
            )
        if len(alphas) == 0:
            return Measured(*torch.empty(3, 0, dtype=torch.float64))
        placed = torch.stack([self._place(alpha.detach()) for alpha in alphas])
        with single_thread():
            return measured_at(self, placed)

    def samples(self, alphas: Tensor) -> Tensor:
        """Losses (n, images), float64, of the images of L_val, whose means ``evaluate`` gives.

        NaN where an inner step is not finite; no columns where L_val has no images (toys).
        """
        placed = torch.stack([self._place(alpha.detach()) for alpha in alphas])
        with single_thread():
            return samples_at(self, placed)

    def grad(self, alpha: Tensor, through: Through | None = None) -> Tensor:
        """∇_α L_M (d,), a true derivative: for M >= 1 it passes through every inner step.

        Written as ∂L_val/∂α + (∂ω*/∂α)ᵀ ∂L_val/∂ω*, so any number of validation batches costs the
        memory of one. M = 0 is DARTS-1st; M = 1 is DARTS Eq. 7, its mixed second derivative exact.

        Args:
            alpha: α (d,).
            through: What to take for (∂ω*/∂α)ᵀ ∂L_val/∂ω* instead, as DARTS' finite difference
                (``zarts.bilevel.difference``) or an implicit gradient.

        Raises:
            Diverged: If an inner step, the validation loss or the gradient is not finite.
        """
        with single_thread(), torch.enable_grad():
            point = self._place(alpha.detach()).requires_grad_()
            tuned = self.tuned(point, differentiable=through is None)
            names = list(tuned)
            # at M = 0 nothing passes through ω, so nobody need take its gradients
            through_omega = self.inner_steps > 0 or through is not None
            leaves = {name: tuned[name].detach().requires_grad_(through_omega) for name in names}
            batches = self.val_batches()
            direct = torch.zeros_like(point)
            slopes: list[Tensor] = []
            for batch in batches:
                loss = self.val_loss(leaves, point, batch) / len(batches)
                if not math.isfinite(float(loss.detach())):
                    raise Diverged("the validation loss", self.inner_steps)
                if not loss.requires_grad:  # a loss that does not read α
                    continue
                wanted = [point, *(leaves.values() if through_omega else ())]
                first, *rest = torch.autograd.grad(loss, wanted, materialize_grads=True)
                direct = direct + first
                slopes = [a + b for a, b in zip(slopes, rest, strict=True)] if slopes else rest
            if slopes and through is not None:
                slope = dict(zip(names, slopes, strict=True))
                direct = direct + through(self, tuned, point, slope)
            elif slopes:
                (chained,) = torch.autograd.grad(
                    [tuned[name] for name in names],
                    point,
                    grad_outputs=slopes,
                    materialize_grads=True,
                )
                direct = direct + chained
        if not direct.isfinite().all():
            raise Diverged("the gradient of α", self.inner_steps)
        return direct.detach().to(alpha)

    def at(self, inner_steps: int) -> Bilevel[BatchT]:
        """The same ω, batches and rates with another M."""
        return replace(self, inner_steps=inner_steps)

    def advance(self, alpha: Tensor) -> Bilevel[BatchT]:
        """Trains ω on the outer batches of this iteration at fixed α: the next iteration's problem.

        Raises:
            Diverged: If a training loss is not finite.
        """
        point = self._place(alpha.detach())
        with single_thread():
            weights, velocity = descend(
                lambda weights, batch: self.train_loss(weights, point, batch),
                self.weights,
                self.feed.train_batches(self.iteration),
                self.feed.outer_sgd(self.iteration),
                self.velocity,
            )
        return replace(self, weights=weights, velocity=velocity, iteration=self.iteration + 1)

    def tuned(self, alpha: Tensor, *, differentiable: bool = False) -> Weights:
        """ω*_M(α): a fine-tuned copy of ω; ω itself and its velocity stay as they are.

        The building block of ``evaluate`` and ``grad``; here α has the device and type of ω.

        Raises:
            Diverged: If an inner step is not finite.
        """
        weights, _ = descend(
            lambda weights, batch: self.train_loss(weights, alpha, batch),
            self.weights,
            self.feed.inner_batches(self.iteration, self.inner_steps) if self.inner_steps else (),
            self.feed.inner_sgd(self.iteration),
            self.velocity if self.inherit_velocity else None,
            differentiable=differentiable,
        )
        return weights

    def val_batches(self) -> Sequence[BatchT]:
        """The batches L_val is taken over.

        Raises:
            ValueError: If the feed gives none.
        """
        batches = self.feed.val_batches(self.iteration)
        if not batches:
            raise ValueError("the feed gives no validation batch; it must give at least one")
        return batches

    def _place(self, alpha: Tensor) -> Tensor:
        self.space.check(alpha)
        some = next(iter(self.weights.values()))
        return alpha.to(device=some.device, dtype=some.dtype)
