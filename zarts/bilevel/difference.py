"""How DARTS' released code differentiates through its one step of ω: a finite difference."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from zarts.bilevel.chunk import Problem
from zarts.bilevel.inner import Weights

__all__ = ["through_step"]

BatchT = TypeVar("BatchT")
RADIUS = 0.01  # how far ω is moved


def through_step(problem: Problem[BatchT], tuned: Weights, alpha: Tensor, slope: Weights) -> Tensor:
    """(∂ω*_1/∂α)ᵀ b (d,), of one step at rate η, by a central difference of ∇_α L_train along b.

    − η [∇_α L_train(ω + r b, α) − ∇_α L_train(ω − r b, α)] / (2r) with r = 0.01/‖b‖. It converges
    to the derivative as 0.01 is lowered where the loss is smooth; kinks of ReLU and max-pool within
    that distance count as they come.

    Args:
        problem: The bilevel problem with M = 1; its ω never changes.
        tuned: ω*_1; the formula does not ask for it.
        alpha: α (d,), a leaf that requires a gradient.
        slope: b, the gradient of L_val by ω*_1.

    Raises:
        ValueError: If the problem has another M, or a clip, which this formula leaves out.

    Source: DARTS Eq. 8 and its released code.
    """
    del tuned
    rule = problem.feed.inner_sgd(problem.iteration)
    if problem.inner_steps != 1 or rule.clip is not None:
        raise ValueError(
            f"got M = {problem.inner_steps} and inner clip {rule.clip}, expected M = 1 and no clip "
            "for DARTS' finite difference; set search.inner_clip=0 (in Python inner=SGD(…, "
            "clip=None)) or hypergradient=exact"
        )
    (batch,) = problem.feed.inner_batches(problem.iteration, 1)
    length = torch.cat([part.flatten() for part in slope.values()]).norm()
    if length == 0:
        return torch.zeros_like(alpha)
    radius = RADIUS / length

    def slope_at(shift: Tensor) -> Tensor:
        moved = {name: weight + shift * slope[name] for name, weight in problem.weights.items()}
        loss = problem.train_loss(moved, alpha, batch)
        if not loss.requires_grad:  # it does not read α
            return torch.zeros_like(alpha)
        (found,) = torch.autograd.grad(loss, alpha)
        return found

    change = slope_at(radius) - slope_at(-radius)
    return change.mul(-rule.learning_rate / (2 * float(radius)))
