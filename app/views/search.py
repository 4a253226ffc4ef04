"""One search or several over their epochs: curves, the cells as a timeline, α, and Fig. 2."""

from __future__ import annotations

import streamlit as st
from parts.link import asked, code, settle
from parts.runs import everything, follow, stamp
from parts.searches import VIEWS, figure_2_of, pick, said, table

from landscape.figures import figure_alpha, figure_search, figure_timeline
from zarts.text import markdown

HONESTY = """
- **Validation losses** are of the supernet with the mixture of α, not of the discrete network: a
  search may improve the one and not the other. What cells are worth is told by a retraining.
- **Entropy** near its start means that α has hardly decided; the cells may then change with the
  seed. *Edges* shows when they last did.
- **λ_max** is over one batch of validation images, as R-DARTS takes it.
- **Searches of other spaces or networks** have other losses: curves in one panel are to be compared
  only where the page Runs shows no such difference.
"""
entries = everything()
st.title("Search")
traces, chosen = pick(entries)
if not traces:
    st.stop()
st.markdown(f"**{markdown(said(traces))}**")
view = st.segmented_control(
    "View",
    VIEWS,
    default=asked("show", VIEWS, lambda: VIEWS[0]),
    required=True,
    key="show",
    label_visibility="collapsed",
)
settle("show", view, "view")
dark = st.context.theme.type == "dark"
config = {
    "displaylogo": False,
    "toImageButtonOptions": {"format": "svg", "filename": f"{traces[0].name}_search"},
}
if view == "Curves":
    st.plotly_chart(
        figure_search(traces, dark=dark), theme=None, key="curves", config=config, alt=said(traces)
    )
    table(traces)
elif view == "Fig. 2":
    figure_2_of(dark)
else:
    names = [trace.name for trace in traces]
    one = traces[0]
    if len(names) > 1:
        first = asked("edges", names, lambda: names[0])
        name = st.selectbox("Run", names, names.index(first), key="edges", width=360)
        settle("edges", name, "run")
        one = traces[names.index(name)]
    if view == "Edges":
        st.plotly_chart(
            figure_timeline(one, dark=dark), theme=None, key="timeline", config=config,
            alt=f"The operation on each edge of the cells, over {len(one.epochs)} epochs",
        )  # fmt: skip
        st.caption("A gap: the edge is not in the cells of that epoch. Dotted: a stage begins.")
    else:
        try:
            figure = figure_alpha(one, dark=dark)
        except ValueError as error:
            st.info(f"α cannot be shown by operation. {markdown(error)}.")
        else:
            st.plotly_chart(
                figure, theme=None, key="alpha", config=config,
                alt="The weight of each operation on each edge, with a slider over the epochs",
            )  # fmt: skip
            st.caption(
                "Weights are the softmax of α over an edge. A gap: the edge does not offer the "
                "operation. The slider can be moved with the mouse or by a click on it."
            )
with st.expander("The same in Python", icon=":material/terminal:"):
    place = str(chosen[0].listed.path)
    code(
        "from pathlib import Path\n\nfrom landscape.figures import figure_search\n"
        "from zarts.runs.epochs import trace\nfrom zarts.runs.runfile import Run\n\n"
        f"figure_search([trace(Run.open(Path({place!r})))]).show()",
        "python",
    )
with st.expander("What this can and cannot tell", icon=":material/info:"):
    st.markdown(HONESTY)
for entry in chosen:
    if entry.written:
        follow(entry, stamp(entry))
        break
