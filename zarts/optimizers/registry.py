"""All methods by name: those of this folder, and ``module:Class`` of a user's own file.

Names are read here without importing what they name; ``load`` imports it, and only what computes
calls it.
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import pkgutil
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from zarts.bilevel.own import digest_of_source, imported
from zarts.optimizers.method import Method, Style

__all__ = ["METHODS", "OwnName", "digests", "load", "method_of", "name_of", "record_name"]


def _found() -> dict[str, Method]:
    folder = __name__.rpartition(".")[0]
    files = pkgutil.iter_modules([str(Path(__file__).parent)])
    modules = [import_module(f"{folder}.{file.name}") for file in files if file.name != "registry"]
    methods = [method for module in modules for method in getattr(module, "METHODS", ())]
    return {method.name: method for method in sorted(methods, key=lambda method: method.rank)}


METHODS: Mapping[str, Method] = _found()  # in the order of legends and tables

_COLORS = ("#8F6A00", "#7A5195", "#B0413E", "#3D7D6B", "#5F6B8A", "#A0529B")
_SYMBOLS = ("star", "hexagon", "bowtie", "pentagon", "star-diamond", "hourglass")
_OWN = re.compile(r"([A-Za-z_][\w.]*):([A-Za-z_]\w*)(\(.*\))?", re.ASCII | re.DOTALL)


@dataclass(frozen=True)
class OwnName:
    """What ``module:Class(field=value)`` says.

    Attributes:
        module: In which the class is looked for; the current folder is searched too.
        kind: Name of the class.
        settings: Its hyper-parameters, where they are not the defaults.
    """

    module: str
    kind: str
    settings: Mapping[str, Any]

    @classmethod
    def parse(cls, name: str) -> OwnName | None:
        """The parts of such a name; None for any other text."""
        found = _OWN.fullmatch(name)
        if not found:
            return None
        try:
            call = ast.parse(f"f{found[3] or '()'}", mode="eval").body
            assert isinstance(call, ast.Call)
            settings = {str(one.arg): ast.literal_eval(one.value) for one in call.keywords}
        except (AssertionError, SyntaxError, ValueError, MemoryError, RecursionError):
            return None
        plain = all(isinstance(value, bool | int | float | str) for value in settings.values())
        if call.args or "None" in settings or not plain:
            return None
        return cls(found[1], found[2], settings)


def method_of(name: str) -> Method:
    """The method of this name; of one that is not of this folder, how it is drawn and no more."""
    if name in METHODS:
        return METHODS[name]
    own = OwnName.parse(name)
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])
    color, symbol = _COLORS[number % 6], _SYMBOLS[number // 6 % 6]
    label = name.partition(":")[2] if own else name
    return Method(name, Style(label, color, symbol, "dash"))


def record_name(name: str) -> str:
    """The record of this method's path in a run."""
    if re.fullmatch(r"(?!\.)[A-Za-z0-9._-]{1,80}", name):
        return f"paths/{name}"
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"paths/{re.sub(r'[^A-Za-z0-9_-]+', '-', name)[:60].strip('-')}-{digest}"


def name_of(optimizer: object) -> str:
    """The name, ``module:Class(field=value)``, of an optimizer or of its class.

    Raises:
        ValueError: If it is no dataclass at the top of a module, or a field is no plain value.
    """
    kind = optimizer if isinstance(optimizer, type) else type(optimizer)
    if not dataclasses.is_dataclass(kind) or "." in kind.__qualname__:
        raise ValueError(
            f"got {optimizer!r:.80}, expected a method's name, or a frozen dataclass that stands "
            "at the top of a module"
        )
    changed = {} if isinstance(optimizer, type) else _changed(optimizer)
    call = ", ".join(f"{name}={value!r}" for name, value in changed.items())
    name = f"{kind.__module__}:{kind.__qualname__}{f'({call})' if call else ''}"
    if OwnName.parse(name) is None:
        raise ValueError(f"{name} has a field that is no number, text or truth value")
    return name


def _changed(optimizer: Any) -> dict[str, Any]:  # noqa: ANN401 - a dataclass of the user's
    fields = dataclasses.fields(optimizer)
    values = {spec.name: getattr(optimizer, spec.name) for spec in fields}
    return {spec.name: values[spec.name] for spec in fields if values[spec.name] != spec.default}


def load(name: str) -> Method:
    """The method of this name with its class, imported.

    A class of one's own may say how it is compared, by class attributes with the names of
    ``Method``: ``descends``, ``reach`` and ``rate``.

    Raises:
        ValueError: If there is no such method, or it cannot be imported or used; says why.
    """
    method, own = method_of(name), OwnName.parse(name)
    if name in METHODS:
        return method
    if own is None:
        known = ", ".join(METHODS)
        raise ValueError(f"{name!r} is no method; expected one of {known}, or MODULE:CLASS")
    kind = _imported(own)
    given = {key: getattr(kind, key) for key in ("descends", "reach", "rate") if hasattr(kind, key)}
    return replace(method, optimizer=kind, fixed=own.settings, **given)


def _imported(own: OwnName) -> Callable[..., Any]:
    kind = imported(own.module, own.kind)
    there = {*dir(kind), *getattr(kind, "__dataclass_fields__", ())}
    lacks = [part for part in ("step", "evaluations", "gradients") if part not in there]
    if not dataclasses.is_dataclass(kind) or lacks:
        raise ValueError(
            f"{own.module}:{own.kind} is no optimizer: expected a frozen dataclass with step, "
            f"evaluations and gradients{f'; it lacks {lacks}' if lacks else ''}"
        )
    found: Callable[..., Any] = kind  # type: ignore[assignment]
    return found


def digests(names: Iterable[str]) -> dict[str, str]:
    """SHA-256 of the source of each method that is not of this folder, by name.

    Raises:
        ValueError: If one cannot be imported.
    """
    found = {}
    for name in dict.fromkeys(names):
        if name not in METHODS:
            kind = load(name).optimizer
            assert isinstance(kind, type)
            found[name] = digest_of_source(kind)
    return found
