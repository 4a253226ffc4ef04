"""Nested tables of settings: merged, read from TOML and ``key=value``, built into dataclasses."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import math
import re
import textwrap
import tomllib
import types
import typing
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

__all__ = [
    "ConfigError",
    "Table",
    "attributes",
    "build",
    "commented",
    "from_toml",
    "keys_of",
    "merge",
    "nearest",
    "parse_assignment",
    "read_toml",
]

Table = dict[str, Any]
T = TypeVar("T")


class ConfigError(ValueError):
    """A setting that cannot be used; the message says got, expected and what to do."""


def merge(*tables: Mapping[str, Any]) -> Table:
    """Merges nested tables; later ones win key by key.

    Raises:
        ConfigError: If a key is a table in one of them and a single value in another.
    """
    return _merge(tables, "")


def _merge(tables: Iterable[Mapping[str, Any]], prefix: str) -> Table:
    merged: Table = {}
    for table in tables:
        for name, value in table.items():
            key, old = prefix + name, merged.get(name, value)
            if isinstance(old, Mapping) and not isinstance(value, Mapping):
                raise ConfigError(f"{key} is {value!r}, expected a table of settings")
            if isinstance(value, Mapping):
                if not isinstance(old, Mapping):
                    inner = ", ".join(f"{key}.{each}" for each in value)
                    raise ConfigError(f"{key} is {old!r} and no table, but got {inner} too")
                value = _merge((merged.get(name, {}), value), f"{key}.")
            merged[name] = value
    return merged


def keys_of(table: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted keys of all values; of an empty table, its own."""
    for name, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from keys_of(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error message: the most similar known names, or all of them."""
    known = list(known)
    close = {each: difflib.SequenceMatcher(None, each, name).ratio() for each in known}
    near = [each for each, ratio in close.items() if ratio == max([0.5, *close.values()])]
    meant = " or ".join(map(repr, near))
    return f"did you mean {meant}?" if near else f"expected one of: {', '.join(known)}"


def parse_assignment(text: str) -> Table:
    """Turns ``search.epochs=3`` into ``{"search": {"epochs": 3}}``; values are TOML, else strings.

    Raises:
        ConfigError: If this is no ``key=value``.
    """
    key, equals, value = text.partition("=")
    parts = [part.strip() for part in key.split(".")]
    if not equals or not all(parts):
        raise ConfigError(f"got --set {text!r}, expected key=value such as search.epochs=3")
    if len(parts) > MOST_NESTED or nested_text(value):
        raise ConfigError(f"got --set {text:.40}…, which is nested deeper than {MOST_NESTED}")
    try:
        found = tomllib.loads(f"value = {value}")
    except ValueError:  # not TOML, or a number of too many digits
        found = {}
    # a value with a line break could smuggle in a second setting that nobody would read
    parsed: Any = found["value"] if found.keys() == {"value"} else value.strip()
    for part in reversed(parts):
        parsed = {part: parsed}
    table: Table = parsed
    return table


MOST_BYTES = 1 << 16  # of a file of settings; those of the paper take 2,000
MOST_NESTED = 8  # tables and lists in each other; settings have two


def read_toml(path: Path) -> Table:
    """Reads nested tables from a TOML file.

    Raises:
        ConfigError: If the file cannot be read, is too large, is nested too deep or is not TOML.
    """  # noqa: DOC501 - an OSError becomes one
    try:
        if path.exists() and not path.is_file():  # a device or a pipe may never end
            raise OSError("it is no file")
        if path.stat().st_size > MOST_BYTES:
            raise OSError(f"it has more than {MOST_BYTES:,} bytes")
        return from_toml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # not there, not UTF-8, not TOML
        raise ConfigError(f"cannot read the config {path}: {error}") from error


def from_toml(text: str) -> Table:
    """Nested tables of a text; one that would cost much is refused before it is parsed.

    Raises:
        ConfigError: If it is nested too deep.
        ValueError: If it is not TOML.
    """
    if nested_text(text) or _nested(table := tomllib.loads(text)):
        raise ConfigError(f"it is nested deeper than {MOST_NESTED}")
    return table


def attributes(kind: object) -> dict[str, str]:
    """What the docstring of a dataclass says of each of its fields, by name, in one line each."""
    body = (inspect.getdoc(kind) or "").partition("Attributes:\n")[2].partition("\n\n")[0]
    entries = re.findall(r"^    (\w+): (.+(?:\n     .+)*)", body, re.MULTILINE)
    return {name: " ".join(entry.split()).replace("``", "`") for name, entry in entries}


def commented(text: str, kinds: Mapping[str, object]) -> str:
    """The text of settings with comments: above each setting and table, what docstrings say of it.

    Args:
        text: TOML in which each key and each table begins a line, as ``tomli_w`` writes it.
        kinds: The class of each table by its name; of the settings before the first table, by "".
    """
    lines = []
    outer = entries = attributes(kinds[""])
    for line in text.split("\n"):
        if found := re.match(r"\[(\w+)\]|(\w+) = ", line):
            table, name = found.groups()
            about = outer.get(table, "") if table else entries.get(name, "")
            lines += [f"# {part}" for part in textwrap.wrap(about, 98, break_on_hyphens=False)]
            entries = attributes(kinds[table]) if table else entries
        lines.append(line)
    return "\n".join(lines)


def nested_text(text: str) -> bool:
    """Whether a key, or brackets in brackets, have more than ``MOST_NESTED`` parts.

    The time and memory that tomllib takes for a dotted key grow with its square, and it follows
    brackets by recursion.
    """
    place = dots = depth = 0
    quote = ""
    while place < len(text):
        letter, width = text[place], 1
        if quote:
            if letter == "\\" and quote[0] == '"':
                width = 2
            elif text.startswith(quote, place):
                width = len(quote)
                if width == 3:  # one or two more belong to the text before
                    tail = text[place + 3 : place + 5]
                    width += len(tail) - len(tail.lstrip(letter))
                quote = ""
            elif letter == "\n" and len(quote) == 1:  # never closed, as tomllib will say
                quote = ""
        elif letter in "\"'":
            quote = 3 * letter if text.startswith(3 * letter, place) else letter
            width = len(quote)
        elif letter == "#":
            end = text.find("\n", place)
            width = end - place if end > 0 else len(text)
        elif letter == ".":
            dots += 1
        elif letter in "\n=,[]{}":
            dots = 0
            depth += (letter in "[{") - (letter in "]}")
        if max(dots + 1, depth) > MOST_NESTED:
            return True
        place += width
    return False


def _nested(value: object, levels: int = MOST_NESTED) -> bool:
    """Whether there are more than so many tables and lists in each other."""
    if not isinstance(value, Mapping | list):
        return False
    inner = value.values() if isinstance(value, Mapping) else value
    return levels == 0 or any(_nested(each, levels - 1) for each in inner)


def build(kind: type[T], table: object) -> T:
    """Makes a dataclass, and those inside it, of nested tables; missing keys keep their defaults.

    Args:
        kind: A dataclass. Its fields are dataclasses, ``int``, ``float``, ``str``, ``Literal`` of
            strings, ``tuple[item, ...]``, ``str | float``, or ``Mapping`` of names to plain values.
        table: Settings by field name.

    Raises:
        ConfigError: For unknown keys (the nearest is named) and values of another type.
    """
    made: T = _build(kind, table, "", list(_keys(kind, "")))
    return made


@cache  # settings are built of a table for each run that is looked at
def _hints(kind: type) -> dict[str, Any]:
    """The types of the fields of a dataclass by name."""
    return typing.get_type_hints(kind)


def _keys(kind: Any, prefix: str) -> Iterator[str]:  # noqa: ANN401 - one dataclass or another
    """The dotted keys of all settings."""
    for name, hint in _hints(kind).items():
        if dataclasses.is_dataclass(hint):
            yield from _keys(hint, f"{prefix}{name}.")
        else:
            yield prefix + name


def _build(kind: Any, table: object, prefix: str, known: list[str]) -> Any:  # noqa: ANN401
    if not isinstance(table, Mapping):
        what = prefix.rstrip(".") or "the configuration"
        raise ConfigError(f"{what} is {table!r}, expected a table of settings")
    hints = _hints(kind)
    values: Table = {}
    for name, value in table.items():
        key = prefix + name
        if name not in hints:
            raise ConfigError(f"unknown setting {key!r}; {_suggestion(name, prefix, hints, known)}")
        if dataclasses.is_dataclass(hints[name]):
            values[name] = _build(hints[name], value, f"{key}.", known)
        else:
            values[name] = _convert(hints[name], value, key)
    return kind(**values)


def _suggestion(name: str, prefix: str, siblings: Collection[str], known: list[str]) -> str:
    """What a wrong key may have meant: the same name elsewhere, or one spelt alike."""
    leaves: dict[str, list[str]] = {}
    for key in known:
        leaves.setdefault(key.rpartition(".")[2], []).append(key)
    here = [prefix + other for other in difflib.get_close_matches(name, siblings, n=1)]
    alike = difflib.get_close_matches(name, leaves, n=1, cutoff=0.8)
    found = [*here, *leaves.get(name, [])] or [key for leaf in alike for key in leaves[leaf]]
    if found:
        return f"did you mean {' or '.join(map(repr, found))}?"
    return f"expected one of: {', '.join(prefix + other for other in siblings)}"


def _convert(hint: Any, value: object, key: str) -> object:  # noqa: ANN401 - the field's own type
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value not in arguments:
            # all of them: they are few, and the most similar word need not be the one meant
            raise ConfigError(f"{key} is {value!r}; expected one of: {', '.join(arguments)}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            such = '["darts-1"]' if arguments[0] is str else "[1, 2]"
            raise ConfigError(f"{key} is {value!r}, expected a list such as {such}")
        return tuple(_convert(arguments[0], item, f"{key}[{n}]") for n, item in enumerate(value))
    if origin is types.UnionType:
        return _scalar(str if isinstance(value, str) else float, value, key)
    if origin is None:
        return _scalar(hint, value, key)
    return _plain(value, key)


_EXPECTED = {int: "a whole number", float: "a finite number", str: "one line of text"}


def _scalar(kind: type, value: object, key: str) -> object:
    whole = isinstance(value, int) and not isinstance(value, bool)
    got: object = value
    if kind is float and whole:
        try:
            got = float(typing.cast("int", value))
        except OverflowError:
            got = math.inf
    fine = isinstance(got, kind) and not isinstance(got, bool)
    if isinstance(got, float):
        fine = fine and math.isfinite(got)
    if isinstance(got, str):  # control characters and half surrogates do not survive a file
        fine = fine and got.isprintable()
    if not fine:
        raise ConfigError(f"{key} is {value!r}, expected {_EXPECTED[kind]}")
    return got


def _plain(table: object, key: str) -> Table:
    """A table of names to plain values that another part of the program knows more about."""
    if not isinstance(table, Mapping):
        raise ConfigError(f"{key} is {table!r}, expected a table of settings")
    values: Table = {}
    for name, value in table.items():
        inner = f"{key}.{name}"
        if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
            raise ConfigError(f"unknown setting {inner!r}; names are made of letters, digits and _")
        kind = next((kind for kind in _EXPECTED if isinstance(value, kind)), None)
        if kind is None:
            raise ConfigError(f"{inner} is {value!r}, expected a number, text, true or false")
        values[name] = value if isinstance(value, bool) else _scalar(kind, value, inner)
    return values
