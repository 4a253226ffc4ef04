"""Planes: orthonormal over all of α, and the way to the plane and back."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from landscape.geometry.plane import TOLERANCE, Plane, orthonormal
from zarts.bilevel.rng import generator
from zarts.supernet.spaces import SPACES

DIMS = sorted({space.dim for space in SPACES.values()})
XY = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-0.5, 0.5], [0.3, -2.0]]).double()


def plane(dim: int = 84, seed: int = 0, scale: float = 1.0) -> Plane:
    origin = torch.randn(dim, generator=generator(seed, "origin"), dtype=torch.float64)
    return Plane.random(origin, generator(seed, "plane"), scale)


def normal_of(it: Plane, seed: int = 0) -> Tensor:
    """A unit vector (d,) at a right angle to the plane."""
    draw = torch.randn(len(it.origin), generator=generator(seed, "normal"), dtype=torch.float64)
    draw = draw - it.basis @ (it.basis.T @ draw)
    return draw / torch.linalg.vector_norm(draw)


def test_the_dimensions_are_those_of_the_paper() -> None:
    assert DIMS == [56, 84, 196, 224]


@pytest.mark.parametrize("dim", [2, 3, *DIMS])
@pytest.mark.parametrize("seed", range(5))
def test_directions_are_orthonormal_over_all_of_alpha(dim: int, seed: int) -> None:
    first, second = plane(dim, seed).basis.T
    assert abs(float(first @ second)) < TOLERANCE  # both of length one: this is the cosine
    assert float(torch.linalg.vector_norm(first)) == pytest.approx(1, abs=TOLERANCE)
    assert float(torch.linalg.vector_norm(second)) == pytest.approx(1, abs=TOLERANCE)


def test_directions_mix_both_cell_types() -> None:
    """One plane over all of α, not one per cell type."""
    halves = plane(84).basis.reshape(2, 42, 2)
    cosines = (halves[:, :, 0] * halves[:, :, 1]).sum(1)
    assert cosines.abs().min() > 1e-3  # each half alone is not orthogonal
    assert float(cosines.sum()) == pytest.approx(0, abs=TOLERANCE)


@pytest.mark.parametrize("dim", [2, *DIMS])
@pytest.mark.parametrize("scale", [1.0, 5.0, 0.01])
def test_there_and_back(dim: int, scale: float) -> None:
    it = plane(dim, scale=scale)
    assert torch.allclose(it.project(it.points(XY)), XY, atol=1e-12)
    assert float(it.residual(it.points(XY)).max()) < 1e-12
    assert torch.equal(it.points(XY[:1])[0], it.origin)


@pytest.mark.parametrize("dim", [56, 224])
@pytest.mark.parametrize("height", [1e-6, 0.5, 40.0])
def test_what_a_projection_hides_is_the_distance_from_the_plane(dim: int, height: float) -> None:
    it = plane(dim, scale=3.0)
    above = it.points(XY) + height * normal_of(it)
    assert torch.allclose(it.project(above), XY, atol=1e-9)
    assert it.residual(above).tolist() == pytest.approx([height] * len(XY), rel=1e-6)


def test_projection_is_least_squares() -> None:
    """No point of the plane is nearer than the projection."""
    it = plane(56, scale=2.0)
    alpha = torch.randn(1, 56, generator=generator(1), dtype=torch.float64)
    nearest = it.project(alpha)
    distance = float(it.residual(alpha))
    for shift in ([0.01, 0], [-0.01, 0], [0, 0.01], [0, -0.01]):
        other = it.points(nearest + torch.tensor([shift]))
        assert float(torch.linalg.vector_norm(alpha - other)) > distance
    design = 2.0 * it.basis
    by_hand = torch.linalg.solve(design.T @ design, design.T @ (alpha[0] - it.origin))
    assert torch.allclose(nearest[0], by_hand, atol=1e-12)


def test_scale_is_the_length_of_an_axis_unit_on_both_axes() -> None:
    it = plane(84, scale=7.5)
    steps = it.points(torch.eye(2, dtype=torch.float64)) - it.origin
    assert torch.linalg.vector_norm(steps, dim=1).tolist() == pytest.approx([7.5, 7.5])
    assert float(steps[0] @ steps[1]) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("dim", [3, 84, 224])
def test_a_point_is_the_same_to_the_last_bit_whatever_is_asked_for_with_it(dim: int) -> None:
    it = plane(dim, scale=1.7)
    x, y = np.meshgrid(np.linspace(-1, 1, 10), np.linspace(-1, 1, 7))
    xy = torch.from_numpy(np.stack([x.ravel(), y.ravel()], axis=1))
    alone = torch.cat([it.points(one) for one in xy.split(1)])
    for count in (2, 4, 7, 8, 70):
        assert torch.equal(torch.cat([it.points(some) for some in xy.split(count)]), alone)


def test_the_same_draws_give_the_same_plane() -> None:
    assert torch.equal(plane(seed=3).basis, plane(seed=3).basis)
    assert not torch.allclose(plane(seed=3).basis, plane(seed=4).basis)


def test_a_float32_alpha_gives_a_float64_plane() -> None:
    it = Plane.random(torch.ones(56), generator(0))
    assert it.origin.dtype == it.basis.dtype == it.points(XY.float()).dtype == torch.float64
    assert it.project(it.points(XY).float()).dtype == torch.float64


def test_orthonormal_keeps_the_first_direction_and_the_side_of_the_second() -> None:
    draws = torch.randn(9, 2, generator=generator(5), dtype=torch.float64)
    first, second = orthonormal(draws).T
    assert torch.allclose(first, draws[:, 0] / torch.linalg.vector_norm(draws[:, 0]))
    rest = draws[:, 1] - (draws[:, 1] @ first) * first
    assert torch.allclose(second, rest / torch.linalg.vector_norm(rest))


def test_almost_parallel_draws_still_become_orthonormal() -> None:
    draws = torch.randn(224, 2, generator=generator(5), dtype=torch.float64)
    draws[:, 1] = draws[:, 0] + 1e-7 * draws[:, 1]
    Plane(torch.zeros(224).double(), orthonormal(draws))


@pytest.mark.parametrize("factor", [0.0, 1.0, -3.0])
def test_dependent_draws_are_refused(factor: float) -> None:
    first = torch.randn(56, generator=generator(0), dtype=torch.float64)
    with pytest.raises(ValueError, match="linearly dependent"):
        orthonormal(torch.stack([first, factor * first], dim=1))


@pytest.mark.parametrize(
    ("basis", "message"),
    [
        (torch.ones(4, 2), "orthonormal"),
        (2 * torch.eye(4)[:, :2], "orthonormal"),
        (torch.eye(4)[:, :2] + 1e-5, "orthonormal"),
        (torch.full((4, 2), math.nan), "orthonormal"),
        (torch.eye(4)[:2], "shape"),
        (torch.eye(4)[:, :1], "shape"),
        (torch.eye(3)[:, :2], "shape"),
    ],
)
def test_a_bad_basis_is_refused(basis: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Plane(torch.zeros(4, dtype=torch.float64), basis.double())


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
def test_a_bad_scale_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="scale"):
        plane(scale=scale)


def test_one_dimension_has_no_plane() -> None:
    with pytest.raises(ValueError, match="shape"):
        Plane.random(torch.zeros(1), generator(0))


# --- planes that somebody chose ------------------------------------------------------------------


def walk(count: int = 12, dim: int = 9, noise: float = 0.01) -> Tensor:
    """Points near a bent line in a plane that is none of the coordinates'."""
    time = torch.linspace(0, 1, count, dtype=torch.float64)
    draws = torch.randn(dim, 2, generator=generator(3), dtype=torch.float64)
    bent = torch.stack([4 * time, time.square()], dim=1) @ draws.T
    return 7 + bent + noise * torch.randn(count, dim, generator=generator(4), dtype=torch.float64)


