"""All runs in a table, two of them side by side, and several seeds as mean and spread."""

from __future__ import annotations

import streamlit as st
from parts import comparing
from parts.link import one_of, settle
from parts.runs import everything
from parts.table import chosen, table
from parts.take import take

HONESTY = {
    "Table": """
- **Accuracy** of landscapes and searches is that of the supernet on images of L_val, **test
  accuracy** that of a retrained network. They are not to be compared with each other.
- **Sharpness ratio, shift and rank correlation** are of one plane and one grid each. Runs whose
  plane, scale or grid differ (*Only what differs* shows it) have measured other things.
- **Seconds** depend on the machine and on what else it did.
""",
    "Compare": """
- **Colours** mean the same loss in both panels; **axes** mean the same only if the planes are the
  same, which is told above the panels. Only then there is a difference B − A.
- **Other data, images or batches** move a whole surface up or down: compare shapes, not losses.
- **One pair is one pair.** Whether a difference is more than chance is told by several seeds.
""",
    "Seeds": """
- **Mean ± standard deviation** is over the runs that are chosen, which differ in nothing but their
  seed. The deviation says how far single runs are from each other, not how sure the mean is.
- **Two or three seeds** give a deviation that is itself uncertain by half and more.
- **A seed** changes initialisation, order of the data and, where it is random, the plane.
""",
}
VIEWS = tuple(HONESTY)

entries = everything()
st.title("Runs")
with st.container(horizontal=True, vertical_alignment="center"):
    view = one_of("view", "View", VIEWS, hidden=True)
    settle("view", view, "view")
    st.space("stretch")
    taking = st.container(horizontal=True, width="content")  # filled once all is chosen
if view == "Table":
    taken = table(entries)
elif view == "Compare":
    taken = comparing.pair(entries)
else:
    taken = comparing.seeds(chosen(entries))
with taking:
    take(*taken)
with st.expander("What this can and cannot tell", icon=":material/info:"):
    st.markdown(HONESTY[view])
