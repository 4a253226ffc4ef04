"""The only place where the network weights ω move: M steps of stochastic gradient descent."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

__all__ = ["SGD", "Diverged", "Weights", "descend", "descend_stacked", "single_thread"]

Weights = Mapping[str, Tensor]
BatchT = TypeVar("BatchT")


class Diverged(ArithmeticError):
    """A loss, a gradient or the weights stopped being finite.

    Example:
        >>> from zarts import SGD, Diverged, Quadratic
        >>> toy = Quadratic.random()
        >>> try:
        ...     toy.problem(3, inner=SGD(1e200, clip=None)).grad(toy.center)
        ... except Diverged as error:
        ...     print(error.what, error.step)
        the training loss 1

    Attributes:
        what: What is not finite.
        step: The number of SGD steps after which it was noticed.
    """

    def __init__(self, what: str, step: int) -> None:
        super().__init__(what, step)
        self.what, self.step = what, step

    def __str__(self) -> str:
        """One line for people, with the cure."""
        return (
            f"{self.what} is not finite after {self.step} SGD steps; "
            "lower the learning rate, or set a gradient clip"
        )


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent as ``torch.optim.SGD`` defines it, with a gradient clip.

    Example:
        >>> import torch
        >>> from zarts import SGD
        >>> sgd = SGD(0.1, momentum=0.0, weight_decay=0.0)
        >>> omega, slope = {"omega": torch.ones(2)}, {"omega": torch.tensor([1.0, 2.0])}
        >>> weights, _ = sgd.update(omega, slope, velocity=None)
        >>> weights["omega"]
        tensor([0.9000, 0.8000])

    Attributes:
        learning_rate: ξ. The paper's search: 0.025 falling to 0.001 along a cosine.
        momentum: Factor of the velocity; 0.9 in DARTS and ZARTS.
        weight_decay: Factor of ω added to the gradient; 3e-4 in DARTS and ZARTS.
        clip: Largest global gradient norm (before weight decay), 5 in DARTS and ZARTS; None: no
            clip.
    """

    learning_rate: float
    momentum: float = 0.9
    weight_decay: float = 3e-4
    clip: float | None = 5.0

    def __post_init__(self) -> None:
        for name in ("learning_rate", "momentum", "weight_decay"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} is {value}, expected a finite number >= 0")
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"clip is {self.clip}, expected a number > 0, or None for no clip")

    def update(
        self,
        weights: Weights,
        gradients: Mapping[str, Tensor],
        velocity: Weights | None,
        *,
        stacked: bool = False,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Returns new (weights, velocity); differentiable in every input, of which none is changed.

        A few calls for all tensors, not a few for each: what a GPU is asked for, it is asked once.

        Args:
            weights: ω.
            gradients: Of the loss by ω.
            velocity: Momentum buffers; None: at rest.
            stacked: Whether all are those of n candidates (n, ...), each clipped on its own.
        """
        names, now = list(weights), list(weights.values())
        slope = [gradients[name] for name in names]
        if self.clip is not None:
            slope = _clipped(slope, self.clip, stacked=stacked)
        if self.weight_decay and self.clip is not None:  # ours by now: in place is half the memory
            torch._foreach_add_(slope, now, alpha=self.weight_decay)
        elif self.weight_decay:
            slope = list(torch._foreach_add(slope, now, alpha=self.weight_decay))
        if self.momentum and velocity is not None:
            speed = list(torch._foreach_mul([velocity[name] for name in names], self.momentum))
            torch._foreach_add_(speed, slope)
            slope = speed
        moved = torch._foreach_add(now, slope, alpha=-self.learning_rate)
        speeds = dict(zip(names, slope, strict=True)) if self.momentum else {}
        return dict(zip(names, moved, strict=True)), speeds


def _clipped(gradients: list[Tensor], limit: float, *, stacked: bool) -> list[Tensor]:
    """As ``torch.nn.utils.clip_grad_norm_`` does, here differentiable; each row if stacked."""
    norm = torch.linalg.vector_norm
    if stacked:
        total = norm(torch.stack([norm(g.flatten(1), dim=1) for g in gradients]), dim=0)
    else:
        total = norm(torch.stack(torch._foreach_norm(gradients)))
    # 1e-6 as in clip_grad_norm_, so that both agree to the last bit.
    scale = torch.clamp(limit / (total + 1e-6), max=1.0)
    if stacked:
        return [g * scale.view(-1, *[1] * (g.ndim - 1)) for g in gradients]
    if scale.requires_grad:  # torch cannot differentiate _foreach_mul by a factor of all
        return [gradient * scale for gradient in gradients]
    return list(torch._foreach_mul(gradients, scale))


def descend(
    loss: Callable[[Weights, BatchT], Tensor],
    weights: Weights,
    batches: Iterable[BatchT],
    sgd: SGD,
    velocity: Weights | None = None,
    *,
    differentiable: bool = False,
) -> tuple[Weights, Weights | None]:
    """Moves ω by one SGD step per batch: ω*_M of ZARTS Eq. 3 when given M training batches.

    Example:
        >>> import torch
        >>> from zarts import SGD, descend
        >>> loss = lambda weights, batch: ((weights["omega"] - batch) ** 2).sum()
        >>> sgd = SGD(0.25, momentum=0.0, weight_decay=0.0)
        >>> weights, _ = descend(loss, {"omega": torch.tensor([3.0])}, [1.0, 1.0, 1.0], sgd)
        >>> weights["omega"]
        tensor([1.2500])

    Args:
        loss: ``loss(weights, batch)``, a scalar: L_train at fixed α.
        weights: ω, name to tensor; never changed, new tensors are returned.
        batches: One training batch per step; empty for M = 0.
        sgd: Step rule.
        velocity: Momentum buffer at the start; None starts at rest.
        differentiable: Keep the graph, so that the result can be differentiated with respect to
            whatever ``loss`` depends on (α). Memory grows with the number of steps.

    Returns:
        The weights and the velocity after the last step (None if no step was made from rest, or
        without momentum).

    Raises:
        Diverged: If a training loss or the final ω is not finite. On a CPU no further step is made.
            Any other device is asked once, after the last step: to ask it is to wait for it.
    """
    losses: list[Tensor] = []
    for step, batch in enumerate(batches):
        names = list(weights)
        leaves = [
            weights[name]
            if differentiable and weights[name].requires_grad
            # detach: a fresh leaf on the same storage, so the caller's tensor keeps its own flags
            else weights[name].detach().requires_grad_()
            for name in names
        ]
        current = dict(zip(names, leaves, strict=True))
        with torch.enable_grad():
            value = loss(current, batch)
        losses.append(value.detach())
        if value.device.type == "cpu" and not math.isfinite(float(losses[-1])):
            raise Diverged("the training loss", step)
        gradients = torch.autograd.grad(
            value, leaves, create_graph=differentiable, materialize_grads=True
        )
        with torch.set_grad_enabled(differentiable):
            moved, speed = sgd.update(
                current, dict(zip(names, gradients, strict=True)), velocity or None
            )
        weights, velocity = moved, speed or None
    if losses:
        _check(losses, weights)
    return weights, velocity


def _check(losses: list[Tensor], weights: Weights) -> None:
    """Looks for the first loss that is not finite, and at ω.

    A loss catches what earlier steps broke; the last step has no loss after it.

    Raises:
        Diverged: If there is one, or ω is not finite.
    """
    largest = torch._foreach_norm([weight.detach() for weight in weights.values()], math.inf)
    found = torch.stack([*losses, *largest]).isfinite().tolist()  # the one read
    if not all(found):
        step = found.index(False)
        what = "the training loss" if step < len(losses) else "ω"
        raise Diverged(what, min(step, len(losses)))


def descend_stacked(
    losses: Callable[[Weights, BatchT], Tensor],
    weights: Weights,
    batches: Iterable[BatchT],
    sgd: SGD,
    velocity: Weights | None = None,
) -> tuple[Weights, Tensor]:
    """``descend`` for n candidates at once, each with its own ω, so that they share every launch.

    Args:
        losses: ``losses(weights, batch)`` (n,): entry i depends on row i of every weight alone.
        weights: ω of each candidate, name to (n, ...); never changed.
        batches: One training batch per step, the same for all.
        sgd: Step rule; the clip is that of each candidate on its own.
        velocity: Momentum buffers (n, ...) at the start; None starts at rest.

    Returns:
        The weights (n, ...), and which candidates (n,) stayed finite; the rows of others mean
        nothing.
    """
    shapes = {name: weight.shape[1:] for name, weight in weights.items()}
    # one long row per candidate: the rule is a few calls then, not a few for every weight
    rows = _rows(weights)
    speed = {"": _rows({name: velocity[name] for name in weights})} if velocity else None
    alive = rows.new_ones(len(rows), dtype=torch.bool)
    for batch in batches:
        leaf = rows.detach().requires_grad_()
        with torch.enable_grad():
            values = losses(_by_name(leaf, shapes), batch)
        (gradient,) = torch.autograd.grad(values.sum(), leaf)
        with torch.no_grad():
            moved, found = sgd.update({"": leaf}, {"": gradient}, speed, stacked=True)
        rows, speed = moved[""], found or None
        alive = alive & values.detach().isfinite()
    return _by_name(rows, shapes), alive & rows.sum(1).isfinite()


def _rows(weights: Weights) -> Tensor:
    """All the weights of each candidate, name to (n, ...), in one row: (n, size of ω)."""
    return torch.cat([weight.flatten(1) for weight in weights.values()], dim=1)


def _by_name(rows: Tensor, shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    """The inverse of ``_rows``: views of the weights (n, ...)."""
    pieces = rows.split([shape.numel() for shape in shapes.values()], dim=1)
    return {
        name: piece.view(-1, *shape)
        for (name, shape), piece in zip(shapes.items(), pieces, strict=True)
    }


@contextmanager
def single_thread() -> Iterator[None]:
    """Runs the body with one intra-op thread: sums are split the same way on every machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
