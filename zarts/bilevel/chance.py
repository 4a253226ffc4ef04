"""What a batch brings to a network that draws: a seed, and how strongly it draws. No torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["Chance", "Strengths"]


@dataclass(frozen=True)
class Strengths:
    """How strongly a network draws in one epoch; by default not at all.

    Attributes:
        temperature: τ of relaxed draws of operations (GDAS), > 0.
        drop_path: Probability that the output of an edge is dropped, per image, in [0, 1).
        drop_skip: Probability that a number of a skip connection is dropped (P-DARTS), in [0, 1).
    """

    temperature: float = 1.0
    drop_path: float = 0.0
    drop_skip: float = 0.0

    def without_drops(self) -> Strengths:
        """The same for validation and landscapes, where nothing is dropped."""
        return replace(self, drop_path=0.0, drop_skip=0.0)

    def chance(self, key: int) -> Chance:
        """What a batch with this seed brings."""
        return Chance(key, self.temperature, self.drop_path, self.drop_skip)


@dataclass(frozen=True)
class Chance:
    """The chance of one batch. Candidates that see the same batch share its draws.

    Example:
        >>> Strengths(drop_path=0.2).chance(7)
        Chance(key=7, temperature=1.0, drop_path=0.2, drop_skip=0.0)

    Attributes:
        key: Seed of all that is drawn (S4's ``noise``, masks, Gumbel noise), below 2^63.
        temperature: As in ``Strengths``.
        drop_path: As in ``Strengths``.
        drop_skip: As in ``Strengths``.
    """

    key: int
    temperature: float = 1.0
    drop_path: float = 0.0
    drop_skip: float = 0.0
