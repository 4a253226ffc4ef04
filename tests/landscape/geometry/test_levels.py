"""The order of a grid: every level a valid coarser grid, nothing left out, nothing twice."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landscape.geometry.levels import Level, completed, levels, progressive

SIZES = st.tuples(st.integers(2, 40), st.integers(2, 40))


@given(SIZES)
def test_levels_are_nested_and_span_the_grid(size):
    rows, cols = size
    found = levels(rows, cols)
    assert found[0] == Level((0, rows - 1), (0, cols - 1))
    assert found[-1] == Level(tuple(range(rows)), tuple(range(cols)))
    for coarse, fine in pairwise(found):
        assert coarse != fine
        assert set(coarse.rows) <= set(fine.rows)
        assert set(coarse.cols) <= set(fine.cols)
    for level in found:
        for indices, last in ((level.rows, rows - 1), (level.cols, cols - 1)):
            assert indices[0] == 0
            assert indices[-1] == last
            gaps = np.diff(indices).tolist()
            assert all(gap == gaps[0] and gap & (gap - 1) == 0 for gap in gaps[:-1])
            assert len(gaps) == 1 or gaps[-1] <= gaps[0]


@given(SIZES)
def test_each_point_comes_once_after_those_it_refines(size):
    added = progressive(*size)
    points = [point for level in added for point in level]
    assert sorted(points) == [(row, col) for row in range(size[0]) for col in range(size[1])]
    assert len(added) == len(levels(*size))
    for count, level in enumerate(levels(*size), start=1):
        assert {point for new in added[:count] for point in new} == set(level.points)


@given(SIZES, st.data())
def test_completed_is_the_finest_level_without_a_hole(size, data):
    done = np.zeros(size, dtype=bool)
    points = [point for level in progressive(*size) for point in level]
    count = data.draw(st.integers(0, len(points)))
    for point in points[:count]:
        done[point] = True
    extra = data.draw(st.lists(st.sampled_from(points), max_size=5))
    for point in extra:
        done[point] = True
    whole = [level for level in levels(*size) if all(done[point] for point in level.points)]
    assert completed(done) == (whole[-1] if whole else None)


def test_the_grid_of_the_paper():
    sizes = [(len(level.rows), len(level.cols)) for level in levels(101, 101)]
    assert sizes == [(n, n) for n in (2, 3, 5, 8, 14, 26, 51, 101)]
    assert [len(new) for new in progressive(9, 9)] == [4, 5, 16, 56]


def test_a_line_is_no_grid():
    with pytest.raises(ValueError, match="the grid is 1x5, expected at least 2 rows"):
        levels(1, 5)
