"""The network of a genotype: its cells in a row, as a ``torch.nn.Module``.

The same layout and operations as the supernet's, but one operation on each of two inputs of a node,
and BatchNorms with scale, shift and running statistics. Source: DARTS §2 and its ``model.py``; an
odd size is halved as in the supernet, where the released code fails.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from zarts.bilevel.chance import Chance
from zarts.bilevel.rng import generator, placed
from zarts.supernet.genotype import Genotype, Inputs
from zarts.supernet.layout import NODES, Cell, cells
from zarts.supernet.operations import second_pixels

__all__ = ["CellNetwork", "Heads", "start"]

PUBLISHED = {"cifar": 3, "imagenet": 2}  # stride of the pool of 5x5 before the auxiliary head


class Heads(NamedTuple):
    """What a network says of images.

    Attributes:
        logits: (n, classes).
        auxiliary: (n, classes) of the second head, in training; None if there is none.
    """

    logits: Tensor
    auxiliary: Tensor | None


class CellNetwork(nn.Module):
    """The network of a genotype.

    Attributes:
        whole: Whether all parameters of its cells have a gradient: each state leads to an output.
        noisy: Whether its cells draw numbers (``noise`` of S4), also when it is tested.
    """

    def __init__(
        self,
        genotype: Genotype,
        *,
        channels: int = 36,
        count: int = 20,
        classes: int = 10,
        stem: str = "cifar",
        auxiliary: bool = False,
        image_channels: int = 3,
    ) -> None:
        """Makes its modules; ``start`` draws their parameters.

        Args:
            genotype: Its cells.
            channels: Initial channels C.
            count: Number of cells L.
            classes: Number of classes.
            stem: ``"cifar"`` or ``"imagenet"``.
            auxiliary: Whether it has a second head after two thirds of the cells.
            image_channels: Channels of the images.

        Raises:
            ValueError: If a size is too small, or the cells concatenate one of their inputs.
        """
        super().__init__()
        if not set(genotype.concat) <= set(range(2, NODES + 2)):
            raise ValueError(
                f"got a cell that concatenates the states {list(genotype.concat)}, expected nodes "
                f"only, out of 2 to {NODES + 1}"
            )
        layout = list(cells(channels, count, stem, len(genotype.concat)))
        self.stem = Stem(stem, channels, image_channels)
        parts = [
            DiscreteCell(index, cell, _inputs(cell, genotype), genotype.concat)
            for index, cell in enumerate(layout)
        ]
        self.cells = nn.ModuleList(parts)
        width = len(genotype.concat)
        self._place = 2 * count // 3
        before = width * layout[self._place].channels
        self.auxiliary = Auxiliary(before, classes, stem) if auxiliary else None
        self.head = nn.Linear(width * layout[-1].channels, classes)
        self.whole = all(
            _whole(each, genotype.concat) for each in (genotype.normal, genotype.reduce)
        )
        self.noisy = any(name == "noise" for cell in layout for name, _ in _inputs(cell, genotype))
        self._droppable = [edge for part in parts for edge in part.droppable()]

    def forward(self, images: Tensor, chance: Chance | None = None) -> Heads:
        """Logits of images (n, c, h, w).

        Args:
            images: Normalised.
            chance: Seed of all draws, and how likely drop-path is, which happens in training only.
        """
        chance = chance or Chance(0)
        masks = self._masks(images, chance)
        before, now = self.stem(images)
        second = None
        for index, cell in enumerate(self.cells):
            before, now = now, cell(before, now, masks, chance)
            if index == self._place and self.auxiliary is not None and self.training:
                second = self.auxiliary(now)
        return Heads(self.head(now.mean(dim=(2, 3))), second)

    def _masks(self, images: Tensor, chance: Chance) -> dict[tuple[int, int], Tensor]:
        """By cell and input: 0 or 1 / (1 − p) for each image (n, 1, 1, 1); drawn all at once."""
        if not self.training or not chance.drop_path:
            return {}
        kept = 1 - chance.drop_path
        size = (len(self._droppable), len(images), 1, 1, 1)
        draws = torch.rand(size, generator=generator(chance.key, "drop-path"))
        scaled = ((draws < kept).float() / kept).to(images.device, images.dtype, non_blocking=True)
        return dict(zip(self._droppable, scaled, strict=True))


class Stem(nn.Module):
    """From images to the two inputs of the first cell."""

    def __init__(self, kind: str, channels: int, image_channels: int) -> None:
        super().__init__()
        if kind == "cifar":
            self.first = nn.Sequential(*_layer(image_channels, 3 * channels, 1))
            self.second: nn.Module = nn.Identity()
            return
        half = channels // 2
        self.first = nn.Sequential(
            *_layer(image_channels, half, 2), nn.ReLU(inplace=True), *_layer(half, channels, 2)
        )
        self.second = nn.Sequential(nn.ReLU(), *_layer(channels, channels, 2))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The same twice, or two of which the second is half as large."""
        before = self.first(images)
        return before, self.second(before)


