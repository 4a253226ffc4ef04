"""Fig. 1 of a run: surfaces side by side, paths, what they measure, and where they come from."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from typing import Literal

import streamlit as st

from landscape.catalogue import Entry, catalogue
from landscape.figures import figure_1, losses, partial, static, to_csv, to_html, words
from landscape.measure import compare, read
from landscape.record import Figure1, Status
from zarts import __version__
from zarts.runfile import RunError, runs_root

LOOK_SECONDS = 3  # between two looks at the files of an unfinished run
MAKE_ONE = "python -m landscape.compute --steps 10"
HONESTY = """
- **One random plane.** Two random orthonormal directions through α; another plane or seed gives
  another picture. One unit on the axes is {scale:.3g} in α.
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
Color = Literal["blue", "green", "gray"]


def pick() -> Entry:
    """The run asked for in the sidebar or the URL."""
    try:
        entries = {entry.name: entry for entry in catalogue(runs_root())}
    except RunError as error:
        st.error(f"{error}. Another folder: set `ZARTS_RUNS`.")
        st.stop()
    if not entries:
        st.title("No runs yet")
        st.markdown("Compute one, then reload this page. The command first says how long it takes:")
        st.code(MAKE_ONE, language="bash")
        st.caption(f"Looked in the bundled runs and in `{runs_root()}` (`ZARTS_RUNS`).")
        st.stop()
    asked = st.query_params.get("run")
    if asked is not None and asked not in entries and "run" not in st.session_state:
        st.warning(f"There is no run `{asked[:80]}` here; this is another one.")
    names = sorted(entries, key=lambda name: not entries[name].complete)
    with st.sidebar:
        st.header("ZARTS")
        # The names are the labels, because a label is what the URL carries.
        name = st.selectbox("Run", names, key="run", bind="query-params")
        st.caption(state(entries[name]))
    return entries[name]


def state(entry: Entry) -> str:
    """Where a run comes from, or that it cannot be read."""
    if entry.listed.run is None:
        return ":material/error: unreadable"
    if entry.bundled:
        return "bundled with the package"
    return f"made {entry.created or 'at no known time'}"


def stamp(entry: Entry) -> list[tuple[str, int]]:
    """Names and times of the files of a run: other ones once it has grown. Reads none of them."""
    if (run := entry.listed.run) is None:
        return []
    try:
        return [(name, (run.path / f"{name}.h5").stat().st_mtime_ns) for name in run.names()]
    except (OSError, RunError):  # it is gone, which is news too
        return []


def follow(entry: Entry, seen: list[tuple[str, int]]) -> None:
    """Shows the page anew as soon as the run has grown; until then a look costs next to nothing."""
    with st.sidebar:
        wanted = st.toggle("Follow the run", True, help="New data resets a zoom; off keeps it.")
    if not wanted:
        return

    @st.fragment(run_every=LOOK_SECONDS)
    def look() -> None:
        if stamp(entry) != seen:
            st.rerun()

    look()


def opened(entry: Entry) -> Figure1:
    """What the run holds; stops the page with the reason if that cannot be shown."""
    seen = stamp(entry)  # before the reading, so that nothing falls between
    try:
        record = entry.figure()
    except (RunError, KeyError, ValueError) as error:
        st.title(entry.name)
        st.error(f"This run cannot be shown. {error}", icon=":material/error:")
        follow(entry, seen)
        st.stop()
    if not record.surfaces:
        st.title(entry.name)
        st.info("The run has started and no surface is there yet.", icon=":material/hourglass:")
        follow(entry, seen)
        st.stop()
    if partial.unfinished(record):
        follow(entry, seen)
    return record


def choose(record: Figure1) -> tuple[list[int], bool]:
    """M of the panels and the scale of the loss, as chosen in the sidebar or the URL."""
    first, *others = [surface.inner_steps for surface in record.surfaces]
    with st.sidebar:
        panels = [first]
        if others:
            names = [str(m) for m in others]
            right = st.segmented_control(
                "Right surface, M",
                names,
                default=names[-1],
                required=True,
                key="m",
                bind="query-params",
                help="SGD steps of ω before the loss is taken. The left surface takes "
                f"{first}: DARTS' first order.",
            )
            panels.append(int(right))
        scale = st.segmented_control(
            "Loss scale",
            ["linear", "log"],
            default="linear",
            required=True,
            key="scale",
            bind="query-params",
            help="log: levels are even in the logarithm of the loss above the lowest one.",
        )
        st.caption(f"Version {__version__} · runs in `{runs_root()}`")
    return panels, scale == "log"


def head(record: Figure1, panels: list[int], log: bool) -> None:
    """Title, takeaway, badges, export and how to reproduce."""
    st.title("First-order and exact landscape")
    st.markdown(f"**{words.takeaway(record, panels)}**")
    with st.container(horizontal=True, vertical_alignment="center"):
        for text, color, help_text in badges(record):
            st.badge(text, color=color, help=help_text)
        st.space("stretch")
        with st.popover("Export", icon=":material/download:"):
            export(record, panels, log)
        with st.popover("Reproduce", icon=":material/terminal:"):
            reproduce(record)
    if any((surface.status == Status.PENDING).any() for surface in record.surfaces):
        done = sum(surface.done for surface in record.surfaces)
        total = sum(surface.loss.size for surface in record.surfaces)
        st.progress(done / total, f"{done} of {total} points computed")


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


