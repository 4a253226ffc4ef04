"""What the rest of the project knows of an optimizer: one record, read without torch.

A file of this folder holds an optimizer and, in ``METHODS``, the records of the methods that use
it. Nothing else names a method.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

__all__ = [
    "SECOND",
    "GradientCost",
    "Method",
    "Style",
    "Table",
    "Walk",
    "gradient_cost",
    "zarts_loop",
]

Table = dict[str, Any]


@dataclass(frozen=True)
class Style:
    """How a method is drawn: colour, symbol and dash together tell it apart.

    Attributes:
        label: In legends and tables.
        color: With a contrast of at least 3:1 on white and on black.
        symbol: A marker of Plotly.
        dash: ``solid``, ``dot``, ``dash`` or ``dashdot``.
    """

    label: str
    color: str
    symbol: str
    dash: str


class Walk(Protocol):
    """What the settings of paths say that a method may need (``PathsConfig``)."""

    @property
    def samples(self) -> int:
        """Candidates per update, about."""

    @property
    def temperature(self) -> float:
        """τ of MGS."""


@dataclass(frozen=True)
class Method:
    """A way to move α: an optimizer, and how it enters searches, paths and figures.

    Attributes:
        name: On the command line and in runs.
        style: How it is drawn.
        optimizer: The class; None if it is not known here, as of a path drawn by hand.
        fixed: Hyper-parameters that the name decides.
        descends: M of the loss it descends; None: the M that a search or figure asks for.
        gradients: It takes gradients, draws nothing, and one look settles how long its step is.
        preset: ``preset(base, small)`` gives the tables ``search`` and ``optimizer`` of a preset,
            for a small space (S1 to S4) or a large one.
        paper: Hyper-parameters of the released path code.
        reach: ``reach(paths, d, length)`` gives hyper-parameters with which it looks ``length``
            far; None: it has no such scale and walks as its defaults say.
        rate: The hyper-parameter that its step is proportional to, 1 in ``reach``; empty: how the
            step grows with ``length`` depends on the losses.
        rank: Its place in legends and tables.
        stationary: It takes ω*_M for an optimum of L_train, so L_train has to be one loss.
    """

    name: str
    style: Style
    optimizer: Callable[..., Any] | None = None
    fixed: Mapping[str, Any] = field(default_factory=dict)
    descends: int | None = None
    gradients: bool = False
    preset: Callable[[str, bool], Table] = lambda base, small: zarts_loop(base)
    paper: Mapping[str, Any] = field(default_factory=dict)
    reach: Callable[[Walk, int, float], Table] | None = None
    rate: str = ""
    rank: int = 100
    stationary: bool = False

    def own_steps(self, steps: int) -> int:
        """M of the loss it descends where ``steps`` is asked for."""
        return steps if self.descends is None else self.descends


_WARMUP = {"quick": 1, "standard": 5, "paper": 10, "paper-imagenet": 20}


def zarts_loop(base: str) -> Table:
    """ZARTS' own search: M = 10, one update of α every ten steps of ω, after a warm-up."""
    return {"search": {"inner_steps": 10, "period": 10, "warmup": _WARMUP[base]}}


# SGD steps that a second derivative through one takes, and a product with the Hessian: measured by
# benchmarks/updates.py (DARTS-2nd 6 with L_val, DARTS-M 57, implicit gradients 67).
SECOND = 5


@dataclass(frozen=True)
class GradientCost:
    """What one gradient costs.

    Attributes:
        steps: Its time in SGD steps of ω, besides the backward pass of L_val.
        passes: Forward passes that it keeps in memory at once.
    """

    steps: int
    passes: int


def gradient_cost(optimizer: object, inner_steps: int) -> GradientCost:
    """What an optimizer says of its gradients, or else the cost of an exact ∇L_M.

    Differentiating an SGD step keeps its backward pass beside its forward one.
    """
    own = getattr(optimizer, "gradient_cost", None)
    if own is None:
        return GradientCost(SECOND * inner_steps, 1 + 2 * inner_steps)
    found: GradientCost = own(inner_steps)
    return found
