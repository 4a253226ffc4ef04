"""The supernet as a pure function of (ω, α, images, key)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor
from torch.nn import functional

from zarts.alpha import Space
from zarts.rng import generator
from zarts.supernet import operations
from zarts.supernet.layout import EDGES, NODES, Cell, Use, cells, outgoing, stem_shapes

__all__ = ["Supernet"]

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Supernet:
    """A network of cells whose edges are mixtures of operations.

    Each source of a cell is read once for all the edges that leave it: one ReLU, one pooling, one
    convolution whose weights are stacked over those edges. Images are kept channels-last, which is
    what makes pooling, BatchNorm and depthwise convolutions fast on a CPU.

    Attributes:
        space: The operations of each edge; groups ``normal`` and ``reduce``.
        channels: Initial channels C, even.
        cells: Number of cells; those at ``cells // 3`` and ``2 * cells // 3`` reduce.
        classes: Number of classes.
        image_channels: Channels of the images.
        stem: ``"cifar"`` (a 3x3 convolution to 3C) or ``"imagenet"`` (C/2, C, C of stride 2).

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
        self._cells()

    def _cells(self) -> list[Cell]:
        return list(cells(self.channels, self.cells, self.stem))

    def _plans(self) -> dict[str, list[dict[str, list[Use]]]]:
        return {group.name: outgoing(group) for group in self.space.groups}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Returns the shape of every weight, in the order in which ``init`` draws them."""
        found = stem_shapes(self.stem, self.channels, self.image_channels)
        plans = self._plans()
        width = 0
        for index, cell in enumerate(self._cells()):
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

    def __call__(self, weights: Weights, alpha: Tensor, images: Tensor, key: int) -> Tensor:
        """Returns the logits.

        Args:
            weights: ω, named as in ``shapes``; never changed.
            alpha: Raw logits α (dim,), on the device and of the precision of ω.
            images: Normalised images (n, image_channels, h, w) of any size.
            key: Seed of the operations that draw (``noise``).

        Returns:
            Logits (n, classes).

        Raises:
            ValueError: If α or the images have the wrong shape.
        """
        if images.ndim != 4 or images.shape[1] != self.image_channels:
            raise ValueError(
                f"got images of shape {tuple(images.shape)}, "
                f"expected (n, {self.image_channels}, h, w)"
            )
        mixture = self.space.mixture(alpha)
        plans = self._plans()
        scales = {name: _gather(mixture[name], plan) for name, plan in plans.items()}
        before, now = self._stem(weights, images)
        for index, cell in enumerate(self._cells()):
            runner = _Runner(weights, index, cell, plans[cell.kind], scales[cell.kind], key)
            before, now = now, runner(before, now)
        # Not now.mean(dim=(2, 3)): the gradient of avg_pool2d keeps the last cell channels-last.
        pooled = functional.avg_pool2d(now, now.shape[2:]).flatten(1)
        return functional.linear(pooled, weights["head.weight"], weights["head.bias"])

    def _stem(self, weights: Weights, images: Tensor) -> tuple[Tensor, Tensor]:
        def layer(x: Tensor, index: int, stride: int) -> Tensor:
            name = f"stem.{index}"
            y = functional.conv2d(x, weights[f"{name}.convolution"], None, stride, padding=1)
            y = y.contiguous(memory_format=torch.channels_last)  # grey images leave it undecided
            return operations.batch_norm(y, weights[f"{name}.scale"], weights[f"{name}.shift"])

        if self.stem == "cifar":
            x = layer(images, 0, 1)
            return x, x
        x = layer(functional.relu(layer(images, 0, 2)), 1, 2)
        return x, layer(functional.relu(x), 2, 2)


def _gather(mixture: Tensor, plan: list[dict[str, list[Use]]]) -> list[dict[str, Tensor]]:
    """Picks the mixture weights (E,) of each operation of each source out of a table."""
    return [
        {
            operation: torch.stack([mixture[use.edge, use.column] for use in uses])
            for operation, uses in source.items()
        }
        for source in plan
    ]


@dataclass(frozen=True)
class _Runner:
    """The forward pass of one cell."""

    weights: Weights
    index: int
    cell: Cell
    plan: list[dict[str, list[Use]]]
    scales: list[dict[str, Tensor]]
    key: int

    def __call__(self, before: Tensor, now: Tensor) -> Tensor:
        """Maps the outputs of the last two cells (n, B, h, w) to this cell's (n, 4C, h', w')."""
        states = [self._preprocess(0, before), self._preprocess(1, now)]
        sums: dict[int, Tensor] = {}
        for source in range(NODES + 1):
            self._spread(source, states[source], sums)
            if source > 0:  # node i reads the sources 0..i+1, so it is complete now
                states.append(sums.pop(source - 1))
        return torch.cat(states[2:], dim=1)

    def _preprocess(self, source: int, x: Tensor) -> Tensor:
        """Brings an input (n, B, h, w) to the channels, and to the size, of this cell."""
        pointwise = self.weights[f"cells.{self.index}.input.{source}"]
        x = functional.relu(x)
        if source == 0 and self.cell.after_reduction:
            return operations.batch_norm(operations.factorized_reduce(x, pointwise))
        return operations.batch_norm(functional.conv2d(x, pointwise))

    def _spread(self, source: int, x: Tensor, sums: dict[int, Tensor]) -> None:
        """Adds the mixed operations of the edges that leave ``source`` to their nodes."""
        stride = self.cell.stride(source)
        active = functional.relu(x)
        for operation, uses in self.plan[source].items():
            mixture = self.scales[source][operation]
            if operation == "noise":
                for use, scale in zip(uses, mixture.unbind(), strict=True):
                    rng = generator(self.key, operation, self.index, use.edge)
                    _accumulate(sums, use.node, operations.noise(x, stride, rng), scale)
            elif operations.is_shared(operation, stride):
                y = operations.share(operation, x, stride)
                for use, scale in zip(uses, mixture.unbind(), strict=True):
                    _accumulate(sums, use.node, y, scale)
            else:
                y = operations.convolve(
                    operation, active, self._tensors(source, operation), stride, mixture
                )
                for use, piece in zip(uses, y.chunk(len(uses), dim=1), strict=True):
                    _accumulate(sums, use.node, piece)

    def _tensors(self, source: int, operation: str) -> dict[str, Tensor]:
        names = operations.shapes(operation, self.cell.channels, self.cell.stride(source))
        prefix = f"cells.{self.index}.source.{source}.{operation}"
        return {name: self.weights[f"{prefix}.{name}"] for name in names}


def _accumulate(
    sums: dict[int, Tensor], node: int, value: Tensor, scale: Tensor | None = None
) -> None:
    """Adds ``value``, times ``scale`` if there is one, to the sum of ``node``."""
    total = sums.get(node)
    if total is None:
        sums[node] = value if scale is None else value * scale
    else:
        sums[node] = total + value if scale is None else torch.addcmul(total, value, scale)
