"""Levels are where the points are, whatever a few of them do; what is above is marked and told."""

from __future__ import annotations

import numpy as np
import pytest

from landscape.figures import figure_1, look, static
from landscape.record import Figure1, Status, Surface

X, Y = np.linspace(-1, 1, 21), np.linspace(-1, 1, 21)
COLS, ROWS = np.meshgrid(X, Y)
BOWL = 0.2 + 0.04 * (COLS - 0.3) ** 2 + 0.05 * (ROWS + 0.2) ** 2


def with_points(**values: float) -> np.ndarray:
    """The bowl with other losses in its first row."""
    loss = BOWL.copy()
    loss[0, : len(values)] = list(values.values())
    return loss


CASES = {
    "two large": with_points(a=40, b=12),
    "1e6": with_points(a=1e6),
    "1e300": with_points(a=1e300),
    "a row of them": np.where(ROWS == -1, 50 + COLS, BOWL),
    "one far below": with_points(a=-1e6),
    "nan rows": np.where(ROWS > 0.75, np.nan, BOWL),
    "inf": with_points(a=np.inf),
    "nothing": np.full((5, 5), np.nan),
    "constant": np.full((5, 5), 2.3026),
    "constant but one": np.where(COLS + ROWS == -2, 1e300, 0.7),
    "constant in single precision": 2.3 + 1e-9 * BOWL,
    "negative": -BOWL * 100,
    "not square": BOWL[:3, :7],
    "one point": np.where((COLS == 0) & (ROWS == 0), 1.0, np.nan),
    "steep": np.exp(3 * (COLS**2 + ROWS**2)),
}
FLAT = {"nothing", "constant", "constant but one", "constant in single precision", "one point"}


def record(loss: np.ndarray, *factors: float) -> Figure1:
    rows, cols = loss.shape
    state = np.full(loss.shape, Status.OK, np.uint8)
    x, y = np.linspace(-1, 1, cols), np.linspace(-1, 1, rows)
    surfaces = [Surface(m, x, y, loss * factor, state) for m, factor in enumerate(factors or (1,))]
    return Figure1("run", tuple(surfaces), (), 5.0)


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_every_surface_has_levels_within_its_bulk_and_is_drawn(name: str, log: bool) -> None:
    loss = CASES[name]
    made = record(loss, 1.0, 0.95)
    found = look.levels(made.surfaces, log)
    values = found.loss(found.values)
    finite = np.concatenate([each.loss[np.isfinite(each.loss)] for each in made.surfaces])
    bulk = finite[(finite < np.quantile(finite, 0.97)) & (finite > -1e5)] if finite.size else finite
    if name not in FLAT:
        inside = (values > bulk.min()) & (values < bulk.max())
        assert inside.sum() >= (0.3 if name == "steep" else 0.5) * len(values)
    drawn = found.drawn(loss)
    assert np.array_equal(np.isfinite(drawn), np.isfinite(loss))
    assert np.isfinite(drawn.astype(np.float32)).sum() == np.isfinite(loss).sum()
    assert figure_1(made, log=log).to_json()
    assert static(made, log=log)


def test_outliers_have_one_colour_and_a_count() -> None:
    loss = CASES["two large"]
    made = record(loss, 1.0)
    figure, found = figure_1(made), look.levels(made.surfaces)
    assert found.over
    assert BOWL.max() <= found.top < 0.5
    assert f"2 points above {found.label(found.stop)}, in red" in figure.layout.annotations[0].text
    axis = figure.layout.coloraxis
    assert axis.colorscale[-1][1] == axis.colorscale[-2][1] == look.OVER
    assert f"2 points above {found.label(found.stop)}" in static(made, "svg").decode()
    assert figure.data[0].customdata[0, 0] == 40  # a hover reads out the loss itself
    plain = figure_1(record(BOWL))
    assert "in red" not in plain.layout.annotations[0].text
    assert look.OVER not in {color for _, color in plain.layout.coloraxis.colorscale}


def test_asked_levels_are_those_drawn() -> None:
    made = record(BOWL)
    asked = [0.2, 0.21, 0.23, 0.3]
    found = look.levels(made.surfaces, count=asked)
    assert np.allclose(found.loss(found.values), asked)
    assert np.allclose(found.drawn(np.array(asked)), range(4))
    inside = BOWL[BOWL <= 0.3]
    assert np.allclose(found.loss(found.drawn(inside)), inside)
    assert found.above(made.surfaces[0]) == (BOWL > 0.3).sum() > 0
    figure = figure_1(made, levels=asked)
    assert list(figure.layout.coloraxis.colorbar.ticktext) == ["0.2", "0.21", "0.23", "0.3"]
    assert not figure.data[0].contours.showlabels  # it would show the number of the level
    assert len(look.levels(made.surfaces, count=8).values) < 12
    for log in (False, True):
        capped = look.levels(made.surfaces, log, zmax=0.26)
        assert 0.24 < capped.top <= 0.26 + 1e-12
        assert capped.over
    for wrong in ({"levels": [0.3, 0.2]}, {"levels": 1}, {"zmax": 0.1}, {"scale": "none"}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} = .*expected"):
            figure_1(made, **wrong)


def test_panels_with_their_own_scale_say_so() -> None:
    made = record(BOWL, 1.0, 10.0)
    figure = figure_1(made, scale="own")
    left, right = figure.data[0], figure.data[1]
    assert (left.coloraxis, right.coloraxis) == ("coloraxis", "coloraxis2")
    assert right.contours.size > 5 * left.contours.size
    bars = [figure.layout[axis].colorbar.x for axis in ("coloraxis", "coloraxis2")]
    assert figure.layout.xaxis.domain[1] < bars[0] < figure.layout.xaxis2.domain[0] < bars[1]
    for note in figure.layout.annotations[:2]:
        assert "colours of this panel only" in note.text
    assert static(made, "svg", scale="own").decode().count("colours of this panel only") == 2
    assert "of this panel only" not in figure_1(made).layout.annotations[0].text


def test_screen_and_print_join_the_points_by_the_same_lines() -> None:
    assert figure_1(record(BOWL)).data[0].line.smoothing == 0
