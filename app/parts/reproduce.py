"""What one can take from a landscape: files of the figure, the data, and what makes it again."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from landscape.catalogue import Entry
from landscape.figures import figure_1, static, to_csv, to_html, to_npz, words
from landscape.figures.pictures import KINDS
from landscape.figures.traces import Marks
from landscape.record import Figure1
from parts.take import File, Said, folders, pictures
from parts.view import View

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["files", "printed", "texts"]


def files(record: Figure1, entry: Entry, view: View, marks: Marks) -> dict[str, list[File | str]]:
    """The figure as it is seen, all data of the run without thinning, and its folder."""
    name = f"{record.name}_figure1_m{view.panels[-1]}"
    options = view.options()

    def flat() -> go.Figure:
        return figure_1(record, view.panels, marks=marks or None, **options)

    def page() -> str:
        shown = view.scenes(record, marks) if view.camera else flat()
        return to_html(shown, record, view.panels)

    drawn: list[File | str] = [File("HTML", f"{name}.html", page)]
    if view.camera:
        drawn += pictures(name, lambda: view.scenes(record, marks))
    else:
        drawn += printed(name, partial(static, record, inner_steps=view.panels, **options))
    data: list[File | str] = [
        File("CSV", f"{record.name}_figure1.csv", lambda: to_csv(record)),
        File("NPZ", f"{record.name}_figure1.npz", lambda: to_npz(record)),
    ]
    return {"Figure": drawn, "Data": data} | folders([entry])


def printed(name: str, draw: Callable[..., bytes]) -> list[File | str]:
    """Fig. 1 in the kinds of files for print, or what they need; ``draw`` takes the ``kind``."""
    if not find_spec("matplotlib"):
        return ["SVG, PDF and PNG need matplotlib: `pip install 'zarts[export]'`"]
    return [File(each.upper(), f"{name}.{each}", partial(draw, kind=each)) for each in KINDS]


def texts(record: Figure1, folder: str, view: View) -> list[Said]:
    """Command, Python, settings and origin of the run."""
    python = words.python(folder, view.panels, camera=view.camera, **view.options())

    def listed(found: object) -> str:
        return json.dumps(found, indent=2, ensure_ascii=False)

    return [
        Said("Command that made it", words.command(record) or "not recorded"),
        Said("This figure in Python", python, "python"),
        Said("Paths", words.path_settings(record), "text"),
        Said("Where the numbers come from", listed(dict(record.provenance)), "json", 200),
        Said("Configuration", listed(dict(record.config)), "json", 200),
    ]
