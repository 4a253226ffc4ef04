"""Random directions shared by the zero-order optimizers, and checks of their settings."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["ball", "check_positive", "sphere"]


def sphere(samples: int, like: Tensor, rng: torch.Generator) -> Tensor:
    """Uniform draws (samples, d) from the unit sphere in the space of ``like`` (d,)."""
    normal = torch.randn(samples, like.numel(), generator=rng, dtype=like.dtype)
    directions: Tensor = normal / torch.linalg.vector_norm(normal, dim=1, keepdim=True)
    return directions


def ball(samples: int, like: Tensor, rng: torch.Generator) -> Tensor:
    """Uniform draws (samples, d) from the unit ball: a direction times U^(1/d)."""
    directions = sphere(samples, like, rng)
    radius = torch.rand(samples, 1, generator=rng, dtype=like.dtype) ** (1 / like.numel())
    return directions * radius


def check_positive(owner: object, *names: str) -> None:
    """Raises ValueError unless the named fields are finite and greater than zero."""
    for name in names:
        value = getattr(owner, name)
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{type(owner).__name__}.{name} is {value}, expected a number > 0")
        if name == "samples" and value != int(value):
            raise ValueError(f"{type(owner).__name__}.samples is {value}, expected a whole number")
