"""The search spaces of the DARTS family: which operations each edge may choose from.

Sources: DARTS (``s5``: 8 operations), ZARTS (``s6``: the same without ``none``), and RobustDARTS
for ``s1`` to ``s4`` (its ``src/spaces.py``; ZARTS uses the same tables).
"""

from __future__ import annotations

from zarts.alpha import Group, Space

__all__ = ["SPACES"]

_DARTS = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
_EDGES = 14  # four nodes with 2, 3, 4 and 5 inputs

_SHORT = {
    "sk": "skip_connect",
    "s3": "sep_conv_3x3",
    "d3": "dil_conv_3x3",
    "d5": "dil_conv_5x5",
    "mp": "max_pool_3x3",
    "ap": "avg_pool_3x3",
}
# One line per node, one word per edge in the order of its inputs.
_S1_NORMAL = """
    sk/d3 sk/d5
    sk/d5 sk/s3 sk/d3
    mp/sk sk/s3 sk/s3 sk/d3
    sk/s3 mp/sk sk/d3 d3/d5 d3/d5
"""
_S1_REDUCE = """
    mp/ap mp/d3
    mp/ap mp/ap sk/d5
    mp/ap mp/s3 sk/d3 sk/d5
    mp/ap mp/ap sk/d5 sk/d5 sk/d5
"""


def _uniform(name: str, *operations: str) -> Space:
    """Returns the space whose edges all offer the same ``operations``."""
    edges = (operations,) * _EDGES
    return Space(name, (Group("normal", edges), Group("reduce", edges)))


def _parse(table: str) -> tuple[tuple[str, ...], ...]:
    """Expands a table of abbreviations to the operations of each edge."""
    return tuple(tuple(_SHORT[word] for word in edge.split("/")) for edge in table.split())


SPACES: dict[str, Space] = {
    space.name: space
    for space in (
        Space("s1", (Group("normal", _parse(_S1_NORMAL)), Group("reduce", _parse(_S1_REDUCE)))),
        _uniform("s2", "skip_connect", "sep_conv_3x3"),
        _uniform("s3", "none", "skip_connect", "sep_conv_3x3"),
        _uniform("s4", "noise", "sep_conv_3x3"),
        _uniform("s5", *_DARTS),
        _uniform("s6", *_DARTS[1:]),
    )
}
