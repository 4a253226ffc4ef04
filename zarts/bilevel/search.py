"""The loop: an optimizer moves α, the objective commits ω, the caller is handed every step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from zarts.bilevel.inner import Diverged
from zarts.bilevel.objective import Objective
from zarts.bilevel.rng import generator

__all__ = ["Memory", "Optimizer", "Step", "StepError", "search", "take_step"]

Memory = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Step:
    """What one optimizer step did.

    Example:
        >>> from zarts import MGS, Quadratic, search
        >>> toy = Quadratic.random()
        >>> step, _ = next(search(toy.problem(), MGS(samples=4), toy.center, iterations=1, seed=0))
        >>> step.candidates.shape, round(float(step.weights.sum()), 6)
        (torch.Size([4, 3]), 1.0)

    Attributes:
        alpha: The new α (d,).
        loss: Loss of the incumbent α the step started from; NaN if the optimizer did not ask.
        candidates: The α's it evaluated (n, d); n = 0 for gradient methods.
        losses: Their losses (n,), float64; NaN where the evaluation diverged.
        memory: State for the next step (moments of Adam); empty for memoryless optimizers.
        diagnostics: Named numbers, e.g. ``update_norm``, ``ess``; the same names at every step of
            one optimizer, and ``update_norm`` alone during the warm-up.
        weights: Importance weights (n,) where the optimizer has them (MGS), else empty.
    """

    alpha: Tensor
    loss: float
    candidates: Tensor
    losses: Tensor
    memory: Memory = field(default_factory=dict)
    diagnostics: Mapping[str, float] = field(default_factory=dict)
    weights: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.float64))


class StepError(ValueError):
    """An optimizer that is not of this project raised, or gave no step; says which and why."""


class Optimizer(Protocol):
    """A rule that moves α; a frozen dataclass whose fields are its hyper-parameters.

    Example:
        >>> import math, torch
        >>> from dataclasses import dataclass
        >>> from zarts import Quadratic, Step, search
        >>> @dataclass(frozen=True)
        ... class Slope:
        ...     rate: float = 0.1
        ...     evaluations, gradients = 0, 1
        ...     def step(self, objective, alpha, memory, rng):
        ...         alpha = alpha - self.rate * objective.grad(alpha)
        ...         return Step(alpha, math.nan, alpha.new_empty(0, len(alpha)), torch.empty(0))
        >>> start = torch.zeros(3, dtype=torch.float64)
        >>> walk = search(Quadratic.random().problem(), Slope(), start, iterations=4, seed=0)
        >>> len(list(walk))
        4
    """

    @property
    def evaluations(self) -> int:
        """Loss values asked for per step."""

    @property
    def gradients(self) -> int:
        """Gradients asked for per step."""

    def step(
        self, objective: Objective, alpha: Tensor, memory: Memory, rng: torch.Generator
    ) -> Step:
        """One update of α (d,). Asks the objective; never advances it.

        Args:
            objective: What to descend; pure, so asking has no effect.
            alpha: The incumbent (d,).
            memory: The previous step's ``memory``; empty at the first.
            rng: Source of all random draws of this step.
        """


def search(
    objective: Objective,
    optimizer: Optimizer,
    alpha: Tensor,
    *,
    iterations: int,
    seed: int,
    start: int = 0,
    warmup: int = 0,
    memory: Memory | None = None,
    schedule: Mapping[str, Callable[[int], float]] | None = None,
) -> Iterator[tuple[Step, Objective]]:
    """Runs Alg. 1 of ZARTS (or DARTS): update α, train ω at the new α, repeat.

    Example:
        >>> from zarts import MGS, Quadratic, search
        >>> toy = Quadratic.random()
        >>> walk = search(toy.problem(10), MGS(sigma=0.1), toy.center, iterations=3, seed=0)
        >>> for step, objective in walk:
        ...     print(objective.iteration, round(step.diagnostics["update_norm"], 2))
        1 0.18
        2 0.09
        3 0.15

    Args:
        objective: The problem at iteration ``start``.
        optimizer: What moves α.
        alpha: α at iteration ``start`` (d,).
        iterations: Number of the iteration to stop before.
        seed: Draws of iteration t come from the key (seed, "optimizer", t), so a search resumed at
            any iteration continues with the same numbers.
        start: First iteration; greater than zero when resuming.
        warmup: Iterations that train ω with α as it is (ZARTS: the first 10 epochs).
        memory: The optimizer's memory at ``start``.
        schedule: Hyper-parameter name to its value at iteration t, e.g. the cosine of σ.

    Yields:
        The step and the objective after ω was trained at the step's α.

    Raises:
        Diverged: If the outer training diverges.
        ValueError: If α is not finite.
    """
    if not bool(alpha.isfinite().all()):
        raise ValueError("alpha has numbers that are not finite; begin with finite ones")
    memory = dict(memory or {})
    for iteration in range(start, iterations):
        if iteration < warmup:
            step = _idle(alpha, memory)
        else:
            values: dict[str, Any] = {
                name: value(iteration) for name, value in (schedule or {}).items()
            }
            current = replace(optimizer, **values) if values else optimizer  # type: ignore[type-var]
            rng = generator(seed, "optimizer", iteration)
            step = take_step(current, objective, alpha, memory, rng)
        objective = objective.advance(step.alpha)
        alpha, memory = step.alpha, dict(step.memory)
        yield step, objective


def take_step(
    optimizer: Optimizer, objective: Objective, alpha: Tensor, memory: Memory, rng: torch.Generator
) -> Step:
    """``optimizer.step``, whose result is what it should be.

    Raises:
        Diverged: If a loss or gradient that it needs is not finite.
        StepError: If an optimizer of a user's own fails, or gives another α than one like it got.
    """  # noqa: DOC501 - memory that ran out is passed on
    if type(optimizer).__module__.partition(".")[0] == "zarts":
        return optimizer.step(objective, alpha, memory, rng)
    name = type(optimizer).__qualname__
    try:
        step: object = optimizer.step(objective, alpha, memory, rng)
    except (Diverged, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise StepError(f"{name}.step failed ({type(error).__name__}: {error})") from error
    if not isinstance(step, Step):
        raise StepError(f"{name}.step gave {type(step).__name__}, expected a zarts.Step")
    if step.alpha.shape != alpha.shape or step.alpha.dtype != alpha.dtype:
        raise StepError(
            f"{name}.step gave an α of shape {tuple(step.alpha.shape)}, {step.alpha.dtype}; "
            f"expected {tuple(alpha.shape)}, {alpha.dtype}"
        )
    if wrong := int((~step.alpha.isfinite()).sum()):
        raise StepError(f"{name}.step gave an α of which {wrong} numbers are not finite")
    return step


def _idle(alpha: Tensor, memory: Memory) -> Step:
    return Step(
        alpha=alpha,
        loss=math.nan,
        candidates=alpha.new_empty(0, alpha.numel()),
        losses=torch.empty(0, dtype=torch.float64),
        memory=memory,
        diagnostics={"update_norm": 0.0},
    )
