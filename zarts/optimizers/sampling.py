"""Random directions shared by the zero-order optimizers, and checks of all optimizers' settings."""

from __future__ import annotations

import math
import typing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["ball", "check_positive", "check_types", "sphere"]


def sphere(samples: int, like: Tensor, rng: torch.Generator) -> Tensor:
    """Uniform draws (samples, d) from the unit sphere in the space of ``like`` (d,)."""
    import torch

    normal = torch.randn(samples, like.numel(), generator=rng, dtype=like.dtype)
    directions: Tensor = normal / torch.linalg.vector_norm(normal, dim=1, keepdim=True)
    return directions


def ball(samples: int, like: Tensor, rng: torch.Generator) -> Tensor:
    """Uniform draws (samples, d) from the unit ball: a direction times U^(1/d)."""
    import torch

    directions = sphere(samples, like, rng)
    radius = torch.rand(samples, 1, generator=rng, dtype=like.dtype) ** (1 / like.numel())
    return directions * radius


_EXPECTED = {int: "a whole number", float: "a number", bool: "true or false"}


def check_types(owner: object) -> None:
    """Checks that numbers and truth values among the fields are what they say.

    "no" would count as true, and 4.0 samples would be found out by the first draw only. A float may
    be given as an int.

    Raises:
        ValueError: If one is not.
    """
    for name, hint in typing.get_type_hints(type(owner)).items():
        value = getattr(owner, name)
        whole = isinstance(value, int) and not isinstance(value, bool)
        fine = {
            int: whole,
            float: whole or isinstance(value, float),
            bool: isinstance(value, bool),
        }
        if not fine.get(hint, True):
            raise ValueError(
                f"{type(owner).__name__}.{name} is {value!r}, expected {_EXPECTED[hint]}"
            )


def check_positive(owner: object, *names: str) -> None:
    """Raises ValueError unless the named fields are finite and greater than zero."""
    for name in names:
        value = getattr(owner, name)
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{type(owner).__name__}.{name} is {value}, expected a number > 0")
