"""Any figure as a file for print, drawn by Plotly itself in a browser that nobody sees."""

from __future__ import annotations

import shutil
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["KINDS", "NEEDED", "Kind", "can_draw", "to_picture"]

Kind = Literal["svg", "pdf", "png"]
KINDS: tuple[Kind, ...] = get_args(Kind)
NEEDED = (
    "SVG, PDF and PNG of this figure need Chrome or Chromium and kaleido: "
    "`pip install 'zarts[export]'`"
)
WIDTH = 1200  # pixels, of a figure that has no width of its own: that of an exported page


def to_picture(figure: go.Figure, kind: Kind, step: int | None = None) -> bytes:
    """A figure as the bytes of an SVG, PDF or PNG file.

    Args:
        figure: Of Plotly.
        kind: The kind of file. PNG has two pixels for each of the screen.
        step: Of a figure whose tables of α are played: the one to draw, as the page shows it; by
            default the last.

    Raises:
        RuntimeError: If kaleido or a Chrome is missing, with what to do.
        ValueError: If the figure has no such step.
    """
    if not can_draw():
        raise RuntimeError(NEEDED)
    meta = figure.layout.meta or {}
    if step is not None and "tables" in meta:
        if step not in meta["steps"]:
            raise ValueError(f"step = {step}, expected one of {list(meta['steps'])}")
        figure = type(figure)(figure)
        for trace, table in zip(
            figure.data, meta["tables"][meta["steps"].index(step)], strict=True
        ):
            trace.z = table
    size = {"width": figure.layout.width or WIDTH, "height": figure.layout.height}
    drawn: bytes = figure.to_image(format=kind, scale=2 if kind == "png" else 1, **size)
    return drawn


@cache
def can_draw() -> bool:
    """Whether ``to_picture`` has what it needs."""
    if find_spec("kaleido") is None:
        return False
    if any(map(shutil.which, ("google-chrome", "chromium", "chrome"))):
        return True
    from choreographer.browsers.chromium import Chromium  # half a second

    return Chromium.find_browser(skip_local=False) is not None
