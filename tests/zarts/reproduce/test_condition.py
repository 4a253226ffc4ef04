"""Q of Eq. 9: its closed form on a linear loss, and that both losses are the same L_M."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from zarts.bilevel.rng import generator
from zarts.reproduce.condition import condition_number


@dataclass
class Linear:
    """L = 1 + g·α, which counts how it is asked."""

    slope: torch.Tensor
    asked: int = 0

    def evaluate(self, alphas: torch.Tensor) -> torch.Tensor:
        self.asked += 1
        return (1 + alphas @ self.slope).double()


def test_on_a_linear_loss_it_is_the_largest_slope_along_the_directions() -> None:
    slope = torch.tensor([3.0, -4.0, 0.0, 12.0], dtype=torch.float64)
    alpha = torch.tensor([0.1, 0.0, 0.2, 0.0], dtype=torch.float64)
    loss = Linear(slope)
    found = condition_number(loss, alpha, 7)
    draws = torch.randn(50, 4, generator=generator(7, "condition")).double()
    along = (draws / draws.norm(dim=1, keepdim=True) @ slope).abs().max()
    expected = float(along * alpha.norm()) / found.loss
    assert found.number == pytest.approx(expected, rel=1e-6)
    assert found.losses.shape == (50,)
    assert loss.asked == 1  # α and α + Δ together, on the same batches
    small = condition_number(loss, alpha, 7, radius=1e-4)
    assert small.number == pytest.approx(found.number, rel=1e-6)  # of a linear loss ε cancels
