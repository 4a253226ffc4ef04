"""What one can take from a view: its link, files of it, and all that makes it again."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from landscape.catalogue import Entry
from landscape.figures.pictures import KINDS, NEEDED, Kind, can_draw, to_picture
from landscape.figures.words import BIBTEX
from parts.link import code, copy_link, link
from zarts.runs.archive import size_of, zipped
from zarts.text import human_bytes, markdown, printable

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["File", "Files", "Said", "Taken", "folders", "made", "pictures", "take"]

MOST = 512 << 20  # bytes of a folder that the page packs: it does that in memory
MIME = {
    "html": "text/html", "csv": "text/csv", "json": "application/json", "zip": "application/zip",
    "npz": "application/octet-stream", "svg": "image/svg+xml", "pdf": "application/pdf",
    "png": "image/png", "txt": "text/plain", "dot": "text/vnd.graphviz",
}  # fmt: skip


@dataclass(frozen=True)
class File:
    """A file that is made when it is asked for.

    Attributes:
        label: On its button.
        name: Of the file; the ending says the kind.
        make: Its content.
    """

    label: str
    name: str
    make: Callable[[], str | bytes]


@dataclass(frozen=True)
class Said:
    """A text to be copied: its title, itself, its language, and the most lines of it in pixels."""

    title: str
    text: str
    language: str = "bash"
    height: int | None = None


Files = dict[str, list[File | str]]
Taken = tuple[Files, list[Said]]  # what ``take`` takes


def take(files: Mapping[str, Sequence[File | str]], texts: Sequence[Said]) -> None:
    """Copy link, Export and Reproduce, in the row of the page that is open.

    Args:
        files: By the heading above them; a text is said as it is, in Markdown.
        texts: What makes the view again; the link and whom to cite are added.
    """
    copy_link()
    if files:
        with st.popover("Export", icon=":material/download:"):
            for title, each in files.items():
                st.markdown(f"**{title}**")
                for file in each:
                    _offered(file)
    with st.popover("Reproduce", icon=":material/terminal:"):
        link_to = Said("Link to this view", link(), "text")
        cite = Said("Cite the paper and the software", BIBTEX, "bibtex", 200)
        for text in (*texts[:2], link_to, *texts[2:], cite):
            st.markdown(f"**{text.title}**")
            code(text.text, text.language, text.height)


def _offered(file: File | str) -> None:
    if isinstance(file, str):
        st.caption(file)
        return
    stem, _, ending = file.name.rpartition(".")
    name = "".join(c if c.isalnum() or c in "-_." else "-" for c in stem)[:120]
    st.download_button(
        printable(file.label), file.make, f"{name}.{ending}", MIME[ending],
        key=f"export-{file.name}", on_click="ignore", width="stretch",
    )  # fmt: skip


def pictures(
    name: str, draw: Callable[[], go.Figure], step: int | None = None, what: str = ""
) -> list[File | str]:
    """A figure of Plotly as pictures, or what they need.

    Args:
        name: Of the files, without an ending.
        draw: Makes the figure.
        step: The one that is seen, of a figure that plays; None: the last.
        what: Of several figures which one it is.
    """
    if not can_draw():
        return [NEEDED]

    def file(kind: Kind) -> File:
        label = f"{kind.upper()}{what and f', {what}'}"
        return File(label, f"{name}.{kind}", lambda: to_picture(draw(), kind, step))

    return [file(kind) for kind in KINDS]


def folders(entries: Sequence[Entry]) -> Files:
    """The folders of runs as ZIP files, as far as they are there and not too large."""
    found: list[File | str] = []
    for entry in entries:
        path = entry.listed.path
        name = path.name if len(entries) > 1 else "ZIP"
        if not (size := size_of(path)):
            found.append(f"{markdown(path.name)} is no longer here. Reload the page.")
        elif size > MOST:
            found.append(
                f"{markdown(path.name)} has {human_bytes(size)}, too much for this page. In a "
                f"terminal: `tar -cf {path.name}.tar -C {markdown(path.parent)} {path.name}`"
            )
        else:
            label = f"{name}, {human_bytes(size)}"
            found.append(File(label, f"{path.name}.zip", partial(zipped, path)))
    return {"Run folders" if len(entries) > 1 else "Run folder": found} if found else {}


def made(entries: Sequence[Entry]) -> Said:
    """The commands that made runs, as they keep them."""
    runs = [entry.listed.run for entry in entries if entry.listed.run is not None]
    words = [run.provenance.get("command") for run in runs]
    lines = [shlex.join(map(str, each)) if isinstance(each, list) else "" for each in words]
    several = len(lines) > 1
    said = [
        f"# {run.name}\n{line or '# not recorded'}" for run, line in zip(runs, lines, strict=True)
    ]
    text = "\n".join(said) if several else (lines or [""])[0] or "not recorded"
    return Said(f"Command{'s' * several} that made {'them' if several else 'it'}", text)
