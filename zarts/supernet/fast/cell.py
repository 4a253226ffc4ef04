"""One cell of the supernet at work: sources are read once, their candidates summed to nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from zarts.bilevel.chance import Chance
from zarts.bilevel.rng import generator
from zarts.supernet.drops import number_mask, path_masks
from zarts.supernet.family import Edges, Source
from zarts.supernet.fast.kernels import Kernels, factorized_reduce, from_phases, join, pointwise
from zarts.supernet.fast.normalization import batch_norm
from zarts.supernet.layout import EDGES, NODES, Cell, Use
from zarts.supernet.operations import OPERATIONS, names

__all__ = ["Candidate", "CellPass", "Plan", "Scales", "places", "scales"]

# per source: operation -> its mixture weights (E, ...)
Scales = list[dict[str, Tensor]]
Plan = list[dict[str, list[Use]]]


def places(plan: Plan, columns: int) -> list[int]:
    """Where the mixture weights that a cell needs stand in its table (14, ``columns``), row by row.

    In the order of the plan: by source, by operation, by edge.
    """
    return [
        use.edge * columns + use.column
        for source in plan
        for uses in source.values()
        for use in uses
    ]


def scales(mixture: Tensor, plan: Plan) -> Scales:
    """Cuts mixture weights (n, ...), in the order of ``places``, by source and operation."""
    pieces = iter(mixture.split([len(uses) for source in plan for uses in source.values()]))
    return [{operation: next(pieces) for operation in source} for source in plan]


class Candidate(NamedTuple):
    """What one operation gives on one edge.

    Attributes:
        use: The operation and the edge.
        place: Position of the edge among those that leave the source.
        operation: Its name.
        value: The image (n, C, h, w), maybe shared with other edges.
        mixed: Whether it is already multiplied by its mixture weight.
        phased: Whether its pixels are in the order of ``to_phases``.
    """

    use: Use
    place: int
    operation: str
    value: Tensor
    mixed: bool
    phased: bool


@dataclass(frozen=True)
class CellPass:
    """The forward pass of one cell, with its weights.

    Attributes:
        weights: ω of the whole network.
        index: Number of the cell.
        cell: Its channels and strides.
        plan: Its operations by source.
        chance: What operations draw with.
        kernels: How convolutions are computed.
        lanes: How many candidates are computed side by side, as further channels: the outermost
            ones, but for those of an image of stacked edges. If more than one, each has its own row
            of every weight.
    """

    weights: Mapping[str, Tensor]
    index: int
    cell: Cell
    plan: Plan
    chance: Chance
    kernels: Kernels
    lanes: int = 1

    def __call__(
        self,
        before: Tensor,
        now: Tensor,
        mixture: Tensor,
        known: Mapping[int, list[Candidate]] | None = None,
    ) -> Tensor:
        """Maps the outputs of the last two cells, after ReLU, to this cell's (n, 4C, h', w').

        Args:
            before: Output of the cell before the last (n, B, h, w).
            now: Output of the last cell.
            mixture: Mixture weights in the order of ``places``, (n,) or (n, lanes).
            known: Candidates of sources 0 and 1 that are already there, by source.
        """
        # copies per channel: the gradient of batch_norm is wrong for an expanded scale
        wide = mixture.unsqueeze(-1).expand(*mixture.shape, self.cell.channels).contiguous()
        own, per_channel = scales(mixture, self.plan), scales(wide, self.plan)
        states: list[Tensor] = []
        nodes, phases = _Sums(), _Sums()
        kept = path_masks(self.chance, self.index, now)
        for source in range(NODES + 1):
            if known and source in known:
                found: Iterator[Candidate] = iter(known[source])
            else:
                x = self.read(source, (before, now)[source]) if source < 2 else states[source - 2]
                found = self.candidates(source, x, per_channel[source])
            # where paths are dropped, what belongs to one is summed first
            sums = nodes if kept is None else _Sums()
            for candidate in found:
                use, place, operation, value, mixed, phased = candidate
                scale = None
                if not mixed and self.lanes == 1:
                    scale = own[source][operation][place]
                elif not mixed:  # of each lane for its channels
                    scale = per_channel[source][operation][place].reshape(-1, 1, 1)
                whole = use.node if kept is None else use.edge
                (phases if phased else sums).add(whole, value, scale)
            if kept is not None:
                for edge, (node, start) in enumerate(EDGES):
                    if start == source and edge in phases:
                        sums.add(edge, from_phases(phases.pop(edge)))
                    if edge in sums:
                        nodes.add(node, sums.pop(edge), kept[edge])
            if source > 0:  # node i reads the sources 0..i+1, so it is complete now
                node = source - 1
                if kept is None and node in phases:
                    nodes.add(node, from_phases(phases.pop(node)))
                states.append(nodes.pop(node) if node in nodes else self._nothing(now))
        return join(states, self.kernels, self.lanes)

    def read(self, source: int, x: Tensor) -> Tensor:
        """Brings input 0 or 1 (n, B, h, w), after ReLU, to the channels and size of this cell."""
        weight = self._stacked(self.weights[f"cells.{self.index}.input.{source}"], 1)
        if source == 0 and self.cell.after_reduction:
            return batch_norm(self.kernels.laid(factorized_reduce(x, weight, 1, self.lanes)))
        return batch_norm(pointwise(x, weight, self.lanes, self.kernels))

    def candidates(
        self, source: int, x: Tensor, scales: Mapping[str, Tensor] | None
    ) -> Iterator[Candidate]:
        """Yields what all operations that read ``source`` give.

        Args:
            source: 0..4.
            x: Its image (n, C, h, w).
            scales: Mixture weights by operation, per channel; None leaves every candidate without
                its weight, so that it does not depend on α.
        """
        read = Source(x, self.cell.stride(source), self.kernels, self.lanes)
        yield from self.found(source, read, scales)

    def found(
        self, source: int, read: Source, scales: Mapping[str, Tensor] | None
    ) -> Iterator[Candidate]:
        """The same, given what operations read of the source."""
        for operation, uses in self.plan[source].items():
            edges = Edges(
                len(uses),
                self._tensors(source, operation, len(uses)),
                scales[operation] if scales else None,
                partial(self._rng, operation, uses),
            )
            values, mixed, phased = OPERATIONS[operation].apply(read, edges)
            if self.chance.drop_skip and OPERATIONS[operation].drops(read.stride):
                values = self._thinned(values, uses)
            for place, (use, value) in enumerate(zip(uses, values, strict=True)):
                yield Candidate(use, place, operation, value, mixed, phased)

    def _nothing(self, now: Tensor) -> Tensor:
        """A node that nothing leads to, given the output of the last cell."""
        images, _, *sides = now.shape
        height, width = (-(-side // self.cell.stride(1)) for side in sides)
        channels = self.lanes * self.cell.channels
        return self.kernels.laid(now.new_zeros(images, channels, height, width))

    def _thinned(self, values: Iterable[Tensor], uses: list[Use]) -> Iterator[Tensor]:
        """Images without the numbers that are dropped, the same ones in all lanes."""
        for value, use in zip(values, uses, strict=True):
            shape = len(value), self.cell.channels, *value.shape[2:]
            mask = number_mask(self.chance, self.index, use.edge, shape, value)
            yield value * self.kernels.laid(mask.repeat(1, self.lanes, 1, 1))

    def _rng(self, operation: str, uses: list[Use], place: int) -> torch.Generator:
        return generator(self.chance.key, operation, self.index, uses[place].edge)

    def _tensors(self, source: int, operation: str, edges: int) -> dict[str, Tensor]:
        own = names(operation, self.cell.stride(source))
        prefix = f"cells.{self.index}.source.{source}.{operation}"
        return {name: self._stacked(self.weights[f"{prefix}.{name}"], edges) for name in own}

    def _stacked(self, weight: Tensor, edges: int) -> Tensor:
        """Weights with the lanes within the edges: (L, E·C, ...) -> (E·L·C, ...)."""
        if self.lanes == 1:
            return weight
        lanes, rows, *rest = weight.shape  # views by hand: unflatten takes as long as the copy
        stacked = weight.view(lanes, edges, rows // edges, *rest).transpose(0, 1)
        return stacked.reshape(lanes * rows, *rest)


class _Sums(dict[int, Tensor]):
    """The unfinished nodes of a cell, or the edges of a source."""

    def __init__(self) -> None:
        super().__init__()
        self._own: set[int] = set()  # sums that are nobody else's tensor, so can grow in place

    def add(self, node: int, value: Tensor, scale: Tensor | None = None) -> None:
        """Adds ``value``, times ``scale`` if there is one, to the sum of ``node`` (or an edge)."""
        total = self.get(node)
        if total is None:
            self[node] = value if scale is None else value * scale
            if scale is None:
                return
        elif scale is not None:
            if node in self._own:
                total.addcmul_(value, scale)
            else:
                self[node] = torch.addcmul(total, value, scale)
        elif node in self._own:
            total.add_(value)
        else:
            self[node] = total + value
        self._own.add(node)
