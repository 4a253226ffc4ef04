"""The app: ``streamlit run app/main.py``. Pages are in ``views``, the science in ``landscape``."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import streamlit as st
from parts.first import first_alone
from parts.history import mend_history
from parts.link import arrive

# The tab's icon is a file of our own: one by its name would be fetched from a font server.
ICON = str(Path(__file__).parent / "icon.svg")
st.set_page_config(page_title="ZARTS", page_icon=ICON, layout="wide")

if find_spec("landscape") is None:
    # `streamlit run` puts the folder of this file on the path, not the folder it was started from.
    st.error("The package is not installed. In the folder of the project: `pip install -e .`")
    st.stop()

PAGES = (  # the file in views, the title, the icon, the name in the address
    ("figure_1", "Landscape", "landscape", "landscape"),
    ("runs", "Runs", "table_view", "runs"),
    ("compute", "Compute", "play_circle", "compute"),
    ("search", "Search", "timeline", "search"),
    ("architecture", "Architecture", "account_tree", "architecture"),
    ("learn", "Learn", "school", "learn"),
)
page = st.navigation(
    [
        st.Page(
            f"views/{file}.py",
            title=title,
            icon=f":material/{icon}:",
            url_path=path,
            default=file == "figure_1",
        )
        for file, title, icon, path in PAGES
    ]
)
st.set_page_config(page_title=f"ZARTS · {page.title}", page_icon=ICON)
# The first screen is for the figure, not for the room above its title. Streamlit's own colours of
# flags in a command, and in dark its white words on a light blue, cannot be read by all. Where a
# window is narrow, the tools of a figure would lie on its legend: they wait for pointer or keys.
dark = st.context.theme.type == "dark"
words = ".stCode .token.token.parameter.variable"
if dark:
    words = "[data-tag], [data-tag] *, [data-testid=stBaseButton-primary]"
st.html(
    "<style>.stMainBlockContainer {padding-top: 3.2rem} .st-key-history {display: none} "
    f"{words} {{color: {'#101114' if dark else '#00637f'}}} @media (max-width: 760px) "
    "{.js-plotly-plot:not(:hover, :focus-within) .modebar {opacity: 0}}</style>"
)
arrive(page.title)
mend_history()
with first_alone():
    page.run()
