"""The choices that are part of the link: always in it, and told where one cannot be had."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import TypeVar
from urllib.parse import urlencode

import streamlit as st

from zarts.text import markdown, printable

__all__ = [
    "Point",
    "arrive",
    "asked",
    "asked_point",
    "code",
    "copy_link",
    "forget",
    "kept",
    "link",
    "one_of",
    "settle",
    "settle_point",
]

Choice = TypeVar("Choice", bound=str)
Point = tuple[float, float]
Range = tuple[float, float]
_NUMBER = r"([-+]?\d{1,9}(?:\.\d{0,12})?(?:e[-+]?\d{1,3})?)"
# The browser knows the address best, and as it is when one clicks. Where it has no clipboard for
# pages (plain http from another machine), a selected text is copied as by hand.
_MARKUP = (
    '<button type="button"><i aria-hidden="true">link</i><span>Copy link</span></button>'
    '<output role="status"></output>'
)
_STYLE = """
button { display: inline-flex; align-items: center; justify-content: center; gap: .5rem; }
button { min-height: 2.5rem; min-width: 7.8rem; padding: .25rem .75rem; cursor: pointer; }
button { font: inherit; font-size: .875rem; color: inherit; white-space: nowrap; }
button { background: var(--st-background-color); border-radius: var(--st-button-radius); }
button { border: 1px solid var(--st-border-color); }
button:hover { color: var(--st-primary-color); border-color: var(--st-primary-color); }
button:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 2px; }
i { font: 1.1rem/1 "Material Symbols Rounded"; font-feature-settings: "liga"; }
output { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
"""
_SCRIPT = """
const byHand = (text) => {
  const field = document.body.appendChild(document.createElement("textarea"));
  field.value = text;
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  return done;
};
export default ({ parentElement }) => {
  const [button, icon, label, said] = ["button", "i", "span", "output"].map((name) =>
    parentElement.querySelector(name),
  );
  let timer;
  const say = (sign, text, heard = text) => {
    [icon.textContent, label.textContent, said.textContent] = [sign, text, heard];
  };
  button.onclick = async () => {
    const address = window.location.href;
    const done = await navigator.clipboard?.writeText(address).then(() => true, () => false);
    if (done || byHand(address)) say("check", "Link copied");
    else say("error", "Copy it from the address bar");
    button.focus();
    clearTimeout(timer);
    timer = setTimeout(say, 2500, "link", "Copy link", "");
  };
  return () => clearTimeout(timer);
};
"""
_POINT = re.compile(f"{_NUMBER},{_NUMBER}")
_SHARED = ("run",)  # of all pages; other choices are a page's own, whatever their names are


def asked(key: str, options: Sequence[str] | None, default: Callable[[], str]) -> str:
    """What a widget begins with: what the link names, else what it was last, else the default.

    Args:
        key: Of the link.
        options: What there is to choose from; None: any text.
        default: Asked only where it is needed.
    """
    value = st.query_params.get(key)
    if value is not None and (options is None or value in options):
        return str(value)
    last = kept(key)  # the links between pages carry nothing
    fits = last is not None and (options is None or last in options)
    shown = last if last is not None and fits else default()
    if value is not None:
        st.session_state[_own("not", key)] = (value, shown)
    return shown


def arrive(page: str) -> None:
    """Notes the page, whose choices are kept apart from those of others.

    On the browser's way back Streamlit may give the choices of the page that is left.
    """
    last, link_of = st.session_state.get("page", page), st.query_params.to_dict()
    if link_of and last != page and all(kept(key) == link_of[key] for key in link_of):
        st.query_params.clear()
    st.session_state["page"] = page


def kept(key: str) -> str | None:
    """What was chosen last, on this page; of the run, on any page."""
    value = st.session_state.get(_own("kept", key))
    return None if value is None else str(value)


def forget(*keys: str) -> None:
    """Drops choices, from the link as well."""
    for key in keys:
        st.query_params.pop(key, None)
        st.session_state.pop(_own("kept", key), None)


def _own(what: str, key: str) -> str:
    page = "" if key in _SHARED else st.session_state.get("page", "")
    return f"{what}-{page}-{key}"


def one_of(
    key: str,
    label: str,
    options: Sequence[Choice],
    help_text: str | None = None,
    *,
    last: bool = False,
    widget: str = "",
    hidden: bool = False,
) -> Choice:
    """A row of buttons of which one is chosen; ``settle`` puts it into the link.

    Args:
        key: Of the link.
        label: Beside the row.
        options: What there is to choose from.
        help_text: Behind a question mark.
        last: By default it is the last option, not the first.
        widget: Its key where that is another.
        hidden: The label is for those alone who do not see the page.
    """
    first, name = asked(key, options, lambda: options[-last]), widget or key
    # a link on the page to the page itself, or the browser's way back: the widget is there already
    turned = name in st.session_state and st.query_params.get(key) == first != kept(key)
    if turned:
        st.session_state[name] = first
        st.query_params[key] = first  # the browser has not heard of what a link to its page says
    chosen = st.segmented_control(
        label, options, default=None if turned else first, required=True, key=name,
        help=help_text, label_visibility="collapsed" if hidden else "visible",
    )  # fmt: skip
    return options[options.index(chosen)]  # which has their type


def settle(key: str, value: str, what: str) -> None:
    """Puts a choice into the link; says what the link named until another choice is made."""
    if st.query_params.get(key) != value:
        st.query_params[key] = value
    st.session_state[_own("kept", key)] = value
    wrong = st.session_state.get(_own("not", key))
    if wrong and wrong[1] == value:
        said = f"The link asks for the {what} “{printable(wrong[0])[:80]}”, which is not here."
        st.warning(markdown(f"{said} Shown instead: {value or 'none'}"))
    elif wrong:
        del st.session_state[_own("not", key)]


def asked_point(key: str, x: Range, y: Range) -> Point | None:
    """The point of the plane that the link names as ``x,y``; says so if it is not on the grid."""
    value = st.query_params.get(key)
    if value is None:
        return None
    found = _POINT.fullmatch(value)
    point = (float(found[1]), float(found[2])) if found else (math.nan, math.nan)
    if x[0] <= point[0] <= x[1] and y[0] <= point[1] <= y[1]:
        return point
    said = f"The link asks for the point “{printable(value)[:80]}”, which is not on the grid."
    st.warning(markdown(f"{said} Shown instead: none"))
    return None


def settle_point(key: str, point: Point | None) -> None:
    """Puts a point into the link, or takes it out."""
    if point is None:
        if key in st.query_params:
            del st.query_params[key]
    elif st.query_params.get(key) != (text := f"{point[0]:.6g},{point[1]:.6g}"):
        st.query_params[key] = text


def link() -> str:
    """The address of what is seen."""
    return f"{st.context.url or ''}?{urlencode(st.query_params.to_dict())}"


def copy_link() -> None:
    """A button that copies the address of what is seen, and says that it did."""
    button = st.components.v2.component("copy-link", html=_MARKUP, css=_STYLE, js=_SCRIPT)
    button(key="copy-link", width="content")


def code(text: str, language: str, height: int | None = None) -> None:
    """A block of text as it is, to be copied."""
    lines = "\n".join(map(printable, text.split("\n")))
    if height is None:
        st.code(lines, language=language, wrap_lines=True)
    else:
        st.code(lines, language=language, height=height)
