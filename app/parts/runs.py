"""Which run is shown, and what is said of one that is not finished, not drawable, or not there."""

from __future__ import annotations

from typing import NoReturn

import streamlit as st

from landscape.catalogue import Entry, catalogue
from landscape.record import Figure1
from landscape.record.counts import count, missing_paths, unfinished
from parts.link import asked, code, forget, settle
from zarts.runs.runfile import RunError, runs_root
from zarts.text import markdown, printable

__all__ = ["Stamp", "everything", "follow", "opened", "pick", "recorded", "stamp"]

Stamp = list[tuple[str, str]]  # what tells one state of the files of a run from another
LOOK_SECONDS = 3  # between two looks at the files of an unfinished run
MAKE_ONE = "python -m landscape.compute --steps 10"


def everything(*, needed: bool = True) -> list[Entry]:
    """All runs; if there are none and they are needed, stops the page with what to do."""
    try:
        entries = catalogue(runs_root())
    except RunError as error:
        st.error(f"{markdown(error)}. Another folder: set `ZARTS_RUNS`.")
        if needed:
            st.stop()
        return []
    if needed and not entries:
        st.title("No runs yet")
        st.markdown("Compute one, then reload this page. The command first says how long it takes:")
        st.code(MAKE_ONE, language="bash")
        st.page_link(
            "views/compute.py",
            label="Or start it on the page Compute",
            icon=":material/play_circle:",
        )
        st.caption(
            f"Looked in the bundled runs and in {markdown(runs_root())} (set `ZARTS_RUNS` to "
            "change it)."
        )
        st.stop()
    return entries


def pick() -> Entry:
    """The run asked for in the sidebar or the link."""
    every = sorted(everything(), key=undrawable)  # in both halves the newest first
    entries = {printable(entry.name): entry for entry in every}
    names = list(entries)

    def newest() -> str:
        return next((name for name in names if entries[name].finished), names[0])

    first = asked("run", names, newest)
    with st.sidebar:
        st.header("ZARTS")
        # The names are the labels, because a label is what the link carries.
        name = st.selectbox("Run", names, names.index(first), key="run", on_change=forget_surface)
        st.caption(markdown(origin(entries[name])))
    settle("run", name, "run")
    return entries[name]


def undrawable(entry: Entry) -> bool:
    """Whether it is a search or a retraining, which have no landscape."""
    return entry.listed.run is not None and (entry.search_only or entry.retraining)


def forget_surface() -> None:
    """Another run may not have the surfaces, points and paths that were chosen in this one."""
    forget("base", "m", "at", "a", "b", "path", "step")


def origin(entry: Entry) -> str:
    """Where a run comes from, or that it cannot be read."""
    if entry.listed.run is None:
        return "cannot be read"
    if entry.bundled:
        return "bundled with the package"
    when = entry.created[:40].replace("T", " ").replace("+00:00", " UTC")
    return f"made {when or 'at no known time'}"


def stamp(entry: Entry) -> Stamp:
    """Seals of the records of a run, and whether it is written; other ones once it has changed."""
    if (run := entry.listed.run) is None:
        return []
    try:
        return [*run.seals(), ("written", str(entry.written))]
    except (OSError, RunError):  # it is gone, which is news too
        return []


def follow(entry: Entry, seen: Stamp) -> None:
    """Shows the page anew once the run has changed; until then a look costs next to nothing."""
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
        if (run := entry.listed.run) is not None and "plane" not in run:
            (retrained if entry.retraining else searched)(entry, seen)
        record = recorded(str(entry.listed.path), seen, entry)
    except (RunError, KeyError, ValueError) as error:
        st.title(markdown(entry.name))
        st.error(f"This run cannot be shown. {markdown(error)}", icon=":material/error:")
        st.markdown("To see all that is wrong with it:")
        code(entry.verifying(), "bash")
        follow(entry, seen)
        st.stop()
    if not unfinished(record):
        return record
    if record.surfaces:
        if not entry.written:
            points, paths = count(record.surfaces).pending, len(missing_paths(record))
            left = [
                f"{number} {what}{'s' * (number > 1)}"
                for number, what in ((points, "point"), (paths, "path"))
                if number
            ]
            stopped(entry, f"what is left is {' and '.join(left) or 'a surface'}")
        follow(entry, seen)
        return record
    st.title(markdown(entry.name))
    if entry.written:
        st.info("The run has started and no surface is there yet.", icon=":material/hourglass:")
    else:
        stopped(entry, "no surface is there yet")
    follow(entry, seen)
    st.stop()


@st.cache_resource(max_entries=16, show_spinner=False)
def recorded(path: str, seen: Stamp, _entry: Entry) -> Figure1:
    """What a run holds, read once as long as its files are the same."""
    del path, seen  # they are the key
    return _entry.figure()


def searched(entry: Entry, seen: Stamp) -> NoReturn:
    """Says how far the search of a run without a landscape is, and what comes after it."""
    done, asked_for = entry.searching
    st.title(markdown(entry.name))
    if entry.written:
        st.info(
            f"Its search is under way: {done} of {asked_for or '?'} epochs are done. "
            "The surfaces come after it.",
            icon=":material/hourglass:",
        )
    elif not entry.search_only or done < asked_for:
        stopped(entry, f"{done} of {asked_for or '?'} epochs of its search are done")
    if entry.search_only and not entry.written:
        st.info("This run is a search and has no landscape. To compute one of its ω:")
        code(entry.computing(), "bash")
    if done:
        st.page_link("views/search.py", label="Its curves", icon=":material/timeline:",
                     query_params={"runs": entry.name})  # fmt: skip
    if entry.written or not entry.search_only or done < asked_for:
        follow(entry, seen)
    st.stop()


def retrained(entry: Entry, seen: Stamp) -> NoReturn:
    """Says how far a retraining is, which has no landscape, and how to get its result."""
    done, asked_for = entry.searching
    st.title(markdown(entry.name))
    st.info(
        f"This run is a retraining, which has no landscape. {done} of {asked_for or '?'} epochs "
        f"are done{', and a process works on it' if entry.written else ''}. Its result, or the "
        "rest of it:"
    )
    code(entry.resuming(), "bash")
    st.page_link("views/architecture.py", label="Its cells and test accuracy",
                 icon=":material/account_tree:", query_params={"cells": entry.name})  # fmt: skip
    if entry.written or done < asked_for:
        follow(entry, seen)
    st.stop()


def stopped(entry: Entry, left: str) -> None:
    """Says that nobody works on a run that is not finished, and how to go on with it."""
    st.warning(f"This run has stopped: no process is computing it, and {left}. To go on with it:")
    code(entry.resuming(), "bash")
