"""The slow obvious twin of the supernet: one module per operation and edge, nothing fused.

Written from the definition of the DARTS search network (Liu et al. 2019, §2 and appendix), to check
the fast network against and to measure it by.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from zarts.rng import generator
from zarts.supernet.layout import EDGES, NODES, Cell, cells, outgoing
from zarts.supernet.network import Supernet

__all__ = ["Twin"]


class BatchNorm(nn.Module):
    """BatchNorm with the statistics of the batch; ``affine`` in the stem only."""

    def __init__(self, channels: int, affine: bool = False) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels)) if affine else None
        self.shift = nn.Parameter(torch.zeros(channels)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        """Normalises every channel of (n, C, h, w)."""
        return functional.batch_norm(x, None, None, self.scale, self.shift, training=True)


def separable(channels: int, kernel: int, stride: int, dilation: int = 1) -> nn.Sequential:
    """ReLU, depthwise convolution, pointwise convolution, BatchNorm."""
    padding = dilation * (kernel - 1) // 2
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(
            channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False
        ),
        nn.Conv2d(channels, channels, 1, bias=False),
        BatchNorm(channels),
    )


class FactorizedReduce(nn.Module):
    """Halves an image by two strided convolutions, the second on the image shifted by one pixel."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.even = nn.Conv2d(before, after // 2, 1, stride=2, bias=False)
        self.odd = nn.Conv2d(before, after - after // 2, 1, stride=2, bias=False)
        self.norm = BatchNorm(after)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (n, before, h, w) to (n, after, h/2, w/2), an odd size padded at its end."""
        x = functional.relu(x)
        x = functional.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))
        return self.norm(torch.cat([self.even(x), self.odd(x[:, :, 1:, 1:])], dim=1))


class Zero(nn.Module):
    """The operation ``none``."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Returns zeros of the strided shape."""
        return x[:, :, :: self.stride, :: self.stride] * 0


class Noise(nn.Module):
    """The operation ``noise`` of S4, drawn from the stream of its place in the network."""

    def __init__(self, stride: int, place: tuple[int, int]) -> None:
        super().__init__()
        self.stride = stride
        self.place = place
        self.key = 0

    def forward(self, x: Tensor) -> Tensor:
        """Returns N(0, 1) of the strided shape."""
        shape = x[:, :, :: self.stride, :: self.stride].shape
        return torch.randn(shape, generator=generator(self.key, "noise", *self.place)).to(x)


def build(operation: str, channels: int, stride: int, place: tuple[int, int]) -> nn.Module:
    """Returns the module of one operation."""
    if operation == "none":
        return Zero(stride)
    if operation == "noise":
        return Noise(stride, place)
    if operation == "skip_connect":
        return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels)
    if operation == "max_pool_3x3":
        return nn.Sequential(nn.MaxPool2d(3, stride, 1), BatchNorm(channels))
    if operation == "avg_pool_3x3":
        pool = nn.AvgPool2d(3, stride, 1, count_include_pad=False)
        return nn.Sequential(pool, BatchNorm(channels))
    kernel = int(operation[-1])
    if operation.startswith("dil_conv"):
        return separable(channels, kernel, stride, dilation=2)
    return nn.Sequential(separable(channels, kernel, stride), separable(channels, kernel, 1))


class MixedOperation(nn.Module):
    """The weighted sum of all operations of one edge."""

    def __init__(
        self, names: tuple[str, ...], channels: int, stride: int, place: tuple[int, int]
    ) -> None:
        super().__init__()
        self.names = names
        self.operations = nn.ModuleList(build(name, channels, stride, place) for name in names)

    def forward(self, x: Tensor, mixture: Tensor) -> Tensor:
        """Mixes by ``mixture`` (K,)."""
        return sum(
            (
                weight * operation(x)
                for weight, operation in zip(mixture, self.operations, strict=True)
            ),
            start=torch.zeros((), dtype=x.dtype, device=x.device),
        )


class SearchCell(nn.Module):
    """One cell of 14 mixed edges."""

    def __init__(self, index: int, cell: Cell, edges: tuple[tuple[str, ...], ...]) -> None:
        super().__init__()
        self.cell = cell
        first, second = cell.inputs
        self.inputs = nn.ModuleList(
            [
                FactorizedReduce(first, cell.channels)
                if cell.after_reduction
                else nn.Sequential(
                    nn.ReLU(),
                    nn.Conv2d(first, cell.channels, 1, bias=False),
                    BatchNorm(cell.channels),
                ),
                nn.Sequential(
                    nn.ReLU(),
                    nn.Conv2d(second, cell.channels, 1, bias=False),
                    BatchNorm(cell.channels),
                ),
            ]
        )
        self.edges = nn.ModuleList(
            MixedOperation(names, cell.channels, cell.stride(EDGES[edge].source), (index, edge))
            for edge, names in enumerate(edges)
        )

    def forward(self, before: Tensor, now: Tensor, mixture: Tensor) -> Tensor:
        """Maps the outputs of the last two cells to this cell's, given the table (14, K)."""
        states = [self.inputs[0](before), self.inputs[1](now)]
        edge = 0
        for _ in range(NODES):
            total = self.edges[edge](states[0], mixture[edge])
            for offset in range(1, len(states)):
                total = total + self.edges[edge + offset](states[offset], mixture[edge + offset])
            edge += len(states)
            states.append(total)
        return torch.cat(states[2:], dim=1)


