"""A plain function as an objective, all rows at once: fast enough for 10⁵ candidates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from zarts.bilevel.alpha import Space, flat_space


@dataclass(frozen=True)
class Function:
    """``function`` maps α's (n, d) to losses (n,); ω and M do not matter."""

    function: Callable[[Tensor], Tensor]
    dim: int
    inner_steps: int = 0

    @property
    def space(self) -> Space:
        return flat_space("function", self.dim)

    def __call__(self, alpha: Tensor) -> Tensor:
        return self.evaluate(alpha.unsqueeze(0))[0]

    def evaluate(self, alphas: Tensor) -> Tensor:
        assert alphas.shape[1:] == (self.dim,)
        return self.function(alphas.detach()).double()

    def grad(self, alpha: Tensor, through: object = None) -> Tensor:
        leaf = alpha.detach().clone().requires_grad_()
        return torch.autograd.grad(self.function(leaf.unsqueeze(0)).sum(), leaf)[0]

    def at(self, inner_steps: int) -> Function:
        return replace(self, inner_steps=inner_steps)

    def advance(self, alpha: Tensor) -> Function:
        return self


@pytest.fixture
def as_objective() -> Callable[[Callable[[Tensor], Tensor], int], Function]:
    return Function
