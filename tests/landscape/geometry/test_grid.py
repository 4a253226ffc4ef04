"""Grids: rows are y, columns are x, any order and any number of sittings give the same bits."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from landscape.geometry.grid import Point, empty_surface, fill, pending, put_point
from landscape.geometry.plane import Plane
from landscape.record import Status, Surface
from zarts.bilevel.alpha import Space, flat_space
from zarts.bilevel.rng import generator
from zarts.bilevel.wrappers import Restricted
from zarts.problems.toy import Quadratic

PLANE = Plane.random(torch.linspace(-1, 1, 7), generator(0, "plane"), 3.0)


@dataclass(frozen=True)
class OnPlane:
    """A function of the plane's (x, y) as an objective of α; notes what it is asked."""

    function: Callable[[float, float], float]
    inner_steps: int = 0
    asked: list[tuple[int, float, float]] = field(default_factory=list)

    @property
    def space(self) -> Space:
        return flat_space("stub", 7)

    def __call__(self, alpha: Tensor) -> Tensor:
        return self.evaluate(alpha.unsqueeze(0))[0]

    def evaluate(self, alphas: Tensor) -> Tensor:
        points = PLANE.project(alphas).tolist()
        self.asked.extend((self.inner_steps, x, y) for x, y in points)
        return torch.tensor([self.function(x, y) for x, y in points], dtype=torch.float64)

    def grad(self, alpha: Tensor) -> Tensor:
        raise NotImplementedError

    def at(self, inner_steps: int) -> OnPlane:
        return replace(self, inner_steps=inner_steps)

    def advance(self, alpha: Tensor) -> OnPlane:
        raise NotImplementedError


def tilted() -> OnPlane:
    return OnPlane(lambda x, y: x + 10 * y)


def last(objective: object, surface: Surface, plane: Plane = PLANE) -> Surface:
    *_, surface = [surface, *fill(objective, plane, surface)]
    return surface


def bits(surface: Surface) -> tuple[bytes, bytes]:
    return surface.loss.tobytes(), surface.status.tobytes()


@pytest.mark.parametrize(("rows", "cols"), [(3, 5), (5, 3), (2, 7)])
def test_rows_are_y_and_columns_are_x(rows: int, cols: int) -> None:
    surface = last(tilted(), empty_surface(0, rows, cols, extent=2.0))
    assert surface.loss.shape == (rows, cols)
    assert surface.x.tolist() == np.linspace(-2, 2, cols).tolist()
    assert surface.y.tolist() == np.linspace(-2, 2, rows).tolist()
    for row in range(rows):
        for col in range(cols):
            expected = surface.x[col] + 10 * surface.y[row]
            assert surface.loss[row, col] == pytest.approx(expected, abs=1e-9)
    assert (surface.status == Status.OK).all()
    assert surface.done == rows * cols


def test_an_empty_surface_knows_nothing() -> None:
    surface = empty_surface(10, 3, 5)
    assert np.isnan(surface.loss).all()
    assert surface.loss.shape == surface.seconds.shape == (3, 5)
    assert (surface.status == Status.PENDING).all()
    assert (surface.done, surface.inner_steps) == (0, 10)
    assert (surface.x[0], surface.x[-1], surface.x[2]) == (-1, 1, 0)


@pytest.mark.parametrize(("rows", "cols"), [(1, 5), (5, 1), (0, 0), (-3, 4)])
def test_a_grid_has_two_rows_and_two_columns(rows: int, cols: int) -> None:
    with pytest.raises(ValueError, match=f"{rows}x{cols}"):
        empty_surface(0, rows, cols)


def test_each_point_is_asked_once_at_the_surfaces_own_steps() -> None:
    objective = OnPlane(lambda x, y: x + 10 * y, inner_steps=3)
    states = list(fill(objective, PLANE, empty_surface(7, 3, 5)))
    assert [state.done for state in states] == list(range(1, 16))
    assert len(objective.asked) == 15
    assert {steps for steps, _, _ in objective.asked} == {7}
    assert (states[-1].seconds > 0).all()


def test_what_was_yielded_stays_as_it_was() -> None:
    start = empty_surface(0, 3, 5)
    states = list(fill(tilted(), PLANE, start))
    assert start.done == 0
    assert np.isnan(start.loss).all()
    for count, state in enumerate(states, 1):
        assert np.isfinite(state.loss).sum() == count


