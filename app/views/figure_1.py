"""Fig. 1 of a run: surfaces side by side, paths, what they measure, and where they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from typing import TYPE_CHECKING, Literal

import streamlit as st
from parts.asking import like
from parts.link import asked, settle
from parts.playing import play, step_of
from parts.point import clicked, marked, point
from parts.reproduce import files, texts
from parts.runs import Stamp, opened, pick, stamp
from parts.take import take
from parts.view import View, choose

from landscape.catalogue import Entry
from landscape.figures import figure_1, losses, partial, words
from landscape.figures.traces import Marks
from landscape.measure import compare, endings, read
from landscape.record import Figure1
from landscape.record.counts import count
from zarts.text import markdown

if TYPE_CHECKING:
    import plotly.graph_objects as go

HONESTY = """
- **One plane.** {plane}; another plane or seed gives another picture. One unit on the axes is
  {scale:.3g} in α.
- **What M steps mean.** ω*(α) is approximated by M SGD steps from one snapshot of ω, at learning
  rate {rate}. A larger rate moves ω further in the same M steps and changes the surface.
- **Noise.** All points share their batches: the surface is exact for these batches and an
  estimate for others. A minimum among close values may move with other batches.
- **Paths.** At most {residual:.1%} of a path's squared displacement lies outside of the drawn
  plane. Zero means that the optimizer was kept in it: a path of two parameters, not of all.
- **Losses at the end of a path** are computed for its own M and for the largest M. Others are
  read off the surface, between grid points.
