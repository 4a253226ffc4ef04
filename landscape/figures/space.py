"""Fig. 1 in three dimensions: surfaces as landscapes, seen from chosen places, and played."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from landscape.figures import look
from landscape.figures.bars import bars_of, ceiling, colours, domains
from landscape.figures.cameras import CAMERAS, LIFT, SIDES, dress_scene
from landscape.figures.look import Floats, Levels, Scale
from landscape.figures.partial import thinned
from landscape.figures.plan import Panel, panels
from landscape.figures.traces import FRAMES, PIXELS, Marks, shown_marks
from landscape.measure import endings, interpolate
from landscape.record import Figure1

__all__ = ["CAMERAS", "figure_3d", "scene_marks"]

MOST = 101  # points along an axis on a screen: more cannot be told apart in a scene
NARROW = {1: 0, 2: 940, 3: 900}  # pixels: below this width so many scenes are shown by scrolling
ALONG = 61  # points of the line between two marks


def figure_3d(
    record: Figure1,
    inner_steps: Sequence[int] | None = None,
    *,
    camera: str = "iso",
    log: bool = False,
    dark: bool = False,
    scale: Scale = "shared",
    quantity: str = "loss",
    difference: bool = False,
    marks: Marks | None = None,
    screen: bool = False,
) -> go.Figure:
    """The surfaces of Fig. 1 as landscapes, with the paths laid on them.

    Heights are those of the contour levels: what lies above the highest one is cut there. All
    scenes are seen from the same place. ``to_html`` and the page play the steps, as those of
    ``figure_1``.

    Args:
        record: What a run holds.
        inner_steps: M from left to right, two at most: browsers draw few such scenes at a time.
        camera: One of ``CAMERAS``; ``along x`` looks along the x axis.
        log: Heights are the logarithm of the loss above the lowest one.
        dark: For a dark page.
        scale: One scale for both, or for each its ``own``.
        quantity: As in ``figure_1``.
        difference: One scene more: the second M minus the first, with a plane at zero.
        marks: Points to mark, as there.
        screen: Small enough to be sent to a page: of a grid with more than 101 points along an
            axis some are skipped.

    Raises:
        ValueError: As ``figure_1``, or if the camera is unknown.
    """
    if camera not in CAMERAS:
        raise ValueError(f"camera = {camera!r}, expected one of {', '.join(CAMERAS)}")
    two = None if inner_steps is None else tuple(dict.fromkeys(inner_steps))[:2]
    plan = panels(record, two, log=log, scale=scale, quantity=quantity, difference=difference)
    plan = plan[: 2 + difference]
    ink = look.DARK if dark else look.LIGHT
    axes = [escape(look.axis_title(axis, record).partition(" (")[0]) for axis in (0, 1)]
    side = []
    if camera in SIDES:  # seen from the side, the title of an axis would lie on its labels
        side, axes = [f"from left to right: {axes[SIDES[camera]]}"], ["", ""]
    titles = ["<br>".join([f"<b>{each.title}</b>", *each.lines, *side]) for each in plan]
    narrow = str.maketrans({"(": "<br>("}) if difference else {}
    figure = make_subplots(
        rows=1,
        cols=len(plan),
        specs=[[{"type": "surface"}] * len(plan)],
        subplot_titles=[title.translate(narrow) for title in titles],
    )
    figure.update_annotations(font={"size": 13}, y=1.0)
    figure.layout.meta = {"steps": [], "narrowest": NARROW[len(plan)]}
    bars = bars_of(plan, scale)
    for col, (panel, (_, own), domain) in enumerate(
        zip(plan, bars, domains(bars), strict=True), start=1
    ):
        bar = (0.995 if domain[1] == 1 else domain[1]) + 0.005 if own else None
        shown = _surfaces(panel, bar, screen)
        shown = shown[:1] if camera == "top" else shown  # the plane would veil all below it
        figure.add_traces(shown, rows=1, cols=col)
        figure.layout.annotations[col - 1].x = sum(domain) / 2
        scene = figure.layout[f"scene{col if col > 1 else ''}"]
        dress_scene(scene, panel, axes, ink, camera, narrow=difference)
        scene.domain.x = domain
    _add_paths(figure, record, plan)
    starts = np.unique(np.array([path.xy[0] for path in record.paths]), axis=0)
    for col, panel in enumerate(plan, start=1):
        if best := panel.levels.quantity.starred(panel.surface):
            place = np.array([[best.x, best.y]])
            star = _points(panel, place, symbol=["diamond"], color=look.STAR)
            figure.add_trace(star, row=1, col=col)
        if len(starts):
            begun = _points(panel, starts, symbol=["circle"], color="#ffffff")
            figure.add_trace(
                begun.update(name="start", showlegend=col == 1, marker_size=4), row=1, col=col
            )
    if marks is not None:
        _add_marks(figure, plan, marks)
    figure.update_layout(
        template=ink.template,
        paper_bgcolor=ink.paper,
        font={"family": "sans-serif", "size": 13, "color": ink.text},
        height=480 if difference else 540,
        margin={"l": 0, "r": 10, "t": 110 + 17 * (difference + len(side)), "b": 10},
        legend={
            "orientation": "h",
            "x": 0,
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "itemsizing": "constant",  # else its marks are too small to be seen
        },
    )
    return figure


def _surfaces(panel: Panel, bar: float | None, screen: bool) -> list[go.Surface]:
    """The surface of a scene, and of a difference the plane at zero."""
    shared = panel.levels
    surface = thinned(panel.surface, MOST) if screen else panel.surface
    loss = np.where(np.isfinite(surface.loss), surface.loss, np.nan)
    z = _height(loss, shared)
    same = np.array_equal(z, loss, equal_nan=True)  # then it need not be sent twice
    number = shared.quantity.read_out("z" if same else "customdata")
    found = go.Surface(
        x=surface.x,
        y=surface.y,
        z=z.astype(np.float32),
        customdata=None if same else loss.astype(np.float32),
        cmin=shared.start,
        cmax=ceiling(shared),
        colorscale=colours(shared, 1 - 0.5 / len(shared.values)),
        showscale=bar is not None,
        colorbar={
            "title": {"text": shared.quantity.title + (" (log)" if shared.log else "")},
            "tickvals": shared.ticks,
            "ticktext": [shared.label(each) for each in shared.ticks],
            "thickness": 14,
            "len": 0.7,
            "x": bar,
        },
        lighting={"ambient": 0.85, "diffuse": 0.35, "specular": 0.05},
        hovertemplate="x %{x:.3f} · y %{y:.3f}<br>"
        f"<b>{number}</b><extra>{escape(panel.title)}</extra>",
        name=f"M = {surface.inner_steps}",
        showlegend=False,
    )
    if not shared.quantity.signed:
        return [found]
    plane = go.Surface(
        x=surface.x[[0, -1]],
        y=surface.y[[0, -1]],
        z=np.zeros((2, 2)),
        surfacecolor=np.zeros((2, 2)),
        colorscale=[[0, look.LOST], [1, look.LOST]],
        opacity=0.35,
        showscale=False,
        showlegend=False,
        hoverinfo="skip",
        name="zero",
    )
    return [found, plane]


def _height(loss: Floats, shared: Levels) -> Floats:
    """Losses of any shape as heights, cut at the ends of the levels."""
    return np.clip(shared.drawn(loss), shared.start, ceiling(shared))


def _over(panel: Panel, xy: Floats, share: float) -> list[float | None]:
    """Heights (n,) a little over a surface at points (n, 2); None where it has none."""
    shared = panel.levels
    lift = share * (ceiling(shared) - shared.start)
    heights = _height(interpolate(panel.surface, xy), shared) + lift
    return [float(each) if np.isfinite(each) else None for each in heights]


def _lift(panel: Panel) -> float:
    """How much higher the head of a path is than the path, as it is a mark."""
    share = LIFT["mark"] - LIFT["path"]
    return share * (ceiling(panel.levels) - panel.levels.start)


def _add_paths(figure: go.Figure, record: Figure1, plan: Sequence[Panel]) -> None:
    """Draws every path in every scene, and adds to ``meta`` what the player needs of them.

    As ``traces.add_paths``, with the heights ``z`` of each scene.
    """
    ends, played = endings(record), []
    surfaces = [panel.surface for panel in plan]
    for end in ends:
        xy = end.path.xy[: end.step + 1]
        z = [_over(panel, xy, LIFT["path"]) for panel in plan]
        above = [_over(panel, xy[-1:], LIFT["mark"]) for panel in plan]
        method, style = escape(end.path.method), look.style(end.path.method)
        player: dict[str, Any] = {"method": method, "x": xy[:, 0].tolist(), "y": xy[:, 1].tolist()}
        player |= {"z": z, "lift": list(map(_lift, plan)), "lines": [], "heads": []}
        for col in range(1, len(plan) + 1):
            shared = {"legendgroup": method, "hoverinfo": "skip"}
            line = go.Scatter3d(
                x=xy[:, 0],
                y=xy[:, 1],
                z=z[col - 1],
                mode="lines+markers",
                line={"color": style.color, "width": 2 * PIXELS * look.LINE},
                marker={"color": style.color, "size": 2},
                name=escape(look.path_label(end, look.extent(record, surfaces))),
                showlegend=col == 1,
                **shared,
            )
            head = go.Scatter3d(
                x=xy[-1:, 0],
                y=xy[-1:, 1],
                z=above[col - 1],
                mode="markers",
                marker={"color": style.color, "size": 6},
                showlegend=False,
                **shared,
            )
            player["lines"].append(len(figure.data))
            player["heads"].append(len(figure.data) + 1)
            figure.add_traces([line, head], rows=1, cols=col)
        played.append(player)
    if ends:
        last = max(end.step for end in ends)
        steps = np.linspace(0, last, min(last + 1, FRAMES)).round().astype(int).tolist()
        figure.layout.meta |= {"steps": steps, "paths": played}


def _points(panel: Panel, xy: Floats, *, symbol: Sequence[str], color: str) -> go.Scatter3d:
    return go.Scatter3d(
        x=xy[:, 0],
        y=xy[:, 1],
        z=_over(panel, xy, LIFT["mark"]),
        mode="markers",
        marker={
            "symbol": symbol,
            "size": 7,
            "color": color,
            "line": {"width": 2, "color": "#000000"},
        },
        showlegend=False,
        hoverinfo="skip",
    )


def _add_marks(figure: go.Figure, plan: Sequence[Panel], marks: Marks) -> None:
    """Draws marked points and the line between the pins in every scene, as ``traces.add_marks``."""
    shown, found = _lifted(plan, marks), {"lines": list[int](), "points": list[int]()}
    points, line = shown["points"], shown["line"]
    for col in range(1, len(plan) + 1):
        drawn = go.Scatter3d(
            x=line["x"],
            y=line["y"],
            z=line["z"][col - 1],
            mode="lines",
            line={"color": "#ffffff", "width": 6, "dash": "dash"},
            hoverinfo="skip",
            showlegend=False,
            name="line between the pins",
        )
        place = np.column_stack([points["x"], points["y"]]).reshape(-1, 2)
        marked = _points(plan[col - 1], place, symbol=points["symbol"], color="#ffffff")
        marked.update(mode="markers+text", text=points["text"], name="marked points")
        found["lines"].append(len(figure.data))
        found["points"].append(len(figure.data) + 1)
        figure.add_traces([drawn, marked], rows=1, cols=col)
    figure.layout.meta |= {"marks": found}


def _lifted(plan: Sequence[Panel], marks: Marks) -> dict[str, dict[str, list[Any]]]:
    shown: dict[str, dict[str, list[Any]]] = shown_marks(marks)
    points, line = shown["points"], shown["line"]
    points["symbol"] = [{"x": "square"}.get(each, each) for each in points["symbol"]]
    if line["x"]:
        line |= {axis: np.linspace(line[axis][0], line[axis][1], ALONG).tolist() for axis in "xy"}
    for each, lift in ((points, LIFT["mark"]), (line, LIFT["path"])):
        xy = np.column_stack([each["x"], each["y"]]).reshape(-1, 2)
        each["z"] = [_over(panel, xy, lift) for panel in plan]
    return shown


def scene_marks(
    record: Figure1,
    inner_steps: Sequence[int],
    marks: Marks,
    *,
    log: bool = False,
    scale: Scale = "shared",
    quantity: str = "loss",
    difference: bool = False,
) -> dict[str, dict[str, list[Any]]]:
    """Marked points as the player needs them: ``traces.shown_marks`` with heights per scene.

    Arguments are those of the ``figure_3d`` that is shown, which needs no change for them.
    """
    options = {"log": log, "scale": scale, "quantity": quantity, "difference": difference}
    return _lifted(panels(record, inner_steps[:2], **options), marks)  # type: ignore[arg-type]
