"""Which searches are shown, what is said of them, and those of the paper's Fig. 2."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from landscape.catalogue import Entry
from landscape.figures import (
    figure_2,
    figure_alpha,
    figure_search,
    figure_timeline,
    rows_csv,
    to_page,
)
from landscape.figures.files import packed
from landscape.figures.searches import arrays_of, numbers_of
from landscape.index import rows as rows_of
from parts.link import asked, code, kept, one_of, settle
from parts.table import index
from parts.take import File, Said, made, pictures
from zarts.reproduce.studies import PRESETS
from zarts.reproduce.tables import collect
from zarts.runs.epochs import Trace, trace
from zarts.runs.runfile import Run, RunError
from zarts.text import human_time, markdown, printable

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["FIGURES", "files", "of_figure_2", "pick", "said", "table", "texts"]

FIGURES: dict[str, Callable[..., go.Figure]] = {
    "Curves": figure_search, "Edges": figure_timeline, "α": figure_alpha, "Fig. 2": figure_2,
}  # fmt: skip
MOST = 12  # runs of one picture: more cannot be told apart


@st.cache_data(max_entries=64, show_spinner=False)
def _traced(path: str, seals: list[tuple[str, str]]) -> Trace:
    """The epochs of a run, read anew only if there are others."""
    del seals
    return trace(Run.open(Path(path)))


def _of_search(name: str) -> bool:
    return "search/" in name or name == "result"


def pick(entries: Sequence[Entry]) -> tuple[list[Trace], list[Entry]]:
    """The searches that are asked for, as far as they have an epoch; the rest is told."""
    able = {
        printable(entry.name): entry
        for entry in entries
        if entry.listed.run is not None and not entry.retraining
    }
    last = kept("run") or ""

    def newest() -> str:
        facts = index().facts(list(able.values()), 0.8)
        begun = [each.name for each in facts if each.state in ("finished", "running", "stopped")]
        return last if last in able else next(iter([*begun, *able]), "")

    wanted = asked("runs", None, newest).split(",")
    if gone := [name for name in wanted if name and name not in able]:
        told = f"No search is here for: {', '.join(map(printable, gone))[:300]}. They are left out."
        st.warning(markdown(told))
    here = [name for name in dict.fromkeys(wanted) if name in able][:MOST]
    names = st.multiselect(
        "Searches", list(able), here, key="searches", max_selections=MOST,
        help=f"At most {MOST}. Landscapes are listed too: each has the search of its ω.",
    )  # fmt: skip
    settle("runs", ",".join(names), "runs")
    if not able:
        st.info("No run here can be read as a search. To make one:")
        code("python -m zarts --dry-run", "bash")
    elif not names:
        st.info("Choose a search above.")
    found, shown = [], []
    for name in names:
        if (one := _of(able[name])) is not None:
            found.append(one)
            shown.append(able[name])
    return found, shown


def _of(entry: Entry) -> Trace | None:
    run = entry.listed.run
    assert run is not None
    try:
        found = _traced(str(run.path), [each for each in run.seals() if _of_search(each[0])])
    except (RunError, OSError) as error:
        st.error(f"{markdown(entry.name)} cannot be shown. {markdown(error)}")
        code(entry.verifying(), "bash")
        return None
    if found.epochs:
        if found.chosen is None and found.asked and not entry.written:
            done = f"{len(found.epochs)} of {found.asked} epochs"
            st.warning(f"{markdown(entry.name)} has stopped after {done}. To go on with it:")
            code(entry.resuming(), "bash")
        return found
    source = str(run.config.get("source") or "").partition("/")[0]
    if source:
        why = f"it is a landscape of the ω of {printable(source)}, which has the search"
    elif entry.written:
        why = "its search is under way, and no epoch is done yet"
    else:
        why = "it has no finished epoch of a search"
    st.info(markdown(f"{printable(entry.name)} is left out: {why}."))
    return None


def said(traces: Sequence[Trace]) -> str:
    """What the searches came to, in a sentence or two."""
    one = traces[0]
    last = one.epochs[-1]
    if len(traces) > 1:
        best = max(traces, key=lambda each: each.epochs[-1].number("val_accuracy"))
        accuracy = best.epochs[-1].number("val_accuracy")
        return (
            f"{len(traces)} searches; the highest validation accuracy after the last epoch is "
            f"{accuracy:.2%}, of {best.name}."
        )
    done = "1 epoch" if len(one.epochs) == 1 else f"{len(one.epochs)} epochs"
    text = f"After {done} the validation accuracy is "
    text += f"{last.number('val_accuracy'):.2%}, and {round(16 * last.number('skip_share'))} of 16 "
    text += "edges are skip connections."
    changed = [
        place
        for place, (old, new) in enumerate(zip(one.epochs, one.epochs[1:], strict=False), start=2)
        if old.genotype != new.genotype
    ]
    text += f" The cells last changed in epoch {changed[-1]}." if changed else ""
    if one.begins:
        text += f" It has {len(one.begins) + 1} stages, from 0 to {last.point.stage}."
    if one.stopped_early and one.chosen is not None:
        text += f" It stopped early, and returned to epoch {one.chosen.epoch}"
        text += f" of stage {one.chosen.stage}." if one.begins else ": λ_max had risen."
    return text


def table(traces: Sequence[Trace], chosen: Sequence[Entry]) -> None:
    """The last epoch of each search, in numbers, and what makes some of them incomparable."""
    rows = []
    for each, told in zip(traces, rows_of(index().facts(chosen)), strict=True):
        last = each.epochs[-1]
        ended = "not finished" if each.chosen is None else f"epoch {each.chosen.epoch}"
        if each.chosen is not None and each.begins:
            ended += f" of stage {each.chosen.stage}"
        rows.append(
            {
                "run": printable(each.name),
                "method": each.method or None,
                **{name: printable(told[name] or "–") for name in ("space", "data", "seed")},
                "program": each.program,
                "epochs": len(each.epochs),
                "result": ended,
                "loss": last.number("val_loss"),
                "accuracy": 100 * last.number("val_accuracy"),
                "skips": round(16 * last.number("skip_share")),
                "time": human_time(sum(epoch.seconds for epoch in each.epochs)),
            }
        )
    st.dataframe(
        rows,
        hide_index=True,
        placeholder="–",
        column_config={
            "accuracy": st.column_config.NumberColumn("accuracy, %", format="%.2f"),
            "loss": st.column_config.NumberColumn(format="%.4f"),
        },
        alt="The last epoch of each search",
    )


def of_figure_2() -> tuple[str, list[dict[str, Any]]]:
    """The preset, and what is there of the searches and retrainings of the paper's Fig. 2."""
    sizes = "quick and standard: small images, minutes or an hour. paper: as published, days."
    preset = one_of("size", "Size", PRESETS, sizes)
    settle("size", preset, "size")
    try:
        found = collect("fig2", preset)
    except RunError as error:
        st.error(markdown(error))
        return preset, []
    known = [entry for entry in found if entry["genotype"]]
    done = sum(entry.get("test_error") is not None for entry in found)
    if done < len(found):
        st.info(
            f"{done} of {len(found)} retrainings of Fig. 2 are here"
            f"{'' if known else ', and neither of its searches'}. What is left, and its cost:"
        )
        code(f"python -m zarts.reproduce fig2 --preset {preset} --dry-run", "bash")
    return preset, known


