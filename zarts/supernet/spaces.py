"""The search spaces of the DARTS family: which operations each edge may choose from.

Sources: DARTS (``s5``: 8 operations), ZARTS (``s6``: the same without ``none``), and RobustDARTS
for ``s1`` to ``s4`` (its ``src/spaces.py``; ZARTS uses the same tables).
"""

from __future__ import annotations

from zarts.bilevel.alpha import Group, Space

__all__ = ["SPACES", "TABLES"]

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


Edges = tuple[tuple[str, ...], ...]  # the operations of each of the 14 edges


def _uniform(*operations: str) -> tuple[Edges, Edges]:
    """All edges offer the same ``operations``."""
    edges = (operations,) * _EDGES
    return edges, edges


def _parse(table: str) -> Edges:
    """Expands a table of abbreviations to the operations of each edge."""
    return tuple(tuple(_SHORT[word] for word in edge.split("/")) for edge in table.split())


# The operations of the normal and of the reduction cell of every space.
TABLES: dict[str, tuple[Edges, Edges]] = {
    "s1": (_parse(_S1_NORMAL), _parse(_S1_REDUCE)),
    "s2": _uniform("skip_connect", "sep_conv_3x3"),
    "s3": _uniform("none", "skip_connect", "sep_conv_3x3"),
    "s4": _uniform("noise", "sep_conv_3x3"),
    "s5": _uniform(*_DARTS),
    "s6": _uniform(*_DARTS[1:]),
}
SPACES: dict[str, Space] = {
    name: Space(name, (Group("normal", normal), Group("reduce", reduce)))
    for name, (normal, reduce) in TABLES.items()
}
