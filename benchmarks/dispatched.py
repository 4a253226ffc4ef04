"""How many operations a step asks of its device, counted without one: the same on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from zarts.bilevel.chance import Chance
from zarts.bilevel.inner import SGD, Weights, descend
from zarts.supernet.fast.network import Supernet

__all__ = ["Dispatched", "outer_step"]

_FREE = ("aten._unsafe_view", "aten.empty", "aten.new_empty", "aten.empty_like")


class Dispatched(TorchDispatchMode):
    """Counts operations on tensors of the device ``meta``, which takes the choices of a GPU.

    Views and memory that is only reserved are not counted: a GPU is asked for nothing. What
    ``meta`` does otherwise than a GPU is set right: its convolutions lose the layout of their
    images, and nothing can be read from it; whatever is read is 1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        """Counts an operation and runs it."""
        name, kwargs = str(func).rpartition(".")[0], kwargs or {}
        if not func.is_view and name not in _FREE:
            self.count += 1
        if name == "aten._to_copy" and str(kwargs.get("device")) == "cpu":
            return torch.ones(args[0].shape, dtype=args[0].dtype)
        found: object = func(*args, **kwargs)
        layout = torch.channels_last
        if name == "aten.convolution" and args[0].is_contiguous(memory_format=layout):
            assert isinstance(found, Tensor)
            return found.contiguous(memory_format=layout)
        return found


def outer_step(network: Supernet, shape: tuple[int, int, int, int]) -> int:
    """Operations of one outer step: forward, backward, clip, SGD with momentum, and its check."""
    with torch.device("meta"):
        weights = {name: torch.empty(size) for name, size in network.shapes().items()}
        alpha, images = torch.empty(network.space.dim), torch.empty(shape)
        labels = torch.empty(len(images), dtype=torch.long)

    def loss(weights: Weights, batch: Tensor) -> Tensor:
        return functional.cross_entropy(network(weights, alpha, batch, Chance(0)), labels)

    with Dispatched() as seen:
        descend(loss, weights, [images], SGD(0.025), weights)
    return seen.count
