"""The losses of many α: one after the other with their common work done once, or all at once.

One by one is for CPUs, where a candidate should stay in the cache; a value does not depend on what
else is in the chunk. Stacked is for GPUs, where a launch costs more than the arithmetic of one
candidate: all share every launch, and a value may differ in its last digits with the size of the
chunk. Which one a problem uses is ``Bilevel.stacked``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from zarts.feed import Feed, Loss
from zarts.inner import Diverged, Weights, descend_stacked

__all__ = ["Problem", "one_by_one", "stacked"]

BatchT = TypeVar("BatchT")


class Problem(Protocol[BatchT]):
    """What is asked of a problem; ``zarts.objective.Bilevel`` says what each means."""

    @property
    def train_loss(self) -> Loss[BatchT]: ...  # noqa: D102
    @property
    def val_loss(self) -> Loss[BatchT]: ...  # noqa: D102
    @property
    def weights(self) -> Weights: ...  # noqa: D102
    @property
    def velocity(self) -> Weights | None: ...  # noqa: D102
    @property
    def inherit_velocity(self) -> bool: ...  # noqa: D102
    @property
    def feed(self) -> Feed[BatchT]: ...  # noqa: D102
    @property
    def iteration(self) -> int: ...  # noqa: D102
    @property
    def inner_steps(self) -> int: ...  # noqa: D102

    def tuned(self, alpha: Tensor) -> Weights:
        """ω*_M(α)."""

    def val_batches(self) -> Sequence[BatchT]:
        """The batches of L_val."""


def one_by_one(problem: Problem[BatchT], alphas: Tensor) -> list[float]:
    """L_M at each row of ``alphas`` (n, d), NaN where it is not finite.

    At M = 0 all candidates have the same ω, so what does not depend on α is done once per batch.
    """
    if problem.inner_steps == 0:
        return _scores(problem, problem.weights, alphas)
    losses = []
    for alpha in alphas:
        try:
            losses += _scores(problem, problem.tuned(alpha), alpha.unsqueeze(0))
        except Diverged:
            losses.append(math.nan)
    return losses


def _scores(problem: Problem[BatchT], weights: Weights, alphas: Tensor) -> list[float]:
    """L_val at fixed ω."""
    batches = problem.val_batches()
    with torch.no_grad():
        table = [_many(problem.val_loss, weights, alphas, batch).tolist() for batch in batches]
    return [_mean(column) for column in zip(*table, strict=True)]


def _many(loss: Loss[BatchT], weights: Weights, alphas: Tensor, batch: BatchT) -> Tensor:
    """Losses (n,) at the rows of ``alphas``; a loss may know a faster way to take many."""
    many = getattr(loss, "many", None)
    if many is None:
        return torch.stack([loss(weights, alpha, batch) for alpha in alphas])
    found: Tensor = many(weights, alphas, batch)
    return found


def _mean(losses: Sequence[float]) -> float:
    return math.fsum(losses) / len(losses) if all(map(math.isfinite, losses)) else math.nan


def stacked(problem: Problem[BatchT], alphas: Tensor) -> list[float]:
    """L_M at each row of ``alphas`` (n, d), all in one pass; NaN where it is not finite."""
    count, steps = len(alphas), problem.inner_steps
    batches = problem.val_batches()
    weights: Weights = problem.weights
    alive = torch.ones(count, dtype=torch.bool, device=alphas.device)
    if steps:
        velocity = problem.velocity if problem.inherit_velocity else None
        weights, alive = descend_stacked(
            lambda weights, batch: _at_once(problem.train_loss, weights, alphas, batch, own=True),
            _repeat(weights, count),
            problem.feed.inner_batches(problem.iteration, steps),
            problem.feed.inner_sgd(problem.iteration),
            _repeat(velocity, count) if velocity else None,
        )
    with torch.no_grad():
        table = torch.stack(
            [
                _at_once(problem.val_loss, weights, alphas, batch, own=steps > 0).double()
                for batch in batches
            ]
        )
    alive = alive & table.isfinite().all(0)
    return torch.where(alive, table.mean(0), math.nan).tolist()


def _at_once(
    loss: Loss[BatchT], weights: Weights, alphas: Tensor, batch: BatchT, *, own: bool
) -> Tensor:
    """Losses (n,) with one ω for all, or each with its own row of ω (n, ...)."""
    # "same": what a batch draws is the same for every candidate (common random numbers)
    run = torch.func.vmap(
        lambda weights, alpha: loss(weights, alpha, batch),
        in_dims=(0 if own else None, 0),
        randomness="same",
    )
    found: Tensor = run(dict(weights), alphas)
    return found


def _repeat(weights: Weights, count: int) -> Weights:
    return {name: weight.expand(count, *weight.shape) for name, weight in weights.items()}
