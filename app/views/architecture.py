"""Cells of any run, epoch or text: drawn, compared, counted, and what retrainings of them found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import streamlit as st
from parts.cells import choose, retrained
from parts.link import asked, code, settle
from parts.runs import everything
from parts.take import File, Said, folders, take

from zarts.genotype.cost import NETWORKS, NetworkSize, cost, network_size
from zarts.genotype.drawing import changes, dot, svg
from zarts.genotype.source import Source
from zarts.text import markdown, printable

HONESTY = """
- **What is drawn** is the discrete cell that is left of α: of every node the two strongest inputs,
  of each input the strongest operation. How close the decision was is on the page Search.
- **Parameters and MACs** are counted from the layout and are exact; *FLOPs as printed* are those
  of papers of the DARTS family, which also count BatchNorm and ReLU and no pooling.
- **Test accuracies** are those of this machine's retrainings, with the settings of each. They are
  not to be compared with those of papers unless the settings are the paper's.
"""


def network() -> NetworkSize | None:
    """The network that costs are counted of; None, with the reason, if there is none such."""
    options = list(NETWORKS)
    text = asked("network", None, lambda: options[0])
    names = options if text in options else [*options, text]
    chosen = st.selectbox(
        "Network",
        names,
        names.index(text),
        key="network",
        accept_new_options=True,
        help="CELLS×CHANNELS on images of 32×32 pixels, or imagenet. Type another size, as 8x24.",
    )
    settle("network", str(chosen), "network")
    try:
        return network_size(str(chosen))
    except ValueError as error:
        st.error(markdown(error), icon=":material/error:")
        return None


def drawn(sources: Sequence[Source]) -> list[str]:
    """The drawings: both cells beside each other, or of two genotypes one below the other."""
    titles = [printable(source.name)[:60] for source in sources]
    if len(sources) == 1:
        return [svg(sources[0].genotype, titles[0])]
    both = changes(sources[0].genotype, sources[1].genotype)
    return [
        svg(source.genotype, f"{letter} · {title}", marks=marks, stacked=True)
        for letter, source, title, marks in zip("AB", sources, titles, both, strict=True)
    ]


def costs(sources: Sequence[Source], size: NetworkSize) -> None:
    """Parameters, MACs and what papers print as FLOPs: of one in large, of two side by side."""
    found = [cost(source.genotype, **asdict(size)) for source in sources]
    numbers = [
        ("Parameters", [each.parameters for each in found], "without the auxiliary head"),
        ("MACs", [each.macs for each in found], "multiply-accumulates for one image"),
        ("FLOPs as printed", [each.thop_legacy for each in found], "in papers (thop_legacy)"),
    ]
    skips = [round(16 * source.genotype.skip_share) for source in sources]
    if len(sources) == 1:
        *columns, last = st.columns(4)
        for column, (name, (value,), text) in zip(columns, numbers, strict=True):
            column.metric(
                name, f"{value / 1e6:,.3f} M", help=text[0].upper() + text[1:], border=True
            )
        last.metric("Skip connections", f"{skips[0]} of 16", help="Of both cells", border=True)
        return
    rows = [
        {"number": f"{name}: {text}", "A": f"{a:,}", "B": f"{b:,}", "B − A": f"{b - a:+,}"}
        for name, (a, b), text in numbers
    ]
    a, b = skips
    rows.append(
        {"number": "Skip connections of 16", "A": str(a), "B": str(b), "B − A": f"{b - a:+}"}
    )
    st.dataframe(rows, hide_index=True, alt="What the networks of both cost")


def files(sources: Sequence[Source], drawings: Sequence[str]) -> dict[str, list[File | str]]:
    """Text, DOT and SVG of each, and the folders of the runs that they are of."""
    cells: list[File | str] = []
    for letter, source, drawing in zip("AB", sources, drawings, strict=False):
        of, stem = (f", {letter}", f"{letter}-") if len(sources) > 1 else ("", "")
        for kind, content in (
            ("txt", f"{source.genotype}\n"),
            ("dot", dot(source.genotype)),
            ("svg", drawing),
        ):
            label = f"{'Text' if kind == 'txt' else kind.upper()}{of}"
            cells.append(File(label, f"{stem}{source.name}.{kind}", lambda text=content: text))  # type: ignore[misc]
    paths = {source.run.path for source in sources if source.run is not None}
    runs = [entry for entry in entries if entry.listed.path in paths]
    return {"Cells": cells} | folders(runs)


def texts(source: Source, size: str) -> list[Said]:
    """Command and Python."""
    what = f'"{source.genotype}"'
    if source.run is not None and source.point is not None:
        stage, epoch = source.point
        what = f"{source.run.path}@{f'{stage}.' if stage else ''}{epoch}"
    elif "published" in source.facts:
        what = source.name
    python = f"from zarts import cost, parse\n\ngenotype = parse({str(source.genotype)!r})"
    return [
        Said("In a terminal", f"python -m zarts.genotype {what} --network {size} --svg cells.svg"),
        Said("In Python", f"{python}\nprint(cost(genotype))", "python", 110),
        Said("Retrain the network", f"python -m zarts.retrain {what}"),
    ]


entries = everything(needed=False)
st.title("Architecture")
left, middle, right = st.columns([4, 4, 2])
with left:
    first = choose("cells", "Cells", entries, optional=False)
with middle:
    second = choose("cells2", "Compare with", entries, optional=True)
with right:
    size = network()
if first is None:  # which is said beside it
    take({}, [])
    st.stop()
sources = [first] if second is None else [first, second]
drawings = drawn(sources)
with st.container(horizontal=True, vertical_alignment="center"):
    if len(sources) == 2:
        removed, added = changes(sources[0].genotype, sources[1].genotype)
        if added or removed:
            said = f"{len(removed)} of 16 edges are in A only, {len(added)} in B only"
        else:
            said = "Both have the same 16 edges"
        st.markdown(f"**{said}.**")
    else:
        st.caption(markdown(f"Origin of the cells: {sources[0].origin}"))
    st.space("stretch")
    take(files(sources, drawings), texts(sources[0], str(st.query_params.get("network"))))
if len(drawings) == 1:
    st.image(drawings[0], width="stretch", alt=f"Normal and reduction cell of {sources[0].name}")
else:
    for column, drawing, source in zip(st.columns(2), drawings, sources, strict=True):
        column.image(drawing, width="stretch", alt=f"Both cells of {source.name}, changes marked")
if size is not None:
    costs(sources, size)
for letter, source in zip("AB", sources, strict=False):
    with st.expander(f"Genotype {letter} as text" if len(sources) > 1 else "Genotype as text"):
        code(str(source.genotype), "python")
st.subheader("Retrainings of these cells")
rows = [
    {"cells": letter, **row} if len(sources) > 1 else row
    for letter, source in zip("AB", sources, strict=False)
    for row in retrained(entries, source.genotype)
]
if rows:
    st.dataframe(
        rows,
        hide_index=True,
        placeholder="–",
        column_config={
            "test accuracy": st.column_config.NumberColumn("test accuracy, %", format="%.2f"),
            "parameters": st.column_config.NumberColumn(format="localized"),
            "epochs": st.column_config.NumberColumn(format="%d"),
        },
        alt="Retrainings of the shown cells and their test accuracies",
    )
else:
    st.caption("No run here has retrained them. The command is under Reproduce.")
with st.expander("What this can and cannot tell", icon=":material/info:"):
    st.markdown(HONESTY)
