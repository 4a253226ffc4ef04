"""An unfinished figure shows a whole coarser grid, the points beyond it, and what is missing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from landscape.figures import figure_1, losses, partial, static, words
from landscape.figures.look import levels as contour_levels
from landscape.figures.static import draw_points
from landscape.geometry.grid import Point, empty_surface, put_point
from landscape.geometry.levels import levels, progressive
from landscape.measure import compare
from landscape.record import Figure1, OptimizerPath, Status, Surface
from landscape.record.counts import unfinished

ROWS, COLS = 9, 13  # levels of 2x2, 3x3, 3x4, 5x7 and 9x13 points
POINTS = [point for level in progressive(ROWS, COLS) for point in level]
X, Y = np.linspace(-1.0, 1.0, COLS), np.linspace(-2.0, 2.0, ROWS)
GRID_X, GRID_Y = np.meshgrid(X, Y)
LOSS = 0.5 + (GRID_X - 0.3) ** 2 + 0.1 * np.sin(40 * GRID_X + 7 * GRID_Y)


def surface(
    count: int, tried: dict[int, Status] | None = None, m: int = 10, factor: float = 1.0
) -> Surface:
    """The first points in the order of the levels; some of them tried without a result."""
    status = np.full((ROWS, COLS), Status.PENDING, np.uint8)
    for index, point in enumerate(POINTS[:count]):
        status[point] = (tried or {}).get(index, Status.OK)
    loss = np.where(status == Status.OK, factor * LOSS, np.nan)
    return Surface(m, X, Y, loss, status, 0 * LOSS)


def record(*surfaces: Surface, **changes: object) -> Figure1:
    return dataclasses.replace(Figure1("run", surfaces, (), 3.2), **changes)


def drawn(figure: object, kind: str) -> list:
    return [trace for trace in figure.data if kind in (trace.type, trace.name)]


@given(st.integers(0, len(POINTS) - 1), st.sets(st.sampled_from(POINTS), max_size=5))
@settings(max_examples=60)
def test_the_stage_is_the_finest_whole_level(count: int, extra: set[tuple[int, int]]) -> None:
    whole = surface(len(POINTS))
    status = surface(count).status.copy()
    for point in extra:
        status[point] = Status.OK
    begun = dataclasses.replace(
        whole, status=status, loss=np.where(status == Status.OK, LOSS, np.nan)
    )
    found = partial.stage(begun)
    if (status == Status.OK).all():
        assert found is None
        return
    assert found is not None
    fitting = [level for level in levels(ROWS, COLS) if (status[np.ix_(*level)] == Status.OK).all()]
    assert (found.number, found.levels) == (len(fitting), 5)
    assert str(found.count) == f"{(status == Status.OK).sum()} of {ROWS * COLS} computed"
    if not fitting:
        assert found.grid is None
        return
    rows, cols = map(list, fitting[-1])
    assert np.array_equal(found.grid.x, X[cols])
    assert np.array_equal(found.grid.y, Y[rows])
    assert np.array_equal(found.grid.loss, LOSS[np.ix_(rows, cols)])


def test_contours_join_the_finished_level_only() -> None:
    figure = figure_1(record(surface(20)))  # 12 points of level 3, and 8 of the next
    (contour,) = drawn(figure, "contour")
    rows, cols = map(list, levels(ROWS, COLS)[2])
    assert (len(rows), len(cols)) == (3, 4)
    assert np.array_equal(contour.x, X[cols])
    assert np.array_equal(contour.y, Y[rows])
    assert np.array_equal(contour.customdata, LOSS[np.ix_(rows, cols)])
    assert np.allclose(contour.z, contour.customdata, rtol=1e-6)
    assert contour.zorder == -1  # below the points
    assert (contour.hoverinfo, contour.hovertemplate) == ("skip", None)


@pytest.mark.parametrize("log", [False, True])
def test_every_cell_is_a_number_pending_or_lost_and_never_two_of_them(log: bool) -> None:
    begun = surface(40, {1: Status.DIVERGED, 30: Status.TIMEOUT, 31: Status.FAILED})
    figure = figure_1(record(begun), log=log)
    (points,), (cells,) = drawn(figure, "computed points"), drawn(figure, "missing")
    computed = begun.status == Status.OK
    assert np.array_equal(np.isfinite(points.z), computed)
    assert np.array_equal(points.customdata[computed], LOSS[computed])
    assert np.array_equal(np.isnan(cells.z), computed)
    assert np.array_equal(cells.z == 0, begun.status == Status.PENDING)
    assert np.array_equal(cells.z == 1, (begun.status > Status.OK))
    assert {cells.customdata[POINTS[index]] for index in (1, 30, 31, 99)} == {
        "diverged", "timeout", "failed", "pending",
    }  # fmt: skip
    (crosses,) = drawn(figure, "missing points")
    places = sorted((X[col], Y[row]) for row, col in (POINTS[index] for index in (1, 30, 31)))
    assert sorted(zip(crosses.x, crosses.y, strict=True)) == places
    assert points.hoverongaps is cells.hoverongaps is False
    # One scale for contours and points: a colour means one loss.
    axis = figure.layout.coloraxis
    assert (points.zmin, points.zmax) == (axis.cmin, axis.cmax)
    veil = cells.colorscale[0][1]
    assert veil.startswith("rgba(")
    assert veil.endswith(", 0.6)")  # the coarser level shows through


def test_a_lost_point_is_a_hole_in_its_level_and_does_not_hold_it_back() -> None:
    found = partial.stage(surface(20, {1: Status.FAILED}))
    assert found is not None
    assert found.number == 3
    (contour,) = drawn(figure_1(record(surface(20, {1: Status.FAILED}))), "contour")
    assert np.isnan(contour.z).sum() == 1
    assert contour.connectgaps is False


def test_before_the_corners_there_is_no_contour() -> None:
    figure = figure_1(record(surface(3), surface(0, m=20)))
    assert not drawn(figure, "contour")
    left, right = (note.text for note in figure.layout.annotations[:2])
    assert "no level finished yet<br>3 of 117 computed" in left
    assert "no level finished yet<br>0 of 117 computed" in right
    assert static(record(surface(3), surface(0, m=20)), "svg")


def test_titles_and_caption_say_how_far_it_is() -> None:
    begun = record(surface(117, m=0), surface(20, {13: Status.DIVERGED, 14: Status.FAILED}))
    figure = figure_1(begun)
    whole, half = (note.text for note in figure.layout.annotations[:2])
    assert "level" not in whole
    assert "so far" not in whole
    assert "level 3 of 5, 3×4 points<br>19 of 117 computed" in half  # diverging is a result
    assert "so far" in half
    assert "2 missing" in half
    assert words.caption(begun).startswith(partial.LEGEND)
    said = words.takeaway(begun)
    assert "Not finished: 136 of 234 points are computed." in said
    assert "1 point failed or took too long; the same command tries again." in said
    picture = static(begun, "svg")
    assert "level 3 of 5, 3×4 points · 19 of 117 computed".encode() in picture
    assert static(begun, "svg") == picture


def test_a_long_caption_gets_its_room() -> None:
    begun = figure_1(record(surface(20)))
    longer = figure_1(record(surface(20), config={"space": "long name " * 40}))
    assert longer.layout.height > begun.layout.height


def test_a_finished_figure_has_none_of_this() -> None:
    whole = record(surface(117, m=0), surface(117, {5: Status.FAILED}))
    assert all(partial.stage(each) is None for each in whole.surfaces)
    figure = figure_1(whole)
    assert not drawn(figure, "computed points")
    assert [contour.zorder for contour in drawn(figure, "contour")] == [None, None]
    assert partial.LEGEND not in words.caption(whole)
    assert partial.comparable(whole.surfaces) == whole.surfaces
    assert "level" not in words.surface_rows(whole)[0]
    assert "2 points" not in words.takeaway(whole)
    assert "is 0.5 times that of M = 0" in words.takeaway(
        record(surface(117, m=0), surface(117, factor=0.5))
    )


def test_print_shows_the_same_cells() -> None:
    begun = surface(40, {30: Status.TIMEOUT})
    axes = Figure().subplots()
    colours = draw_points(axes, begun, contour_levels([begun]))
    pending, computed = (mesh.get_array() for mesh in axes.collections)
    assert np.array_equal(~np.ma.getmaskarray(pending), begun.status == Status.PENDING)
    assert np.array_equal(~np.ma.getmaskarray(computed), begun.status == Status.OK)
    assert np.array_equal(computed.compressed(), LOSS[begun.status == Status.OK])
    corners = axes.collections[1].get_coordinates()
    assert np.allclose(corners[0, 0], [X[0] - 1 / 12, Y[0] - 0.25])
    assert np.allclose(corners[-1, -1], [X[-1] + 1 / 12, Y[-1] + 0.25])
    assert colours is axes.collections[1]
    assert draw_points(Figure().subplots(), surface(0), contour_levels([begun])) is None


def test_surfaces_are_compared_on_what_both_have_finished() -> None:
    first, last = surface(117, m=0), surface(20, factor=0.5)
    even = partial.comparable((first, last))
    rows, cols = levels(ROWS, COLS)[2]
    assert [each.loss.shape for each in even] == [(3, 4), (3, 4)]
    assert np.array_equal(even[0].loss, LOSS[np.ix_(rows, cols)])
    row = words.surface_rows(record(first, last))[1]
    assert row["ratio"] == pytest.approx(0.5)
    assert row["sharpness"] == pytest.approx(compare(even[0], even[1], 1).ratio * slope(even[0]))
    assert row["minimum"] == np.nanmin(last.loss)  # of all that is there
    assert row["missing"] == 0
    assert row["level"] == "level 3 of 5, 3×4 points · 20 of 117 computed"
    none = words.surface_rows(record(first, surface(0)))[1]
    assert np.isnan(none["ratio"])


def slope(grid: Surface) -> float:
    along_y, along_x = np.gradient(grid.loss, grid.y, grid.x)
    return float(np.hypot(along_x, along_y).mean())


def test_without_a_common_level_nothing_is_compared() -> None:
    first, last = empty_surface(0, 3, 5), empty_surface(2, 3, 5)
    for steps, points in ((first, ((0, 0), (0, 4))), (last, ((0, 0), (2, 0)))):
        for number, point in enumerate(points):
            put_point(steps, *point, Point(float(number)), seconds=0.0)
    for row in words.surface_rows(record(first, last)):
        assert row["range"] == 1.0
        numbers = [row[key] for key in ("sharpness", "ratio", "shift", "rank correlation")]
        assert np.isnan(np.array(numbers, dtype=float)).all()


def test_a_line_of_points_has_no_levels() -> None:
    line = Surface(10, X, Y[:1], LOSS[:1], np.array([[1] * 5 + [0] * 8], np.uint8))
    found = partial.stage(line)
    assert found is not None
    assert str(found) == "no level finished yet · 5 of 13 computed"
    assert not drawn(figure_1(record(line)), "contour")


def test_unfinished_counts_paths_too() -> None:
    asked = {"paths": {"methods": ["darts-1"]}}
    t = np.zeros(2)
    walked = OptimizerPath("darts-1", 0, np.zeros((2, 2)), t, t, t, 1, 1, 1, 1.0)
    assert unfinished(record(surface(117), config=asked))
    assert not unfinished(record(surface(117), config=asked, paths=(walked,)))
    assert unfinished(record(surface(116), config=asked, paths=(walked,)))
    between = {"landscape": {"steps": 10, "more_steps": [5]}}
    assert unfinished(record(*(surface(117, m=m) for m in (0, 1, 10)), config=between))
    for count, so_far in ((116, " so far"), (117, "")):
        figure = losses(record(surface(count), paths=(walked,)))
        notes = [note.text for note in figure.layout.annotations]
        assert f"★ lowest on the grid{so_far}" in notes
