"""Which searches are shown, what is said of them, and those of the paper's Fig. 2."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from landscape.catalogue import Entry
from landscape.figures import figure_2
from parts.link import asked, code, settle
from parts.table import index
from zarts.reproduce.tables import collect
from zarts.runs.epochs import Trace, trace
from zarts.runs.runfile import Run, RunError
from zarts.text import human_time, markdown, printable

__all__ = ["VIEWS", "figure_2_of", "pick", "said", "table"]

VIEWS = ("Curves", "Edges", "α", "Fig. 2")
PRESETS = ("quick", "paper")
MOST = 12  # runs of one picture: more cannot be told apart


@st.cache_data(max_entries=64, show_spinner=False)
def _traced(path: str, stamp: tuple[tuple[str, int], ...]) -> Trace:
    """The epochs of a run, read anew only if there are others."""
    del stamp
    return trace(Run.open(Path(path)))


def _stamp(run: Run) -> tuple[tuple[str, int], ...]:
    names = [name for name in run.names() if "search/" in name or name == "result"]
    return tuple((name, (run.path / f"{name}.h5").stat().st_mtime_ns) for name in names)


def pick(entries: Sequence[Entry]) -> tuple[list[Trace], list[Entry]]:
    """The searches that are asked for, as far as they have an epoch; the rest is told."""
    able = {
        printable(entry.name): entry
        for entry in entries
        if entry.listed.run is not None and not entry.retraining
    }
    kept = str(st.session_state.get("kept-run", ""))

    def newest() -> str:
        facts = index().facts(list(able.values()), 0.8)
        begun = [each.name for each in facts if each.state in ("finished", "running", "stopped")]
        return kept if kept in able else next(iter([*begun, *able]), "")

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
        found = _traced(str(run.path), _stamp(run))
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
            f"{accuracy:.1%}, of {best.name}."
        )
    text = f"After {len(one.epochs)} epochs the validation accuracy is "
    text += f"{last.number('val_accuracy'):.1%}, and {round(16 * last.number('skip_share'))} of 16 "
    text += "edges are skip connections."
    changed = [
        place
        for place, (old, new) in enumerate(zip(one.epochs, one.epochs[1:], strict=False), start=2)
        if old.genotype != new.genotype
    ]
    text += f" The cells last changed in epoch {changed[-1]}." if changed else ""
    if one.begins:
        text += f" It has {len(one.begins) + 1} stages."
    if one.stopped_early and one.chosen is not None:
        text += f" It stopped early, and returned to epoch {one.chosen.epoch}"
        text += f" of stage {one.chosen.stage}." if one.begins else ": λ_max had risen."
    return text


def table(traces: Sequence[Trace]) -> None:
    """The last epoch of each search, in numbers."""
    rows = []
    for each in traces:
        last = each.epochs[-1]
        ended = "not finished" if each.chosen is None else f"epoch {each.chosen.epoch}"
        if each.chosen is not None and each.begins:
            ended += f" of stage {each.chosen.stage}"
        rows.append(
            {
                "run": printable(each.name),
                "method": each.method or None,
                "program": each.program,
                "epochs": len(each.epochs),
                "result": ended,
                "loss": last.number("val_loss"),
                "accuracy": last.number("val_accuracy"),
                "skips": round(16 * last.number("skip_share")),
                "time": human_time(sum(told.seconds for told in each.epochs)),
            }
        )
    st.dataframe(
        rows,
        hide_index=True,
        placeholder="–",
        column_config={
            "accuracy": st.column_config.NumberColumn(format="percent"),
            "loss": st.column_config.NumberColumn(format="%.4f"),
        },
        alt="The last epoch of each search",
    )


def figure_2_of(dark: bool) -> None:
    """Fig. 2 of the paper, of the searches and retrainings of the study that are here."""
    preset = st.segmented_control(
        "Size",
        PRESETS,
        default=asked("size", PRESETS, lambda: PRESETS[0]),
        required=True,
        key="size",
        help="quick: small images, minutes per search. paper: as published, days on a GPU.",
    )
    settle("size", preset, "size")
    try:
        found = collect("fig2", preset)
    except RunError as error:
        st.error(markdown(error))
        return
    known = [entry for entry in found if entry["genotype"]]
    done = sum(entry.get("test_error") is not None for entry in found)
    if known:
        st.plotly_chart(
            figure_2(known, dark=dark),
            theme=None,
            key="figure-2",
            config={"displaylogo": False},
            alt="Test error, parameters and skip connections over the epochs of the two searches",
        )
    if done < len(found):
        st.info(
            f"{done} of {len(found)} retrainings of Fig. 2 are here"
            f"{'' if known else ', and neither of its searches'}. What is left, and its cost:"
        )
        code(f"python -m zarts.reproduce fig2 --preset {preset} --dry-run", "bash")
