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
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from zarts.bilevel.feed import Feed, Loss, Scores
from zarts.bilevel.inner import Diverged, Weights, descend_stacked

__all__ = ["Measured", "Problem", "measured_at", "samples_at"]

BatchT = TypeVar("BatchT")


class Problem(Protocol[BatchT]):
    """What is asked of a problem; ``zarts.bilevel.objective.Bilevel`` says what each means."""

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


class Measured(NamedTuple):
    """What was found at n rows of α; each (n,), float64, on the CPU.

    Attributes:
        loss: L_M; NaN where it is not finite.
        error: Standard error of L_M over the images of L_val: the standard deviation of their
            losses over the root of their number. NaN without a loss, and of a loss that does not
            tell its images apart.
        accuracy: Share of these images that are classified correctly; NaN likewise.
    """

    loss: Tensor
    error: Tensor
    accuracy: Tensor


def measured_at(problem: Problem[BatchT], alphas: Tensor) -> Measured:
    """L_M at each row of ``alphas`` (n, d), and what the images of L_val say beside it."""
    # candidates without ω of their own do better to share what does not depend on α
    alike = problem.inner_steps == 0
    parts = (_one_by_one if problem.lanes == 1 or alike else _side_by_side)(problem, alphas)
    return Measured(*map(torch.cat, zip(*parts, strict=True)))


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
    """ω*_M (n, ...) of each row, by the same calls as in ``measured_at``, and which are finite."""
    if problem.lanes > 1:
        return _tuned_stack(problem, alphas)
    try:
        weights, alive = problem.tuned(alphas[0]), True
    except Diverged:
        weights, alive = problem.weights, False
    return _repeat(weights, 1), torch.tensor([alive], device=alphas.device)


def _one_by_one(problem: Problem[BatchT], alphas: Tensor) -> list[Measured]:
    """What is found at each row of ``alphas``.

    At M = 0 all candidates have the same ω, so what does not depend on α is done once per batch.
    """
    if problem.inner_steps == 0:
        return [_measured(problem, problem.weights, alphas)]
    found = []
    for alpha in alphas:
        try:
            found.append(_measured(problem, problem.tuned(alpha), alpha.unsqueeze(0)))
        except Diverged:
            found.append(Measured(*torch.full((3, 1), math.nan, dtype=torch.float64)))
    return found


def _measured(problem: Problem[BatchT], weights: Weights, alphas: Tensor) -> Measured:
    """What is found at fixed ω."""
    scores = _scores(problem, weights, alphas, shared=True)
    table = [batch.losses.tolist() for batch in scores]
    means = [_mean(column) for column in zip(*table, strict=True)]
    return _with_images(torch.tensor(means, dtype=torch.float64), scores)


def _scores(
    problem: Problem[BatchT], weights: Weights, alphas: Tensor, *, shared: bool
) -> list[Scores]:
    """What L_val gives on each of its batches; ``shared``: all rows of α have the same ω."""
    loss, batches = problem.val_loss, problem.val_batches()
    take = getattr(loss, "scores", None)
    with torch.inference_mode():
        if take is not None:
            return [take(weights, alphas, batch, shared=shared) for batch in batches]
        call, none = _many if shared else _each, alphas.new_empty(len(alphas), 0)
        return [Scores(call(loss, weights, alphas, batch), none, none) for batch in batches]


def _with_images(losses: Tensor, scores: Sequence[Scores]) -> Measured:
    """Losses (n,) with what the images behind them say."""
    images, hits = (
        torch.cat(parts, dim=1).double()
        for parts in ([batch.images for batch in scores], [batch.hits for batch in scores])
    )
    count, nothing = images.shape[1], torch.full_like(losses, math.nan)
    error = images.std(1).cpu() / math.sqrt(count) if count > 1 else nothing
    accuracy = hits.mean(1).cpu() if count else nothing
    known = losses.isfinite()
    return Measured(losses, error.where(known, nothing), accuracy.where(known, nothing))


def _many(loss: Loss[BatchT], weights: Weights, alphas: Tensor, batch: BatchT) -> Tensor:
    """Losses (n,) at the rows of ``alphas``; a loss may know a faster way to take many."""
    many = getattr(loss, "many", None)
    if many is None:
        return torch.stack([loss(weights, alpha, batch) for alpha in alphas])
    found: Tensor = many(weights, alphas, batch)
    return found


def _mean(losses: Sequence[float]) -> float:
    return math.fsum(losses) / len(losses) if all(map(math.isfinite, losses)) else math.nan


def _side_by_side(problem: Problem[BatchT], alphas: Tensor) -> list[Measured]:
    """What is found at each row of ``alphas`` (n, d), ``lanes`` rows at a time."""
    found = []
    for rows in alphas.split(problem.lanes):
        whole = _stack(problem, _filled(rows, problem.lanes))
        found.append(Measured(*(column[: len(rows)] for column in whole)))
    return found


def _filled(rows: Tensor, count: int) -> Tensor:
    """So many rows of α, the last one repeated if need be."""
    missing = count - len(rows)
    return torch.cat([rows, rows[-1:].expand(missing, -1)]) if missing else rows


def _stack(problem: Problem[BatchT], alphas: Tensor) -> Measured:
    """What is found at each of ``lanes`` rows of α, each with its own ω."""
    weights, alive = _tuned_stack(problem, alphas)
    scores = _scores(problem, weights, alphas, shared=False)
    table = torch.stack([batch.losses.double() for batch in scores])
    alive = alive & table.isfinite().all(0)
    return _with_images(torch.where(alive, table.mean(0), math.nan).cpu(), scores)


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
