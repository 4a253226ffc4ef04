"""Which cells are shown: of a run and an epoch, published ones, or those of a pasted text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import streamlit as st

from landscape.catalogue import Entry
from parts.link import asked, kept, settle
from parts.table import index
from zarts.genotype.source import Source, read_source
from zarts.runs.course import points_in
from zarts.runs.runfile import RunError
from zarts.settings.config import ConfigError
from zarts.supernet.genotype import Genotype, parse
from zarts.supernet.published import NAMED
from zarts.text import markdown, printable

__all__ = ["choose", "retrained"]

PASTED, NOTHING, CHOSEN = "pasted text", "nothing", "the one that was chosen"
EXAMPLE = "Genotype(normal=[('sep_conv_3x3', 1), …], normal_concat=range(2, 6), reduce=[…], …)"


def choose(key: str, label: str, entries: Sequence[Entry], *, optional: bool) -> Source | None:
    """Fields that name cells; None, with the reason beside them, if there are none.

    The link has one text for them, as commands take it: a name, RUN, RUN@EPOCH, or Genotype(...).
    """
    runs = {printable(entry.name): entry for entry in entries if entry.listed.run is not None}
    last = kept("run") or ""
    first = NOTHING if optional else last if last in runs else _newest(runs)
    spec = asked(key, None, lambda: first)
    name, _, epoch = spec.rpartition("@") if "@" in spec else (spec, "", "")
    options = [*([NOTHING] if optional else []), *runs, *NAMED, PASTED]
    is_text = re.search(r"\bGenotype\s*\(", spec) is not None
    start = PASTED if is_text else name if name in options else first
    if start == first and spec != first and name != first and not is_text:
        told = f"The link asks for the cells “{printable(spec)[:80]}”, which are not here."
        st.warning(markdown(f"{told} Shown instead: {first}"))
    where = st.selectbox(label, options, options.index(start), key=f"{key}-from")
    if where == NOTHING:
        settle(key, NOTHING, "cells")
        return None
    if where == PASTED:
        text = st.text_area(
            "Genotype", spec if is_text else "", key=f"{key}-text", placeholder=EXAMPLE, height=110
        )
        settle(key, text or PASTED, "cells")
        if not text:
            st.caption("Paste a genotype as DARTS and its successors print it.")
            return None
        return _read(text if "Genotype" in text else f"Genotype({text})")
    if where in NAMED:
        settle(key, where, "cells")
        return _read(where)
    return _of_run(key, runs[where], where, epoch if where == name else "")


def _newest(runs: Mapping[str, Entry]) -> str:
    """The newest run that has cells; the first published ones, if none has."""
    for name, entry in runs.items():
        run = entry.listed.run
        if run is not None and (entry.retraining or points_in(run.names(), "search")):
            return name
    return next(iter(NAMED))


def _of_run(key: str, entry: Entry, name: str, epoch: str) -> Source | None:
    """The cells of a run; of a search those of an epoch of one's choice."""
    assert entry.listed.run is not None
    points = [] if entry.retraining else sorted(points_in(entry.listed.run.names(), "search"))
    tails = [f"{p.stage}.{p.epoch}" if p.stage else str(p.epoch) for p in points]
    if tails:
        options = [CHOSEN, *tails]
        if epoch and epoch not in options:
            said = (
                f"The link asks for epoch “{printable(epoch)[:40]}” of {name}, which is not here."
            )
            st.warning(markdown(f"{said} Shown instead: {CHOSEN}"))
        tail = st.select_slider(
            "Epoch", options, epoch if epoch in options else CHOSEN, key=f"{key}-epoch-{name}"
        )
        settle(key, name if tail == CHOSEN else f"{name}@{tail}", "cells")
    else:
        settle(key, name, "cells")
        tail = CHOSEN
    found = _read(str(entry.listed.path) + ("" if tail == CHOSEN else f"@{tail}"))
    return (
        replace(found, name=f"{name}, epoch {tail}" if tail != CHOSEN else name) if found else None
    )


def _read(text: str) -> Source | None:
    try:
        return read_source(text)
    except (ConfigError, RunError) as error:
        st.error(markdown(str(error)[:600]), icon=":material/error:")
        return None


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Genotype | None:
    try:
        return parse(str(json.loads(text)))
    except ValueError:
        return None


def retrained(entries: Sequence[Entry], genotype: Genotype) -> list[dict[str, str | float | None]]:
    """A row for each retraining of these cells."""
    those = [entry for entry in entries if entry.listed.run is not None and entry.retraining]
    rows = []
    for facts in index().facts(those):
        if _parsed(facts.settings.get("genotype", '""')) != genotype:
            continue
        said = {key: value.strip('"') for key, value in facts.settings.items()}
        accuracy = facts.numbers.get("test accuracy")
        rows.append(
            {
                "run": facts.name,
                "state": facts.state,
                "test accuracy": None if accuracy is None else 100 * float(accuracy),
                "parameters": facts.numbers.get("parameters"),
                "epochs": facts.numbers.get("epochs"),
                "network": f"{said.get('network.cells')}x{said.get('network.channels')}",
                "data": printable(said.get("data.name")),
                "seed": printable(said.get("seed")),
            }
        )
    return rows