class DiscreteCell(nn.Module):
    """One cell: each node is the sum of two operations on earlier states."""

    def __init__(self, index: int, cell: Cell, inputs: Inputs, concat: tuple[int, ...]) -> None:
        super().__init__()
        self._index = index
        first, second = cell.inputs
        squeeze = Halved if cell.after_reduction else _pointwise
        self.preprocess = nn.ModuleList(
            [squeeze(first, cell.channels), _pointwise(second, cell.channels)]
        )
        self.operations = nn.ModuleList(
            _operation(name, cell.channels, cell.stride(source)) for name, source in inputs
        )
        self._sources = [source for _, source in inputs]
        self._concat = concat

    def droppable(self) -> list[tuple[int, int]]:
        """(cell, input) of its operations that are no identities."""
        return [
            (self._index, place)
            for place, operation in enumerate(self.operations)
            if not isinstance(operation, nn.Identity)
        ]

    def forward(
        self, before: Tensor, now: Tensor, masks: dict[tuple[int, int], Tensor], chance: Chance
    ) -> Tensor:
        """The concatenated nodes (n, width · C, h, w), given the outputs of the last two cells."""
        states = [
            squeeze(each) for squeeze, each in zip(self.preprocess, (before, now), strict=True)
        ]
        found: list[Tensor] = []
        for place, operation in enumerate(self.operations):
            x = states[self._sources[place]]
            if isinstance(operation, Noise):
                y = operation(x, generator(chance.key, "noise", self._index, place))
            else:
                y = operation(x)
            mask = masks.get((self._index, place))
            # under autocast what is kept for the backward pass stays in half precision
            found.append(y if mask is None else (y * mask).to(y.dtype))
            if place % 2:
                states.append(found[-2] + found[-1])
        return torch.cat([states[state] for state in self._concat], dim=1)


class Noise(nn.Module):
    """N(0, 1), whatever it reads, as in the supernet."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self._stride = stride

    def forward(self, x: Tensor, source: torch.Generator) -> Tensor:
        """Drawn in single precision from a fresh generator; see ``zarts.bilevel.rng.placed``."""
        height, width = (-(-side // self._stride) for side in x.shape[2:])
        source = placed(source, x.device)
        drawn = torch.randn((*x.shape[:2], height, width), generator=source, device=source.device)
        return drawn.to(x.device, x.dtype, non_blocking=True)


class Halved(nn.Module):
    """A factorized reduction: half of the channels read the even pixels, half the odd ones."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.even = nn.Conv2d(before, after // 2, 1, stride=2, bias=False)
        self.odd = nn.Conv2d(before, after - after // 2, 1, stride=2, bias=False)
        self.norm = _norm(after)

    def forward(self, x: Tensor) -> Tensor:
        """(n, before, h, w) to (n, after, h/2, w/2), rounded up."""
        x = functional.relu(x)
        if x.shape[2] % 2 or x.shape[3] % 2:
            x = functional.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))
        even = second_pixels(x, self.even.weight)
        odd = second_pixels(x[:, :, 1:, 1:], self.odd.weight)
        found: Tensor = self.norm(torch.cat([even, odd], dim=1))
        return found


