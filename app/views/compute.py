"""A landscape of one's own: settings, what they cost, and jobs that go on without the page."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import streamlit as st
from parts.asking import AUTO, Asked, Choices, ask, defaults, python
from parts.following import held, jobs
from parts.here import nearest, why_not
from parts.jobs import MOST, Cost, cost, running, start
from parts.link import asked, code, forget, settle
from parts.take import Said, take

from landscape.catalogue import BUNDLED
from zarts.data.names import NAMES
from zarts.optimizers import METHODS
from zarts.runs.runfile import RunError, being_written, runs_root
from zarts.settings.presets import PRESETS
from zarts.supernet.spaces import TABLES
from zarts.text import human_bytes, human_time, markdown, printable

HONESTY = """
- **Start** runs the command above as a process of its own, with the settings of the server:
  `ZARTS_DATA`, `ZARTS_RUNS` and the folder it was started in. What it finds is what the command
  finds in a terminal, to the bit, however often it is stopped and resumed.
- **The cost** is measured on this machine in seconds, as it is loaded now, and scaled up; it
  assumes a core for each worker. Memory is that of one training step, in each worker.
- **Steps of ω** count what is done: an SGD step is the unit of all costs, and points with a larger
  M have more of them. The time left follows from their rate so far.
- **While it fills in**, contours join the points of the finished level alone. Minima and ratios
  of an unfinished surface may still move.
