"""The fast supernet, a pure function of (ω, α, images, chance); see ``zarts.supernet.protocol``.

``FastNetwork`` has what all networks by these kernels share, ``FastMixture`` is one whose edges mix
operations and which takes several α side by side.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np
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

__all__ = ["FastMixture", "FastNetwork", "Picked", "Supernet"]

Weights = Mapping[str, Tensor]


class Picked:
    """Entries of a flat tensor by place, or 0 for place -1.

    The places lie on each device that asked so far: a GPU would wait for a list each time.
    """

    def __init__(self, places: Sequence[Any]) -> None:
        self._places = places
        self._known = dict[torch.device, Tensor]()
        self._zeros = bool((np.asarray(places) < 0).any())

    def __call__(self, flat: Tensor) -> Tensor:
        """The entries, in the shape of the places."""
        if flat.device not in self._known:
            with torch.inference_mode(mode=False):  # a gradient may be asked for later
                self._known[flat.device] = torch.tensor(
                    self._places, dtype=torch.int64, device=flat.device
                )
        return (functional.pad(flat, (0, 1)) if self._zeros else flat)[self._known[flat.device]]


@dataclass(frozen=True)
class FastNetwork(Skeleton):
    """A network of cells by the fast kernels, whatever its cells do.

    Images are channels-last by default, which is what makes pooling, BatchNorm and depthwise
    convolutions fast on a CPU.

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

    def _logits(
        self,
        weights: Weights,
        stem: tuple[Tensor, Tensor],
        cell: Callable[[int, Tensor, Tensor], Tensor],
        lanes: int = 1,
    ) -> Tensor:
        """From the stem's outputs to the logits (n, classes), or (lanes, n, classes).

        Args:
            weights: ω.
            stem: What the first cell reads, after ReLU.
            cell: From the number of a cell and the outputs of the two before it, after ReLU, to its
                own.
            lanes: How many candidates are computed side by side.
        """
        before, now = stem
        for index in range(self.cells):
            out = cell(index, before, now)
            # once for both cells that read it; the head reads the last one as it is
            before, now = now, out if index + 1 == self.cells else functional.relu(out)
        # Not now.mean(dim=(2, 3)): the gradient of avg_pool2d keeps the last cell channels-last.
        pooled = functional.avg_pool2d(now, now.shape[2:]).flatten(1)
        head, bias = weights["head.weight"], weights["head.bias"]
        if lanes == 1:
            return functional.linear(pooled, head, bias)
        apart = pooled.unflatten(1, (lanes, -1)).transpose(0, 1)
        return products(apart, head) + bias.unsqueeze(1)

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


@dataclass(frozen=True)
class FastMixture(FastNetwork):
    """One that computes several α side by side."""

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
        return self._finish(weights, alpha, self._stem(weights, images), chance)

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
        return self._finish(weights, alphas, self._stem(weights, images, len(alphas)), chance)

    @abstractmethod
    def _finish(
        self, weights: Weights, alpha: Tensor, stem: tuple[Tensor, Tensor], chance: Chance
    ) -> Tensor:
        """From the stem's outputs to the logits at α (dim,), or at each row of α (lanes, dim)."""

    @cached_property
    def _picked(self) -> dict[str, Picked]:
        """Which entries of its flat table of mixture weights each cell type needs."""
        return {
            group.name: Picked(places(self._plans[group.name], group.width))
            for group in self.space.groups
        }

    def _mixture(self, alpha: Tensor, picked: Mapping[str, Picked]) -> dict[str, Tensor]:
        """These mixture weights of each cell type at α, or, as a last axis, at each row of α."""
        rows = alpha.unbind() if alpha.ndim == 2 else (alpha,)
        tables = [self.space.mixture(row) for row in rows]
        found = {}
        for name, pick in picked.items():
            chosen = [pick(table[name].flatten()) for table in tables]
            found[name] = torch.stack(chosen, 1) if alpha.ndim == 2 else chosen[0]
        return found


@dataclass(frozen=True)
class Supernet(FastMixture):
    """The network of cells, by the fast kernels.

    Each source of a cell is read once for all the edges that leave it: one ReLU, one pooling, and
    convolutions as ``zarts.supernet.fast.kernels`` does them.
    """

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
        known: Sequence[Mapping[int, list[Candidate]]] = (),
    ) -> Tensor:
        """``known`` are candidates that are there already, of the first cells, by source."""
        lanes = len(alpha) if alpha.ndim == 2 else 1
        mixture = self._mixture(alpha, self._picked)

        def cell(index: int, before: Tensor, now: Tensor) -> Tensor:
            run = self._pass(weights, index, chance, lanes)
            ready = known[index] if index < len(known) else {}
            return run(before, now, mixture[run.cell.kind], ready)

        return self._logits(weights, stem, cell, lanes)