class Twin(nn.Module):
    """The search network of a ``Supernet``, module by module."""

    def __init__(self, supernet: Supernet) -> None:
        super().__init__()
        self.space = supernet.space
        channels, images = supernet.channels, supernet.image_channels
        if supernet.stem == "cifar":
            widths = [(images, 3 * channels, 1)]
        else:
            half = channels // 2
            widths = [(images, half, 2), (half, channels, 2), (channels, channels, 2)]
        self.stem = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, stride, 1, bias=False), BatchNorm(b, affine=True))
            for a, b, stride in widths
        )
        tables = {group.name: group.operations for group in supernet.space.groups}
        layout = list(cells(channels, supernet.cells, supernet.stem))
        self.cells = nn.ModuleList(
            SearchCell(index, cell, tables[cell.kind]) for index, cell in enumerate(layout)
        )
        self.head = nn.Linear(NODES * layout[-1].channels, supernet.classes)

    def forward(self, alpha: Tensor, images: Tensor, key: int) -> Tensor:
        """Returns the logits (n, classes)."""
        for module in self.modules():
            if isinstance(module, Noise):
                module.key = key
        mixture = self.space.mixture(alpha)
        if len(self.stem) == 1:
            before = now = self.stem[0](images)
        else:
            before = self.stem[1](functional.relu(self.stem[0](images)))
            now = self.stem[2](functional.relu(before))
        for cell in self.cells:
            before, now = now, cell(before, now, mixture[cell.cell.kind])
        return self.head(now.mean(dim=(2, 3)))

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Copies the stacked weights of the ``Supernet``, which must be of the precision wanted."""
        self.to(next(iter(weights.values())))
        with torch.no_grad():
            for name, value in self.pairs(weights).items():
                self.get_parameter(name).copy_(value)

    def pairs(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Cuts tensors shaped like the stacked weights into one per parameter of the twin."""
        found = {"head.weight": weights["head.weight"], "head.bias": weights["head.bias"]}
        for index in range(len(self.stem)):
            found[f"stem.{index}.0.weight"] = weights[f"stem.{index}.convolution"]
            found[f"stem.{index}.1.scale"] = weights[f"stem.{index}.scale"]
            found[f"stem.{index}.1.shift"] = weights[f"stem.{index}.shift"]
        plans = {group.name: outgoing(group) for group in self.space.groups}
        for index, module in enumerate(self.cells):
            cell = module.cell
            for source in range(2):
                pointwise = weights[f"cells.{index}.input.{source}"]
                place = f"cells.{index}.inputs.{source}"
                if source == 0 and cell.after_reduction:
                    found |= _reduce(place, pointwise)
                else:
                    found[f"{place}.1.weight"] = pointwise
            for source, plan in enumerate(plans[cell.kind]):
                for operation, uses in plan.items():
                    stack = f"cells.{index}.source.{source}.{operation}"
                    for row, use in enumerate(uses):
                        place = f"cells.{index}.edges.{use.edge}.operations.{use.column}"
                        rows = {
                            name.removeprefix(f"{stack}."): value.unflatten(0, (len(uses), -1))[row]
                            for name, value in weights.items()
                            if name.startswith(f"{stack}.")
                        }
                        found |= _operation(operation, place, rows)
        return found


def _reduce(place: str, pointwise: Tensor) -> dict[str, Tensor]:
    half = pointwise.shape[0] // 2
    return {f"{place}.even.weight": pointwise[:half], f"{place}.odd.weight": pointwise[half:]}


def _operation(operation: str, place: str, rows: dict[str, Tensor]) -> dict[str, Tensor]:
    if operation == "skip_connect":
        return _reduce(place, rows["pointwise_0"]) if rows else {}
    if operation.startswith("dil_conv"):
        return {f"{place}.1.weight": rows["depthwise_0"], f"{place}.2.weight": rows["pointwise_0"]}
    return {
        f"{place}.{name[-1]}.{1 if name.startswith('depthwise') else 2}.weight": value
        for name, value in rows.items()
    }