def test_a_grid_goes_on_from_any_state_to_the_same_bits() -> None:
    quadratic = Quadratic.random(7, 4)
    problem = quadratic.problem(2)
    whole = list(fill(problem, PLANE, empty_surface(2, 3, 5)))
    for state in whole:
        assert bits(last(problem, state)) == bits(whole[-1])
    rng = np.random.default_rng(0)
    for _ in range(10):  # holes anywhere, as other orders and other workers leave them
        known = rng.random((3, 5)) < 0.5
        loss = np.where(known, whole[-1].loss, np.nan)
        status = np.where(known, Status.OK, Status.PENDING).astype(np.uint8)
        assert bits(last(problem, replace(whole[-1], loss=loss, status=status))) == bits(whole[-1])


def test_only_pending_points_are_asked() -> None:
    surface = empty_surface(0, 3, 5)
    surface.status[:] = Status.OK
    surface.loss[:] = 4.0
    surface.status[0, 0], surface.loss[0, 0] = Status.DIVERGED, np.nan
    surface.status[2, 1], surface.loss[2, 1] = Status.PENDING, np.nan
    objective = tilted()
    after = last(objective, surface)
    assert len(objective.asked) == 1
    assert after.loss[2, 1] == pytest.approx(surface.x[1] + 10 * surface.y[2])
    assert np.isnan(after.loss[0, 0])  # a result too: it is not tried again
    assert (np.delete(after.loss.ravel(), [0, 11]) == 4.0).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_point_without_a_value_is_marked_and_has_no_number(bad: float) -> None:
    objective = OnPlane(lambda x, y: bad if x > 0.4 and y < 0 else x + 10 * y)
    surface = last(objective, empty_surface(0, 3, 5))
    wrong = np.zeros((3, 5), dtype=bool)
    wrong[0, 3:] = True
    assert ((surface.status == Status.DIVERGED) == wrong).all()
    assert (np.isnan(surface.loss) == wrong).all()
    assert (surface.status[~wrong] == Status.OK).all()
    assert surface.done == 15
    assert list(fill(objective, PLANE, surface)) == []


@pytest.mark.parametrize("steps", [0, 1, 10])
def test_a_toy_landscape_is_the_closed_form(steps: int) -> None:
    quadratic = Quadratic.random(7, 4)
    surface = last(quadratic.problem(3), empty_surface(steps, 3, 5))
    for row in range(3):
        for col in range(5):
            point = torch.tensor([[surface.x[col], surface.y[row]]], dtype=torch.float64)
            expected = float(quadratic.loss_at(PLANE.points(point)[0], steps))
            assert surface.loss[row, col] == pytest.approx(expected, rel=1e-12)


def test_values_are_those_of_the_objective_and_of_its_restriction() -> None:
    problem = Quadratic.random(7, 4).problem(1)
    surface = last(problem, empty_surface(1, 3, 5))
    restricted = Restricted(problem, PLANE.origin, PLANE.basis, PLANE.scale)
    for row in range(3):
        for col in range(5):
            point = torch.tensor([surface.x[col], surface.y[row]], dtype=torch.float64)
            assert surface.loss[row, col] == float(problem(PLANE.points(point.unsqueeze(0))[0]))
            assert surface.loss[row, col] == pytest.approx(float(restricted(point)), rel=1e-12)


def test_an_error_leaves_what_was_done() -> None:
    def faulty(x: float, y: float) -> float:
        if x > 0.9:
            raise RuntimeError("poison")
        return x

    states = fill(OnPlane(faulty), PLANE, empty_surface(0, 3, 5))
    assert next(states).done == 1  # the first corner; the second one is poison
    with pytest.raises(RuntimeError, match="poison"):
        next(states)


@pytest.mark.parametrize("status", [Status.FAILED, Status.OOM, Status.TIMEOUT])
def test_points_that_failed_are_tried_again(status: Status) -> None:
    surface = empty_surface(0, 2, 3)
    put_point(surface, 0, 1, Point(np.nan), seconds=0.0, status=status)
    put_point(surface, 1, 2, Point(np.nan), seconds=0.0)
    assert surface.status[1, 2] == Status.DIVERGED
    assert surface.done == 1
    assert pending(surface) == [[(0, 0), (0, 2), (1, 0)], [(0, 1), (1, 1)]]  # corners first
