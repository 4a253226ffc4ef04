"""What a bilevel problem is fed with: the losses, and the batches and step rules per iteration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

from torch import Tensor

from zarts.bilevel.inner import SGD, Weights

__all__ = ["Feed", "ListFeed", "Loss", "Scores"]

BatchT = TypeVar("BatchT")
BatchT_co = TypeVar("BatchT_co", covariant=True)
Loss = Callable[[Weights, Tensor, BatchT], Tensor]


class Scores(NamedTuple):
    """What a loss gives at k rows of α on one batch of n images.

    Attributes:
        losses: Means over the batch (k,), as the loss itself would give them.
        images: Losses (k, n) of the single images; no columns if the loss does not tell them apart.
        hits: Which of them are classified correctly (k, n); likewise.
    """

    losses: Tensor
    images: Tensor
    hits: Tensor


class Feed(Protocol[BatchT_co]):
    """What each iteration is given; pure functions of the iteration, so resuming needs no state."""

    def train_batches(self, iteration: int) -> Sequence[BatchT_co]:
        """Batches of the outer training steps that ``advance`` makes."""

    def inner_batches(self, iteration: int, steps: int) -> Sequence[BatchT_co]:
        """The M training batches every candidate of this iteration is fine-tuned on."""

    def val_batches(self, iteration: int) -> Sequence[BatchT_co]:
        """The validation batches every candidate of this iteration is scored on."""

    def outer_sgd(self, iteration: int) -> SGD:
        """The rule of the outer training steps."""

    def inner_sgd(self, iteration: int) -> SGD:
        """The rule of the M inner steps."""


@dataclass(frozen=True, eq=False)
class ListFeed(Generic[BatchT]):
    """Batches from two lists, for losses of one's own; what a batch is, only the losses know.

    Iteration t trains on the next ``outer_steps`` batches of ``train``, which begins again at its
    end. The M inner steps of all candidates of an iteration take the batches that come then, and
    each candidate is scored on the whole of ``val``.

    Example:
        >>> feed = ListFeed([1, 2, 3], [4], SGD(0.1))
        >>> feed.train_batches(0), feed.train_batches(4), feed.inner_batches(2, 2)
        ([1], [2], [3, 1])

    Attributes:
        train: Training batches.
        val: Validation batches; of one size, as their losses count the same.
        sgd: The rule of the outer steps, and of the inner ones where there is no ``inner``.
        inner: The rule of the inner steps.
        outer_steps: Training steps of ω per iteration.
    """

    train: Sequence[BatchT]
    val: Sequence[BatchT]
    sgd: SGD
    inner: SGD | None = None
    outer_steps: int = 1

    def __post_init__(self) -> None:
        for name in ("train", "val"):
            batches = getattr(self, name)
            if not isinstance(batches, Sequence) or not batches:
                kind = type(batches).__name__
                raise ValueError(
                    f"{name} is {'an empty' if isinstance(batches, Sequence) else 'a'} {kind}, "
                    "expected a list of one batch or more, such as list(loader)"
                )
        if self.outer_steps < 1:
            raise ValueError(f"outer_steps is {self.outer_steps}, expected 1 or more")

    def train_batches(self, iteration: int) -> Sequence[BatchT]:
        """The next ``outer_steps`` batches."""
        return self.inner_batches(iteration, self.outer_steps)

    def inner_batches(self, iteration: int, steps: int) -> Sequence[BatchT]:
        """The M batches from those on that ω is trained on next."""
        first = iteration * self.outer_steps
        return [self.train[index % len(self.train)] for index in range(first, first + steps)]

    def val_batches(self, iteration: int) -> Sequence[BatchT]:
        """All of them."""
        del iteration
        return self.val

    def outer_sgd(self, iteration: int) -> SGD:
        """The rule of the outer steps."""
        del iteration
        return self.sgd

    def inner_sgd(self, iteration: int) -> SGD:
        """The rule of the inner steps."""
        del iteration
        return self.inner or self.sgd
