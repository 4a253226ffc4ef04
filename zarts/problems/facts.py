"""What programs may ask of an epoch, by name: ``Need`` in ``zarts.settings.stages``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from torch import Tensor

from zarts.bilevel.alpha import Space
from zarts.bilevel.curvature import hessian, largest_eigenvalue
from zarts.bilevel.inner import Weights
from zarts.problems.build import Problem

__all__ = ["FACTS", "Fact"]

DECAY = 1e-3  # of α in DARTS, part of the loss whose curvature RobustDARTS takes
PASSES = 8  # forward passes that a derivative of the gradient takes the time of (6 to 9, measured)


class Fact(NamedTuple):
    """A number of an epoch.

    Attributes:
        measure: From the problem of the stage, ω and α (d,) at the end of an epoch, and the number
            of iterations done.
        passes: Its time in forward passes over a batch of D_val, by the space.
    """

    measure: Callable[[Problem, Weights, Tensor, int], float]
    passes: Callable[[Space], int]


def lambda_max(problem: Problem, weights: Weights, alpha: Tensor, iteration: int) -> float:
    """The largest eigenvalue of ∇²_α (L_val + 1e-3/2 ‖α‖²), at fixed ω.

    L_val is over the batch that the last update of α saw; nothing is dropped.

    Source: R-DARTS §4 and its released code, which takes such a batch and adds the decay of α.
    """
    feed, some = problem.feed, next(iter(weights.values()))
    strengths = feed.strengths(feed.epoch(iteration - 1)).without_drops()
    batches = [
        replace(batch, chance=strengths.chance(batch.chance.key))
        for batch in feed.val_batches(iteration - 1)
    ]

    def loss(point: Tensor) -> Tensor:
        losses = [problem.loss(weights, point, batch) for batch in batches]
        return sum(losses[1:], start=losses[0]) / len(losses)

    return largest_eigenvalue(hessian(loss, alpha.to(some))) + DECAY


FACTS: dict[str, Fact] = {"lambda_max": Fact(lambda_max, lambda space: PASSES * space.dim)}
