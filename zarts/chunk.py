"""The losses of many α: one after the other, or a few at a time side by side.

One after the other, what does not depend on α is done once at M = 0. Side by side, the candidates
are further channels of one network, each with its own ω: small images and GPUs, where a call costs
more than its arithmetic, share the calls. There are always as many of them as the problem has
``lanes``, the last ones repeated if need be, and no lane sees another. So whatever else is asked
for in the same call, a value is the same to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from zarts.feed import Feed, Loss
from zarts.inner import Diverged, Weights, descend_stacked

__all__ = ["Problem", "losses_at", "samples_at"]

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
    @property
    def lanes(self) -> int: ...  # noqa: D102

    def tuned(self, alpha: Tensor) -> Weights:
        """ω*_M(α)."""

    def val_batches(self) -> Sequence[BatchT]:
        """The batches of L_val."""


def losses_at(problem: Problem[BatchT], alphas: Tensor) -> list[float]:
    """L_M at each row of ``alphas`` (n, d), NaN where it is not finite."""
    # candidates without ω of their own do better to share what does not depend on α
    alike = problem.inner_steps == 0
    return (_one_by_one if problem.lanes == 1 or alike else _side_by_side)(problem, alphas)


def samples_at(problem: Problem[BatchT], alphas: Tensor) -> Tensor:
    """Losses (n, images), float64, of the single images behind L_M at the rows of ``alphas``.

    NaN where an inner step is not finite; no columns if the loss does not know its images apart.
    """
    apart = getattr(problem.val_loss, "apart", None)
    if apart is None:
        return torch.empty(len(alphas), 0, dtype=torch.float64)
    found = []
    for rows in alphas.split(problem.lanes):
        full = _filled(rows, problem.lanes)
        weights, alive = _tuned(problem, full)
        with torch.inference_mode():
            losses = [apart(weights, full, batch).double() for batch in problem.val_batches()]
        kept = torch.where(alive.unsqueeze(1), torch.cat(losses, dim=1), math.nan)
        found.append(kept[: len(rows)].cpu())
    return torch.cat(found)


def _tuned(problem: Problem[BatchT], alphas: Tensor) -> tuple[Weights, Tensor]:
    """ω*_M (n, ...) of each row, by the same calls as in ``losses_at``, and which are finite."""
    if problem.lanes > 1:
        return _tuned_stack(problem, alphas)
    try:
        weights, alive = problem.tuned(alphas[0]), True
    except Diverged:
        weights, alive = problem.weights, False
    return _repeat(weights, 1), torch.tensor([alive], device=alphas.device)


def _one_by_one(problem: Problem[BatchT], alphas: Tensor) -> list[float]:
    """L_M at each row of ``alphas``.

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
    with torch.inference_mode():
        table = [_many(problem.val_loss, weights, alphas, batch) for batch in batches]
        found = torch.stack(table).tolist()  # the one read, which a GPU is waited for
    return [_mean(column) for column in zip(*found, strict=True)]


def _many(loss: Loss[BatchT], weights: Weights, alphas: Tensor, batch: BatchT) -> Tensor:
    """Losses (n,) at the rows of ``alphas``; a loss may know a faster way to take many."""
    many = getattr(loss, "many", None)
    if many is None:
        return torch.stack([loss(weights, alpha, batch) for alpha in alphas])
    found: Tensor = many(weights, alphas, batch)
    return found


def _mean(losses: Sequence[float]) -> float:
    return math.fsum(losses) / len(losses) if all(map(math.isfinite, losses)) else math.nan


def _side_by_side(problem: Problem[BatchT], alphas: Tensor) -> list[float]:
    """L_M at each row of ``alphas`` (n, d), ``lanes`` rows at a time; NaN where not finite."""
    losses: list[float] = []
    for rows in alphas.split(problem.lanes):
        losses += _stack(problem, _filled(rows, problem.lanes))[: len(rows)]
    return losses


def _filled(rows: Tensor, count: int) -> Tensor:
    """So many rows of α, the last one repeated if need be."""
    missing = count - len(rows)
    return torch.cat([rows, rows[-1:].expand(missing, -1)]) if missing else rows


def _stack(problem: Problem[BatchT], alphas: Tensor) -> list[float]:
    """L_M at each of ``lanes`` rows of α, each with its own ω."""
    weights, alive = _tuned_stack(problem, alphas)
    batches = problem.val_batches()
    with torch.inference_mode():
        table = torch.stack(
            [_each(problem.val_loss, weights, alphas, batch).double() for batch in batches]
        )
    alive = alive & table.isfinite().all(0)
    return torch.where(alive, table.mean(0), math.nan).tolist()


def _tuned_stack(problem: Problem[BatchT], alphas: Tensor) -> tuple[Weights, Tensor]:
    """ω*_M (n, ...) of each of n rows side by side, and which of them stayed finite."""
    count, steps = len(alphas), problem.inner_steps
    weights = _repeat(problem.weights, count)
    alive = torch.ones(count, dtype=torch.bool, device=alphas.device)
    if steps:
        velocity = problem.velocity if problem.inherit_velocity else None
        weights, alive = descend_stacked(
            lambda weights, batch: _each(problem.train_loss, weights, alphas, batch),
            weights,
            problem.feed.inner_batches(problem.iteration, steps),
            problem.feed.inner_sgd(problem.iteration),
            _repeat(velocity, count) if velocity else None,
        )
    return weights, alive


def _each(loss: Loss[BatchT], weights: Weights, alphas: Tensor, batch: BatchT) -> Tensor:
    """Losses (n,) at the rows of ``alphas``, each with its own row of ω (n, ...)."""
    each = getattr(loss, "each", None)
    if each is None:  # a loss need not know how to take many
        rows = (
            {name: weight[row] for name, weight in weights.items()} for row in range(len(alphas))
        )
        return torch.stack(
            [loss(own, alpha, batch) for own, alpha in zip(rows, alphas, strict=True)]
        )
    found: Tensor = each(weights, alphas, batch)
    return found


def _repeat(weights: Weights, count: int) -> Weights:
    return {name: weight.expand(count, *weight.shape) for name, weight in weights.items()}
