"""The supernet of MergeNAS and MergeZARTS: the convolutions of an edge share one kernel.

Source: MergeNAS (Wang et al., IJCAI 2020); the merged supernet of ZARTS §4.4 and its released code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from zarts.bilevel.alpha import Group
from zarts.bilevel.chance import Chance
from zarts.supernet.family import Edges, Source, convolved
from zarts.supernet.fast.cell import Candidate, CellPass, Plan
from zarts.supernet.fast.depthwise import depthwise
from zarts.supernet.fast.kernels import from_phases, pointwise
from zarts.supernet.fast.network import FastMixture, Picked
from zarts.supernet.layout import Use, outgoing

__all__ = ["MERGED", "SIZE", "MergedSupernet", "merge_kernels"]

Weights = Mapping[str, Tensor]

SIZE = 9
# Which rows and columns of the shared kernel belong to an operation.
MERGED = {
    "sep_conv_3x3": slice(3, 6),
    "sep_conv_5x5": slice(2, 7),
    "dil_conv_3x3": slice(2, 7, 2),
    "dil_conv_5x5": slice(0, 9, 2),
}


def merge_kernels(weight: Tensor, shares: Tensor) -> Tensor:
    """Merged kernels (n·C, 1, 9, 9) of n edges: of every tap, the weights of those who have it.

    Args:
        weight: Shared kernels (n·C, 1, 9, 9).
        shares: The mixture weight of each of ``MERGED`` on each edge (n, 4).

    Source: MergeNAS Eq. 6.
    """
    return _times(weight, _sum_of_taps(shares))


def _sum_of_taps(shares: Tensor) -> Tensor:
    """The factor of each tap: (n, 4) -> (n, 9, 9)."""
    first, *others = (
        share.view(-1, 1, 1) * taps
        for share, taps in zip(shares.unbind(1), _taps(shares.device, shares.dtype), strict=True)
    )
    return sum(others, start=first)  # one by one: a lane has the same bits as any other


def _times(weight: Tensor, factors: Tensor) -> Tensor:
    """Kernels (n·C, 1, k, k) times a factor (n, k, k) for each tap of those of an edge."""
    apart: Tensor = weight.unflatten(0, (len(factors), -1))
    return (apart * factors[:, None, None]).flatten(0, 1)


@cache
def _taps(device: torch.device, dtype: torch.dtype) -> tuple[Tensor, ...]:
    with torch.inference_mode(mode=False):  # a gradient may be asked for later
        found = torch.zeros(len(MERGED), SIZE, SIZE, dtype=dtype, device=device)
        for one, taps in zip(found, MERGED.values(), strict=True):
            one[taps, taps] = 1
    return found.unbind()


class Merge(NamedTuple):
    """The edges that leave a source with a merged kernel, and how that is convolved with.

    A 9x9 kernel with these 41 taps is a small dense one and a dilated one.

    Attributes:
        uses: The edges; columns mean nothing.
        dense: Side of the dense kernel; 0: none.
        dilated: Taps on each side of the dilated one; 0: none.
    """

    uses: list[Use]
    dense: int
    dilated: int

    @classmethod
    def of(cls, source: Mapping[str, list[Use]]) -> Merge:
        """What is merged of all the operations that read a source."""
        found = {name: source[name] for name in MERGED if name in source}
        nodes = {use.edge: use.node for uses in found.values() for use in uses}
        dense = 5 if "sep_conv_5x5" in found else 3 if "sep_conv_3x3" in found else 0
        dilated = 5 if "dil_conv_5x5" in found else 3 if "dil_conv_3x3" in found else 0
        if (dense, dilated) == (5, 3):  # a part of the dense one
            dilated = 0
        return cls([Use(edge, nodes[edge], -1) for edge in sorted(nodes)], dense, dilated)

    def convolve(self, source: Source, weights: Weights, count: int) -> Tensor:
        """Convolves with the merged kernels of ``count`` edges, then pixel by pixel."""
        kernels, lanes, kernel = source.kernels, source.lanes, weights["kernel"]
        x, middle = source.active, SIZE // 2
        if kernels.phases == "off":
            y = torch.cat([x] * count, dim=1) if count > 1 else x
            y = functional.conv2d(y, kernel, None, source.stride, middle, groups=y.shape[1])
            return pointwise(y, weights["pointwise"], count * lanes, kernels)
        found = []
        if self.dense:
            near = slice(middle - self.dense // 2, middle + self.dense // 2 + 1)
            y = source.beside(x, count)
            found.append(depthwise(y, kernel[..., near, near], source.stride, kernels, lanes))
        if self.dilated:
            reach = self.dilated // 2 * 2
            far = slice(middle - reach, middle + reach + 1, 2)
            rest = kernel[..., far, far]
            if self.dense:
                rest = rest * _outside(self.dense, self.dilated, x.device, x.dtype)
            y = depthwise(source.beside(source.thinned, count), rest, 1, kernels, lanes)
            if source.stride == 1:
                y = from_phases(y)
                y = y[:, :, : source.crop[0], : source.crop[1]] if source.crop else y
            found.append(y)
        return pointwise(
            sum(found[1:], start=found[0]), weights["pointwise"], count * lanes, kernels
        )


@cache
def _outside(dense: int, dilated: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """1 at the taps of a dilated kernel that are not in the dense one, else 0."""
    with torch.inference_mode(mode=False):
        near = torch.arange(dilated, device=device).sub(dilated // 2).mul(2).abs() <= dense // 2
        return (~(near[:, None] & near)).to(dtype)


@dataclass(frozen=True)
class MergedPass(CellPass):
    """A cell with merged kernels.

    Attributes:
        merges: What is merged, by source.
        factors: Of the taps of each edge, by source, (edges·lanes, 9, 9).
    """

    merges: tuple[Merge, ...] = ()
    factors: tuple[Tensor, ...] = ()

    def found(
        self, source: int, read: Source, scales: Mapping[str, Tensor] | None
    ) -> Iterator[Candidate]:
        """What is not merged, and of each edge one image of all its convolutions.

        That is not scaled by their mixture weights again: a BatchNorm comes last.
        """
        yield from super().found(source, read, scales)
        merge = self.merges[source]
        count = len(merge.uses)
        if not count:
            return
        place = f"cells.{self.index}.source.{source}.merged"
        kernel, pixel = (
            self._stacked(self.weights[f"{place}.{part}"], count)
            for part in ("kernel", "pointwise")
        )
        weights = {"kernel": _times(kernel, self.factors[source]), "pointwise": pixel}
        edges = Edges(count, weights, None, _draws_nothing)
        values = convolved(
            lambda own, some: merge.convolve(read, own, some), read.active, read, edges
        )
        for spot, (use, value) in enumerate(zip(merge.uses, values.values, strict=True)):
            yield Candidate(use, spot, "merged", value, mixed=True, phased=False)


def _draws_nothing(place: int) -> torch.Generator:
    raise AssertionError(place)


@dataclass(frozen=True)
class MergedSupernet(FastMixture):
    """The convolutions of an edge are ReLU, one depthwise 9x9, a pointwise one, and BatchNorm.

    The kernel is the sum of the parts of one tensor that belong to ``sep_conv_3x3``,
    ``sep_conv_5x5``, ``dil_conv_3x3`` and ``dil_conv_5x5``, weighed by their mixture weights; α has
    the columns of always. As BatchNorm follows, only ratios of these weights act on the merged
    image. Skips, pools and ``none`` are mixed as ever.

    It has no ``many``: with the kernel, what all candidates share depends on α.
    """

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Returns the shape of every weight; 40 of the 81 taps of a kernel are never used."""
        found = super().shapes()
        head = {name: found.pop(name) for name in ("head.weight", "head.bias")}
        for index, cell in enumerate(self._layout):
            for source, merge in enumerate(self._merges[cell.kind]):
                if merge.uses:
                    place, rows = (
                        f"cells.{index}.source.{source}.merged",
                        len(merge.uses) * cell.channels,
                    )
                    found[f"{place}.kernel"] = (rows, 1, SIZE, SIZE)
                    found[f"{place}.pointwise"] = (rows, cell.channels, 1, 1)
        return found | head

    def init(self, rng: torch.Generator, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        """Draws ω as ever, but for merged kernels: N(0, 2/81), as the released code does."""
        weights = super().init(rng, dtype)
        for name, weight in weights.items():
            if name.endswith(".merged.kernel"):
                draw = torch.randn(weight.shape, generator=rng, dtype=dtype)
                weights[name] = (2 / SIZE**2) ** 0.5 * draw
        return weights

    @cached_property
    def _plans(self) -> dict[str, list[dict[str, list[Use]]]]:
        """What is not merged."""
        return {group.name: _others(group) for group in self.space.groups}

    @cached_property
    def _merges(self) -> dict[str, tuple[Merge, ...]]:
        return {group.name: tuple(map(Merge.of, outgoing(group))) for group in self.space.groups}

    @cached_property
    def _shares(self) -> dict[str, Picked]:
        """Where the weights of ``MERGED`` stand in the table of a cell type, edge by edge."""
        return {
            group.name: Picked(
                [
                    _places(group, use.edge)
                    for merge in self._merges[group.name]
                    for use in merge.uses
                ]
            )
            for group in self.space.groups
        }

    def _finish(
        self, weights: Weights, alpha: Tensor, stem: tuple[Tensor, Tensor], chance: Chance
    ) -> Tensor:
        lanes = len(alpha) if alpha.ndim == 2 else 1
        mixture, shares = (self._mixture(alpha, some) for some in (self._picked, self._shares))
        factors = {
            name: _sum_of_taps(table.reshape(-1, len(MERGED))).split(
                [lanes * len(merge.uses) for merge in self._merges[name]]
            )
            for name, table in shares.items()
        }

        def cell(index: int, before: Tensor, now: Tensor) -> Tensor:
            cell = self._layout[index]
            kind, plan = cell.kind, self._plans[cell.kind]
            parts = weights, index, cell, plan, chance, self.kernels, lanes
            return MergedPass(*parts, self._merges[kind], factors[kind])(before, now, mixture[kind])

        return self._logits(weights, stem, cell, lanes)


def _places(group: Group, edge: int) -> list[int]:
    """Where the weights of ``MERGED`` on an edge stand in a flat table; -1: nowhere."""
    names = group.operations[edge]
    return [edge * group.width + names.index(name) if name in names else -1 for name in MERGED]


def _others(group: Group) -> Plan:
    return [
        {operation: uses for operation, uses in source.items() if operation not in MERGED}
        for source in outgoing(group)
    ]
