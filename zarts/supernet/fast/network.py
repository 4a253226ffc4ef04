"""The fast supernet, a pure function of (ω, α, images, chance); see ``zarts.supernet.protocol``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional

from zarts.bilevel.alpha import Space
from zarts.bilevel.chance import Chance
from zarts.supernet.fast.cell import Candidate, CellPass, places
from zarts.supernet.fast.kernels import Kernels, products
from zarts.supernet.fast.normalization import batch_norm
from zarts.supernet.protocol import KERNELS
from zarts.supernet.skeleton import Skeleton

__all__ = ["Supernet"]

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Supernet(Skeleton):
    """The network of cells, by the fast kernels.

    Each source of a cell is read once for all the edges that leave it: one ReLU, one pooling, and
    convolutions as ``zarts.supernet.fast.kernels`` does them. Images are channels-last by default,
    which is what makes pooling, BatchNorm and depthwise convolutions fast on a CPU.

    Attributes:
        kernels: How convolutions are computed; numbers differ in the last digits only.
    """

    kernels: Kernels = field(default_factory=Kernels)

    @classmethod
    def build(
        cls, space: Space, classes: int, image_channels: int, settings: Mapping[str, Any]
    ) -> Self:
        """Makes the network of some settings, by name; some of them are its ``Kernels``."""
        sizes = dict(settings)
        how = Kernels(**{name: sizes.pop(name) for name in KERNELS})
        return cls(space, **sizes, classes=classes, image_channels=image_channels, kernels=how)

    @cached_property
    def _places(self) -> dict[str, dict[torch.device, Tensor]]:
        """Of each cell type, which entries of its flat table of mixture weights it needs.

        By the devices that asked so far: a GPU would wait for a list each time.
        """
        return {group.name: {} for group in self.space.groups}

    def _chosen(self, name: str, table: Tensor) -> Tensor:
        """The entries that a cell type needs of its table."""
        known = self._places[name]
        if table.device not in known:
            with torch.inference_mode(mode=False):  # a gradient may be asked for later
                found = places(self._plans[name], table.shape[1])
                known[table.device] = torch.tensor(found, device=table.device)
        return table.flatten()[known[table.device]]

    def __call__(self, weights: Weights, alpha: Tensor, images: Tensor, chance: Chance) -> Tensor:
        """Returns the logits.

        Args:
            weights: ω, named as in ``shapes``; never changed.
            alpha: Raw logits α (dim,), on the device and of the precision of ω.
            images: Normalised images (n, image_channels, h, w) of any size.
            chance: What the operations that draw (``noise``) draw with.

        Returns:
            Logits (n, classes).

        Raises:
            ValueError: If α or the images have the wrong shape.
        """
        self._check(images)
        return self._finish(weights, alpha, self._stem(weights, images), chance, ({}, {}))

    def each(self, weights: Weights, alphas: Tensor, images: Tensor, chance: Chance) -> Tensor:
        """Logits (k, n, classes) at k rows of α (k, dim), each with its own row of every weight.

        The candidates are further channels of one pass, so small images share the cost of its calls
        and a GPU its launches. What a row gives depends on k, but not on the other rows.

        Args:
            weights: ω of each candidate, named as in ``shapes``, (k, ...).
            alphas: Raw logits, on the device and of the precision of ω.
            images: As in a call; the same for all.
            chance: As in a call.

        Raises:
            ValueError: If α or the images have the wrong shape.
        """
        if len(alphas) == 1:
            alone = {name: weight[0] for name, weight in weights.items()}
            return self(alone, alphas[0], images, chance).unsqueeze(0)
        self._check(images)
        stem = self._stem(weights, images, len(alphas))
        return self._finish(weights, alphas, stem, chance, ({}, {}))

    def many(self, weights: Weights, alphas: Tensor, images: Tensor, chance: Chance) -> Tensor:
        """Logits (k, n, classes) at k rows of α (k, dim), each as if it were the only one.

        What does not depend on α is computed once: the stem and all that reads it, which is most of
        the first cell and a part of the second. Arguments as in a call.

        Raises:
            ValueError: If α or the images have the wrong shape.
        """
        self._check(images)
        stem = self._stem(weights, images)
        known: list[dict[int, list[Candidate]]] = []
        for index, sources in enumerate(((0, 1), (0,))[: self.cells]):
            run = self._pass(weights, index, chance)
            known.append(
                {
                    source: list(
                        run.candidates(source, run.read(source, stem[index + source]), None)
                    )
                    for source in sources
                }
            )
        return torch.stack([self._finish(weights, alpha, stem, chance, known) for alpha in alphas])

    def _pass(self, weights: Weights, index: int, chance: Chance, lanes: int = 1) -> CellPass:
        cell = self._layout[index]
        return CellPass(weights, index, cell, self._plans[cell.kind], chance, self.kernels, lanes)

    def _finish(
        self,
        weights: Weights,
        alpha: Tensor,
        stem: tuple[Tensor, Tensor],
        chance: Chance,
        known: Sequence[Mapping[int, list[Candidate]]],
    ) -> Tensor:
        """From the stem's outputs, and candidates already known, to the logits."""
        lanes = len(alpha) if alpha.ndim == 2 else 1
        mixture = self._mixture(alpha)
        before, now = stem
        for index, cell in enumerate(self._layout):
            run = self._pass(weights, index, chance, lanes)
            ready = known[index] if index < len(known) else {}
            out = run(before, now, mixture[cell.kind], ready)
            # once for both cells that read it; the head reads the last one as it is
            before, now = now, out if index + 1 == self.cells else functional.relu(out)
        # Not now.mean(dim=(2, 3)): the gradient of avg_pool2d keeps the last cell channels-last.
        pooled = functional.avg_pool2d(now, now.shape[2:]).flatten(1)
        head, bias = weights["head.weight"], weights["head.bias"]
        if alpha.ndim == 1:
            return functional.linear(pooled, head, bias)
        apart = pooled.unflatten(1, (lanes, -1)).transpose(0, 1)
        return products(apart, head) + bias.unsqueeze(1)

    def _mixture(self, alpha: Tensor) -> dict[str, Tensor]:
        """The mixture weights of each cell type at α (dim,), or at each row of α (lanes, dim)."""
        rows = alpha.unbind() if alpha.ndim == 2 else (alpha,)
        tables = [self.space.mixture(row) for row in rows]
        found = {}
        for name in self._plans:
            chosen = [self._chosen(name, table[name]) for table in tables]
            found[name] = torch.stack(chosen, 1) if alpha.ndim == 2 else chosen[0]
        return found

    def _stem(self, weights: Weights, images: Tensor, lanes: int = 1) -> tuple[Tensor, Tensor]:
        """What the first cell reads: the outputs of the stem after ReLU."""

        def layer(x: Tensor, index: int, stride: int) -> Tensor:
            kernel, scale, shift = (
                weights[f"stem.{index}.{part}"].flatten(0, 0 if lanes == 1 else 1)
                for part in ("convolution", "scale", "shift")
            )
            groups = 1 if index == 0 else lanes  # all lanes see the same images
            y = functional.conv2d(x, kernel, None, stride, padding=1, groups=groups)
            y = self.kernels.laid(y)  # grey images leave it undecided
            return functional.relu(batch_norm(y, scale, shift))

        if self.stem == "cifar":
            x = layer(images, 0, 1)
            return x, x
        x = layer(layer(images, 0, 2), 1, 2)
        return x, layer(x, 2, 2)
