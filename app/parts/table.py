"""The table of all runs: searched, filtered, sorted, against a baseline, and only what differs."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from landscape.catalogue import Entry
from landscape.figures import rows_csv
from landscape.index import KINDS, STATES, Facts, Index, Row, against, differing, rows
from landscape.summary import SHARE
from parts.link import asked, settle
from parts.take import File, Files, Said, Taken, folders, made
from zarts.optimizers import METHODS, method_of
from zarts.runs.runfile import runs_root
from zarts.text import human_bytes, human_time, markdown, printable

__all__ = ["chosen", "table"]

MOST = 12  # ticked runs that are offered as ZIP
AT_ONCE = 0.2  # seconds of reading before a page is shown; the rest follows, ...
A_SECOND = 0.6  # ... so much of each second
NONE, NEWEST = "none", "newest first"
BEST_HIGH = ("accuracy", "test accuracy", "rank correlation")
ALWAYS = (
    "run", "state", "kind", "created", "space", "data", "M", "grid", "seed", "method", "cells of",
)  # fmt: skip
HELP = {
    "accuracy": "Validation accuracy of the supernet: under the plane, or after the last epoch",
    "sharpness ratio": "Mean slope of the exact surface over that of the first-order one",
    "shift of argmin": "Distance between the minima of the two surfaces, in axis units",
    "rank correlation": "Spearman, of the exact surface and the first-order one",
    SHARE: "1: the lowest point of the exact surface is at the border of the grid",
    "search loss": "Validation loss after the last epoch of the search",
    "test accuracy": "Of the retrained network, after its last epoch",
    "skips": "Skip connections of 16, after the last epoch",
    "seconds": "Of surfaces and paths; of searches and retrainings the last epoch's, times epochs",
    "size": "On disk",
}


@st.cache_resource
def index() -> Index:
    """What is known of runs, for all who look at the page."""
    return Index()


def table(entries: Sequence[Entry]) -> Taken:
    """The table and what it is filtered by; each choice is in the link."""
    began = time.perf_counter()
    found = index().facts(entries, AT_ONCE)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(
            "Search",
            asked("q", None, str),
            key="q",
            placeholder="name, setting or value",
            icon=":material/search:",
            help="All words must occur in the name or in the settings, as in “mgs epochs=3”.",
        )
        kind = _choice("Kind", "kind", ["all", *KINDS])
        state = _choice("State", "state", ["all", *STATES[:-1]])
    settle("q", text or "", "search")
    shown = [each for each in found if _fits(each, text or "", kind, state)]
    if not shown:
        st.info("No run is like this. Take a word out of the search, or a filter away.")
        _read_on(entries, found)
        return {}, _texts([])
    lines, titles = _arranged(shown, found)
    names = [str(line["run"]) for line in lines]
    asked_for = [name for name in asked("ticked", None, str).split(",") if name]
    if gone := [name for name in asked_for if name not in {each.name for each in found}]:
        st.warning(markdown(f"No run is here to be ticked: {', '.join(gone)[:300]}."))
    event = st.dataframe(
        [{title: _cell(title, line[title]) for title in titles} for line in lines],
        hide_index=True,
        column_config=_config(titles, "+" * ("differs in" in lines[0])),
        column_order=titles,
        selection_mode="multi-row",
        on_select="rerun",
        height=min(38 + 35 * len(lines), 560),
        key=f"runs {hash(tuple(names))}",  # ticks are of rows: others in them are another table
        selection_default={
            "selection": {"rows": [names.index(name) for name in asked_for if name in names]}
        },
        placeholder="–",
        alt=f"{len(lines)} runs with their settings and results",
    )
    took = time.perf_counter() - began
    total = sum(each.size for each in shown)
    st.caption(
        f"{len(shown)} of {len(found)} runs · {human_bytes(total)} · listed in {took:.1f} s. "
        "Tick one to open it, two to compare them, several to see mean and spread."
    )
    if "differs in" in lines[0]:
        base = markdown(st.query_params["base"])
        st.caption(f"Numbers are those of a run minus those of {base}; the size is a run's own.")
    _unreadable(shown)
    _read_on(entries, found)
    seen = [names[row] for row in event.selection.rows if row < len(names)]
    hidden = [each.name for each in found if each.name in asked_for and each.name not in names]
    ticked = [*hidden, *seen]
    if hidden:
        st.caption(markdown(f"Ticked, but not in this selection: {', '.join(hidden)[:300]}."))
    settle("ticked", ",".join(ticked), "ticked runs")
    _acted(ticked, found)
    by_name = {printable(entry.name): entry for entry in entries}
    those = [by_name[name] for name in ticked[:MOST]]
    plain = [{title: line[title] for title in titles} for line in lines]
    data: Files = {
        "The table as it is seen": [
            File("CSV", "runs.csv", lambda: rows_csv(plain)),
            File("JSON", "runs.json", lambda: json.dumps(plain, indent=1, ensure_ascii=False)),
            *([] if those else ["Ticked runs can be taken as ZIP."]),
        ]
    }
    return data | folders(those), _texts(those)


def _texts(those: Sequence[Entry]) -> list[Said]:
    """What makes the table again, and the runs that are ticked."""
    page = f"ZARTS_RUNS={shlex.quote(str(runs_root()))} streamlit run app/main.py"
    python = (
        "from landscape.catalogue import catalogue\nfrom landscape.index import Index, rows\n"
        "from zarts.runs.runfile import runs_root\n\n"
        "table = rows(Index().facts(catalogue(runs_root())))"
    )
    first = made(those) if those else Said("In a terminal", page)
    return [first, Said("The table in Python", python, "python")]


def _direction(order: str) -> str:
    """An order in words."""
    if order in (NEWEST, "run"):
        return order
    return f"{order}, {'highest' if order in BEST_HIGH else 'lowest'} first"


def _choice(
    label: str, key: str, options: list[str], said: Callable[[str], str] = str, width: int = 170
) -> str:
    first = asked(key, options, lambda: options[0])
    value = st.selectbox(
        label, options, options.index(first), key=key, width=width, format_func=said
    )
    settle(key, value, label.lower())
    return value


def _fits(facts: Facts, text: str, kind: str, state: str) -> bool:
    of_kind = kind in ("all", facts.kind) and state in ("all", facts.state)
    return of_kind and facts.says(text.split())


def _arranged(shown: Sequence[Facts], found: Sequence[Facts]) -> tuple[list[Row], list[str]]:
    """The lines in order, and the titles of their columns."""
    everything = rows(shown, found)
    numbers = [
        title
        for title in everything[0]
        if any(isinstance(row[title], float | int) for row in everything)
    ]
    names = [each.name for each in shown]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        base = _choice("Differences to", "base", [NONE, *names])
        order = _choice("Order", "order", [NEWEST, "run", *numbers], _direction, 250)
        fewer = st.toggle(
            "Only what differs",
            asked("only", ["on", "off"], lambda: "off") == "on",
            help="Leaves out the columns in which all runs are alike, and adds the settings in "
            "which they are not.",
        )
        settle("only", "on" if fewer else "off", "choice of columns")
    lines = everything
    if order != NEWEST:
        sign = -1 if order in BEST_HIGH else 1

        def place(row: Row) -> tuple[bool, float, str]:
            value = row[order] if order != "run" else 0
            return value is None, sign * float(value or 0), str(row["run"])

        lines = sorted(lines, key=place)
    if base != NONE:
        lines = against(lines, base)
    if fewer:
        return lines, differing(lines)
    kept = [title for title in lines[0] if title in (*ALWAYS, "differs in") or title in numbers]
    return lines, [title for title in kept if any(row[title] is not None for row in lines)]


def _cell(title: str, value: str | float | None) -> str | float | None:
    if isinstance(value, str):
        return printable(value)
    factor = {"size": 2**-20, "accuracy": 100, "test accuracy": 100}.get(title)
    return value * factor if factor and value is not None else value


def _config(titles: Sequence[str], sign: str) -> dict[str, Any]:
    """How columns are shown: numbers with as many digits as say something; ``+``: with a sign."""
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    shown: dict[str, Any] = {"run": text(pinned=True, width="medium")}
    forms = {"seconds": f"%{sign}.1f", "epochs": f"%{sign}d", "skips": f"%{sign}.1f"}
    forms |= {"parameters": f"%{sign}d" if sign else "localized", SHARE: f"%{sign}d"}
    for title in titles:
        if title in METHODS:
            label = f"L end, {method_of(title).style.label}"
            shown[title] = number(label, format=f"%{sign}.4f", help="At the end of its path")
        elif title in ("accuracy", "test accuracy"):
            shown[title] = number(f"{title}, %", format=f"%{sign}.2f", help=HELP[title])
        elif title == "size":
            shown[title] = number("size, MiB", format="%.2f", help=HELP[title])
        elif title in forms:
            shown[title] = number(format=forms[title], help=HELP.get(title))
        elif title in HELP or title.startswith("L_"):
            shown[title] = number(format=f"%{sign}.3f", help=HELP.get(title))
        elif title == "cells of":
            shown[title] = text(help="The search run that ended with the cells that are retrained")
        elif title == "differs in":
            shown[title] = text(width="large", help="Settings that are not as in the baseline")
    return shown


def _unreadable(shown: Sequence[Facts]) -> None:
    """Says of each run that cannot be read why."""
    wrong = [each for each in shown if each.state == "unreadable"]
    if not wrong:
        return
    runs = "1 run" if len(wrong) == 1 else f"{len(wrong)} runs"
    with st.expander(f"{runs} cannot be read", icon=":material/error:"):
        for each in wrong[:50]:
            st.markdown(f"**{markdown(each.name)}** · {markdown(each.problem[:400])}")


def _read_on(entries: Sequence[Entry], found: Sequence[Facts]) -> None:
    """Reads what is left, a slice at a time, and shows the table anew once all is known."""
    if all(each.state != "…" for each in found):
        return

    @st.fragment(run_every=1.0)
    def reading() -> None:
        left = sum(each.state == "…" for each in index().facts(entries, A_SECOND))
        st.progress(1 - left / len(found), f"Reading numbers: {len(found) - left} of {len(found)}")
        if not left:
            st.rerun()

    reading()


def _acted(names: list[str], shown: Sequence[Facts]) -> None:
    """What can be done with the runs that are ticked."""
    if not names:
        return
    kinds = {each.name: each.kind for each in shown}
    with st.container(horizontal=True):
        if len(names) == 1:
            (name,), go = names, {"run": names[0]}
            if kinds[name] in ("landscape", "unreadable"):
                st.page_link("views/figure_1.py", label="Landscape", query_params=go)
            if kinds[name] in ("landscape", "search"):
                st.page_link("views/search.py", label="Search", query_params={"runs": name})
            if kinds[name] != "unreadable":
                st.page_link(
                    "views/architecture.py", label="Architecture", query_params={"cells": name}
                )
        else:
            two = {"view": "Compare", "a": names[0], "b": names[1]}
            st.page_link("views/runs.py", label="Compare the first two", query_params=two)
            drawn = [name for name in names if kinds[name] == "landscape"]
            if len(drawn) > 1:
                several = {"view": "Seeds", "these": ",".join(drawn)}
                st.page_link("views/runs.py", label="Mean and spread", query_params=several)
            searches = [name for name in names if kinds[name] in ("landscape", "search")]
            if searches:
                curves = {"runs": ",".join(searches)}
                st.page_link("views/search.py", label="Their searches", query_params=curves)


def chosen(entries: Sequence[Entry]) -> list[Entry]:
    """The finished landscapes that are compared as seeds of one setting."""
    found = index().facts(entries)
    able = {
        each.name: entry
        for each, entry in zip(found, entries, strict=True)
        if each.kind == "landscape" and each.state == "finished"
    }
    asked_for = asked("these", None, lambda: ",".join(list(able)[:1])).split(",")
    here = [name for name in asked_for if name in able]
    if gone := [name for name in asked_for if name and name not in able]:
        st.warning(
            markdown(f"No finished landscape here: {', '.join(gone)[:300]}. They are left out.")
        )
    names = st.multiselect("Runs of one setting", list(able), here, key="these")
    settle("these", ",".join(names), "runs")
    st.caption(
        f"{len(able)} finished landscapes are here; {human_time(0.1 * len(able))} to read them."
        if len(able) > 500
        else "Runs that differ in their seed are averaged; others are only listed."
    )
    return [able[name] for name in names]
