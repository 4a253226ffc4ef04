"""The toy of the page Learn: what it shows is in the link, its picture is drawn in the browser."""

from __future__ import annotations

import base64
import math
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from landscape.learn import OPTIMIZERS, STEPS, UNIT, toy
from landscape.record import Figure1, OptimizerPath, Status, Surface
from parts.link import asked, settle
from zarts.optimizers import Method, method_of

__all__ = ["Shown", "follows", "loss", "play", "record", "rows"]

START = (-0.5, -0.75)  # from where the minimum of L_0 and the true one are in different directions
KEY = "toy"
SIDE = 61  # points along an axis of what is exported
Floats = NDArray[np.float64]
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


@dataclass(frozen=True)
class Shown:
    """The choices.

    Attributes:
        steps: M.
        draw: Which one of a zero-order path, from 0.
        start: Of all paths.
    """

    steps: int
    draw: int
    start: tuple[float, float]


def play() -> Shown:
    """The picture and its controls; what the link asks for, until something is moved."""
    shown = _moved() or _linked()
    settle("steps", str(shown.steps), "number of inner steps M")
    settle("start", _text(shown.start), "start")
    settle("draw", str(shown.draw + 1), "draw")
    if KEY not in st.session_state:  # it is about to be mounted and begins with this
        first = {"m": STEPS.index(shown.steps), "draw": shown.draw, "start": list(shown.start)}
        st.session_state["toy-first"] = first
    picture = st.components.v2.component(
        "toy", html=_file("html"), css=_file("css"), js=_file("js")
    )
    view = st.session_state["toy-first"]
    picture(key=KEY, data={**_data(), "view": view}, on_view_change=lambda: None)
    return shown


def loss(steps: int) -> str:
    """L with M below it."""
    return f"L{steps}".translate(SUBSCRIPTS)


def follows(name: str, steps: int) -> str:
    """What a method asks of which loss at each update, in words."""
    method = method_of(name)
    if method.gradients:
        return f"gradient of {loss(method.own_steps(steps))}"
    return f"{_asks(name, method)} values of {loss(steps)}"


def rows(shown: Shown) -> list[dict[str, str | float]]:
    """The numbers of the picture: a row for every path."""
    known = toy()
    found: list[dict[str, str | float]] = []
    for name in OPTIMIZERS:
        end = known.path(name, shown.steps, shown.draw, shown.start)[-1]
        found.append(
            {
                "path": method_of(name).style.label,
                "follows": follows(name, shown.steps),
                "end α₁": float(end[0]),
                "end α₂": float(end[1]),
                f"{loss(shown.steps)} above its minimum": float(known.excess(end, shown.steps)),
                "true loss L_∞ above its minimum": float(known.excess(end, math.inf)),
                "distance to the true minimum": float(np.linalg.norm(end - known.minimum[-1])),
            }
        )
    return found


def record(shown: Shown) -> Figure1:
    """The picture as Fig. 1: L_0, L_M and the paths."""
    known, steps = toy(), shown.steps
    axis = np.linspace(-1.0, 1.0, SIDE)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1)

    def values(points: Floats, m: int) -> Floats:
        lowest = float(known.lowest[known.steps.tolist().index(m)])
        return np.asarray(lowest + known.excess(points, m))

    done = np.full((SIDE, SIDE), Status.OK, np.uint8)
    paths = []
    for name in OPTIMIZERS:
        method = method_of(name)
        own, xy = method.own_steps(steps), known.path(name, steps, shown.draw, shown.start)
        asks = 0 if method.gradients else _asks(name, method) * known.updates
        slopes = known.updates if method.gradients else 0
        at = values(xy, own), values(xy, steps), np.zeros(len(xy))
        spent = own * (asks + slopes)
        paths.append(OptimizerPath(name, own, xy, *at, asks, slopes, spent, seconds=0.0))
    return Figure1(
        "learn",
        tuple(Surface(m, axis, axis, values(grid, m), done) for m in sorted({0, steps})),
        tuple(paths),
        scale=1.0,
        config={"objective": "toy"},
    )


def _linked() -> Shown:
    known = toy()
    steps = asked("steps", [str(m) for m in STEPS], lambda: str(STEPS[-1]))
    draw = asked("draw", [str(1 + n) for n in range(known.draws)], lambda: "1")
    starts = {_text((x, y)): (x, y) for x in known.starts.tolist() for y in known.starts.tolist()}
    start = asked("start", list(starts), lambda: _text(START))
    return Shown(int(steps), int(draw) - 1, starts[start])


def _moved() -> Shown | None:
    """What the picture was moved to, if it was; what it says is checked as a link is."""
    known = toy()
    try:
        view = st.session_state[KEY]["view"]
        x, y = view["start"]
        found = Shown(int(view["m"]), int(view["draw"]), (float(x), float(y)))
    except (KeyError, TypeError, ValueError):
        return None
    on_grid = set(found.start) <= set(known.starts.tolist())
    return found if on_grid and found.steps in STEPS and 0 <= found.draw < known.draws else None


def _text(start: tuple[float, float]) -> str:
    return f"{start[0]:g},{start[1]:g}"


def _asks(name: str, method: Method) -> int:
    """Values of the loss per update."""
    assert method.optimizer is not None
    found: int = method.optimizer(**OPTIMIZERS[name], **method.fixed).evaluations
    return found


@cache
def _file(ending: str) -> str:
    return Path(__file__).with_suffix(f".{ending}").read_text(encoding="utf-8")


@cache
def _data() -> dict[str, Any]:
    """What the picture is drawn from: all starts, so that nothing is asked for while it moves."""
    known, none = toy(), np.int16(0)
    changes = np.diff(np.diff(known.paths, axis=-4, prepend=none), axis=-3, prepend=none)
    methods = []
    for name in OPTIMIZERS:
        method = method_of(name)
        style, asks = method.style, 0 if method.gradients else _asks(name, method)
        look = {"label": style.label, "color": style.color, "symbol": style.symbol}
        slope = method.descends if method.gradients else None
        methods.append({**look, "dash": style.dash, "asks": asks, "slope": slope})
    pairs = zip(known.minimum.tolist(), known.curvature.tolist(), strict=True)
    return {
        "packed": base64.b64encode(zlib.compress(changes.astype("<i2").tobytes(), 9)).decode(),
        "shape": list(known.paths.shape),
        "unit": UNIT,
        "steps": list(STEPS),
        "draws": known.draws,
        "surfaces": [{"minimum": m, "curvature": c} for m, c in pairs],
        "trail": known.trail.tolist(),
        "methods": methods,
    }
