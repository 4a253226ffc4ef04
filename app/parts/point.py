"""A point of the plane: picked by a click or by its numbers, and what is there; pins and a line."""

from __future__ import annotations

import math

import streamlit as st

from landscape.figures import along_line, look
from landscape.figures.traces import Marks
from landscape.point import Here, at
from landscape.record import Figure1, Status
from parts.link import Point, asked_point, code, settle_point
from parts.view import View
from zarts.genotype.drawing import svg
from zarts.text import markdown

__all__ = ["clicked", "marked", "point"]

FIELDS = ("at-x", "at-y")
CELLS = ".st-key-cells {overflow-x: auto} .st-key-cells img {min-width: 860px}"
NOTHING = (
    "Click a surface of the contours, or type x and y, to see the losses there, the architecture "
    "that α stands for, its cost, and the nearest step of a path. Two pins give the losses along "
    "the line between them."
)


def marked(record: Figure1) -> Marks:
    """The picked point and the pins, as the link or the fields have them."""
    grid = record.surfaces[-1]
    ranges = [(float(axis[0]), float(axis[-1])) for axis in (grid.x, grid.y)]
    if new := st.session_state.get("at-of") != record.name:
        linked = asked_point("at", *ranges) or (None, None)
        st.session_state.update(zip(FIELDS, linked, strict=True))
        st.session_state["at-of"] = record.name
    x, y = (st.session_state.get(field) for field in FIELDS)
    here = None if x is None or y is None else (x, y)
    if here or (not new and asked_point("at", *ranges)):  # what is no point stays, and is told of
        settle_point("at", here)
    found: dict[str, Point] = {"": here} if here else {}
    for name in "AB":
        if pin := asked_point(name.lower(), *ranges):
            found[name] = pin
    return found


def clicked() -> None:
    """Takes the point of a click on a surface into the fields."""
    picked = st.session_state["player"].get("picked") or {}
    xy = [picked.get(axis) for axis in "xy"]
    found = [round(float(each), 6) for each in xy if isinstance(each, int | float)]
    if len(found) == 2 and all(map(math.isfinite, found)):
        st.session_state.update(zip(FIELDS, found, strict=True))


def point(record: Figure1, view: View, marks: Marks, *, dark: bool) -> None:
    """The fields, what is at the point, and the line between the pins."""
    st.subheader("At a point")
    _fields(record, marks)
    if "" in marks:
        _card(record, at(record, *marks[""]))
    else:
        st.caption(NOTHING)
    if "A" in marks and "B" in marks:
        st.markdown("**From A to B**")
        st.plotly_chart(
            along_line(record, marks["A"], marks["B"], view.panels, dark=dark),
            theme=None,
            key="line",
            config={"displaylogo": False},
            alt="Loss of each shown M along the line from A to B, read off between grid points",
        )


def _fields(record: Figure1, marks: Marks) -> None:
    grid = record.surfaces[-1]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        for field, name, axis in zip(FIELDS, "xy", (grid.x, grid.y), strict=True):
            low, high = float(axis[0]), float(axis[-1])
            st.number_input(
                name,
                low,
                high,
                value=None,
                step=(high - low) / max(len(axis) - 1, 1) or None,
                format="%.4g",
                key=field,
                placeholder=f"{low:g} to {high:g}",
                width=150,
                help="In axis units; a step is one grid point.",
            )
        for name in "AB":
            st.button(f"Pin as {name}", on_click=_pin, args=(name, marks), disabled="" not in marks)
        st.button("Clear", on_click=_clear, disabled=not marks, help="The point and both pins.")
        if pins := [f"{name} ({x:.3g}, {y:.3g})" for name, (x, y) in marks.items() if name]:
            st.caption(markdown(" · ".join(pins)))


def _pin(name: str, marks: Marks) -> None:
    settle_point(name.lower(), marks[""])


def _clear() -> None:
    for key in ("at", "a", "b"):
        settle_point(key, None)
    st.session_state.update(dict.fromkeys(FIELDS))


def _card(record: Figure1, here: Here) -> None:
    where = "is a grid point"
    if not here.on_node:
        where = f"is between grid points; the nearest is ({here.node_x:.4g}, {here.node_y:.4g})"
    left, right = st.columns([3, 2])
    with left:
        st.dataframe(
            [_row(here, place) for place in range(len(here.values))],
            hide_index=True,
            column_config={
                "M": st.column_config.NumberColumn(width="small"),
                "loss": st.column_config.TextColumn(
                    "loss" if here.on_node else "loss, read off",
                    help="As it was computed, ± its standard error."
                    if here.on_node
                    else "Bilinear between the grid points around it.",
                ),
            },
            alt="Losses at the picked point for each M",
        )
        st.caption(markdown(f"({here.x:.4g}, {here.y:.4g}) {where}."))
        if step := here.nearest:
            label = look.style(step.path.method).label
            outside = f", {step.residual:.1%} of the squared displacement lies outside the plane"
            st.caption(
                markdown(
                    f"Nearest step of a path: {label}, step {step.step}, {step.distance:.2f} away"
                    f"{outside if step.residual > 0 else ''}."
                )
            )
    if here.genotype is None or here.cost is None:
        right.info(
            "This run does not store the plane in α."
            if here.alpha is None
            else "α of this run does not stand for cells of a supernet."
        )
        return
    with right:
        columns = st.columns(2)
        size = "Of the network of 20 cells and 36 channels on 32×32 images that papers train."
        columns[0].metric(
            "Parameters", f"{here.cost.parameters / 1e6:.2f} M", help=size, border=True
        )
        columns[1].metric("MACs", f"{here.cost.macs / 1e6:.0f} M", help=size, border=True)
        st.caption(f"{here.genotype.skip_share:.0%} of the edges are skip connections.")
    st.html(f"<style>{CELLS}</style>")
    with st.container(key="cells"):
        st.image(svg(here.genotype), width="stretch", alt="The cells of the genotype below")
    rule = "" if here.rule == "darts" else f", by the rule of {here.rule.upper()}"
    st.caption(markdown(f"The cells that α stands for at this point{rule}:"))
    code(str(here.genotype), "python")


def _row(here: Here, place: int) -> dict[str, str | int]:
    value = here.values[place]
    error = f" ± {value.error:.4f}" if math.isfinite(value.error) else ""
    node = (
        f"{value.node_loss:.4f}{error}"
        if math.isfinite(value.node_loss)
        else _missing(value.status)
    )
    read = node if here.on_node else f"{value.loss:.4f}" if math.isfinite(value.loss) else "–"
    row: dict[str, str | int] = {"M": value.inner_steps, "loss": read}
    if not here.on_node:
        row["nearest grid point"] = node
    if math.isfinite(value.accuracy):
        row["accuracy"] = f"{value.accuracy:.1%}"
    return row


def _missing(status: Status) -> str:
    return "not finite" if status == Status.OK else status.name.lower()
