"""``Restricted`` to a plane and ``Counted``: the same problem seen through another lens."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from zarts.bilevel.difference import through_step
from zarts.bilevel.rng import generator
from zarts.bilevel.wrappers import Counted, Restricted
from zarts.problems.toy import Quadratic

ALPHAS = torch.randn(5, 3, generator=generator(0, "alphas"), dtype=torch.float64)
ALPHA = ALPHAS[0]
QUADRATIC = Quadratic.random(dim=3, weights=2)

# --- Restricted ----------------------------------------------------------------------------------

BASIS = torch.linalg.qr(torch.randn(3, 2, generator=generator(9, "plane")).double())[0]
PLANE_POINTS = torch.tensor([[0.5, -1.0], [2.0, 0.25], [0.0, 0.0]], dtype=torch.float64)


def plane(steps: int = 1, scale: float = 2.5) -> Restricted:
    return Restricted(QUADRATIC.problem(steps), origin=ALPHAS[1], basis=BASIS, scale=scale)


def test_lift_goes_scale_units_along_each_direction() -> None:
    lifted = plane().lift(PLANE_POINTS)
    for point, alpha in zip(PLANE_POINTS, lifted, strict=True):
        expected = ALPHAS[1] + 2.5 * (point[0] * BASIS[:, 0] + point[1] * BASIS[:, 1])
        torch.testing.assert_close(alpha, expected, rtol=1e-14, atol=1e-14)
    assert torch.equal(lifted[2], ALPHAS[1])
    distance = torch.linalg.vector_norm(lifted[0] - lifted[1])
    torch.testing.assert_close(
        distance, 2.5 * torch.linalg.vector_norm(PLANE_POINTS[0] - PLANE_POINTS[1])
    )


def test_a_lifted_point_does_not_depend_on_the_others() -> None:
    points = torch.randn(41, 2, generator=generator(3, "points"), dtype=torch.float64)
    alone = torch.cat([plane().lift(one) for one in points.split(1)])
    for count in (4, 7, 8, 41):
        assert torch.equal(torch.cat([plane().lift(some) for some in points.split(count)]), alone)


@pytest.mark.parametrize("steps", [0, 1, 4])
def test_a_restricted_value_is_the_value_at_the_lifted_point(steps: int) -> None:
    problem = plane(steps)
    assert (problem.space.dim, problem.inner_steps) == (2, steps)
    losses = problem.evaluate(PLANE_POINTS)
    for point, loss in zip(PLANE_POINTS, losses, strict=True):
        assert loss == problem(point)
        expected = QUADRATIC.loss_at(problem.lift(point.unsqueeze(0))[0], steps)
        torch.testing.assert_close(loss, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("steps", [0, 1, 4])
@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_a_restricted_gradient_is_the_slope_in_plane_coordinates(steps: int, scale: float) -> None:
    problem = plane(steps, scale)
    probes = 1e-4 * torch.eye(2, dtype=torch.float64)
    for point in PLANE_POINTS:
        ahead, behind = problem.evaluate(point + probes), problem.evaluate(point - probes)
        torch.testing.assert_close(
            problem.grad(point), (ahead - behind) / 2e-4, rtol=1e-8, atol=1e-8
        )


def test_both_kinds_of_gradient_pass_through() -> None:
    train = QUADRATIC.problem(1).train_loss
    kinked = replace(
        QUADRATIC.problem(1), train_loss=lambda w, a, b: train(w, a, b) + train(w, a, b) ** 2
    )
    counted = Counted(kinked)
    seen = Restricted(counted, ALPHAS[1], BASIS, 2.5)
    found = seen.grad(PLANE_POINTS[0], through_step)
    full = kinked.grad(seen.lift(PLANE_POINTS[:1])[0], through_step)
    torch.testing.assert_close(found, 2.5 * full @ BASIS)
    assert not torch.allclose(found, seen.grad(PLANE_POINTS[0]), rtol=1e-9, atol=1e-12)
    assert (counted.tally.gradients, counted.tally.weight_steps) == (2, 2)


def test_restricted_forwards_at_and_advance_at_the_lifted_point() -> None:
    problem = plane(1)
    assert problem.at(4)(PLANE_POINTS[0]) == plane(4)(PLANE_POINTS[0])
    later = problem.advance(PLANE_POINTS[0])
    full = QUADRATIC.problem(1).advance(problem.lift(PLANE_POINTS[:1])[0])
    assert torch.equal(later.lift(PLANE_POINTS), problem.lift(PLANE_POINTS))
    assert torch.equal(later.evaluate(PLANE_POINTS), full.evaluate(problem.lift(PLANE_POINTS)))
    assert problem(PLANE_POINTS[0]) == plane(1)(PLANE_POINTS[0])


def test_restricted_takes_points_of_another_precision() -> None:
    problem, point = plane(), PLANE_POINTS[0].float()
    assert problem(point) == problem(PLANE_POINTS[0])
    assert problem.grad(point).dtype == torch.float32


# --- Counted -------------------------------------------------------------------------------------


def test_counted_changes_no_number() -> None:
    plain = QUADRATIC.problem(2)
    counted = Counted(plain)
    assert (counted.space, counted.inner_steps) == (plain.space, 2)
    assert torch.equal(counted.evaluate(ALPHAS), plain.evaluate(ALPHAS))
    assert torch.equal(counted.grad(ALPHA), plain.grad(ALPHA))
    assert counted(ALPHA) == plain(ALPHA)
    assert counted.at(5)(ALPHA) == plain.at(5)(ALPHA)
    assert counted.advance(ALPHA)(ALPHA) == plain.advance(ALPHA)(ALPHA)


def test_every_question_is_counted_once_in_one_shared_tally() -> None:
    counted = Counted(QUADRATIC.problem(3))
    tally = counted.tally

    def spent() -> tuple[int, int, int]:
        return tally.evaluations, tally.gradients, tally.weight_steps

    assert spent() == (0, 0, 0)
    counted.evaluate(ALPHAS)
    assert spent() == (5, 0, 15)
    counted(ALPHA)
    assert spent() == (6, 0, 18)
    counted.grad(ALPHA)
    assert spent() == (6, 1, 21)
    counted.at(10).evaluate(ALPHAS[:2])
    assert spent() == (8, 1, 41)
    counted.at(0).grad(ALPHA)
    assert spent() == (8, 2, 41)
    later = counted.advance(ALPHA)
    assert spent() == (8, 2, 41)
    later.at(1).at(2)(ALPHA)
    assert spent() == (9, 2, 43)
    assert later.tally is tally
    assert Counted(QUADRATIC.problem(3)).tally.evaluations == 0  # two tallies never mix


def test_wrappers_go_together_in_either_order() -> None:
    inside = Restricted(Counted(QUADRATIC.problem(2)), ALPHAS[1], BASIS)
    outside = Counted(Restricted(QUADRATIC.problem(2), ALPHAS[1], BASIS))
    assert torch.equal(inside.evaluate(PLANE_POINTS), outside.evaluate(PLANE_POINTS))
    assert torch.equal(inside.grad(PLANE_POINTS[0]), outside.grad(PLANE_POINTS[0]))
    assert isinstance(inside.objective, Counted)
    assert inside.objective.tally == outside.tally
    assert outside.tally.weight_steps == 2 * 3 + 2
