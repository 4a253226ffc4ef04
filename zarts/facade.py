"""A package whose public names are imported on first use, so that importing it stays cheap."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any

__all__ = ["facade"]


def facade(
    package: str, homes: Mapping[str, Iterable[str]], public: Sequence[str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """A package's ``__getattr__`` and ``__dir__`` (PEP 562).

    Args:
        package: Its name.
        homes: Names by the module in it that owns them.
        public: Its ``__all__``.
    """
    home = {name: module for module, names in homes.items() for name in names}

    def get(name: str) -> Any:  # noqa: ANN401 - whatever the module has
        if name not in home:
            raise AttributeError(f"{package} has no {name!r}; it has {', '.join(public)}")
        return getattr(import_module(f"{package}.{home[name]}"), name)

    return get, lambda: sorted(public)
