"""One search or several over their epochs: curves, the cells as a timeline, α, and Fig. 2."""

from __future__ import annotations

from functools import partial
from typing import Any

import streamlit as st
from parts.link import asked, one_of, settle
from parts.playing import play, step_of
from parts.runs import everything, follow, stamp
from parts.searches import FIGURES, files, of_figure_2, pick, said, table, texts
from parts.take import folders, take

from zarts.text import markdown

HONESTY = """
- **Validation losses** are of the supernet with the mixture of α, not of the discrete network: a
  search may improve the one and not the other. What cells are worth is told by a retraining.
- **Entropy** near its start means that α has hardly decided; the cells may then change with the
  seed. *Edges* shows when they last did.
- **λ_max** is over one batch of validation images, as R-DARTS takes it.
- **Searches of other spaces or networks** have other losses: curves in one panel are to be compared
  only where the page Runs shows no such difference.
- **Fig. 2** has one seed per search. Its test errors are of single retrainings, so a difference
  between neighbouring epochs is not yet a finding.
"""
ALT = {
    "Edges": "The operation on each edge of the cells, over the epochs",
    "α": "The weight of each operation on each edge, with a slider over the epochs",
    "Fig. 2": "Test error, parameters and skip connections over the epochs of the two searches",
}
NOTES = {
    "Edges": "A gap: the edge is not in the cells of that epoch. Dotted: a stage begins.",
    "α": "Weights are the softmax of α over an edge. A gap: the edge does not offer the operation.",
}
TOLD = (
    "What the cells of several epochs are worth after retraining, of two searches that belong to "
    "Fig. 2 of the paper, not of those that are chosen above."
)
entries = everything()
st.title("Search")
traces, chosen = pick(entries)
if not traces:
    take({}, [])
    st.stop()
told, views, above = said(traces), list(FIGURES), st.empty()
with st.container(horizontal=True, vertical_alignment="center"):
    view = one_of("show", "View", views, hidden=True)
    settle("show", view, "view")
    st.space("stretch")
    taking = st.container(horizontal=True, width="content")  # filled once all is chosen
dark = st.context.theme.type == "dark"
config = {
    "displaylogo": False,
    "toImageButtonOptions": {"format": "svg", "filename": f"{traces[0].name}_search"},
}
one, preset, what = traces[0], "", list[Any](traces)
if view == "Fig. 2":
    told = TOLD
    preset, what = of_figure_2()
elif view != "Curves":
    names = [trace.name for trace in traces]
    if len(names) > 1:
        first = asked("edges", names, lambda: names[0])
        name = st.selectbox("Run", names, names.index(first), key="edges", width=360)
        settle("edges", name, "run")
        one = traces[names.index(name)]
    what = [one]
above.markdown(f"**{markdown(told)}**")
draw = partial(FIGURES[view], one if view in NOTES else what)
try:
    figure = draw(dark=dark) if what else None
except ValueError as error:
    figure = None
    st.info(f"α cannot be shown by operation. {markdown(error)}.")
step = None
if view == "α" and figure:
    step = step_of(figure.layout.meta["steps"])
    play(step)  # above the figure, to be in view with it
if figure:
    st.plotly_chart(figure, theme=None, key="figure", config=config, alt=ALT.get(view, told))
if view in NOTES:
    st.caption(NOTES[view])
elif view == "Curves":
    table(traces, chosen)
with taking:
    title = view if view == "Fig. 2" else f"{view} of {one.name}"
    files_of = files(draw, title, told, what, step) if figure else {}
    take(files_of | folders(chosen), texts(view, one, chosen, preset))
with st.expander("What this can and cannot tell", icon=":material/info:"):
    st.markdown(HONESTY)
for entry in chosen:
    if entry.written:
        follow(entry, stamp(entry))
        break
