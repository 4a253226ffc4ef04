"""The panel of a difference: its numbers are those of the two surfaces, zero is marked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from landscape.figures import figure_1, static, to_html
from landscape.figures.plan import panels, taken
from landscape.record import Figure1, OptimizerPath, Status, Surface

X, Y = np.linspace(-1.0, 1.0, 5), np.linspace(-2.0, 2.0, 3)
COLS, ROWS = np.meshgrid(X, Y)
OK = np.ones(COLS.shape, np.uint8)
FIRST = Surface(0, X, Y, 0.5 + COLS**2, OK, accuracy=0.5 + 0.1 * COLS)
LAST = Surface(10, X, Y, 0.5 + COLS**2 + 0.3 * COLS - 0.1 * ROWS, OK, accuracy=0.6 + 0 * COLS)
DELTA = LAST.loss - FIRST.loss
XY = np.array([[0.0, 0.0], [0.5, 1.0]])
PATH = OptimizerPath("darts-1", 0, XY, XY[:, 0], XY[:, 0], XY[:, 0], 0, 1, 0, 1.0)
RECORD = Figure1("run", (FIRST, LAST), (PATH,), 1.0)


def test_minimum_and_signs_are_those_of_the_record() -> None:
    figure = figure_1(RECORD, difference=True)
    first, last, delta, zero = (each for each in figure.data if each.type == "contour")
    assert (first.coloraxis, last.coloraxis) == ("coloraxis", "coloraxis")
    assert np.array_equal(delta.customdata, DELTA)
    axis = figure.layout.coloraxis3
    assert delta.coloraxis == "coloraxis3"
    assert axis.cmin == -axis.cmax <= DELTA.min()  # so zero is the middle colour
    assert 0.0 in axis.colorbar.tickvals
    assert (delta.xaxis, zero.xaxis, zero.name) == ("x3", "x3", "zero")
    assert (zero.contours.start, zero.contours.end) == (0, 0)
    assert np.allclose(zero.z, DELTA)
    row, col = np.unravel_index(DELTA.argmin(), DELTA.shape)
    stars = [each for each in figure.data if each.name and each.name.startswith("minimum")]
    assert (stars[2].x[0], stars[2].y[0], stars[2].xaxis) == (X[col], Y[row], "x3")
    title = figure.layout.annotations[2].text
    assert "Δ: M = 10 minus M = 0" in title
    assert f"{(DELTA < 0).sum()} of 15 points" in title
    assert len(figure.layout.meta["paths"][0]["heads"]) == 3  # played on all panels


def test_the_order_of_the_two_is_the_asked_one() -> None:
    turned = panels(RECORD, [10, 0], difference=True)
    assert [panel.surface.inner_steps for panel in turned] == [10, 0, 0]
    assert np.array_equal(turned[2].surface.loss, -DELTA)


def test_of_accuracy_blue_is_better_too() -> None:
    loss, accuracy = (panels(RECORD, difference=True, quantity=each)[2] for each in KINDS)
    assert (loss.levels.quantity.colours, accuracy.levels.quantity.colours) == ("RdBu_r", "RdBu")
    assert np.array_equal(accuracy.surface.loss, 100 * LAST.accuracy - 100 * FIRST.accuracy)


KINDS = ("loss", "accuracy")


def test_without_both_signs_there_is_no_line() -> None:
    above = replace(RECORD, surfaces=(FIRST, replace(LAST, loss=FIRST.loss + 0.1)))
    figure = figure_1(above, difference=True)
    assert not [each for each in figure.data if each.name == "zero"]
    assert "nowhere below 0" in figure.layout.annotations[2].text
    same = figure_1(
        replace(RECORD, surfaces=(FIRST, replace(FIRST, inner_steps=1))), difference=True
    )
    assert "constant 0.0000" in same.layout.annotations[2].text


def test_missing_points_are_missing_in_it() -> None:
    status = OK.copy()
    status[1, 2] = Status.DIVERGED
    holed = replace(LAST, loss=np.where(status == Status.OK, LAST.loss, np.nan), status=status)
    found = taken(FIRST, holed)
    assert np.isnan(found.loss[1, 2])
    assert found.status[1, 2] == taken(holed, FIRST).status[1, 2] == Status.DIVERGED
    status[0] = Status.PENDING
    begun = replace(LAST, loss=np.where(status == Status.OK, LAST.loss, np.nan), status=status)
    assert not np.isfinite(taken(FIRST, begun).loss).any()
    assert (
        "no finite Δ loss"
        in figure_1(replace(RECORD, surfaces=(FIRST, begun)), difference=True)
        .layout.annotations[2]
        .text
    )


def test_one_surface_has_no_difference() -> None:
    with pytest.raises(ValueError, match="needs two M"):
        figure_1(RECORD, [10], difference=True)
    with pytest.raises(ValueError, match="different grids"):
        taken(FIRST, replace(LAST, x=2 * X))


def test_files_have_it_too() -> None:
    assert b"minus" in static(RECORD, "svg", difference=True)
    assert static(RECORD, "png", difference=True, scale="own")[1:4] == b"PNG"
    page = to_html(figure_1(RECORD, difference=True), RECORD)
    assert "minus M = 0" in page
    assert "min-width: 900px" in page
