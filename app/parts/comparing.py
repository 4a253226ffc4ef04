"""Two runs side by side, and several seeds of one setting."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import streamlit as st

from landscape import summary
from landscape.catalogue import Entry
from landscape.figures import minus, rows_csv, side_by_side, to_page
from landscape.figures.files import arrays, packed
from landscape.figures.side_by_side import numbers_of_pair
from landscape.index import Row
from landscape.measure import compare, lowest
from landscape.planes import apart
from landscape.record import Figure1
from parts.link import asked, code, kept, one_of, settle
from parts.take import File, Files, Said, Taken, folders, made, pictures
from zarts.optimizers import method_of
from zarts.runs.runfile import RunError, flat
from zarts.text import markdown, printable

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["pair", "seeds"]


def pair(entries: Sequence[Entry]) -> Taken:
    """Two runs: their surfaces under one scale, and the settings in which they differ."""
    by_name = {printable(entry.name): entry for entry in entries}
    names = list(by_name)
    last = kept("run") or ""
    columns = st.columns(2)
    picked: list[str] = []
    for key, column in zip("ab", columns, strict=True):
        first = asked(key, names, lambda: _like(by_name, picked, last))
        with column:
            picked.append(
                st.selectbox(f"Run {key.upper()}", names, names.index(first), key=f"run-{key}")
            )
        settle(key, picked[-1], f"run {key.upper()}")
    if picked[0] == picked[1]:
        st.info("These are the same run. Choose another one to compare it with.")
        return {}, []
    two = [by_name[name] for name in picked]
    if any(entry.listed.run is None for entry in two):
        for entry in two:
            if entry.listed.run is None:
                _unreadable(entry, entry.listed.problem)
        return {}, []
    records = [_figure(entry) for entry in two]
    files: Files = {}
    texts = [made(two)]
    if None not in records:
        files, drawing = _surfaces(two, [record for record in records if record])
        texts += drawing
    elif not any(entry.retraining for entry in two):
        st.page_link("views/search.py", label="Their searches", icon=":material/timeline:",
                     query_params={"runs": ",".join(picked)})  # fmt: skip
    _settings(two)
    return files | folders(two), texts


def _like(by_name: Mapping[str, Entry], picked: Sequence[str], kept: str) -> str:
    """What to begin with: the run looked at or the newest landscape, then another of its kind."""

    def kind(name: str) -> tuple[bool, bool]:
        run = by_name[name].listed.run
        return by_name[name].retraining, run is not None and "plane" in run

    if not picked:
        drawn = (name for name in by_name if kind(name)[1])
        return kept if kept in by_name else next(drawn, next(iter(by_name)))
    others = [name for name in by_name if name != picked[0]] or list(picked)
    return next((name for name in others if kind(name) == kind(picked[0])), others[0])


def _figure(entry: Entry) -> Figure1 | None:
    """What the run holds; None, with the reason on the page, if that is no landscape."""
    try:
        if "plane" not in entry.listed.run:  # type: ignore[operator]
            what = "is a search without a" if entry.search_only else "has no"
            what = "is a retraining without a" if entry.retraining else what
            st.info(f"{markdown(entry.name)} {what} landscape; settings are below.")
            return None
        record = entry.figure()
    except (RunError, LookupError, ValueError) as error:
        _unreadable(entry, str(error))
        return None
    if not record.surfaces:
        st.info(f"{markdown(entry.name)} has no surface yet.")
        return None
    return record


def _unreadable(entry: Entry, problem: str) -> None:
    st.error(f"{markdown(entry.name)} cannot be shown. {markdown(problem)}")
    code(entry.verifying(), "bash")


def _surfaces(two: Sequence[Entry], records: Sequence[Figure1]) -> Taken:
    first, second = records
    of_second = {surface.inner_steps for surface in second.surfaces}
    common = [each.inner_steps for each in first.surfaces if each.inner_steps in of_second]
    if not common:
        have = [", ".join(str(each.inner_steps) for each in one.surfaces) for one in records]
        st.info(f"No M is in both: A has M = {have[0]}, B has M = {have[1]}.")
        return {}, []
    options = [str(m) for m in common]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        m = one_of("m", "Inner steps M", options, last=True, widget="both-m")
        scale = one_of("scale", "Loss scale", ["linear", "log"], widget="both-scale")
    settle("m", m, "number of inner steps M")
    settle("scale", scale, "loss scale")
    differ = apart(first, second)
    said = _said(records, int(m), same=not differ)
    st.markdown(f"**{markdown(said)}**")
    if differ:
        reason = f"No difference B − A, because the planes differ in {_list(differ)}."
        st.caption(f"{markdown(reason)} The panels have one colour scale, and axes of their own.")
    dark = st.context.theme.type == "dark"
    name = f"{two[0].name}_{two[1].name}_m{m}"[:120]
    buttons = {"format": "svg", "filename": name}
    shared = {"displaylogo": False, "toImageButtonOptions": buttons}
    panels = st.columns([1]) if differ else st.columns([5, 3], gap="small")  # stacked if narrow
    panels[0].plotly_chart(
        side_by_side(first, second, int(m), log=scale == "log", dark=dark),
        theme=None, key="side-by-side", config=shared, alt=said,
    )  # fmt: skip
    if not differ:
        panels[1].plotly_chart(
            minus(first, second, int(m), dark=dark),
            theme=None, key="minus", config=shared, alt="The loss of B minus that of A",
        )  # fmt: skip

    def beside() -> go.Figure:
        return side_by_side(first, second, int(m), log=scale == "log")

    def difference() -> go.Figure:
        return minus(first, second, int(m))

    def page() -> str:
        drawn = [beside()] + ([] if differ else [difference()])
        return to_page(f"{first.name} and {second.name}", said, drawn, made_by=made(two).text)

    def both() -> bytes:
        found = {"a": arrays(first), "b": arrays(second)}
        return packed({f"{side}/{name}": a for side, of in found.items() for name, a in of.items()})

    def numbers() -> str:
        return rows_csv(numbers_of_pair(first, second, int(m), same=not differ))

    drawings = pictures(name, beside)
    if not differ and len(drawings) > 1:  # else what they need is said once
        drawings += pictures(f"{name}_difference", difference, what="B − A")
    log = ", log=True" if scale == "log" else ""
    python = (
        "from landscape import load\nfrom landscape.figures import side_by_side\n"
        "from zarts.runs.runfile import Run\n\nrecords = [\n"
        + "".join(f"    load(Run.open({str(entry.listed.path)!r})),\n" for entry in two)
        + f"]\nside_by_side(*records, {m}{log}).show()"
    )
    return (
        {
            "Figure": [File("HTML", f"{name}.html", page), *drawings],
            "Data": [File("CSV", f"{name}.csv", numbers), File("NPZ", f"{name}.npz", both)],
        },
        [Said("This figure in Python", python, "python")],
    )


def _said(records: Sequence[Figure1], m: int, *, same: bool) -> str:
    """What is different, in a sentence."""
    one, other = (
        next(each for each in record.surfaces if each.inner_steps == m) for record in records
    )
    lows = [lowest(one), lowest(other)]
    if lows[0] is None or lows[1] is None:
        return f"One of the two surfaces has no minimum at M = {m}."
    more = lows[1].loss - lows[0].loss
    where = f"{abs(more):.4f} {'above' if more > 0 else 'below'} that of A" if more else "that of A"
    said = f"At M = {m} the lowest loss of B is {where}"
    if same:
        found = compare(one, other, records[0].scale)
        if found.shift == found.shift:
            said += f"; the minima lie {found.shift:.2f} units apart"
        if found.correlation == found.correlation:
            said += f", and the rank correlation of the two surfaces is {found.correlation:.2f}"
    return f"{said}.".replace("-", "−")


def _list(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _settings(two: Sequence[Entry]) -> None:
    """Only the settings that are not the same."""
    sides = [flat(entry.listed.run.config) for entry in two if entry.listed.run]
    keys = [key for key in sorted({*sides[0], *sides[1]}) if sides[0].get(key) != sides[1].get(key)]
    st.subheader("Settings that differ")
    alike = len({*sides[0], *sides[1]}) - len(keys)
    if not keys:
        st.caption(f"None: all {alike} settings are the same.")
        return
    st.dataframe(
        [
            {"setting": printable(key)}
            | {
                f"{letter} · {printable(entry.name)}": printable(side.get(key, "–"))
                for letter, entry, side in zip("AB", two, sides, strict=True)
            }
            for key in keys
        ],
        hide_index=True,
        alt=f"{len(keys)} settings that differ",
    )
    st.caption(f"{alike} settings are the same in both.")


def seeds(entries: Sequence[Entry]) -> Taken:
    """Several seeds of one setting: each, and mean ± standard deviation."""
    if not entries:
        st.info("Choose the runs above; two or more seeds of one setting have a mean and a spread.")
        return {}, []
    try:
        records = [entry.figure() for entry in entries]
        lines = [(str(record.config.get("seed", record.name)), record) for record in records]
        unlike = summary.unlike(records)
        found = [(name, summary.row(record)) for name, record in lines]
        text = summary.table(found, spread=not unlike)
        spent = summary.budgets(records)
    except (RunError, LookupError, ValueError) as error:
        st.error(markdown(error))
        return folders(entries), []
    if unlike and len(records) > 1:
        st.warning(markdown(f"No mean: the runs differ in {unlike}, not in their seeds only."))
    _markdown(text, [entry.name for entry in entries])
    st.subheader("Optimizers")
    _markdown(spent, [])
    st.caption(
        "Losses are those after the M steps of the exact surface, at the end of each path. "
        "The same in a terminal is under Reproduce."
    )
    rows: list[Row] = [
        {"run": entry.name, "seed": seed, **row}
        for entry, (seed, row) in zip(entries, found, strict=True)
    ]
    places = [str(entry.listed.path) for entry in entries]
    python = (
        "from landscape import load, summary\nfrom zarts.runs.runfile import Run\n\nrows = []\n"
        f"for folder in {places!r}:\n    record = load(Run.open(folder))\n"
        '    rows.append((str(record.config.get("seed")), summary.row(record)))\n'
        f"print(summary.table(rows{', spread=False' if unlike else ''}))"
    )
    data: Files = {"Data": [File("CSV", "seeds.csv", lambda: rows_csv(rows))]}
    return (
        data | folders(entries),
        [
            Said("In a terminal", shlex.join(["python", "-m", "landscape.summary", *places])),
            Said("In Python", python, "python"),
        ],
    )


def _markdown(text: str, names: Sequence[str]) -> None:
    """A table of ``landscape.summary`` as one of the page: titles in words, names beside seeds."""
    head, _, *lines = (
        [cell.strip() for cell in line.split("|")[1:-1]] for line in text.split("\n")
    )
    titles = [method_of(title).style.label if "-" in title else title for title in head]
    found = []
    for place, cells in enumerate(lines):
        row = {"run": printable(names[place]) if place < len(names) else ""} if names else {}
        found.append(row | dict(zip(titles, map(printable, cells), strict=True)))
    st.dataframe(found, hide_index=True, alt="Numbers of each run, mean and standard deviation")
