"""The supernet of GDAS and GZAS: of each edge one drawn operation is computed, and no other.

Source: GDAS (Dong and Yang, CVPR 2019) and its released code; ZARTS §4.4 searches it without
gradients (GZAS).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor
from torch.nn import functional

from zarts.bilevel.chance import Chance
from zarts.bilevel.rng import generator
from zarts.supernet.fast.cell import CellPass, Plan
from zarts.supernet.fast.network import FastNetwork
from zarts.supernet.operations import names, shapes

__all__ = ["SampledSupernet"]

Weights = Mapping[str, Tensor]

CERTAIN = 1e3  # a logit above the others' by this is drawn


@dataclass(frozen=True)
class SampledSupernet(FastNetwork):
    """One operation per edge, drawn with the probabilities softmax(α) by the chance of the batch.

    All cells of a type share the draw, and so do all candidates that see the batch. Its value is
    that of the drawn architecture, so it changes with α only where a draw does, and has no
    derivative there. What autograd gives for α is the straight-through estimator of
    ``Space.one_hot``, to which only drawn operations contribute. Weights that were not drawn have a
    gradient of zero.

    It has neither ``many`` nor ``each``: what candidates share depends on who they are, and no
    value may depend on its company.
    """

    def __call__(self, weights: Weights, alpha: Tensor, images: Tensor, chance: Chance) -> Tensor:
        """Returns the logits (n, classes); see ``zarts.supernet.protocol.Network``.

        Raises:
            ValueError: If α or the images have the wrong shape.
        """
        self._check(images)
        plans, factors = {}, {}
        for name, table in self._drawn(alpha, chance).items():
            plan = plans[name] = self._chosen(name, self._columns(table))
            ones = (table * table.detach()).sum(1)  # its gradient reaches the drawn entries alone
            edges = [use.edge for source in plan for uses in source.values() for use in uses]
            factors[name] = torch.stack([ones[edge] for edge in edges]) if edges else ones[:0]

        def cell(index: int, before: Tensor, now: Tensor) -> Tensor:
            cell = self._layout[index]
            plan, own = plans[cell.kind], self._rows(weights, index, plans[cell.kind])
            run = CellPass(own, index, cell, plan, chance, self.kernels)
            return run(before, now, factors[cell.kind])

        return self._logits(weights, self._stem(weights, images), cell)

    def distinct(self, alphas: Tensor, chances: Iterable[Chance]) -> int:
        """How many different networks the rows of ``alphas`` (k, dim) are, over all these draws."""
        drawn = [[self._drawn(alpha, chance) for alpha in alphas.detach()] for chance in chances]
        rows = [
            tuple(
                column
                for each in drawn
                for name, table in each[row].items()
                for column in self._columns(table)
            )
            for row in range(len(alphas))
        ]
        return len(set(rows))

    def heaviest(self) -> Tensor:
        """An α (dim,) at which the operations with the most weights are drawn."""
        rows = []
        for group in self.space.groups:
            sizes = torch.tensor([[_size(name) for name in edge] for edge in group.operations])
            rows.append(CERTAIN * functional.one_hot(sizes.argmax(1), group.width).flatten())
        return torch.cat(rows)

    def _drawn(self, alpha: Tensor, chance: Chance) -> dict[str, Tensor]:
        rng = generator(chance.key, "operations")
        return self.space.one_hot(alpha, rng, chance.temperature)

    @staticmethod
    def _columns(table: Tensor) -> list[int]:
        """Which operation of each edge a draw (edges, width) chose; a GPU is waited for."""
        found: list[int] = table.detach().argmax(1).tolist()
        return found

    def _chosen(self, name: str, columns: list[int]) -> Plan:
        """The plan of a cell type without all that was not drawn."""
        kept = [
            {
                operation: [use for use in uses if columns[use.edge] == use.column]
                for operation, uses in source.items()
            }
            for source in self._plans[name]
        ]
        return [{operation: uses for operation, uses in source.items() if uses} for source in kept]

    def _rows(self, weights: Weights, index: int, plan: Plan) -> Weights:
        """ω with the rows of a cell's drawn edges in place of those of all its edges."""
        cell, rows = self._layout[index], dict[str, Tensor]()
        for source, chosen in enumerate(plan):
            for operation, uses in chosen.items():
                every = self._plans[cell.kind][source][operation]
                if len(uses) == len(every):
                    continue
                for name in names(operation, cell.stride(source)):
                    key = f"cells.{index}.source.{source}.{operation}.{name}"
                    pieces = weights[key].chunk(len(every))
                    mine = [pieces[every.index(use)] for use in uses]
                    rows[key] = mine[0] if len(mine) == 1 else torch.cat(mine)
        return {**weights, **rows}


def _size(operation: str) -> int:
    return sum(map(prod, shapes(operation, 2, 1).values()))
