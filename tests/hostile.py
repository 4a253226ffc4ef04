"""Runs whose every text wants something: an image, a link, a colour, a formula, a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zarts.runs.runfile import Run

HOST = "127.0.0.1:9"  # where nobody listens; a request there is seen, and goes no further
TEXT = (
    f"![x](http://{HOST}/x.png) <img src='http://{HOST}/y.png'> [l](http://{HOST}/l) "
    f"<a href='http://{HOST}/a'>a</a> https://{HOST}/b www.evil.example/c d@evil.example "
    ":red[r] :material/error: :smile: $\\frac{a}{b}$ $x$ `c` **b** %{x} \u202eturned "
    "\x1b]0;title\x07 \x1b[31mred\rback\nerror: forged"
)
WORDS = {"darts-1", "darts-2", "zarts-rs", "zarts-mgs", "zarts-gld"}  # without which nothing loads


def hostile(value: Any) -> Any:
    """The value with ``TEXT`` for all its texts; the names of methods stay."""
    if isinstance(value, Mapping):
        return {key: hostile(each) for key, each in value.items()}
    if isinstance(value, list):
        return [hostile(each) for each in value]
    return TEXT if isinstance(value, str) and value not in WORDS else value


def hostile_copy(run: Run, folder: Path) -> Run:
    """A run of the same numbers that can be drawn, each of its texts replaced by ``TEXT``."""
    said = hostile(run.provenance) | {TEXT: TEXT}
    other = Run.create(folder, hostile(run.config) | {TEXT: TEXT}, said)
    for name in run.names():
        record = run.read(name)
        facts = hostile(record.attributes)
        if name == "plane":
            facts |= dict.fromkeys(("space", "seed", "inner_learning_rate", "val_images"), TEXT)
        if name.startswith("paths/"):
            facts["note"] = TEXT
        other.write(name, record.arrays, facts)
    return other
