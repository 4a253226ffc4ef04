"""What one can take away: files of the figure, and all that is needed to make it again."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

import streamlit as st

from landscape.figures import figure_1, static, to_csv, to_html, words
from landscape.figures.traces import Marks
from landscape.record import Figure1
from parts.link import code, link
from parts.view import View

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["export", "reproduce"]


def export(record: Figure1, view: View, marks: Marks) -> None:
    """The files one can take away; each is made when it is asked for."""
    name = f"{record.name}_figure1_m{view.panels[-1]}"
    options = view.options()

    def flat() -> go.Figure:
        return figure_1(record, view.panels, marks=marks or None, **options)

    def page() -> str:
        shown = view.scenes(record, marks) if view.camera else flat()
        return to_html(shown, record, view.panels)

    def picture(kind: Literal["svg", "pdf", "png"]) -> Callable[[], bytes]:
        return lambda: static(record, kind, view.panels, **options)

    files: dict[str, tuple[str, str, Callable[[], str | bytes]]] = {
        "HTML": ("html", "text/html", page),
        "CSV": ("csv", "text/csv", lambda: to_csv(record)),
    }
    if find_spec("matplotlib"):
        files |= {
            "SVG": ("svg", "image/svg+xml", picture("svg")),
            "PDF": ("pdf", "application/pdf", picture("pdf")),
            "PNG": ("png", "image/png", picture("png")),
        }
    for kind, (ending, mime, make) in files.items():
        st.download_button(
            kind,
            make,
            f"{name}.{ending}",
            mime,
            key=f"export-{ending}",
            on_click="ignore",
            width="stretch",
        )
    if len(files) == 2:
        st.caption("SVG, PDF and PNG need matplotlib: `pip install 'zarts[export]'`")


def reproduce(record: Figure1, folder: str, view: View) -> None:
    """Command, link, Python, settings and origin of the run, and whom to cite."""
    st.markdown("**Command that made it**")
    code(words.command(record) or "not recorded", "bash")
    st.markdown("**Link to this view**")
    code(link(), "text")
    st.markdown("**This figure in Python**")
    code(words.python(folder, view.panels, camera=view.camera, **view.options()), "python")
    st.markdown("**Paths**")
    code(words.path_settings(record), "text")
    for title, found in (
        ("Where the numbers come from", record.provenance),
        ("Configuration", record.config),
    ):
        st.markdown(f"**{title}**")
        code(json.dumps(dict(found), indent=2, ensure_ascii=False), "json", 200)
    st.markdown("**Cite the paper and the software**")
    code(words.BIBTEX, "bibtex", 200)
