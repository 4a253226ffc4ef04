"""Marks, the line between two pins, and three dimensions show the numbers of the record."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import pytest

from landscape.figures import along_line, figure_1, figure_3d, look, to_picture, words
from landscape.figures.pictures import can_draw
from landscape.figures.space import CAMERAS, scene_marks
from landscape.measure import endings
from landscape.record import Surface
from tests.landscape.test_difference import COLS, FIRST, LAST, PATH, RECORD


def test_marks_are_on_every_panel_and_traces_that_a_page_can_move() -> None:
    marks = {"": (0.5, -1.0), "A": (-1.0, 0.0), "B": (1.0, 2.0)}
    figure = figure_1(RECORD, difference=True, marks=marks)
    found = figure.layout.meta["marks"]
    assert [figure.data[k].xaxis for k in found["points"]] == ["x", "x2", "x3"]
    for points, line in zip(found["points"], found["lines"], strict=True):
        assert list(figure.data[points].x) == [0.5, -1.0, 1.0]
        assert list(figure.data[points].text) == ["", "A", "B"]
        assert list(figure.data[line].y) == [0.0, 2.0]
    empty = figure_1(RECORD, marks={"A": (0.0, 0.0)})
    assert [len(empty.data[k].x) for k in empty.layout.meta["marks"]["lines"]] == [0, 0]
    assert "marks" not in figure_1(RECORD).layout.meta


def test_the_line_between_two_pins_is_that_of_the_grid() -> None:
    figure = along_line(RECORD, (-1.0, 0.0), (1.0, 0.0))
    assert [trace.name for trace in figure.data] == ["M = 0", "M = 10"]
    for trace, surface in zip(figure.data, (FIRST, LAST), strict=True):
        assert np.allclose(np.interp([0, 0.5, 1, 1.5, 2], trace.x, trace.y), surface.loss[1])
    assert "bilinear" in figure.layout.xaxis.title.text


@pytest.mark.parametrize("camera", CAMERAS)
def test_heights_are_losses_and_both_scenes_are_seen_from_one_place(camera: str) -> None:
    figure = figure_3d(RECORD, camera=camera, marks={"A": (0.0, 0.0)})
    first, last = (trace for trace in figure.data if trace.type == "surface")
    assert np.allclose(first.z, FIRST.loss)
    assert np.allclose(last.z, LAST.loss)
    assert figure.layout.scene.camera == figure.layout.scene2.camera
    assert figure.layout.scene.zaxis.range == figure.layout.scene2.zaxis.range
    assert figure.layout.meta["narrowest"] > 900  # in less room the sides of both would be cut
    starts = [trace for trace in figure.data if trace.name == "start"]
    assert [(trace.scene, trace.showlegend) for trace in starts] == [
        ("scene", True),
        ("scene2", False),
    ]
    path = next(trace for trace in figure.data if trace.legendgroup == "darts-1")
    low, high = figure.layout.scene.zaxis.range
    assert np.allclose(path.z, [0.5, 0.75], atol=0.02 * (high - low))


def test_a_mark_on_the_highest_point_is_not_cut() -> None:
    share = LAST.loss / 2
    accurate = replace(RECORD, surfaces=(FIRST, replace(LAST, accuracy=share / share.max())))
    figure = figure_3d(accurate, [10], quantity="accuracy")
    points = (trace for trace in figure.data if trace.type == "scatter3d")
    (star,) = (trace for trace in points if trace.marker.symbol == ("diamond",))
    assert figure.layout.scene.zaxis.range[1] >= star.z[0] > 100


def test_in_three_dimensions_outliers_are_cut_and_holes_stay() -> None:
    loss = np.where(COLS == 1.0, np.nan, FIRST.loss)
    loss[0, 0] = 1e9
    wide = replace(RECORD, surfaces=(replace(FIRST, loss=loss), LAST))
    first = next(trace for trace in figure_3d(wide, log=True).data if trace.type == "surface")
    assert np.isnan(first.z[:, -1]).all()
    assert np.nanmax(first.z) < 100
    with pytest.raises(ValueError, match="camera"):
        figure_3d(RECORD, camera="below")


def test_scenes_have_a_difference_with_zero_and_are_played_as_contours_are() -> None:
    marks = {"": (0.0, 0.0), "A": (-1.0, 0.0), "B": (1.0, 0.0)}
    figure = figure_3d(RECORD, difference=True, marks=marks, camera="along y")
    names = [trace.name for trace in figure.data if trace.type == "surface"]
    assert names == ["M = 0", "M = 10", "M = 10", "zero"]
    third = [trace for trace in figure.data if trace.scene == "scene3"]
    np.testing.assert_allclose(third[0].z, LAST.loss - FIRST.loss, atol=1e-6)
    assert not third[1].z.any()
    assert "from left to right: x" in figure.layout.annotations[0].text
    meta = figure.layout.meta
    (path,) = meta["paths"]
    assert meta["steps"] == list(range(len(path["x"])))
    assert len(path["z"]) == len(path["lines"]) == len(path["heads"]) == 3
    for scene, (line, head) in enumerate(zip(path["lines"], path["heads"], strict=True)):
        assert list(figure.data[line].z) == path["z"][scene]
        assert figure.data[head].x[0] == path["x"][-1]
        above = path["z"][scene][-1] + path["lift"][scene]  # where the player puts it
        np.testing.assert_allclose(figure.data[head].z[0], above)
        assert path["lift"][scene] > 0  # else the surface would cut it in half
    moved = scene_marks(RECORD, (0, 10), marks, difference=True)
    for scene, place in enumerate(meta["marks"]["points"]):
        assert list(figure.data[place].z) == moved["points"]["z"][scene]
    assert len(moved["line"]["x"]) == len(moved["line"]["z"][2]) > 40
    assert scene_marks(RECORD, (0, 10), {})["points"]["x"] == []


def test_what_a_path_hides_is_said_beside_it() -> None:
    away = replace(PATH, residual=np.array([0.0, 0.37]))
    ranges = ((-2.0, 2.0), (-2.0, 2.0))
    (end,) = endings(replace(RECORD, paths=(away,)))
    assert look.path_label(end, ranges) == "DARTS-1st (37% outside the plane)"
    (end,) = endings(replace(RECORD, paths=(replace(PATH, residual=np.zeros(2)),)))
    assert look.path_label(end, ranges) == "DARTS-1st"


def test_on_a_screen_a_fine_grid_skips_points_and_a_pair_is_small() -> None:
    for size, shown in ((101, 101), (401, 201)):
        axis = np.linspace(-1.0, 1.0, size)
        loss = 0.5 + np.add.outer(axis**2, (axis - 0.123) ** 2)
        both = {"status": np.ones(loss.shape, np.uint8), "error": 0.01 + loss}
        fine = [Surface(m, axis, axis, loss + m, **both) for m in (0, 1)]
        record = replace(RECORD, surfaces=tuple(fine))
        figure = figure_1(record, screen=True, marks={}, caption=False)
        first = next(trace for trace in figure.data if trace.type == "contour")
        assert first.z.shape == (shown, shown)
        assert (first.x[0], first.x[-1]) == (-1.0, 1.0)
        assert first.customdata is None
        assert "%{z:.4f}" in first.hovertemplate
        star = next(trace for trace in figure.data if trace.name == "minimum, M = 0")
        assert star.x[0] == axis[np.abs(axis - 0.123).argmin()]  # of all points
        assert size > 101 or len(figure.to_json()) < 250_000
        assert figure_1(record).data[0].z.shape == (size, size)
        scenes = figure_3d(record, screen=True, marks={}, difference=True)
        assert scenes.data[0].z.shape == (101, 101)
        assert len(scenes.to_json()) < 250_000
    log = next(trace for trace in figure_1(RECORD, screen=True, log=True).data)
    assert np.allclose(log.customdata, FIRST.loss)


def test_a_view_in_three_dimensions_has_its_line_of_python() -> None:
    said = words.python("here", [0, 10], camera="top", difference=True)
    assert said.endswith("figure_3d(record, [0, 10], difference=True, camera='top').show()")


@pytest.mark.browser
def test_pictures_are_those_of_plotly() -> None:
    svg = to_picture(figure_1(RECORD), "svg").decode()
    assert svg.startswith("<svg")
    assert "M steps of ω at learning rate" in svg  # the caption is text
    assert "contourlayer" in svg
    assert to_picture(figure_3d(RECORD), "pdf").startswith(b"%PDF")
    assert to_picture(along_line(RECORD, (-1.0, 0.0), (1.0, 0.0)), "png").startswith(b"\x89PNG")


def test_a_picture_has_the_step_that_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    figure = go.Figure([go.Heatmap(z=[[3, 3]])])
    figure.layout.meta = {"steps": [1, 5, 9], "tables": [[[[k, k]]] for k in (1, 2, 3)]}
    monkeypatch.setattr("landscape.figures.pictures.can_draw", lambda: True)
    monkeypatch.setattr(go.Figure, "to_image", lambda drawn, **_: bytes(drawn.data[0].z[0]))
    assert [to_picture(figure, "svg", step) for step in (5, None)] == [b"\2\2", b"\3\3"]
    assert list(figure.data[0].z[0]) == [3, 3]
    with pytest.raises(ValueError, match="step = 2, expected one of"):
        to_picture(figure, "svg", 2)


def test_without_what_draws_pictures_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    can_draw.cache_clear()
    monkeypatch.setitem(sys.modules, "kaleido", None)
    with pytest.raises(RuntimeError, match=r"zarts\[export\]"):
        to_picture(go.Figure(), "svg")
    can_draw.cache_clear()
