"""All runs in a table, two of them side by side, and several seeds as mean and spread."""

from __future__ import annotations

import streamlit as st
from parts import comparing
from parts.link import asked, settle
from parts.runs import everything
from parts.table import chosen, table

VIEWS = ("Table", "Compare", "Seeds")

entries = everything()
st.title("Runs")
view = st.segmented_control(
    "View",
    VIEWS,
    default=asked("view", VIEWS, lambda: VIEWS[0]),
    required=True,
    key="view",
    label_visibility="collapsed",
)
settle("view", view, "view")
if view == "Table":
    table(entries)
elif view == "Compare":
    comparing.pair(entries)
else:
    comparing.seeds(chosen(entries))