- **One plane, one seed.** What a finished picture can and cannot tell stands below it.
"""
FIELDS = ("space", "data", "seed", "m", "grid", "scale", "workers", "methods", "more")


def refill(choices: Choices) -> None:
    """The form asks for what a job did: widgets of new names begin with what the link says."""
    forget(*FIELDS)
    st.session_state["filled"] = st.session_state.get("filled", 0) + 1
    st.query_params.update(asdict(choices))


def form() -> tuple[Choices, dict[str, Callable[[str], object]]]:
    """The fields, and by name how to say beside each what is wrong with it."""
    told: dict[str, Callable[[str], object]] = {}
    found: dict[str, str] = {}
    times = st.session_state.get("filled", "")

    def slot(name: str) -> None:
        told[name] = st.empty().markdown

    def one_of(name: str, label: str, options: list[str], usual: str, text: str) -> None:
        first = asked(name, options, lambda: usual)
        found[name] = st.selectbox(
            label, options, options.index(first), key=f"{name} {kind}", help=text
        )
        slot(name)
        settle(name, found[name], label.lower())

    def written(name: str, label: str, usual: str, text: str) -> None:
        first = asked(name, None, lambda: usual)
        found[name] = st.text_input(
            label, first[:200], key=f"{name} {kind}", help=text, max_chars=200
        ).strip()
        slot(name)
        settle(name, found[name], label.lower())

    columns = st.columns(4)
    with columns[0]:
        names = list(PRESETS)
        first = asked("preset", names, lambda: names[0])
        preset = st.selectbox(
            "Preset", names, names.index(first), key=f"preset{times}", on_change=forget,
            args=FIELDS,
            help="Fills the form. quick: minutes on two cores; standard: about an hour; paper: the "
            "published settings, days on a GPU.",
        )  # fmt: skip
        slot("preset")
        settle("preset", preset, "preset")
    usual, kind = defaults(preset), f"{preset}{times}"
    with columns[1]:
        one_of("space", "Search space", list(TABLES), usual.space, "s1 to s4 of R-DARTS, s5 of "
               "DARTS, s6 without none")  # fmt: skip
    with columns[2]:
        one_of("data", "Data", list(NAMES), usual.data, "All but packaged are read from the folder "
               "`ZARTS_DATA`.")  # fmt: skip
    with columns[3]:
        written("seed", "Seed", usual.seed, "Of initialisation, data order, plane and draws")
    columns = st.columns(4)
    with columns[0]:
        written("m", "Inner steps M", usual.m, "SGD steps of ω before the loss is taken; several "
                "as in 2,5,10. M = 0 (first order) and M = 1 are always computed.")  # fmt: skip
    with columns[1]:
        written("grid", "Grid, rows x columns", usual.grid, "9x9 to look, 21x21 to measure; the "
                "paper has 101x101.")  # fmt: skip
    with columns[2]:
        written("scale", "Half-width of the plane", usual.scale, "In α: a number, unit (1) or "
                "alpha (the norm of α at the origin)")  # fmt: skip
    with columns[3]:
        written("workers", "Workers", usual.workers, f"Processes; {AUTO}: one per core, or per "
                "GPU, as far as memory goes. Values do not depend on it.")  # fmt: skip
    wide, narrow = st.columns([5, 3])
    with wide:
        found["methods"] = optimizers(kind, usual.methods)
        slot("methods")
    with narrow:
        found["more"] = st.text_area(
            "Other settings",
            asked("more", None, lambda: "")[:2000],
            height=72,
            key=f"more {kind}",
            placeholder="search.epochs=5",
            max_chars=2000,
            help="KEY=VALUE, one a line; `--print-config` shows them all and says what each is.",
        ).strip()
        slot("more")
        settle("more", found["more"], "other settings")
    return Choices(preset=preset, **found), told


def optimizers(kind: str, usual: str) -> str:
    """The optimizers that walk, in the order of the settings whatever was clicked first."""
    wanted = [name for name in asked("methods", None, lambda: usual).split(",") if name]
    names = st.multiselect(
        "Optimizers",
        list(METHODS),
        [name for name in METHODS if name in wanted],
        format_func=lambda name: METHODS[name].style.label,
        key=f"methods {kind}",
        help="Each walks on the plane from one start. None: surfaces alone.",
    )
    if gone := [name for name in wanted if name not in METHODS]:
        text = f"No optimizer here is called {', '.join(map(printable, gone))[:200]}."
        st.warning(markdown(f"{text} Shown without."))
    chosen = ",".join(name for name in METHODS if name in names)
    settle("methods", chosen, "optimizers")
    return chosen


def about(wanted: Asked, root: Path) -> str:
    """Says what is there of this run already; returns why it cannot be started, or nothing."""
    if wanted.folder is None:
        return "what is marked above cannot be used"
    alive = running(root)
    name = wanted.folder.name
    if name in {job.name for job in alive}:
        return "it is being computed, see below"
    if being_written(wanted.folder):
        return "another process, in a terminal perhaps, is computing it"
    run = held(wanted.folder)
    if run.done or (not run.there and (BUNDLED / name).is_dir()):
        kept = "is finished" if run.there else "is bundled with the package"
        again = "tries again only what failed" if run.there else "computes it anew"
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"This run {kept}. Start {again}.", width="content")
            st.page_link("views/figure_1.py", label="Landscape", icon=":material/landscape:",
                         query_params={"run": name})  # fmt: skip
    elif run.there and not run.wrong:
        st.markdown("This run is begun and not finished. Start goes on with it.")
    if len(alive) >= MOST:
        return f"{MOST} jobs are running, at most so many at a time; wait or cancel one"
    return ""


def costs(found: Cost, root: Path) -> None:
    """What a dry run said."""
    if found.wrong:
        st.error(f"The cost is not known: {markdown(found.wrong)}", icon=":material/error:")
        return
    plan = found.plan
    numbers = (
        ("Evaluations", f"{plan['evaluations']:,}", "Of L_M, those of the paths included"),
        ("Time", f"about {human_time(plan['seconds'])}", "With a core for each worker"),
        ("Memory", human_bytes(plan["memory"]), "Of a training step, in each worker"),
        ("Disk", human_bytes(plan["size"]), "Of the finished run"),
    )
    for column, (label, value, text) in zip(st.columns(4), numbers, strict=True):
        column.metric(label, value, help=text, border=True)
    code("\n".join(found.lines), "text")
    if (free := shutil.disk_usage(nearest(root)).free) < plan["size"]:
        st.warning(f"The disk has {human_bytes(free)} left, which is less than the run takes.")


def again(wanted: Asked, choices: Choices) -> list[Said]:
    """What makes the same in a terminal and in Python."""
    snippet = python(wanted, choices) if wanted.config else "# what is marked cannot be used"
    return [Said("In a terminal", wanted.command()), Said("In Python", snippet, "python")]


root, refused = runs_root(), why_not()
st.title("Compute")
with st.container(horizontal=True, vertical_alignment="center"):
    st.markdown("**Loss surfaces of several M on one plane, and the paths on it.**")
    st.space("stretch")
    aside = st.container(horizontal=True, width="content")
choices, told = form()
wanted = ask(choices)
for name, text in wanted.problems.items():
    if name:
        told[name](f":red[:material/error: {markdown(text)}]")
with aside:
    take({}, again(wanted, choices))
st.markdown("**Command**" + (" — without what is marked above" if wanted.problems else ""))
code(wanted.command(), "bash")
st.caption("The same for its cost alone:")
code(wanted.command("--dry-run"), "bash")
if "" in wanted.problems:
    st.error(markdown(wanted.problems[""]), icon=":material/error:")
if refused:
    st.info(f"Not started here: {markdown(refused)}. The command does the same in a terminal.",
            icon=":material/lock:")  # fmt: skip
else:
    try:
        why = about(wanted, root)
    except RunError as error:
        why = str(error)
    with st.container(horizontal=True, vertical_alignment="center"):
        measured = st.button(
            "Cost", icon=":material/timer:", key="cost", disabled=bool(wanted.problems),
            help="The command with --dry-run: measures for some seconds what a point takes.",
        )  # fmt: skip
        pressed = st.button(
            "Start", icon=":material/play_circle:", key="start", type="primary", disabled=bool(why)
        )
        if why:
            st.caption(f"Not now: {markdown(why)}.")
    if measured:
        with st.spinner("Measuring what a point takes …", show_time=True):
            st.session_state["cost of"] = (wanted.command(), cost(wanted.words))
    known = st.session_state.get("cost of")
    if known and known[0] == wanted.command():
        costs(known[1], root)
    if pressed and wanted.folder is not None:
        try:
            start(wanted.folder, choices, wanted.words)
        except RunError as error:
            st.error(f"Not started. {markdown(error)}", icon=":material/error:")
        else:
            st.rerun()
jobs(root, refill, able=not refused, dark=st.context.theme.type == "dark")
with st.expander("What Start does, and what this can and cannot tell", icon=":material/info:"):
    st.markdown(HONESTY)
