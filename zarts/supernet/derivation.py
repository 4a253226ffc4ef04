"""Which architecture an α stands for: the rules of DARTS, GDAS and P-DARTS, side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from zarts.supernet.genotype import Genotype, Inputs
from zarts.supernet.layout import EDGES, NODES

if TYPE_CHECKING:
    from torch import Tensor

    from zarts.bilevel.alpha import Space

__all__ = ["MOST_SKIPS", "RULES", "derive", "derive_from", "entropy"]

Weighed = Sequence[Sequence[tuple[str, float]]]  # of each edge: operations and their weights

MOST_SKIPS = 2  # in the normal cell, by P-DARTS' rule (its §4.2)
_SKIP = "skip_connect"


def derive(space: Space, alpha: Tensor, rule: str = "darts") -> Genotype:
    """Derives the discrete architecture of α. ``none`` counts in the softmax, but is never chosen.

    A node lists its inputs by falling weight. Among equal weights the lowest edge and the lowest
    operation come first.

    Example:
        >>> import torch
        >>> from zarts import SPACES, derive
        >>> space = SPACES["s2"]
        >>> derive(space, torch.arange(float(space.dim))).normal[:2]
        (('sep_conv_3x3', 0), ('sep_conv_3x3', 1))

    Args:
        space: A space of supernets.
        alpha: Raw logits (dim,).
        rule: One of ``RULES``. ``darts``: of every node the two incoming edges whose strongest
            operation weighs most, and that operation. ``gdas``: of every node the two pairs of
            edge and operation that weigh most; both may be on one edge. ``pdarts``: as ``darts``,
            but as long as the normal cell has more than two skip connections, the lightest of them
            is forbidden and the cell derived again.

    Raises:
        ValueError: If α is not a vector of the space or not finite, or the rule is unknown.

    Source: DARTS §2.4, with the order within a node as in its released code; GDAS' and P-DARTS'
    released code.
    """
    tables = space.mixture(alpha.detach())
    return derive_from(space, {name: table.tolist() for name, table in tables.items()}, rule)


def derive_from(
    space: Space, weights: Mapping[str, Sequence[Sequence[float]]], rule: str = "darts"
) -> Genotype:
    """The same of weights after the softmax: without torch, as of ``space.weights``.

    Example:
        >>> import numpy as np
        >>> from zarts import SPACES
        >>> from zarts.supernet.derivation import derive_from
        >>> space = SPACES["s2"]
        >>> weights = space.weights(np.arange(float(space.dim)))
        >>> derive_from(space, {name: each.tolist() for name, each in weights.items()}).normal[:2]
        (('sep_conv_3x3', 0), ('sep_conv_3x3', 1))

    Args:
        space: A space of supernets.
        weights: Of each cell, edge and operation.
        rule: As in ``derive``.

    Raises:
        ValueError: If a weight is not finite, or the rule is unknown.
    """
    if rule not in RULES:
        raise ValueError(f"got rule {rule!r}, expected one of {', '.join(RULES)}")
    if not all(math.isfinite(each) for table in weights.values() for row in table for each in row):
        raise ValueError("got an α with NaN or infinite entries, expected finite logits")
    cell = {
        group.name: RULES[rule](
            [
                [pair for pair in zip(names, row, strict=True) if pair[0] != "none"]
                for names, row in zip(group.operations, weights[group.name], strict=True)
            ],
            group.name,
        )
        for group in space.groups
    }
    return Genotype(cell["normal"], cell["reduce"])


def _darts(edges: Weighed, kind: str) -> Inputs:
    del kind
    best = [max(edge, key=_weight) for edge in edges]  # max keeps the first of equals
    return _two_of_each([[pair] for pair in best])


def _gdas(edges: Weighed, kind: str) -> Inputs:
    del kind
    return _two_of_each(edges)


def _pdarts(edges: Weighed, kind: str) -> Inputs:
    found = _darts(edges, kind)
    while kind == "normal":
        kept = [
            (dict(edges[edge])[_SKIP], edge)
            for edge, (node, source) in enumerate(EDGES)
            if (_SKIP, source) in found[2 * node : 2 * node + 2]
        ]
        allowed = [skip for skip in kept if skip[0]]  # others have nothing else left to take
        if len(kept) <= MOST_SKIPS or not allowed:
            break
        _, where = min(allowed)
        edges = [
            [(name, 0.0 if name == _SKIP and edge == where else weight) for name, weight in each]
            for edge, each in enumerate(edges)
        ]
        found = _darts(edges, kind)
    return found


def _two_of_each(edges: Weighed) -> Inputs:
    """The two heaviest pairs of operation and source of every node."""
    kept: list[tuple[str, int]] = []
    for node in range(NODES):
        pairs = [
            (name, source, weight)
            for (target, source), each in zip(EDGES, edges, strict=True)
            if target == node
            for name, weight in each
        ]
        pairs.sort(key=lambda pair: -pair[2])  # a stable sort: the lower edge first
        kept += [(name, source) for name, source, _ in pairs[:2]]
    return tuple(kept)


def _weight(pair: tuple[str, float]) -> float:
    return pair[1]


# From the weights of a cell and its kind to its inputs.
RULES: dict[str, Callable[[Weighed, str], Inputs]] = {
    "darts": _darts,
    "gdas": _gdas,
    "pdarts": _pdarts,
}


def entropy(space: Space, alpha: Tensor) -> float:
    """Returns the mean entropy of the edges' mixtures in nats: log K if undecided, 0 if decided.

    Example:
        >>> import torch
        >>> from zarts import SPACES, entropy
        >>> space = SPACES["s2"]  # two operations per edge
        >>> round(entropy(space, torch.zeros(space.dim)), 3)
        0.693
    """
    tables = [table.double() for table in space.mixture(alpha.detach()).values()]
    edges = [-(table.xlogy(table)).sum(dim=1) for table in tables]
    count = sum(len(table) for table in tables)
    return sum(float(edge.sum()) for edge in edges) / count
