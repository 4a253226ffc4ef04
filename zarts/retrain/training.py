"""The training loop of a discrete network, and the test after each epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from zarts.bilevel.chance import Chance
from zarts.bilevel.inner import Diverged, single_thread
from zarts.bilevel.rng import generator
from zarts.guard import out_of_memory
from zarts.problems.parts import set_precision
from zarts.retrain.data import Feed, Loaded, Part
from zarts.retrain.extent import extent, network_of
from zarts.retrain.network import Heads, start
from zarts.retrain.ranks import ALONE, Ranks
from zarts.retrain.settings import RetrainConfig

__all__ = ["Measured", "Trainer"]

DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
NORM_MOMENTUM = 0.1


class Measured(NamedTuple):
    """Mean loss (nats) and accuracy (share in [0, 1]) over images."""

    loss: float
    accuracy: float


class Trainer:
    """A network in training, and all that its next step depends on.

    Draws are keyed, so there is no state of a generator.

    Attributes:
        network: The network, on its device.
        optimizer: SGD of its parameters.
        scaler: Of losses in half precision; does nothing otherwise.
        step: Steps done.
        seen: Sums over the steps of the current epoch (steps, parts, 2): of the losses of images,
            and of images that were recognised; those of this process's parts.
    """

    def __init__(
        self,
        config: RetrainConfig,
        loaded: Loaded,
        ranks: Ranks = ALONE,
        *,
        device: str | None = None,
    ) -> None:
        """Draws the network; ``device`` None is that of the settings."""
        set_precision(config)
        self.config, self.ranks = config, ranks
        self.device = torch.device(device or config.device)
        self.feed = Feed(config, loaded, ranks, device=device)
        train = config.training
        with torch.device("meta"):
            network = network_of(config, loaded.train.classes, loaded.shape[0])
        network.to_empty(device="cpu")
        start(network, generator(config.seed, "retrain", "weights"))
        last = config.network.layout == "last"
        layout = torch.channels_last if last else torch.contiguous_format
        self.network = network.to(self.device, memory_format=layout)  # type: ignore[call-overload]
        self.module = ranks.wrap(self.network, unused=not self.network.whole)
        self.optimizer = torch.optim.SGD(
            self.network.parameters(),
            lr=train.learning_rate,
            momentum=train.momentum,
            weight_decay=train.weight_decay,
        )
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=train.precision == "fp16")
        self.step = 0
        self.seen = torch.zeros(self.feed.steps, train.accumulate, 2, device=self.device)
        self._loss = nn.CrossEntropyLoss(label_smoothing=train.label_smoothing)
        self._norms = [m for m in self.network.modules() if isinstance(m, nn.BatchNorm2d)]

    @property
    def parameters(self) -> int:
        """Number of parameters, without those of the auxiliary head."""
        return sum(
            weight.numel()
            for name, weight in self.network.named_parameters()
            if not name.startswith("auxiliary.")
        )

    def steps(self, epoch: int) -> Iterator[None]:
        """The steps of an epoch that are not done yet, one by one.

        Raises:
            Diverged: If a loss is not finite.
            MemoryError: If the device has too little memory for a part of a batch.
        """
        rate = self.config.training.rate(epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        first = self.step - epoch * self.feed.steps
        if first == 0:
            self.seen.zero_()
        self.module.train()
        for position, parts in enumerate(self.feed.epoch(epoch, first), start=first):
            self._tried(parts, position, self.config.training.drop(epoch))
            self.step += 1
            if self.device.type == "cpu":  # elsewhere to look is to wait
                self.check()
            yield

    def check(self) -> None:
        """Looks whether all losses of the epoch so far are finite, in all processes at once.

        Raises:
            Diverged: If one is not.
        """
        if self.ranks.most(int(not bool(self.seen.isfinite().all()))):
            raise Diverged("the training loss", self.step)

    def trained(self) -> Measured:
        """Loss, as it was descended, and accuracy over the training images of an epoch that ended.

        Raises:
            Diverged: If a loss was not finite.
        """
        found = self.ranks.total(self.seen).double().sum(dim=(0, 1)) / self.feed.images
        if not math.isfinite(float(found[0])):
            raise Diverged("the training loss", self.step)
        return Measured(float(found[0]), float(found[1]))

    def test(self) -> Measured:
        """Loss and accuracy over the test images, with the running statistics of BatchNorm.

        Where cells draw noise they are means over several passes.

        Raises:
            Diverged: If the loss is not finite.
        """
        self.ranks.share(self.network.buffers())
        passes = self.config.training.passes if self.network.noisy else 1
        found = torch.zeros(passes * self.feed.tests, 3, dtype=torch.float64, device=self.device)
        self.network.eval()
        with torch.inference_mode(), single_thread():
            for part in self.feed.test(passes):
                with self._autocast():
                    logits = self.network(part.images, Chance(part.key)).logits.float()
                loss = nn.functional.cross_entropy(logits, part.labels, reduction="sum")
                hits = (logits.argmax(1) == part.labels).sum()
                found[part.place] = torch.stack([loss, hits, loss.new_tensor(len(part.labels))])
        loss, hits, images = self.ranks.total(found).sum(dim=0).tolist()
        if not math.isfinite(loss):
            raise Diverged("the test loss", self.step)
        return Measured(loss / images, hits / images)

    def _tried(self, parts: list[Part], position: int, drop: float) -> None:
        """A step; if memory runs out, that is told with what would fit."""
        try:
            with single_thread():
                self._descend(parts, position, drop)
        except RuntimeError as error:
            if told := out_of_memory(error):
                raise MemoryError(self._too_large(parts, told)) from error
            raise

    def _descend(self, parts: list[Part], position: int, drop: float) -> None:
        """One step of SGD on the parts of a batch."""
        train = self.config.training
        self.optimizer.zero_grad(set_to_none=True)
        for number, part in enumerate(parts):
            if train.accumulate > 1:
                self._keep_statistics(first=part.place == 0)
            waiting = number + 1 < len(parts) and self.ranks.count > 1
            with self.module.no_sync() if waiting else nullcontext():  # type: ignore[operator]
                with self._autocast():
                    heads: Heads = self.module(part.images, Chance(part.key, drop_path=drop))
                    loss = self._loss(heads.logits, part.labels)
                    if heads.auxiliary is not None:
                        loss = loss + train.auxiliary * self._loss(heads.auxiliary, part.labels)
                # of the processes a mean is taken, of the parts a sum
                share = part.share * self.ranks.count
                self.scaler.scale(loss * share if share != 1 else loss).backward()
            self._note(position, part, loss, heads.logits)
        if train.clip:
            self.scaler.unscale_(self.optimizer)
            clip_grad_norm_(self.network.parameters(), train.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def _note(self, position: int, part: Part, loss: Tensor, logits: Tensor) -> None:
        with torch.no_grad():
            hits = (logits.argmax(1) == part.labels).sum()
            self.seen[position, part.place, 0] = loss.detach() * len(part.labels)
            self.seen[position, part.place, 1] = hits

    def _keep_statistics(self, *, first: bool) -> None:
        """Lets BatchNorm's running statistics follow the first part of a batch alone.

        So do several processes, of which the first keeps its own.
        """
        for norm in self._norms:
            norm.momentum = NORM_MOMENTUM if first else 0.0

    def _autocast(self) -> torch.autocast:
        precision = self.config.training.precision
        enabled = precision != "float32"
        dtype = DTYPES[precision] if enabled else torch.bfloat16
        return torch.autocast(self.device.type, dtype=dtype, enabled=enabled)

    def _too_large(self, parts: list[Part], told: str) -> str:
        images = max(len(part.labels) for part in parts)
        shape = parts[0].images.shape[1:]
        fit = extent(self.config, self.feed.classes, shape).fitting(self.config.device)
        would = f"; about {fit} would fit" if 1 < fit < images else ""
        return (
            f"memory ran out at {images} images in a part of a batch{would}; raise "
            f"training.accumulate or lower data.batch_size [{told.partition(';')[0]}]"
        )
