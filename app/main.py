"""The app: ``streamlit run app/main.py``. Pages are in ``views``, the science in ``landscape``."""

from __future__ import annotations

from importlib.util import find_spec

import streamlit as st

# No icons for the page: a browser tab's icon would be fetched from a font server.
st.set_page_config(page_title="ZARTS · Figure 1", layout="wide")

if find_spec("landscape") is None:
    # `streamlit run` puts the folder of this file on the path, not the folder it was started from.
    st.error("The package is not installed. In the folder of the project: `pip install -e .`")
    st.stop()

page = st.Page("views/figure_1.py", title="ZARTS · Figure 1", url_path="figure-1", default=True)
st.navigation([page]).run()
