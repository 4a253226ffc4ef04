"""Text for people: numbers as words, and what others wrote shown as it is, never obeyed."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["human_bytes", "human_time", "markdown", "markdown_table", "printable"]

_MARK = re.compile(r"[!-/:-@\[-`{-~]")  # all punctuation of ASCII, which a backslash makes plain
_LINK = re.compile(r"[:@]|www", re.IGNORECASE)
_JOINER = "\u2060"  # takes no room; Markdown's own escapes do not stop it from making links


def printable(text: object) -> str:
    """The text on one line, without what could steer a terminal, hide, or turn the direction.

    This is how text of a run, and every error, goes to a terminal.
    """
    return "".join(
        letter if letter.isprintable() else " " if letter.isspace() else "?" for letter in str(text)
    )


def markdown(text: object) -> str:
    """The text for a place that takes Markdown: as it is, on one line.

    This is how text of a run goes to the page. Without it `![](http://…)` would make the browser
    load an image. Escaped is all that Streamlit reads: marks of Markdown and HTML, formulas,
    directives for colours, and, by a joiner in their middle, emoji, icons and bare links.
    """
    return _LINK.sub(rf"\g<0>{_JOINER}", _MARK.sub(r"\\\g<0>", printable(text).strip()))


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as a table of Markdown, the first as its head."""
    lines = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows]
    lines.insert(1, " | ".join(["---"] * len(rows[0])))
    return "\n".join(f"| {line} |" for line in lines)


def human_time(seconds: float) -> str:
    """A duration for people: ``8 s``, ``3 min 20 s``, ``2 h 05 min``, ``4.2 days``."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 2 * 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{seconds / 86400:.1f} days"


def human_bytes(count: float) -> str:
    """A size for people, in powers of 1024."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError("unreachable: the loop returns at GiB")