def test_the_principal_plane_holds_as_much_of_the_points_as_any() -> None:
    points = walk()
    it = Plane.from_points(points)
    squares = torch.linalg.eigvalsh(torch.cov(points.T)).flip(0)
    assert torch.allclose(it.explained(points), squares[:2] / squares.sum())
    xy = it.project(points)
    assert float(xy.abs().max()) == pytest.approx(0.8)
    assert (xy[-1] > xy[0]).all()
    assert torch.allclose(xy.mean(0), torch.zeros(2).double(), atol=1e-12)
    assert float(it.residual(points).max()) < 0.1
    assert float(it.explained(points)[0]) > 0.9
    assert Plane.from_points(points.float(), 2.0).scale == 2.0


def test_a_plane_along_a_direction() -> None:
    origin, first = torch.ones(6), torch.arange(6.0)
    it = Plane.along(origin, first, generator(1), 0.5)
    assert torch.allclose(it.basis[:, 0], first.double() / first.double().norm())
    assert torch.equal(it.basis, Plane.along(origin, first, generator(1)).basis)
    second = Plane.along(origin, first, torch.eye(6)[2]).basis[:, 1]
    assert float(second[2]) > 0
    assert float(second @ first.double()) == pytest.approx(0, abs=1e-12)


def test_a_plane_through_three_points() -> None:
    a, b, c = walk(3)
    it = Plane.through(a, b, c)
    xy = it.project(torch.stack([a, b, c]))
    assert xy[:2].flatten().tolist() == pytest.approx([0, 0, 1, 0], abs=1e-12)
    assert float(xy[2, 1]) > 0
    assert float(it.residual(torch.stack([a, b, c])).max()) < 1e-12


LINE = torch.linspace(1, 3, 5)[:, None] * torch.tensor([1.0, 0.3, 0.7])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Plane.from_points(torch.ones(5, 4)), "the 5 points are all equal"),
        (lambda: Plane.from_points(LINE), "the 5 points lie on one line"),
        (lambda: Plane.from_points(walk(1)), "the 1 points are all equal"),
        (lambda: Plane.from_points(torch.ones(4)), "expected \\(n, d\\)"),
        (lambda: Plane.from_points(walk() * math.nan), "points has numbers that are not finite"),
        (lambda: Plane.through(*LINE[:3]), "the three points lie on one line"),
        (lambda: Plane.through(LINE[0], LINE[0], LINE[1]), "the three points lie on one line"),
        (lambda: Plane.along(LINE[0], LINE[1], -LINE[1]), "linearly dependent"),
        (lambda: Plane.along(LINE[0], 0 * LINE[1], generator(0)), "got the directions .'zero'"),
        (lambda: Plane.along(LINE[0], torch.ones(4), generator(0)), "expected two of .3,"),
        (lambda: Plane.along(LINE[0], LINE[1] / 0, generator(0)), "a direction has numbers that"),
    ],
)
def test_what_spans_no_plane_is_one_clear_error(make: Callable[[], Plane], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
