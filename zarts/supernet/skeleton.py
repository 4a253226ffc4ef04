"""What all networks of cells share: sizes, checks, and the names, shapes and start of ω."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from math import prod
from typing import Any, Self

import torch
from torch import Tensor

from zarts.bilevel.alpha import Space
from zarts.supernet import operations
from zarts.supernet.layout import EDGES, NODES, Cell, Use, cells, outgoing, stem_shapes

__all__ = ["Skeleton"]


@dataclass(frozen=True)
class Skeleton:
    """A network of cells whose edges are mixtures of operations, but for how it is computed.

    Networks of one skeleton take each other's ω.

    Attributes:
        space: The operations of each edge; groups ``normal`` and ``reduce``.
        channels: Initial channels C, even.
        cells: Number of cells; those at ``cells // 3`` and ``2 * cells // 3`` reduce.
        classes: Number of classes.
        image_channels: Channels of the images.
        stem: ``"cifar"`` (a 3x3 convolution to 3C) or ``"imagenet"`` (C/2, C, C of stride 2).

    Raises:
        ValueError: If the space or a size does not fit.

    Source: DARTS §2; ZARTS §4 searches with 16 channels and 8 cells.
    """

    space: Space
    channels: int = 16
    cells: int = 8
    classes: int = 10
    image_channels: int = 3
    stem: str = "cifar"

    def __post_init__(self) -> None:
        names = [group.name for group in self.space.groups]
        if names != ["normal", "reduce"]:
            raise ValueError(
                f"space {self.space.name!r} has groups {names}, expected normal and reduce; "
                "use one of zarts.supernet.spaces.SPACES"
            )
        if self.classes < 1 or self.image_channels < 1:
            raise ValueError(
                f"got {self.classes} classes and {self.image_channels} image channels, "
                "expected at least 1 of each"
            )
        for group in self.space.groups:
            if len(group.operations) != len(EDGES) or any(
                set(e) == {"none"} for e in group.operations
            ):
                raise ValueError(
                    f"group {group.name!r} of space {self.space.name!r} has {group.edges} edges, "
                    f"expected {len(EDGES)}, each with an operation besides none"
                )
        _ = self._layout

    @classmethod
    def build(
        cls, space: Space, classes: int, image_channels: int, settings: Mapping[str, Any]
    ) -> Self:
        """Makes the network of some settings, by name; see ``zarts.supernet.protocol``."""
        return cls(space, classes=classes, image_channels=image_channels, **settings)

    @classmethod
    def like(cls, other: Skeleton) -> Self:
        """The network of this kind that takes the ω of another one."""
        return cls(*(getattr(other, spec.name) for spec in fields(Skeleton)))

    @cached_property
    def _layout(self) -> list[Cell]:
        return list(cells(self.channels, self.cells, self.stem))

    @cached_property
    def _plans(self) -> dict[str, list[dict[str, list[Use]]]]:
        return {group.name: outgoing(group) for group in self.space.groups}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Returns the shape of every weight, in the order in which ``init`` draws them."""
        found = stem_shapes(self.stem, self.channels, self.image_channels)
        plans = self._plans
        width = 0
        for index, cell in enumerate(self._layout):
            for source, before in enumerate(cell.inputs):
                found[f"cells.{index}.input.{source}"] = (cell.channels, before, 1, 1)
            for source, plan in enumerate(plans[cell.kind]):
                for operation, uses in plan.items():
                    one = operations.shapes(operation, cell.channels, cell.stride(source))
                    for name, (first, *rest) in one.items():
                        key = f"cells.{index}.source.{source}.{operation}.{name}"
                        found[key] = (len(uses) * first, *rest)
            width = NODES * cell.channels
        return found | {"head.weight": (self.classes, width), "head.bias": (self.classes,)}

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(prod(shape) for shape in self.shapes().values())

    def init(self, rng: torch.Generator, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        """Draws ω as PyTorch's layers do: uniform within 1/sqrt(fan-in), BatchNorm 1 and 0.

        Args:
            rng: A CPU generator; the weights are on the CPU.
            dtype: Precision of the weights.
        """
        weights: dict[str, Tensor] = {}
        bound = 0.0
        for name, shape in self.shapes().items():
            if name.endswith((".scale", ".shift")):
                weights[name] = torch.full(shape, float(name.endswith(".scale")), dtype=dtype)
                continue
            if len(shape) > 1:  # a bias has the bound of the weight before it
                bound = prod(shape[1:]) ** -0.5
            draw = torch.rand(shape, generator=rng, dtype=dtype)
            weights[name] = bound * (2 * draw - 1)
        return weights

    def _check(self, images: Tensor) -> None:
        if images.ndim != 4 or images.shape[1] != self.image_channels:
            raise ValueError(
                f"got images of shape {tuple(images.shape)}, "
                f"expected (n, {self.image_channels}, h, w)"
            )
