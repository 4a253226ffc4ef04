"""Text that others wrote, such as what is in the files of a run: shown as it is, never obeyed."""

from __future__ import annotations

import re

__all__ = ["markdown", "printable"]

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
