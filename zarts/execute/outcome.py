"""What comes back from work that was handed out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

__all__ = ["ATTEMPTS", "Failure", "ItemT", "Outcome", "StateT", "ValueT"]

ItemT = TypeVar("ItemT")
StateT = TypeVar("StateT")
ValueT = TypeVar("ValueT")

ATTEMPTS = 3  # of one item, before it counts as the cause of its workers' deaths


@dataclass(frozen=True)
class Failure:
    """An item no worker survived, or finished in time.

    Attributes:
        reason: How the last attempt ended.
        timeout: Whether it ended at the time limit.
    """

    reason: str
    timeout: bool = False


class Outcome(NamedTuple, Generic[ItemT, ValueT]):
    """Something about an item.

    Attributes:
        item: The item, or a piece of one that was split.
        value: What its work yielded, or a failure.
        final: Whether this is the item's last value; earlier ones show progress.
    """

    item: ItemT
    value: ValueT | Failure
    final: bool
