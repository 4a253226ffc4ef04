"""Measures against closed forms, on grids with unequal sides."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from landscape import measure
from landscape.record import Figure1, OptimizerPath, Status, Surface

X = np.linspace(-1.0, 1.0, 5)
Y = np.linspace(-2.0, 2.0, 3)
COLS, ROWS = np.meshgrid(X, Y)


def surface(loss: np.ndarray, m: int = 0) -> Surface:
    finite = np.isfinite(loss)
    status = np.where(finite, Status.OK, Status.DIVERGED).astype(np.uint8)
    return Surface(m, X, Y, np.where(finite, loss, np.nan), status)


def without(loss: np.ndarray, *points: tuple[int, int]) -> np.ndarray:
    loss = loss.astype(float).copy()
    for row, col in points:
        loss[row, col] = np.nan
    return loss


def path(xy: list[tuple[float, float]], m: int = 10, method: str = "zarts-mgs") -> OptimizerPath:
    steps = np.arange(len(xy), dtype=float)
    return OptimizerPath(
        method, m, np.array(xy), 1 - steps / 10, 2 - steps / 10, 0 * steps, 4, 0, 40, 1.0
    )


def test_minimum_is_where_the_loss_says() -> None:
    low = measure.minimum(surface((COLS - 0.5) ** 2 + (ROWS + 2) ** 2 + 3))
    assert (low.row, low.col) == (0, 3)
    assert (low.x, low.y, low.loss) == (0.5, -2.0, 3.0)


@pytest.mark.parametrize(
    ("loss", "border"),
    [
        (COLS**2 + ROWS**2, False),
        ((COLS + 1) ** 2 + ROWS**2, True),
        ((COLS - 1) ** 2 + ROWS**2, True),
        (COLS**2 + (ROWS + 2) ** 2, True),
        (COLS**2 + (ROWS - 2) ** 2, True),
        (without(COLS**2 + ROWS**2, (1, 2)), False),  # the lowest that is known
        (np.full(COLS.shape, 2.0), False),
        (np.full(COLS.shape, np.nan), False),
    ],
)
def test_a_minimum_on_the_border(loss: np.ndarray, border: bool) -> None:
    assert measure.on_border(surface(loss)) is border


def test_minimum_takes_the_first_of_equals_and_no_nan() -> None:
    low = measure.minimum(surface(without(np.ones((3, 5)), (0, 0), (0, 1))))
    assert (low.row, low.col, low.loss) == (0, 2, 1.0)


def test_minimum_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="M = 10 has no finite loss among its 15 points"):
        measure.minimum(surface(np.full((3, 5), np.nan), m=10))


def test_infinity_is_no_number() -> None:
    loss = 1 + COLS**2
    loss[0, 0] = -np.inf
    raw = Surface(0, X, Y, loss, np.ones((3, 5), np.uint8))
    assert measure.minimum(raw).loss == 1.0
    assert measure.read(raw).missing == 1


def test_sharpness_of_a_ramp_is_its_slope_in_axis_units() -> None:
    assert measure.sharpness(surface(3 * COLS - 4 * ROWS)) == pytest.approx(5.0)
    # Twice the spacing along x only: a swap of rows and columns gives another number.
    wide = dataclasses.replace(surface(3 * COLS - 4 * ROWS), x=2 * X)
    assert measure.sharpness(wide) == pytest.approx(np.hypot(1.5, 4))


def test_sharpness_uses_points_with_their_neighbours_only() -> None:
    ramp = without(3 * COLS - 4 * ROWS, (1, 2))
    ramp[0, 0] = 100.0  # a cliff in a corner
    gradients = np.gradient(ramp, Y, X)
    norms = np.hypot(*gradients)
    norms[1, 2] = np.nan
    assert np.isfinite(norms).sum() < 14
    assert measure.sharpness(surface(ramp)) == pytest.approx(np.nanmean(norms))


def test_sharpness_without_neighbours_is_nan() -> None:
    lonely = np.full((3, 5), np.nan)
    lonely[1, 1] = 1.0
    assert np.isnan(measure.sharpness(surface(lonely)))
    line = Surface(0, X, Y[:1], np.ones((1, 5)), np.ones((1, 5), np.uint8))
    assert np.isnan(measure.sharpness(line))


def test_rank_correlation_sees_order_only() -> None:
    first = surface(COLS + 10 * ROWS)
    assert measure.rank_correlation(first, surface(np.exp(first.loss))) == pytest.approx(1)
    assert measure.rank_correlation(first, surface(-first.loss)) == pytest.approx(-1)


def test_rank_correlation_with_ties_and_holes() -> None:
    a = np.array([1, 2, 2, 3, np.nan] + [np.nan] * 10).reshape(3, 5)
    b = np.array([1, 3, 2, 2, 9] + [np.nan] * 10).reshape(3, 5)
    # Ranks 0, 1.5, 1.5, 3 and 0, 3, 1.5, 1.5 have covariance 2.25 and variance 4.5 (times four).
    assert measure.rank_correlation(surface(a), surface(b)) == pytest.approx(0.5)


def test_rank_correlation_of_a_constant_is_nan() -> None:
    assert np.isnan(measure.rank_correlation(surface(COLS), surface(np.ones((3, 5)))))


def test_surfaces_of_other_grids_are_not_compared() -> None:
    other = dataclasses.replace(surface(COLS), x=X + 1)
    with pytest.raises(ValueError, match="different grids"):
        measure.compare(surface(COLS), other, 1.0)


def test_interpolation_is_exact_for_bilinear_losses() -> None:
    smooth = surface(1 + 2 * COLS - ROWS + 3 * COLS * ROWS)
    xy = np.array([[0.1, 0.3], [-1.0, -2.0], [1.0, 2.0], [0.5, 1.7]])
    x, y = xy.T
    assert measure.interpolate(smooth, xy) == pytest.approx(1 + 2 * x - y + 3 * x * y)


def test_interpolation_makes_nothing_up() -> None:
    holed = surface(without(COLS, (0, 0)))
    outside_hole_line_hole = np.array([[1.1, 0.0], [-0.9, -1.5], [-0.7, 0.0], [np.nan, 0.0]])
    values = measure.interpolate(holed, outside_hole_line_hole)
    assert np.isnan(values[[0, 1, 3]]).all()
    assert values[2] == pytest.approx(-0.7)  # on the row above the hole, which it does not touch


def test_compare() -> None:
    first = surface((COLS + 1) ** 2 + (ROWS + 2) ** 2)
    last = surface(((COLS - 0.5) ** 2 + ROWS**2) / 4, m=10)
    found = measure.compare(first, last, scale=2.0)
    assert found.shift == pytest.approx(2.5)  # from (-1, -2) to (0.5, 0)
    assert found.length == pytest.approx(5.0)
    assert found.ratio == pytest.approx(measure.sharpness(last) / measure.sharpness(first))


def test_compare_takes_slopes_where_both_are_known() -> None:
    first, last = 2 * COLS, COLS.copy()
    last[:, 0] = -50.0  # steep, and unknown in the other
    holed = without(first, (0, 0), (1, 0), (2, 0))
    assert measure.compare(surface(holed), surface(last, 10), 1.0).ratio == pytest.approx(0.5)


def test_compare_with_nothing_is_nan() -> None:
    empty = surface(np.full((3, 5), np.nan))
    found = measure.compare(surface(COLS), empty, 1.0)
    assert np.isnan([found.shift, found.length, found.ratio, found.correlation]).all()


def test_reading_counts_what_is_missing() -> None:
    reading = measure.read(surface(without(COLS, (0, 0), (2, 4))))
    assert (reading.points, reading.missing) == (15, 2)
    assert reading.span == pytest.approx(2.0)
    nothing = measure.read(surface(np.full((3, 5), np.nan)))
    assert nothing.minimum is None
    assert np.isnan(nothing.span)


def test_ending_of_a_path() -> None:
    surfaces = surface(COLS + ROWS), surface(3 * COLS), surface(COLS**2 + ROWS**2, 10)
    surfaces = (surfaces[0], dataclasses.replace(surfaces[1], inner_steps=1), surfaces[2])
    end = measure.ending(path([(0.0, 0.0), (0.3, 0.4), (0.3, 1.4)]), surfaces)
    assert (end.step, end.x, end.y) == (2, 0.3, 1.4)
    assert end.length == pytest.approx(1.5)
    assert end.distance == pytest.approx(np.hypot(0.3, 1.4))  # the star is at the origin
    # Read off the first two, recorded for the M it descends.
    assert end.losses == pytest.approx((1.7, 0.9, 0.8))


def test_ending_takes_the_recorded_losses() -> None:
    surfaces = surface(COLS), surface(COLS, 10)
    end = measure.ending(path([(0.0, 0.0), (0.5, 0.0)], m=0, method="darts-1"), surfaces)
    assert end.losses == pytest.approx((0.9, 1.9))
    assert end.target_loss == pytest.approx(1.9)


def test_a_diverged_path_ends_at_its_last_finite_point() -> None:
    diverged = path([(0.0, 0.0), (0.3, 0.4), (np.nan, np.nan)])
    end = measure.ending(diverged, (surface(COLS, 10),))
    assert (end.step, end.length) == (1, pytest.approx(0.5))
    nowhere = path([(np.nan, np.nan)])
    with pytest.raises(ValueError, match="zarts-mgs has no point"):
        measure.ending(nowhere, ())
    record = Figure1("run", (surface(COLS, 10),), (diverged, nowhere), 1.0)
    assert [end.path for end in measure.endings(record)] == [diverged]
