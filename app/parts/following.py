"""The jobs of the page: how far each is, its surfaces as they fill in, cancel and resume."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import streamlit as st

from landscape.catalogue import Entry
from landscape.figures import figure_1
from landscape.record import Figure1
from landscape.record.counts import count, missing_paths, unfinished
from parts.asking import Choices, ask
from parts.jobs import MOST, Job, find, start
from parts.link import code
from parts.runs import Stamp, recorded, stamp
from zarts.runs.runfile import ListedRun, Run, RunError
from zarts.text import markdown

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["held", "jobs"]

LOOK_SECONDS = 2.0  # between two looks at jobs that run, and ...
REST_SECONDS = 10.0  # ... for jobs that another tab starts
SHOWN = 6  # jobs; older ones are in their runs
LINES = 12  # of a log
Color = Literal["blue", "orange", "red", "green", "gray"]


@dataclass(frozen=True)
class Held:
    """What is in the folder of a run by now.

    Attributes:
        record: Its landscape; None before there is a plane, or if it cannot be read.
        there: Whether there is a run at all.
        seen: What tells this state of its files from another.
        wrong: Why it cannot be read; else empty.
    """

    record: Figure1 | None = None
    there: bool = False
    seen: Stamp = field(default_factory=list)
    wrong: str = ""

    @property
    def done(self) -> bool:
        """Whether all that its settings ask for is there, each point at least tried."""
        return self.record is not None and not unfinished(self.record)


def held(folder: Path) -> Held:
    """What is in the folder of a run, read anew only if it has changed."""
    if not os.path.lexists(folder / "run.h5"):
        return Held()
    try:
        entry = Entry(ListedRun(folder, run := Run.open(folder), ""), bundled=False)
        seen = stamp(entry)
        record = recorded(str(folder), seen, entry) if "plane" in run else None
    except (RunError, KeyError, ValueError) as error:
        return Held(there=True, wrong=str(error))
    return Held(record, there=True, seen=seen)


def _found(root: Path) -> list[Job]:
    """The jobs there are; says so if they cannot be listed."""
    try:
        return find(root)
    except RunError as error:
        st.error(markdown(error), icon=":material/error:")
        return []


def jobs(root: Path, refill: Callable[[Choices], None], *, able: bool, dark: bool) -> None:
    """All that runs and the last that ran, looked at again and again.

    Args:
        root: The folder of runs.
        refill: Fills the form with what a job was asked for.
        able: Whether this browser may cancel and resume.
        dark: For a dark page.
    """
    busy = {job.name for job in _found(root) if job.running}

    @st.fragment(run_every=LOOK_SECONDS if busy else REST_SECONDS)
    def look() -> None:
        # of a finished run that was taken away nothing is left to say
        everything = _found(root)
        alive = [job for job in everything if job.running]
        found = [
            job for job in everything if job in alive or not job.said_done or held(job.run).there
        ]
        if {job.name for job in alive} != busy:
            st.rerun()  # what may be started has changed
        ended = [job for job in found if job not in alive]
        shown = [*alive, *ended[: max(0, SHOWN - len(alive))]]
        if not shown:
            return
        st.subheader("Jobs")
        st.caption(
            f"{len(alive) or 'None'} of at most {MOST} running. A job goes on without this page "
            "and without the server."
        )
        newest = found[0]
        for job in shown:
            with st.container(border=True):
                card(job, job in alive, len(alive), able, drawn=job in (*alive, newest), dark=dark)
                log(job, refill)
        if len(found) > len(shown):
            st.caption(f"{len(found) - len(shown)} older ones: see the page Runs.")

    look()


def card(job: Job, alive: bool, running: int, able: bool, *, drawn: bool, dark: bool) -> None:
    """One job."""
    run = held(job.run)
    record, done = run.record, run.done
    word, color = state(job, alive, done)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{markdown(job.name)}** :{color}-badge[{word}]", width="content")
        st.space("stretch")
        if alive and able:
            _cancel(job)
        elif not alive and not done and able:
            _resume(job, full=running >= MOST)
        if record is not None:
            st.page_link(
                "views/figure_1.py",
                label="Landscape",
                icon=":material/landscape:",
                query_params={"run": job.name},
            )
    if alive:
        _progress(job, record)
    elif not done:
        left = f" {_left(record)}" if record is not None else ""
        if word == "stopped":
            st.info(f"It was asked to stop. What it found is kept.{left}", icon=":material/pause:")
        else:
            told = f"{job.cause().rstrip('.')}."
            kept = " What it found is kept." if record is not None else ""
            st.error(f"{markdown(told)}{kept}{left}", icon=":material/error:")
    if run.wrong:
        st.error(f"Its run cannot be shown. {markdown(run.wrong)}", icon=":material/error:")
    if drawn and record is not None and count(record.surfaces).computed:
        st.plotly_chart(
            picture(str(job.run), run.seen, dark=dark, _record=record),
            theme=None,
            key=f"picture {job.name}",
            config={"displaylogo": False},
            alt=f"The surfaces of {job.name}, as far as they are computed",
        )
    lines = job.lines()[-LINES:]
    if word == "failed" and len(lines) > 1:
        st.markdown("The end of its log:")
        code("\n".join(lines), "text")


def log(job: Job, refill: Callable[[Choices], None]) -> None:
    """What was asked for, which may be asked for again with changes, and what it said."""
    with st.expander("Command and log", icon=":material/terminal:"):
        try:
            choices = job.choices()
        except RunError as error:
            st.error(markdown(error))
        else:
            code(ask(choices).command(), "bash")
            if st.button("Edit a copy", icon=":material/edit:", key=f"copy {job.name}",
                         help="Fills the form above with these settings."):  # fmt: skip
                refill(choices)
                st.rerun()
        code("\n".join(job.lines()[-LINES:]) or "nothing yet", "text")
        st.caption(f"The whole log: {markdown(job.folder / 'log')}")


def state(job: Job, alive: bool, done: bool) -> tuple[str, Color]:
    """How a job is, in a word, and its colour."""
    if alive:
        return ("stopping", "orange") if job.cancelled else ("running", "blue")
    if done:
        return "finished", "green"
    asked_to = job.cancelled or job.cause() == "It was asked to stop"
    return ("stopped", "gray") if asked_to else ("failed", "red")


def _progress(job: Job, record: Figure1 | None) -> None:
    """The phase, how much of it is done, how fast it goes and how long it takes."""
    told = job.progress()
    if told is None:
        st.progress(0.0, "Starting: it reads the data and measures what a point takes.")
        return
    parts = [f"{told.done:,} of {told.total:,} steps of ω"]
    title = "Search"
    if told.phase != "search":
        title = "Surfaces and paths"
        if record is not None and record.surfaces:
            counted = count(record.surfaces)
            parts = [f"{counted.points - counted.pending:,} of {counted.points:,} points stored"]
            missing = len(missing_paths(record))
            parts += [f"{missing} {'path' if missing == 1 else 'paths'} to come"] * bool(missing)
    if told.rate:
        parts += [f"{told.rate} steps of ω a second", f"about {told.left} left"]
    if told.note:
        parts.append(told.note)
    share = told.done / told.total if told.total else 1.0
    st.progress(min(1.0, share), f"**{title}** · {markdown(' · '.join(parts))}")


def _left(record: Figure1) -> str:
    """What is left to do, in words."""
    points, paths = count(record.surfaces).pending, len(missing_paths(record))
    left = [
        f"{number:,} {what}{'s' * (number > 1)}"
        for number, what in ((points, "point"), (paths, "path"))
        if number
    ]
    return f"{' and '.join(left)} are left." if left else ""


def _cancel(job: Job) -> None:
    words = ("Cancel", "Stop at once", "Kill")
    often = min(job.cancelled, 2)
    note = (
        "It finishes the piece under way and stops; Resume goes on from there.",
        "It stops within the piece under way, which is then done again.",
        "The system ends it. At most some seconds of work are lost.",
    )[often]
    if st.button(words[often], icon=":material/stop:", key=f"cancel {job.name}", help=note):
        try:
            job.cancel()
        except RunError as error:
            st.warning(markdown(error))
        else:
            st.rerun()


def _resume(job: Job, *, full: bool) -> None:
    pressed = st.button(
        "Resume",
        icon=":material/play_arrow:",
        key=f"resume {job.name}",
        disabled=full,
        help=f"At most {MOST} jobs run at a time." if full else "The same command once more.",
    )
    if not pressed:
        return
    try:
        choices = job.choices()
        asked = ask(choices)
        if asked.folder is None or asked.folder.name != job.name:
            wrong = "; ".join(asked.problems.values()) or "its settings now have another name"
            raise RunError(f"{job.name} cannot be resumed here: {wrong}")
        start(job.run, choices, asked.words)
    except RunError as error:
        st.error(markdown(error))
    else:
        st.rerun()


@st.cache_resource(max_entries=8, show_spinner=False)
def picture(folder: str, seen: Stamp, *, dark: bool, _record: Figure1) -> go.Figure:
    """Fig. 1 so far; the same one as long as the files of the run are."""
    del folder, seen  # of the key
    return figure_1(_record, dark=dark, caption=False, screen=True)