class Auxiliary(nn.Module):
    """The second head, which helps to train deep networks.

    Its pool is the published one where that gives the 2x2 pixels that the head needs, which is at
    32 (``cifar``) and 224 pixels (``imagenet``); elsewhere it is adapted to give them.
    """

    def __init__(self, before: int, classes: int, stem: str) -> None:
        super().__init__()
        self._stride = PUBLISHED[stem]
        # "typo" of DARTS that later papers kept: no BatchNorm before the last ReLU on ImageNet
        last = [_norm(768)] if stem == "cifar" else []
        self.features = nn.Sequential(
            nn.Conv2d(before, 128, 1, bias=False),
            _norm(128),
            nn.ReLU(inplace=True),
            nn.Conv2d(128, 768, 2, bias=False),
            *last,
            nn.ReLU(inplace=True),
        )
        self.head = nn.Linear(768, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, classes)."""
        x = functional.relu(x)
        if all((side - 5) // self._stride + 1 == 2 for side in x.shape[2:]):
            x = functional.avg_pool2d(x, 5, self._stride, count_include_pad=False)
        else:
            x = functional.adaptive_avg_pool2d(x, 2)
        found: Tensor = self.head(self.features(x).flatten(1))
        return found


def start(network: nn.Module, rng: torch.Generator) -> None:
    """Draws all parameters as PyTorch's layers do, but from one generator, on the CPU.

    Convolutions and linear layers are uniform within 1/sqrt(fan-in); BatchNorms are 1 and 0.
    """
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
                module.num_batches_tracked = None  # which nothing reads
            elif isinstance(module, nn.Conv2d | nn.Linear):
                bound = module.weight[0].numel() ** -0.5
                for each in (module.weight, module.bias):
                    if each is not None:
                        each.copy_(bound * (2 * torch.rand(each.shape, generator=rng) - 1))


def _inputs(cell: Cell, genotype: Genotype) -> Inputs:
    return genotype.reduce if cell.reduction else genotype.normal


def _whole(inputs: Inputs, concat: tuple[int, ...]) -> bool:
    reached = set(concat)
    for place, (name, source) in reversed([*enumerate(inputs)]):
        if place // 2 + 2 in reached and name != "noise":
            reached.add(source)
    return len(reached) == NODES + 2


def _operation(name: str, channels: int, stride: int) -> nn.Module:
    kind, _, size = name.rpartition("_")
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else Halved(channels, channels)
    if name == "noise":
        return Noise(stride)
    if kind == "max_pool":
        return nn.MaxPool2d(3, stride, padding=1)
    if kind == "avg_pool":
        return nn.AvgPool2d(3, stride, padding=1, count_include_pad=False)
    width = int(size[0])
    if kind == "dil_conv":
        return nn.Sequential(nn.ReLU(), *_separable(channels, width, stride, dilation=2))
    return nn.Sequential(
        nn.ReLU(),
        *_separable(channels, width, stride),
        nn.ReLU(inplace=True),
        *_separable(channels, width, 1),
    )


def _separable(channels: int, size: int, stride: int, dilation: int = 1) -> list[nn.Module]:
    """Depthwise convolution, pointwise convolution, BatchNorm."""
    padding = dilation * (size // 2)
    return [
        nn.Conv2d(channels, channels, size, stride, padding, dilation, groups=channels, bias=False),
        nn.Conv2d(channels, channels, 1, bias=False),
        _norm(channels),
    ]


def _pointwise(before: int, after: int) -> nn.Module:
    return nn.Sequential(nn.ReLU(), nn.Conv2d(before, after, 1, bias=False), _norm(after))


def _layer(before: int, after: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, stride, padding=1, bias=False), _norm(after)]


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels)
