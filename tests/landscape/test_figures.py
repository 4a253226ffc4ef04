"""Figures say what the records say, and nothing more."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from landscape.figures import figure_1, look, losses, static
from landscape.record import Figure1, OptimizerPath, Status, Surface

X = np.linspace(-1.0, 1.0, 5)
Y = np.linspace(-2.0, 2.0, 3)
COLS, ROWS = np.meshgrid(X, Y)
STEPS = 4


def surface(m: int, loss: np.ndarray, status: np.ndarray | None = None) -> Surface:
    done = np.full(loss.shape, Status.OK, np.uint8) if status is None else status
    return Surface(m, X, Y, np.where(done == Status.OK, loss, np.nan), done)


def path(method: str, m: int, direction: tuple[float, float], note: str = "") -> OptimizerPath:
    t = np.arange(STEPS + 1.0)
    xy = np.array([-0.5, 0.5]) + t[:, None] * np.array(direction)
    return OptimizerPath(method, m, xy, 1 - t / 10, 0.9 - t / 20, 0 * t, 8, 0, 80, 1.0, note)


def record(**changes: object) -> Figure1:
    surfaces = (
        surface(0, 0.5 + (COLS - 0.5) ** 2 + 0.2 * (ROWS + 2) ** 2),
        surface(1, 0.5 + COLS**2 + 0.1 * ROWS**2),
        surface(10, 0.45 + 0.2 * (COLS + 0.5) ** 2 + 0.05 * ROWS**2),
    )
    paths = (
        path("darts-1", 0, (0.2, -0.2)),
        path("zarts-gld", 10, (0.0, -0.1)),
    )
    return dataclasses.replace(Figure1("run", surfaces, paths, 3.2), **changes)


def named(figure: object, name: str) -> list:
    return [trace for trace in figure.data if trace.name == name]


def contours(figure: object) -> list:
    return [trace for trace in figure.data if trace.type == "contour"]


def test_surfaces_are_drawn_as_they_are_stored() -> None:
    figure = figure_1(record())
    first, last = contours(figure)
    assert np.array_equal(first.x, X)
    assert np.array_equal(first.y, Y)
    assert first.z.shape == (3, 5)  # rows are y
    assert np.allclose(first.z, record().surfaces[0].loss, rtol=1e-6)
    assert np.array_equal(last.customdata, record().surfaces[2].loss)
    assert (first.xaxis, last.xaxis) == ("x", "x2")


def test_the_star_is_at_the_minimum() -> None:
    figure = figure_1(record())
    assert [(star.x[0], star.y[0]) for star in named(figure, "minimum, M = 0")] == [(0.5, -2.0)]
    assert [(star.x[0], star.y[0]) for star in named(figure, "minimum, M = 10")] == [(-0.5, 0.0)]


def test_panels_share_levels_and_one_colour_bar() -> None:
    figure = figure_1(record())
    first, last = contours(figure)
    assert first.contours == last.contours
    assert first.coloraxis == last.coloraxis == "coloraxis"
    low, high = figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax
    assert low <= 0.45
    assert high >= max(np.max(trace.customdata) for trace in contours(figure))
    assert first.contours.showlabels


def test_axes_have_equal_units_and_say_their_length() -> None:
    layout = figure_1(record()).layout
    assert layout.yaxis.scaleanchor == "x"
    assert layout.xaxis.matches or layout.xaxis2.matches
    assert "1 unit = 3.2 along direction 1" in layout.xaxis2.title.text
    assert "1 unit = 3.2 along direction 2" in layout.yaxis.title.text


def test_every_path_is_on_every_panel() -> None:
    figure = figure_1(record())
    for one in record().paths:
        lines = [t for t in figure.data if t.legendgroup == one.method and t.customdata is not None]
        assert [line.xaxis for line in lines] == ["x", "x2"]
        for line in lines:
            assert np.array_equal(np.column_stack([line.x, line.y]), one.xy)
            assert np.array_equal(
                line.customdata[:, 1:], np.column_stack([one.loss, one.target_loss])
            )
            assert (line.marker.symbol, line.marker.angleref) == ("arrow", "previous")
    assert sum(bool(trace.showlegend) for trace in figure.data if trace.legendgroup) == 2
    assert len(named(figure, "start")) == 2


def test_what_the_player_needs_is_in_the_figure() -> None:
    figure = figure_1(record())
    assert not figure.frames  # Plotly's animation blanks the surfaces
    meta = figure.layout.meta
    assert meta["steps"] == [0, 1, 2, 3, 4]
    for one, player in zip(record().paths, meta["paths"], strict=True):
        assert np.array_equal(np.column_stack([player["x"], player["y"]]), one.xy)
        assert len(player["lines"]) == 2 * len(player["heads"]) == 4
        for index in player["lines"] + player["heads"]:
            trace = figure.data[index]
            assert (trace.type, trace.legendgroup) == ("scatter", one.method)
            assert len(trace.x) == (1 if index in player["heads"] else STEPS + 1)


@pytest.mark.parametrize(("updates", "shown"), [(1, 2), (199, 200), (10_000, 200)])
def test_the_player_shows_at_most_200_steps(updates: int, shown: int) -> None:
    t = np.linspace(0, 1, updates + 1)
    long = OptimizerPath("darts-1", 0, np.column_stack([t, t]), t, t, t, 1, 1, 1, 1.0)
    steps = figure_1(record(paths=(long,))).layout.meta["steps"]
    assert (len(steps), steps[0], steps[-1]) == (shown, 0, updates)
    assert (np.diff(steps) > 0).all()


def test_paths_can_be_told_apart_and_are_wider_than_their_casing() -> None:
    styles = [look.style(method) for method in ("darts-1", "darts-2")]
    assert len({style.color for style in styles}) == 2
    figure = figure_1(record())
    casing, line = (figure.data[index] for index in figure.layout.meta["paths"][0]["lines"][:2])
    assert casing.line.width - line.line.width < line.line.width
    for start in named(figure, "start"):  # the word is in the legend, where nothing is under it
        assert start.mode == "markers"


def test_asked_surfaces() -> None:
    assert len(contours(figure_1(record(), (0, 1, 10)))) == 3
    assert len(contours(figure_1(record(), (10,)))) == 1
    with pytest.raises(ValueError, match=r"has M = \[0, 1, 10\], asked for \[7\]"):
        figure_1(record(), (0, 7))
    with pytest.raises(ValueError, match="no surface yet"):
        figure_1(record(surfaces=()))


def test_missing_points_are_marked_and_not_filled_in() -> None:
    status = np.full((3, 5), Status.OK, np.uint8)
    status[2, 4], status[1, 0] = Status.DIVERGED, Status.OOM
    figure = figure_1(record(surfaces=(surface(10, COLS, status),)))
    (drawn,) = contours(figure)
    assert drawn.connectgaps is False
    assert np.isnan(drawn.z[status != Status.OK]).all()
    assert np.isfinite(drawn.z[status == Status.OK]).all()
    (cells,) = named(figure, "missing")
    assert cells.hoverongaps is False  # a hover reads the contours where there is a number
    assert cells.z[2, 4] == cells.z[1, 0] == 1
    assert np.isnan(cells.z[status == Status.OK]).all()
    assert (cells.customdata[2, 4], cells.customdata[1, 0]) == ("diverged", "oom")
    (crosses,) = named(figure, "missing points")
    assert sorted(zip(crosses.x, crosses.y, strict=True)) == [(-1.0, 0.0), (1.0, 2.0)]
    title = figure.layout.annotations[0].text
    assert "level" not in title  # nothing is pending
    assert "2 missing" in title


def test_a_result_that_is_not_finite_is_marked_too() -> None:
    loss = COLS.copy()
    loss[1, 1], loss[1, 2] = np.inf, np.nan
    raw = Surface(10, X, Y, loss, np.full((3, 5), Status.OK, np.uint8))
    figure = figure_1(record(surfaces=(raw,)))
    assert len(named(figure, "missing points")[0].x) == 2
    assert figure.layout.coloraxis.cmax == pytest.approx(1.0, abs=0.11)
    assert "Infinity" not in figure.to_json()


@pytest.mark.parametrize("log", [False, True])
def test_nothing_and_constants_draw(log: bool) -> None:
    nothing = surface(0, COLS, np.full((3, 5), Status.PENDING, np.uint8))
    constant = surface(10, np.full((3, 5), 0.7))
    figure = figure_1(record(surfaces=(nothing, constant)), log=log)
    left, right = (note.text for note in figure.layout.annotations[:2])
    assert "no finite loss" not in left
    assert "no level finished yet<br>0 of 15 computed" in left
    assert "constant" in right
    assert figure.layout.coloraxis.cmin < 0.7 < figure.layout.coloraxis.cmax
    (flat,) = contours(figure)
    assert flat.contours.size > 0
    assert static(record(surfaces=(nothing, constant)), "svg", log=log)


def test_without_paths_there_is_nothing_to_play() -> None:
    figure = figure_1(record(paths=()))
    assert not figure.frames
    assert not figure.layout.sliders
    assert not figure.layout.updatemenus


def test_a_diverged_path_is_drawn_to_its_last_point() -> None:
    xy = np.array([[-0.5, 0.5], [0.0, 0.0], [1e9, 0.0], [np.nan, np.nan]])
    values = np.array([1.0, 0.9, np.nan, np.nan])
    lost = OptimizerPath(
        "zarts-rs", 10, xy, values, values, 0 * values, 1, 0, 1, 1.0, "diverged at step 3"
    )
    figure = figure_1(record(paths=(lost,)))
    assert "ZARTS-RS (diverged at step 3)" in {trace.name for trace in figure.data}
    assert figure.layout.meta["steps"] == [0, 1, 2]
    assert figure.layout.xaxis.range[1] < 2  # one stray point does not shrink the picture
    assert losses(record(paths=(lost,))).data
    assert static(record(paths=(lost,)))


def test_levels_are_round_and_cover_the_losses() -> None:
    rng = np.random.default_rng(0)
    for exponent in range(-6, 7):
        loss = rng.normal(size=(3, 5)) * 10.0**exponent + 3
        found = look.levels([surface(0, loss)])
        leading = found.step / 10 ** np.floor(np.log10(found.step) + 1e-9)
        assert leading == pytest.approx(min((1, 2, 5), key=lambda nice: abs(nice - leading)))
        assert found.values[0] <= loss.min() + 1e-9 * found.step
        assert found.values[-1] >= loss.max() - 1e-9 * found.step
        assert 10 <= len(found.values) <= 40


def test_log_levels_return_the_loss() -> None:
    loss = record().surfaces[0].loss
    found = look.levels([surface(0, loss)], log=True)
    assert np.allclose(found.loss(found.drawn(loss)), loss)
    figure = figure_1(record(), log=True)
    first, _ = contours(figure)
    assert np.array_equal(first.customdata, loss)  # the hover still shows the loss
    assert not first.contours.showlabels
    assert "log" in figure.layout.coloraxis.colorbar.title.text
    ticks = np.array([float(text) for text in figure.layout.coloraxis.colorbar.ticktext])
    assert ticks.min() == pytest.approx(loss.min(), rel=0.2)


def test_the_same_record_gives_the_same_bytes() -> None:
    assert figure_1(record()).to_json() == figure_1(record()).to_json()
    assert losses(record()).to_json() == losses(record()).to_json()
    for kind in ("svg", "pdf"):
        assert static(record(), kind) == static(record(), kind)


@pytest.mark.parametrize("dark", [False, True])
def test_colours_do_not_depend_on_the_page(dark: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    import plotly.io

    expected = figure_1(record(), dark=dark).to_json()
    # What importing streamlit's charts does to every figure without a template of its own.
    monkeypatch.setattr(plotly.io.templates, "default", "ggplot2")
    assert figure_1(record(), dark=dark).to_json() == expected
    assert "#000001" not in expected


def test_text_from_files_is_text() -> None:
    evil = path("zarts-rs", 10, (0.1, 0.0), note="<a href='http://x'>$x$</a>")
    stranger = path("<b>new</b>", 10, (0.0, 0.1))
    config = {"paths": {"space": "<i>caption</i> $\\frac$"}}
    name = "</script><script>alert(1)</script>"
    strange = record(name=name, paths=(evil, stranger), config=config)
    for figure in (figure_1(strange), losses(strange)):
        found = json.dumps(figure.to_plotly_json(), default=str)
        assert not re.search(r"<(a|i|script|b)\b[^>]*>(\$x|caption|alert|new)", found)
    picture = static(strange, "svg").decode()
    assert ElementTree.fromstring(picture).tag.endswith("svg")


def test_losses_follow_the_records() -> None:
    figure = losses(record())
    for one in record().paths:
        by_step, by_cost = [trace for trace in figure.data if trace.legendgroup == one.method]
        assert np.array_equal(by_step.y, one.target_loss)
        assert np.array_equal(by_step.x, np.arange(STEPS + 1))
        assert by_cost.x[-1] == one.weight_steps
        assert np.array_equal(by_cost.y, one.target_loss)
        assert by_cost.cliponaxis is False  # DARTS spends nothing: it is at the edge
    assert figure.layout.shapes[0].y0 == pytest.approx(0.45)
    some = record().paths[0].method
    for trace in losses(record(), path=some).data:
        assert (trace.opacity == 1) == (trace.legendgroup == some)


def test_an_unknown_kind_of_picture_names_those_there_are() -> None:
    with pytest.raises(ValueError, match="got kind 'vtk', expected one of png, svg, pdf"):
        static(record(), "vtk")  # type: ignore[arg-type]


def test_static_files_are_what_they_say() -> None:
    assert static(record(), "png").startswith(b"\x89PNG")
    assert static(record(), "pdf").startswith(b"%PDF")
    assert b"<svg" in static(record(), "svg", (0, 1, 10), log=True)


def test_static_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModuleNotFoundError, match=r"zarts\[export\]"):
        static(record())


def test_a_path_that_leaves_the_picture_says_so() -> None:
    away = path("darts-1", 0, (5.0, 0.0))
    figure = figure_1(record(paths=(away, path("zarts-gld", 10, (0.0, -0.1)))))
    shown = [trace.name for trace in figure.data if trace.showlegend]
    assert shown == ["DARTS-1st (ends outside)", "ZARTS-GLD", "start"]
    assert b"ends outside" in static(record(paths=(away,)), "svg")
