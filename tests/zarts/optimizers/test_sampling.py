"""Random directions: where they lie, how they spread, and checks of settings."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch

from zarts.bilevel.rng import generator
from zarts.optimizers import DARTS, GLD, MGS, RandomSearch
from zarts.optimizers.sampling import ball, check_positive, sphere

COUNT = 20_000


def like(dim: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.zeros(dim, dtype=dtype)


@pytest.mark.parametrize("dim", [1, 2, 5, 84])
def test_sphere_draws_are_unit_vectors_of_every_direction(dim: int) -> None:
    draws = sphere(COUNT, like(dim), generator(0, "sphere", dim))
    assert draws.shape == (COUNT, dim)
    torch.testing.assert_close(
        torch.linalg.vector_norm(draws, dim=1), torch.ones(COUNT, dtype=torch.float64)
    )
    # E u = 0 and E uuᵀ = I/d, each entry within five standard errors.
    assert draws.mean(0).abs().max() < 5 / math.sqrt(COUNT * dim)
    second = draws.T @ draws / COUNT
    spread = 5 * math.sqrt(2) / (dim * math.sqrt(COUNT))
    assert (second - torch.eye(dim, dtype=torch.float64) / dim).abs().max() < spread


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_ball_draws_fill_the_ball_evenly(dim: int) -> None:
    draws = ball(COUNT, like(dim), generator(0, "ball", dim))
    radii = torch.linalg.vector_norm(draws, dim=1)
    assert radii.max() <= 1
    # Uniform in volume: r^d is uniform on (0, 1), by Kolmogorov's distance.
    volumes = (radii**dim).sort().values
    ranks = (torch.arange(COUNT, dtype=torch.float64) + 0.5) / COUNT
    assert (volumes - ranks).abs().max() < 2 / math.sqrt(COUNT)
    # E uuᵀ = I/(d + 2)
    second = draws.T @ draws / COUNT
    assert second.diagonal().tolist() == pytest.approx([1 / (dim + 2)] * dim, rel=0.05)


@pytest.mark.parametrize("draw", [sphere, ball])
def test_draws_follow_the_generator_and_the_dtype(draw: type(sphere)) -> None:
    single = draw(3, like(4, torch.float32), generator(1, "x"))
    assert single.dtype == torch.float32
    assert torch.equal(single, draw(3, like(4, torch.float32), generator(1, "x")))
    assert not torch.equal(single, draw(3, like(4, torch.float32), generator(2, "x")))


@dataclass
class Settings:
    width: float
    other: float = -1.0


@pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf])
def test_settings_that_are_not_positive_are_refused_by_name(value: float) -> None:
    with pytest.raises(ValueError, match=r"Settings\.width is .*, expected a number > 0"):
        check_positive(Settings(value), "width")
    check_positive(Settings(1e-9), "width")  # fields that are not named are not looked at


@pytest.mark.parametrize(
    ("kind", "name", "value", "expected"),
    [
        (MGS, "samples", 4.0, "a whole number"),
        (MGS, "samples", True, "a whole number"),
        (MGS, "sigma", "0.1", "a number"),
        (MGS, "mix", False, "a number"),
        (RandomSearch, "samples", 4.0, "a whole number"),
        (RandomSearch, "antithetic", "no", "true or false"),
        (RandomSearch, "antithetic", 1, "true or false"),
        (DARTS, "order", True, "a whole number"),
        (DARTS, "beta1", "0.5", "a number"),
        (GLD, "radius_max", True, "a number"),
    ],
)
def test_settings_of_a_wrong_type_are_refused_by_name(
    kind: type, name: str, value: object, expected: str
) -> None:
    with pytest.raises(ValueError, match=rf"{kind.__name__}\.{name} is .*, expected {expected}"):
        kind(**{name: value})


def test_a_whole_number_is_a_number() -> None:
    assert MGS(sigma=1).sigma == GLD(radius_max=1).radius_max == 1
    assert DARTS(weight_decay=0).weight_decay == 0
