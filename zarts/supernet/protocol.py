"""What a network is, and which there are. Nothing here needs torch until a network is built."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from zarts.bilevel.own import imported

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from zarts.bilevel.alpha import Space
    from zarts.bilevel.chance import Chance

__all__ = ["KERNELS", "NETWORKS", "Forward", "Network", "NetworkRecord", "network_record"]


class Forward(Protocol):
    """A network as a pure function of (ω, α, images, chance).

    It may have two more methods, which are found by their presence. Both take k rows of α (k, d)
    and give logits (k, n, classes):

    - ``many(weights, alphas, images, chance)``: all rows at one ω, what they share computed once;
    - ``each(weights, alphas, images, chance)``: each row with its own row of every weight (k, ...).
      No row may depend on another, not even in its last bit.

    One that draws operations has ``distinct(alphas, chances)``: as how many networks it sees them,
    and ``heaviest()``: an α (d,) at which it draws those with the most weights.
    """

    def __call__(
        self, weights: Mapping[str, Tensor], alpha: Tensor, images: Tensor, chance: Chance
    ) -> Tensor:
        """Logits (n, classes) of images (n, c, h, w); twice differentiable by ω and by α (d,).

        BatchNorm uses the statistics of the batch: ω is the whole state, and is never changed.
        All that is drawn depends on ``chance`` alone. α and images have ω's device and precision.
        """


class Network(Forward, Protocol):
    """One that knows its α and makes its ω."""

    @property
    def space(self) -> Space:
        """What the entries of α mean."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every weight, by name."""

    def init(self, rng: torch.Generator, dtype: torch.dtype = ...) -> dict[str, Tensor]:
        """Draws ω, on the CPU."""


@dataclass(frozen=True)
class NetworkRecord:
    """How a network is made of settings.

    Attributes:
        home: Module and class, ``module:Class``. The class has ``build(space, classes,
            image_channels, settings)``.
        settings: The settings of the section ``supernet`` that it takes, by name.
        redraws: It is another network on each batch, so no ω is the optimum of one loss.
    """

    home: str
    settings: tuple[str, ...]
    redraws: bool = False

    def load(self) -> Any:  # noqa: ANN401 - a class of whatever base
        """The class.

        Raises:
            ValueError: If it cannot be imported, or is no network; says why.
        """
        module, _, name = self.home.partition(":")
        if self in NETWORKS.values():
            return getattr(import_module(module), name)
        kind = imported(module, name)
        if lacks := [part for part in ("build", "shapes", "init") if not hasattr(kind, part)]:
            raise ValueError(
                f"{self.home} is no network: it lacks {', '.join(lacks)}; make it a subclass of "
                "zarts.PlainSupernet, or see zarts.supernet.protocol"
            )
        return kind


_SIZES = ("channels", "cells", "stem")
KERNELS = ("stack_below", "matmul_from", "layout", "phases")
NETWORKS: dict[str, NetworkRecord] = {
    "fast": NetworkRecord("zarts.supernet.fast.network:Supernet", (*_SIZES, *KERNELS)),
    "plain": NetworkRecord("zarts.supernet.plain:PlainSupernet", _SIZES),
    "merged": NetworkRecord("zarts.supernet.merged:MergedSupernet", (*_SIZES, *KERNELS)),
    "sampled": NetworkRecord(
        "zarts.supernet.sampled:SampledSupernet", (*_SIZES, *KERNELS), redraws=True
    ),
}


def network_record(name: str) -> NetworkRecord:
    """The record of a network, or of a class of one's own, ``MODULE:CLASS``; nothing is imported.

    Raises:
        ValueError: If it is neither.
    """
    if name in NETWORKS:
        return NETWORKS[name]
    if not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", name, re.ASCII):
        raise ValueError(f"{name!r}; expected one of: {', '.join(NETWORKS)}, or MODULE:CLASS")
    return NetworkRecord(name, _SIZES)