- **Budgets differ.** The table and the right-hand curves show what each optimizer spent.
"""
AT_END = "At the end of the path; –: it ends outside of the grid, where no surface can be read"
Color = Literal["blue", "green", "gray"]


def head(record: Figure1, entry: Entry, view: View, marks: Marks) -> None:
    """Takeaway, badges, export and how to reproduce."""
    st.markdown(f"**{markdown(words.takeaway(record, view.panels))}**")
    with st.container(horizontal=True, vertical_alignment="center"):
        for text, color, help_text in badges(record):
            st.markdown(f":{color}-badge[{markdown(text)}]", help=help_text)
        st.space("stretch")
        take(files(record, entry, view, marks), texts(record, str(entry.listed.path), view))
    if (counted := count(record.surfaces)).pending:
        text = f"{counted.computed} of {counted.points} points computed"
        st.progress(counted.computed / counted.points, text)


def badges(record: Figure1) -> list[tuple[str, Color, str]]:
    """Text, colour and help of each badge; what the run does not say is left out."""
    rows, cols = record.surfaces[-1].loss.shape
    steps = ", ".join(str(surface.inner_steps) for surface in record.surfaces)
    found: list[tuple[str, str, Color, str]] = [
        ("space", words.setting(record, "space"), "blue", "Search space of the supernet"),
        ("data", words.setting(record, "data", "dataset"), "green", "Real images, see Reproduce"),
        ("grid", f"{rows} × {cols}", "gray", "Points of each surface, rows × columns"),
        ("M", steps, "gray", "SGD steps of ω before the loss is taken"),
        ("device", words.setting(record, "device"), "gray", "Where it was computed"),
        ("seed", words.setting(record, "seed"), "gray", "Of initialisation, data order and plane"),
    ]
    return [(f"{name} {value}", color, note) for name, value, color, note in found if value]


def reading(record: Figure1, panels: Sequence[int]) -> None:
    """The numbers of the two panels and of the paths."""
    cards(record, panels)
    if any(partial.stage(surface) for surface in record.surfaces):
        st.caption(
            "Not finished: lowest losses and ranges are of all points computed so far; what "
            "compares surfaces is taken on the finest level that all of them have finished."
        )
    st.subheader("Surfaces")
    number, plain = st.column_config.NumberColumn, "%.4f"
    st.dataframe(
        words.surface_rows(record),
        hide_index=True,
        placeholder="–",
        column_config={
            "minimum": number("min loss", format=plain),
            "x": number(format="%.2f"),
            "y": number(format="%.2f"),
            "range": number(format="%.3g", help="Highest minus lowest loss"),
            "sharpness": number(
                format="%.3g", help="Mean gradient norm over the grid, loss per axis unit"
            ),
            "ratio": number("sharpness / first", format="%.2f", help="Over points finite in both"),
            "shift": number(
                "shift of minimum", format="%.2f", help="From the first surface, axis units"
            ),
            "rank correlation": number(format="%.2f", help="Spearman, with the first surface"),
        },
        alt="Minimum, range, sharpness and shift of each surface",
    )
    if not record.paths:
        st.info("No path has been computed yet.")
        return
    st.subheader("Optimizers")
    target = record.surfaces[-1].inner_steps
    st.caption("Choose a row to make its path stand out.")
    losses_of = [name for name in words.path_rows(record)[0] if name.startswith("loss")]
    st.dataframe(
        words.path_rows(record),
        hide_index=True,
        placeholder="–",
        column_config={
            "optimizes": st.column_config.TextColumn(help="M of the loss that it optimizes"),
            **{name: number(format=plain, help=AT_END) for name in losses_of},
            "change": number(
                format=plain, help=f"Of the loss after {target} inner steps, end minus start"
            ),
            "standard error": number(
                "± standard error", format=plain, help="Of the change, over the same images"
            ),
            "distance to minimum": number(
                format="%.2f", help=f"Of the M = {target} surface, axis units"
            ),
            "path length": number(format="%.2f", help="Axis units"),
            "out of plane": number(format="percent", help="Share of the squared displacement"),
            "steps of ω": number(help="SGD steps of ω spent by all updates together"),
            "seconds": number(format="%.1f"),
        },
        key=f"optimizers {record.name}",
        on_select="rerun",
        selection_mode="single-row",
        selection_default={"selection": {"rows": rows_of(record, st.query_params.get("path"))}},
        alt="Final losses, distance to the minimum and budget of each optimizer",
    )


def cards(record: Figure1, panels: Sequence[int]) -> None:
    """The comparison of the two panels as four large numbers."""
    even = {each.inner_steps: each for each in partial.comparable(record.surfaces)}
    first, last = even[panels[0]], even[panels[-1]]
    change = compare(first, last, record.scale)
    whole = next(each for each in record.surfaces if each.inner_steps == panels[-1])
    found, so_far = read(whole), " so far" if partial.stage(whole) else ""
    low, name = found.minimum, "Constant" if found.constant else "Lowest"
    where = f"At x {low.x:.2f}, y {low.y:.2f}" if low else "No point is finite."
    m, base = last.inner_steps, first.inner_steps

    def shown(value: float, form: str) -> str:
        return format(value, form) if value == value else "–"

    columns = st.columns(4)
    columns[0].metric(
        f"Sharpness, M = {m} over M = {base}",
        shown(change.ratio, ".2f"),
        help="Ratio of the mean gradient norms over the grid; below 1 is less steep.",
        border=True,
    )
    columns[1].metric(
        "Shift of the minimum",
        shown(change.shift, ".2f"),
        help=f"Axis units between the two stars; {shown(change.length, '.2g')} in α. "
        "A constant surface has none.",
        border=True,
    )
    columns[2].metric(
        "Rank correlation",
        shown(change.correlation, ".2f"),
        help="Spearman, of the two surfaces: 1 means that they order all points alike.",
        border=True,
    )
    columns[3].metric(
        f"{name} loss{so_far}, M = {m}",
        f"{low.loss:.4f}" if low else "–",
        help="The same at all points." if found.constant else where,
        border=True,
    )


def honesty(record: Figure1) -> None:
    """What this picture can and cannot tell."""
    rate = words.setting(record, "inner_learning_rate", "inner_lr") or "not recorded"
    said = record.facts.get("plane", "random")
    plane = record.facts.get("plane", "random")
    if plane == "random":
        plane = "Two random orthonormal directions through α"
    residual = max((float(path.residual[-1]) for path in record.paths), default=0.0)
    with st.expander("What this picture can and cannot tell", icon=":material/info:"):
        said = {"plane": markdown(plane), "rate": markdown(rate)}
        st.markdown(HONESTY.format(scale=record.scale, residual=residual, **said))


def rows_of(record: Figure1, method: str | None) -> list[int]:
    """The row of the table of optimizers that a method has, if any."""
    return [row for row, end in enumerate(endings(record)) if end.path.method == method]


def chosen_path(record: Figure1) -> str | None:
    """The method whose row is chosen in the table of optimizers, which comes further below."""
    methods = [end.path.method for end in endings(record)]
    if (key := f"optimizers {record.name}") in st.session_state:
        rows = st.session_state[key]["selection"]["rows"]
        found = methods[rows[0]] if rows and rows[0] < len(methods) else ""
    else:
        found = asked("path", methods, lambda: "")
    if found:
        settle("path", found, "path")
    elif "path" in st.query_params:
        settle("path", "", "path")
        del st.query_params["path"]
    return found or None


@st.cache_resource(max_entries=24, show_spinner=False)
def drawn(folder: str, seen: Stamp, view: View, *, dark: bool, _record: Figure1) -> go.Figure:
    """The figure; the same one as long as the files of the run and the choices are the same."""
    del folder, seen  # of the key
    if view.camera:
        return view.scenes(_record, {}, dark=dark, screen=True)
    return figure_1(
        _record, view.panels, dark=dark, caption=False, marks={}, screen=True, **view.options()
    )


@st.cache_resource(max_entries=24, show_spinner=False)
def curves(
    folder: str, seen: Stamp, path: str | None, *, dark: bool, _record: Figure1
) -> go.Figure:
    """The losses along the paths, likewise."""
    del folder, seen
    return losses(_record, dark=dark, path=path)


@st.cache_resource(max_entries=64, show_spinner=False)
def choices(folder: str, seen: Stamp, _record: Figure1) -> dict[str, str] | None:
    """The form of Compute as it asks for the settings of a run, likewise."""
    del folder, seen
    found = like(_record.config)
    return asdict(found) if found else None


entry = pick()
seen = stamp(entry)
record = opened(entry)
another = st.sidebar.empty()  # filled below the figure: finding the settings takes a moment
view = choose(record)
marks = marked(record)
path = chosen_path(record)
st.title("First-order and fine-tuned landscape")  # before the figure, which takes a while
dark = st.context.theme.type == "dark"
figure = drawn(str(entry.listed.path), seen, view, dark=dark, _record=record)
step = step_of(figure.layout.meta["steps"])
head(record, entry, view, marks)
settings = {
    "displaylogo": False,
    "toImageButtonOptions": {"format": "svg", "filename": f"{record.name}_figure1"},
}
narrowest = figure.layout.meta["narrowest"]
if narrowest:  # wider than some windows: scrolled there
    wide = f".st-key-wide > * {{min-width: {narrowest}px}}"
    st.html(f"<style>.st-key-wide {{overflow-x: auto}} {wide}</style>")
with st.container(key="wide" if narrowest else "fits"):
    st.plotly_chart(
        figure,
        theme=None,
        key="figure",
        config=settings,
        alt=words.takeaway(record, view.panels),
    )
if form := choices(str(entry.listed.path), seen, record):
    another.page_link("views/compute.py", label="Compute another like it",
                      icon=":material/play_circle:", query_params=form)  # fmt: skip
play(step, view.shown(record, marks) | {"path": path and escape(path)}, clicked)
st.caption(markdown(words.caption(record)))
point(record, view, marks, dark=dark)
reading(record, view.panels)
if record.paths:
    st.subheader("Loss along the paths")
    st.plotly_chart(
        curves(str(entry.listed.path), seen, path, dark=dark, _record=record),
        theme=None,
        key="losses",
        config=settings,
        alt="Target loss of each optimizer by step and by steps of ω spent",
    )
honesty(record)
