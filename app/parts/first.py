"""The first page that a server shows, before pandas is there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from threading import Event, Lock

__all__ = ["first_alone"]

_LOCK, _DONE = Lock(), Event()


@contextmanager
def first_alone() -> Iterator[None]:
    """Runs the body; until it has ended once, nobody else's.

    Streamlit imports pandas when it first needs it, and Plotly takes what another thread has only
    begun to import for a whole module: two tabs opened at once were two tracebacks.
    """
    with _LOCK:
        if not _DONE.is_set():
            try:
                yield
            finally:
                import_module("pandas")  # a page that has ended may need it in a fragment
                _DONE.set()
            return
    yield