def files(
    draw: Callable[[], go.Figure],
    title: str,
    told: str,
    what: Sequence[Trace | dict[str, Any]],
    step: int | None,
) -> dict[str, list[File | str]]:
    """The figure that is seen, at its step, and all numbers of its searches or entries."""
    traces = [each for each in what if isinstance(each, Trace)]
    entries = [each for each in what if not isinstance(each, Trace)]
    rows = [*numbers_of(traces), *entries]
    name = f"{traces[0].name if len(traces) == 1 else f'{len(traces)}-runs'}_search"
    name = name if traces else "figure-2"
    data: list[File | str] = [File("CSV", f"{name}.csv", lambda: rows_csv(rows))]
    if traces:
        data.append(File("NPZ", f"{name}.npz", lambda: packed(arrays_of(traces))))
    page = File("HTML", f"{name}.html", lambda: to_page(title, told, [draw()], rows))
    return {"Figure": [page, *pictures(name, draw, step)], "Data": data}


def texts(view: str, one: Trace, chosen: Sequence[Entry], preset: str) -> list[Said]:
    """Command and Python."""
    if view == "Fig. 2":
        picked = f'[entry for entry in collect("fig2", "{preset}") if entry["genotype"]]'
        python = "from landscape import figure_2\nfrom zarts import collect\n\n"
        return [
            Said("Command", f"python -m zarts.reproduce fig2 --preset {preset}"),
            Said("In Python", f"{python}figure_2({picked}).show()", "python"),
        ]
    runs = [entry for entry in chosen if view == "Curves" or entry.name == one.name]
    places = "".join(f"    {str(entry.listed.path)!r},\n" for entry in runs)
    name = FIGURES[view].__name__
    draw = f"{name}(traces)" if view == "Curves" else f"{name}(traces[0])"
    python = (
        f"from landscape.figures import {name}\nfrom zarts.runs.epochs import trace\n"
        f"from zarts.runs.runfile import Run\n\nruns = [\n{places}]\n"
        f"traces = [trace(Run.open(run)) for run in runs]\n{draw}.show()"
    )
    return [made(runs), Said("This figure in Python", python, "python")]
