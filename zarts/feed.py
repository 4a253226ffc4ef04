"""What a bilevel problem is fed with: the losses, and the batches and step rules per iteration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from torch import Tensor

from zarts.inner import SGD, Weights

__all__ = ["Feed", "Loss"]

BatchT = TypeVar("BatchT")
BatchT_co = TypeVar("BatchT_co", covariant=True)
Loss = Callable[[Weights, Tensor, BatchT], Tensor]


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
