"""A small bilevel problem, smooth and neither linear nor quadratic, fed with batches of tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from zarts.bilevel.alpha import flat_space
from zarts.bilevel.inner import SGD
from zarts.bilevel.objective import Bilevel
from zarts.bilevel.rng import generator

MOVING = SGD(0.15, momentum=0.9, weight_decay=0.05, clip=None)


@dataclass(frozen=True)
class TensorFeed:
    """Batches of random inputs, a pure function of the iteration; remembers what was asked."""

    inner: SGD = MOVING
    outer: SGD = MOVING
    scored: int = 1
    asked: list[tuple[str, int, int]] = field(default_factory=list)

    def _draw(self, purpose: str, iteration: int, count: int) -> list[Tensor]:
        self.asked.append((purpose, iteration, count))
        rng = generator(5, purpose, iteration)
        return [torch.randn(4, 2, generator=rng, dtype=torch.float64) for _ in range(count)]

    def train_batches(self, iteration: int) -> Sequence[Tensor]:
        return self._draw("train", iteration, 2)

    def inner_batches(self, iteration: int, steps: int) -> Sequence[Tensor]:
        return self._draw("inner", iteration, steps)

    def val_batches(self, iteration: int) -> Sequence[Tensor]:
        return self._draw("val", iteration, self.scored)

    def outer_sgd(self, iteration: int) -> SGD:
        return replace(self.outer, learning_rate=self.outer.learning_rate / (1 + iteration))

    def inner_sgd(self, iteration: int) -> SGD:
        return replace(self.inner, learning_rate=self.inner.learning_rate / (1 + iteration))


def smooth_loss(weights: Mapping[str, Tensor], alpha: Tensor, batch: Tensor) -> Tensor:
    """Smooth, and neither linear nor quadratic in ω or α."""
    hidden = torch.tanh(batch @ weights["first"].T * alpha[:3] + alpha[3])
    return ((hidden @ weights["last"] - alpha[0].exp()) ** 2).mean() + 0.1 * (alpha**4).sum()


def smooth(feed: TensorFeed | None = None, steps: int = 0, moving: bool = True) -> Bilevel[Tensor]:
    """A small nonlinear problem with d = 4, whose velocity is not zero."""
    rng = generator(6, "smooth")

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng, dtype=torch.float64)

    weights, velocity = ({"first": draw(3, 2), "last": draw(3)} for _ in range(2))
    return Bilevel(
        space=flat_space("smooth", 4),
        train_loss=smooth_loss,
        val_loss=lambda weights, alpha, batch: smooth_loss(weights, alpha.flip(0), batch.exp()),
        weights=weights,
        feed=feed or TensorFeed(),
        inner_steps=steps,
        velocity=velocity,
        inherit_velocity=moving,
    )


POINT = torch.randn(4, generator=generator(7, "point"), dtype=torch.float64)
