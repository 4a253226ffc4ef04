"""The browser's way back: a step is a page, not a choice on it."""

from __future__ import annotations

import streamlit as st

__all__ = ["mend_history"]

# Streamlit adds an entry to the history for each choice that goes into the link, a dozen for a page
# that is opened. On the way back each would bring its page again, which would write its link anew.
_SCRIPT = """
export default () => {
  if (history.mended) return;
  history.mended = true;
  const push = history.pushState.bind(history);
  history.pushState = (state, title, address) => {
    const same = new URL(address ?? "", location.href).pathname === location.pathname;
    return same ? history.replaceState(state, title, address) : push(state, title, address);
  };
};
"""


def mend_history() -> None:
    """From now on a choice takes the place of the one before it in the browser's history."""
    st.components.v2.component("history", js=_SCRIPT)(key="history")
