"""What plays the figure above it, step by step; the step is in the link."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from landscape.figures import player
from parts.link import asked, settle

__all__ = ["play", "step_of"]

LAST = "last"


def step_of(steps: Sequence[int]) -> int | None:
    """The step that the link asks for; None is the last one, whatever it is by then."""
    if len(steps) < 2:
        return None
    step = asked("step", [LAST, *map(str, steps[:-1])], lambda: LAST)
    settle("step", step, "step")
    return None if step == LAST else int(step)


def play(
    step: int | None,
    shown: Mapping[str, Any] | None = None,
    picked: Callable[[], None] = lambda: None,
) -> None:
    """Plays the chart whose key is ``figure``, of which no new one is sent.

    Args:
        step: Where to begin.
        shown: What is marked, and which path stands out.
        picked: Called after a click on a surface.
    """
    component = st.components.v2.component(
        "player", html=player.MARKUP, css=player.STYLE, js=player.MODULE
    )
    component(
        key="player",
        data={**(shown or {}), "step": step},
        on_picked_change=picked,
        on_moved_change=_moved,
    )


def _moved() -> None:
    """Takes the step that was gone to into the link."""
    moved = st.session_state["player"].get("moved") or {}
    step = moved.get("step")
    st.query_params["step"] = str(step) if isinstance(step, int) else LAST