def export(record: Figure1, panels: list[int], log: bool) -> None:
    """The files one can take away; each is made when it is asked for."""
    name = f"{record.name}_figure1_m{panels[-1]}"

    def page() -> str:
        return to_html(figure_1(record, panels, log=log), record, panels)

    files: dict[str, tuple[str, str, Callable[[], str | bytes]]] = {
        "HTML": ("html", "text/html", page),
        "CSV": ("csv", "text/csv", lambda: to_csv(record)),
    }
    if find_spec("matplotlib"):
        files |= {
            "SVG": ("svg", "image/svg+xml", lambda: static(record, "svg", panels, log=log)),
            "PDF": ("pdf", "application/pdf", lambda: static(record, "pdf", panels, log=log)),
            "PNG": ("png", "image/png", lambda: static(record, "png", panels, log=log)),
        }
    for kind, (ending, mime, make) in files.items():
        st.download_button(
            kind,
            make,
            f"{name}.{ending}",
            mime,
            key=f"export-{ending}",
            on_click="ignore",
            width="stretch",
        )
    if len(files) == 2:
        st.caption("SVG, PDF and PNG need matplotlib: `pip install 'zarts[export]'`")


def reproduce(record: Figure1) -> None:
    """Command, configuration and origin of the run, and whom to cite."""
    st.markdown("**Command**")
    st.code(words.command(record) or "not recorded", language="bash", wrap_lines=True)
    for title, found in (
        ("Where the numbers come from", record.provenance),
        ("Configuration", record.config),
    ):
        st.markdown(f"**{title}**")
        text = json.dumps(dict(found), indent=2, ensure_ascii=False)
        st.code(text, language="json", height=200)
    st.markdown("**Cite**")
    st.code(words.BIBTEX, language="bibtex", height=150)


def reading(record: Figure1, panels: list[int]) -> None:
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
                "argmin shift", format="%.2f", help="From the first surface, axis units"
            ),
            "rank correlation": number(format="%.2f", help="Spearman, with the first surface"),
        },
        alt="Minimum, range, sharpness and shift of each surface",
    )
    if not record.paths:
        st.info("No path has been computed yet.")
        return
    st.subheader("Optimizers")
    losses_of = [name for name in words.path_rows(record)[0] if name.startswith("loss")]
    st.dataframe(
        words.path_rows(record),
        hide_index=True,
        column_config={
            "descends": st.column_config.TextColumn(help="M of the loss this optimizer descends"),
            **{name: number(format=plain, help="At the end of the path") for name in losses_of},
            "to the star": number(format="%.2f", help="Distance to the exact minimum, axis units"),
            "path length": number(format="%.2f", help="Axis units"),
            "out of plane": number(format="percent", help="Share of the squared displacement"),
            "steps of ω": number(help="SGD steps of ω spent by all updates together"),
            "seconds": number(format="%.1f"),
        },
        alt="Final losses, distance to the minimum and budget of each optimizer",
    )


def cards(record: Figure1, panels: list[int]) -> None:
    """The comparison of the two panels as four large numbers."""
    even = {each.inner_steps: each for each in partial.comparable(record.surfaces)}
    first, last = even[panels[0]], even[panels[-1]]
    change = compare(first, last, record.scale)
    whole = next(each for each in record.surfaces if each.inner_steps == panels[-1])
    low, so_far = read(whole).minimum, " so far" if partial.stage(whole) else ""
    m, base = last.inner_steps, first.inner_steps

    def shown(value: float, form: str) -> str:
        return format(value, form) if value == value else "–"

    columns = st.columns(4)
    columns[0].metric(
        f"Sharpness, M = {m} over M = {base}",
        shown(change.ratio, ".2f"),
        help="Ratio of the mean gradient norms over the grid; below 1 is flatter.",
        border=True,
    )
    columns[1].metric(
        "Shift of the minimum",
        shown(change.shift, ".2f"),
        help=f"Axis units between the two stars; {shown(change.length, '.2g')} in α.",
        border=True,
    )
    columns[2].metric(
        "Rank correlation",
        shown(change.correlation, ".2f"),
        help="Spearman, of the two surfaces: 1 means that they order all points alike.",
        border=True,
    )
    columns[3].metric(
        f"Lowest loss{so_far}, M = {m}",
        f"{low.loss:.4f}" if low else "–",
        help=f"At x {low.x:.2f}, y {low.y:.2f}" if low else "No point is finite.",
        border=True,
    )


def honesty(record: Figure1) -> None:
    """What this picture can and cannot tell."""
    rate = words.setting(record, "inner_learning_rate", "inner_lr") or "not recorded"
    residual = max((float(path.residual[-1]) for path in record.paths), default=0.0)
    with st.expander("What this picture can and cannot tell", icon=":material/info:"):
        st.markdown(HONESTY.format(scale=record.scale, rate=rate, residual=residual))


entry = pick()
record = opened(entry)
panels, log = choose(record)
dark = st.context.theme.type == "dark"
head(record, panels, log)
settings = {
    "displaylogo": False,
    "toImageButtonOptions": {"format": "svg", "filename": f"{record.name}_figure1"},
}
st.plotly_chart(
    figure_1(record, panels, log=log, dark=dark, caption=False),
    theme=None,
    key="figure",
    config=settings,
    alt=words.takeaway(record, panels),
)
st.caption(words.caption(record))
reading(record, panels)
if record.paths:
    st.subheader("Loss along the paths")
    st.plotly_chart(
        losses(record, dark=dark),
        theme=None,
        key="losses",
        config=settings,
        alt="Target loss of each optimizer by step and by steps of ω spent",
    )
honesty(record)
