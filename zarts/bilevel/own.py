"""Classes of a user's own, by the name ``MODULE:CLASS``. No torch."""

from __future__ import annotations

import hashlib
import inspect
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

__all__ = ["digest_of_source", "imported"]


def imported(module: str, kind: str) -> Any:  # noqa: ANN401 - whatever it is
    """What has this name in a module, which may be a file of the current folder.

    Raises:
        ValueError: If it cannot be imported; says why.
    """
    where = str(Path.cwd())
    if where not in sys.path:  # as for `python -m`; a script or a worker may not have it
        sys.path.insert(0, where)
    try:
        return getattr(import_module(module), kind)
    except Exception as error:
        short = module.removesuffix(".py")
        name = f", and name it {short}:{kind}" * (short != module)
        raise ValueError(
            f"{module}:{kind} cannot be imported ({type(error).__name__}: {error}); "
            f"put class {kind} into {short.replace('.', '/')}.py in the current folder{name}"
        ) from error


def digest_of_source(kind: type) -> str:
    """SHA-256 of the file of a class; of one typed in a notebook that of its own text."""
    try:
        source = Path(inspect.getfile(kind)).read_bytes()
    except (OSError, TypeError):
        source = inspect.getsource(kind).encode()
    return hashlib.sha256(source).hexdigest()
