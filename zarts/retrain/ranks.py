"""Several processes that train one network, as ``torchrun`` starts them; alone, nothing happens.

Each takes its parts of every batch; gradients are averaged, so that all keep the same weights. The
first one reads and writes the run. Numbers of single parts are added to zeros, so the sums have the
same bits however many processes there are.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

__all__ = ["ALONE", "Ranks", "joined", "launched"]


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together.

    Attributes:
        rank: Its number, from 0.
        count: How many there are.
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that reads and writes."""
        return self.rank == 0

    def most(self, value: int) -> int:
        """The largest of the values of all processes."""
        if self.count == 1:
            return value
        found = torch.tensor([value])
        distributed.all_reduce(found, distributed.ReduceOp.MAX)
        return int(found)

    def total(self, values: Tensor) -> Tensor:
        """The sum over all processes, on the CPU."""
        values = values.detach().to("cpu", copy=True)
        if self.count > 1:
            distributed.all_reduce(values)
        return values

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Overwrites tensors with those of the first process."""
        if self.count > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, 0)

    def mine(self, parts: int) -> range:
        """Which of the parts of a batch are this process's; ``count`` divides their number."""
        each = parts // self.count
        return range(self.rank * each, (self.rank + 1) * each)

    def wrap(self, network: nn.Module, *, unused: bool) -> nn.Module:
        """The network with gradients that are averaged over the processes.

        Args:
            network: On its device.
            unused: Whether some parameters may get no gradient.
        """
        if self.count == 1:
            return network
        with warnings.catch_warnings():  # its next name is not in every torch that we run on
            warnings.filterwarnings("ignore", ".*broadcast_buffers. is deprecated", FutureWarning)
            return DistributedDataParallel(
                network, broadcast_buffers=False, find_unused_parameters=unused
            )


ALONE = Ranks()


def launched() -> int:
    """How many processes ``torchrun`` started; 1 if it did not start this one."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


@contextmanager
def joined(device: str) -> Iterator[tuple[Ranks, str]]:
    """Joins the others while the body runs; gives this process's place and its own device.

    Args:
        device: Of the settings; of ``cuda`` each process takes the GPU of its local number.
    """
    count = launched()
    if count == 1:
        yield ALONE, device
        return
    if device == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
    if device != "cpu":
        torch.cuda.set_device(device)
    distributed.init_process_group("gloo" if device == "cpu" else "cpu:gloo,cuda:nccl")
    try:
        yield Ranks(distributed.get_rank(), count), device
    finally:
        distributed.destroy_process_group()
