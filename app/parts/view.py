"""What of a run is shown and how: every choice is in the link."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypedDict, get_args

import numpy as np
import streamlit as st

from landscape.figures.look import Scale
from landscape.figures.space import CAMERAS, figure_3d, scene_marks
from landscape.figures.traces import Marks, shown_marks
from landscape.record import Figure1
from parts.link import asked, one_of, settle
from zarts import __version__
from zarts.runs.runfile import runs_root
from zarts.text import markdown

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["Options", "View", "choose"]

Shown = Literal["loss", "accuracy"]
SCALES = ("linear", "log")
WHOSE: tuple[Scale, ...] = get_args(Scale)
SHOWN: tuple[Shown, ...] = get_args(Shown)
FLAT, DEEP = "contour", "3-D"


class Options(TypedDict):
    """What ``figure_1``, ``static`` and ``words.python`` take beside record and panels."""

    log: bool
    scale: Scale
    quantity: Shown
    difference: bool


@dataclass(frozen=True)
class View:
    """The choices.

    Attributes:
        panels: M of the panels from left to right.
        log: Whether the loss is logarithmic.
        scale: Whose scale it is.
        quantity: What is shown.
        difference: Whether the second minus the first is a third panel.
        camera: Where a view in three dimensions is from; empty: contours.
    """

    panels: tuple[int, ...]
    log: bool
    scale: Scale
    quantity: Shown
    difference: bool
    camera: str

    def options(self) -> Options:
        """The same as arguments of the figures."""
        return {
            "log": self.log,
            "scale": self.scale,
            "quantity": self.quantity,
            "difference": self.difference,
        }

    def scenes(
        self, record: Figure1, marks: Marks, *, dark: bool = False, screen: bool = False
    ) -> go.Figure:
        """The view in three dimensions."""
        shared = {"camera": self.camera, "dark": dark, "marks": marks, "screen": screen}
        return figure_3d(record, self.panels, **shared, **self.options())  # type: ignore[arg-type]

    def shown(self, record: Figure1, marks: Marks) -> dict[str, Any]:
        """The marks as the player needs them."""
        if self.camera:
            return scene_marks(record, self.panels, marks, **self.options())
        return shown_marks(marks)


def choose(record: Figure1) -> View:
    """Asks for them in the sidebar."""
    with st.sidebar:
        panels = _panels(record)
        with_difference = len(panels) > 1 and _delta()
        quantity: Shown = "loss"
        if any(np.isfinite(surface.accuracy).any() for surface in record.surfaces):
            quantity = one_of(
                "show",
                "Shown",
                SHOWN,
                "accuracy: of the supernet on the images of L_val. Paths are of the loss anyway.",
            )
        scale = SCALES[0]
        if quantity == "loss":  # the best accuracy is no floor that a logarithm could begin at
            scale = one_of(
                "scale",
                "Loss scale",
                SCALES,
                "log: levels are even in the logarithm of the loss above the lowest one.",
            )
        whose = one_of(
            "panels",
            "Scale of the panels",
            WHOSE,
            "own: shows the shape of a flat surface beside a steep one. A colour then means "
            "another loss in each panel, and the figure says so.",
        )
        view = one_of("view", "View", (FLAT, DEEP), "3-D needs WebGL and is drawn when asked for.")
        camera = ""
        if view == DEEP:
            camera = one_of("camera", "Seen from", tuple(CAMERAS), "The same for all scenes.")
        st.caption(f"Version {__version__} · runs in {markdown(runs_root())}")
    _settled(panels, len(record.surfaces) > 1)
    if quantity == "loss":
        settle("scale", scale, "loss scale")
    settle("panels", whose, "scale of the panels")
    settle("view", view, "view")
    if "show" in st.session_state:
        settle("show", quantity, "quantity")
    if camera:
        settle("camera", camera, "camera")
    return View(tuple(panels), scale == "log", whose, quantity, with_difference, camera)


def _panels(record: Figure1) -> list[int]:
    """M of the left and of the right panel, which differ."""
    names = [str(surface.inner_steps) for surface in record.surfaces]
    if len(names) < 2:
        return [int(names[0])]
    key = f"base {record.name}"  # another run has other options: another widget
    left = st.segmented_control(
        "Inner steps M, left panel",
        names,
        default=asked("base", names, lambda: names[0]),
        required=True,
        key=key,
        on_change=_turn,
        args=(key,),
        help="SGD steps of ω before the loss is taken; 0 is DARTS' first order.",
    )
    others = [name for name in names if name != left]
    right = one_of(
        "m",
        "Inner steps M, right panel",
        others,
        "Compared with the left panel: the difference is right minus left.",
        last=True,
        widget=f"m {left} {record.name}",
    )
    return [int(left), int(right)]


def _turn(key: str) -> None:
    """If the left panel is to show what the right one did, they change places."""
    if st.session_state[key] == st.query_params.get("m"):
        st.query_params["m"] = st.query_params["base"]


def _delta() -> bool:
    states = ("off", "on")
    shown = st.toggle(
        "Δ, the difference of the panels",
        asked("delta", states, lambda: states[0]) == "on",
        key="delta",
        help="A third panel: right minus left on the same plane, with zero marked.",
    )
    settle("delta", states[shown], "difference")
    return shown


def _settled(panels: list[int], several: bool) -> None:
    if several:
        settle("base", str(panels[0]), "number of inner steps M (left panel)")
        settle("m", str(panels[-1]), "number of inner steps M")
