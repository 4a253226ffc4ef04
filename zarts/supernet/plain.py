"""The readable supernet: edge by edge and operation by operation, nothing fused.

It is what the fast one is checked against and measured by, and where a variant starts. Written from
the definition of the DARTS search network (Liu et al. 2019, §2 and appendix).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from zarts.bilevel.chance import Chance
from zarts.bilevel.rng import generator
from zarts.supernet.drops import number_mask, path_masks
from zarts.supernet.layout import EDGES, NODES
from zarts.supernet.operations import OPERATIONS, names, normal, reduced
from zarts.supernet.skeleton import Skeleton

__all__ = ["PlainSupernet"]

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class PlainSupernet(Skeleton):
    """The network of cells, as its definition says. Weights have the names of the fast one.

    Example:
        In a file ``mine.py``, for ``python -m zarts --set supernet.network=mine:Softer``:

        >>> from zarts import SPACES, PlainSupernet
        >>> class Softer(PlainSupernet):
        ...     def __call__(self, weights, alpha, images, chance):
        ...         return super().__call__(weights, alpha / 2, images, chance)
        >>> Softer(SPACES["s3"], channels=4, cells=3).shapes()["head.bias"]
        (10,)
    """

    def __call__(self, weights: Weights, alpha: Tensor, images: Tensor, chance: Chance) -> Tensor:
        """Returns the logits (n, classes); see ``zarts.supernet.protocol.Network``.

        Raises:
            ValueError: If α or the images have the wrong shape.
        """
        return self.run(self.apart(weights), alpha, images, chance)

    def apart(self, weights: Weights) -> dict[str, Tensor]:
        """Cuts ω into one tensor per edge, operation and parameter.

        ``cells.0.source.1.sep_conv_3x3.pointwise_0`` has the rows of all edges that leave source 1;
        ``cells.0.edge.4.sep_conv_3x3.pointwise_0`` has those of edge 4.
        """
        found = {name: weight for name, weight in weights.items() if ".source." not in name}
        for index, cell in enumerate(self._layout):
            for source, plan in enumerate(self._plans[cell.kind]):
                for operation, uses in plan.items():
                    for name in names(operation, cell.stride(source)):
                        stacked = weights[f"cells.{index}.source.{source}.{operation}.{name}"]
                        for use, rows in zip(uses, stacked.chunk(len(uses)), strict=True):
                            found[f"cells.{index}.edge.{use.edge}.{operation}.{name}"] = rows
        return found

    def run(self, apart: Weights, alpha: Tensor, images: Tensor, chance: Chance) -> Tensor:
        """The network, given ω as ``apart`` cuts it."""
        self._check(images)
        mixture = self.space.mixture(alpha)
        before, now = self._stem(apart, images)
        for index, cell in enumerate(self._layout):
            out = self._cell(apart, index, (before, now), mixture[cell.kind], chance)
            before, now = now, out
        return functional.linear(now.mean(dim=(2, 3)), apart["head.weight"], apart["head.bias"])

    def _stem(self, weights: Weights, images: Tensor) -> tuple[Tensor, Tensor]:
        def layer(x: Tensor, index: int, stride: int) -> Tensor:
            kernel, scale, shift = (
                weights[f"stem.{index}.{part}"] for part in ("convolution", "scale", "shift")
            )
            y = functional.conv2d(x, kernel, None, stride, padding=1)
            return functional.batch_norm(y, None, None, scale, shift, training=True)

        if self.stem == "cifar":
            x = layer(images, 0, 1)
            return x, x
        x = layer(functional.relu(layer(images, 0, 2)), 1, 2)
        return x, layer(functional.relu(x), 2, 2)

    def _cell(
        self,
        weights: Weights,
        index: int,
        inputs: tuple[Tensor, Tensor],
        mixture: Tensor,
        chance: Chance,
    ) -> Tensor:
        """Maps the outputs of the last two cells to this one's, given its table (14, K)."""
        cell = self._layout[index]
        states: list[Tensor] = []
        tables = {group.name: group.operations for group in self.space.groups}
        kept = path_masks(chance, index, inputs[0])

        def mixed(edge: int) -> Tensor:
            """The weighted sum of all operations of one edge, less what is dropped."""
            x, stride = states[EDGES[edge].source], cell.stride(EDGES[edge].source)
            found = []
            for weight, operation in zip(mixture[edge], tables[cell.kind][edge], strict=True):
                place = f"cells.{index}.edge.{edge}.{operation}"
                own = {name: weights[f"{place}.{name}"] for name in names(operation, stride)}
                rng = partial(generator, chance.key, operation, index, edge)
                y = OPERATIONS[operation].plain(x, own, stride, rng)
                if chance.drop_skip and OPERATIONS[operation].drops(stride):
                    y = y * number_mask(chance, index, edge, y.shape, y)
                found.append(weight * y)
            total = sum(found, start=x.new_zeros(()))
            return total if kept is None else total * kept[edge]

        for source, x in enumerate(inputs):
            weight = weights[f"cells.{index}.input.{source}"]
            if source == 0 and cell.after_reduction:
                states.append(reduced(x, weight))
            else:
                states.append(normal(functional.conv2d(functional.relu(x), weight)))
        for node in range(NODES):
            first, *others = (edge for edge, (to, _) in enumerate(EDGES) if to == node)
            states.append(sum(map(mixed, others), start=mixed(first)))
        return torch.cat(states[2:], dim=1)
