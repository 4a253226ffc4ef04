"""Images as a bilevel problem: a data set and a supernet become the two losses and a feed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn import functional

from zarts.bilevel.chance import Chance, Strengths
from zarts.bilevel.feed import Scores
from zarts.bilevel.inner import SGD, Weights, single_thread
from zarts.bilevel.objective import Bilevel
from zarts.bilevel.rng import key
from zarts.data.stream import Batch, Stream
from zarts.supernet.protocol import Forward

__all__ = ["ImageFeed", "ImageLoss", "cosine", "judged"]

Logits = Callable[[Weights, Tensor, Tensor, Chance], Tensor]  # of several α


def cosine(start: float, end: float, position: float, length: float) -> float:
    """Value at ``position`` of a half cosine from ``start`` (0) to ``end`` (``length``).

    Source: SGDR, as DARTS and ZARTS use it for the learning rate, stepped once per epoch.
    """
    return end + (start - end) * (1 + math.cos(math.pi * position / length)) / 2


@dataclass(frozen=True)
class ImageLoss:
    """Cross-entropy of a supernet: both L_train and L_val.

    Attributes:
        network: The supernet.
        draws: How often the network draws for a value, which is the mean over these draws; of the
            loss and the hits of an image too.
    """

    network: Forward
    draws: int = 1

    def __call__(self, weights: Weights, alpha: Tensor, batch: Batch) -> Tensor:
        """Mean cross-entropy (scalar, nats) over the batch, times the batch's weight.

        Its chance drives operations that draw.
        """
        found = []
        for one in self._drawn(batch):
            logits = self.network(weights, alpha, one.images, one.chance)
            found.append(functional.cross_entropy(logits, one.labels))
        return _weighed(_mean(found), batch)

    @property
    def many(self) -> Callable[[Weights, Tensor, Batch], Tensor]:
        """Losses (k,) at k rows of α (k, dim) and one ω; what they share is computed once.

        Raises:
            AttributeError: If the network does not know how; ``zarts.bilevel.chunk`` asks one by
            one then.
        """
        logits_of: Logits = self.network.many  # type: ignore[attr-defined]  # by its presence
        return lambda weights, alphas, batch: _mean(
            [
                _of_many(logits_of(weights, alphas, one.images, one.chance), one)
                for one in self._drawn(batch)
            ]
        )

    @property
    def each(self) -> Callable[[Weights, Tensor, Batch], Tensor]:
        """Losses (k,) at k rows of α (k, dim), each with its own row of ω (k, ...).

        Raises:
            AttributeError: If the network does not know how; ``zarts.bilevel.chunk`` asks one by
            one then.
        """
        logits_of: Logits = self.network.each  # type: ignore[attr-defined]  # by its presence
        return lambda weights, alphas, batch: _mean(
            [
                _of_each(logits_of(weights, alphas, one.images, one.chance), one)
                for one in self._drawn(batch)
            ]
        )

    @property
    def distinct(self) -> Callable[[Tensor, Sequence[Batch]], int]:
        """As how many different networks some batches see k rows of α (k, dim).

        Raises:
            AttributeError: If the network is the same at every α, but for its mixtures.
        """
        count: Callable[[Tensor, list[Chance]], int] = self.network.distinct  # type: ignore[attr-defined]
        return lambda alphas, batches: count(
            alphas, [one.chance for batch in batches for one in self._drawn(batch)]
        )

    def scores(self, weights: Weights, alphas: Tensor, batch: Batch, *, shared: bool) -> Scores:
        """What ``many`` gives (``shared``: one ω) or ``each``, and what the images say, at once."""
        known: Logits | None = getattr(self.network, "many" if shared else "each", None)
        if known is None and shared:
            weights = {name: one.expand(len(alphas), *one.shape) for name, one in weights.items()}
        mean, found = _of_many if shared or known is None else _of_each, []
        for one in self._drawn(batch):
            logits = (known or self._one_by_one)(weights, alphas, one.images, one.chance)
            hits = logits.argmax(2) == one.labels
            found.append(Scores(mean(logits, one), _apart(logits, one), hits))
        if len(found) == 1:
            return found[0]
        losses, images, counted = zip(*found, strict=True)
        return Scores(_mean(losses), _mean(images), _mean([each.double() for each in counted]))

    def apart(self, weights: Weights, alphas: Tensor, batch: Batch) -> Tensor:
        """Losses (k, images) of the single images, whose means are those of ``each``."""
        logits_of: Logits = getattr(self.network, "each", self._one_by_one)
        return _mean(
            [
                _apart(logits_of(weights, alphas, one.images, one.chance), one)
                for one in self._drawn(batch)
            ]
        )

    def _drawn(self, batch: Batch) -> list[Batch]:
        """The batch with the chance of each draw, its own first."""
        chance = batch.chance
        keys = [key(chance.key, "draw", number) for number in range(1, self.draws)]
        return [batch, *(replace(batch, chance=replace(chance, key=each)) for each in keys)]

    def _one_by_one(
        self, weights: Weights, alphas: Tensor, images: Tensor, chance: Chance
    ) -> Tensor:
        rows = range(len(alphas))
        own = ({name: weight[row] for name, weight in weights.items()} for row in rows)
        each = [self.network(w, a, images, chance) for w, a in zip(own, alphas, strict=True)]
        return torch.stack(each)

    def measure(
        self, weights: Weights, alpha: Tensor, batches: Sequence[Batch]
    ) -> tuple[float, float]:
        """Mean loss (nats) and accuracy (share in [0, 1]) over all images of ``batches``.

        ω is taken as it is and α is the CPU vector of the search. BatchNorm uses the statistics of
        each batch, as in the search. The network draws once for each.
        """
        some = next(iter(weights.values()))
        point = alpha.to(device=some.device, dtype=some.dtype)
        total, hits, count = 0.0, 0, 0
        with torch.inference_mode(), single_thread():
            for batch in batches:
                logits = self.network(weights, point, batch.images, batch.chance)
                total += float(functional.cross_entropy(logits, batch.labels, reduction="sum"))
                hits += int((logits.argmax(1) == batch.labels).sum())
                count += len(batch.labels)
        return total / count, hits / count


def judged(objective: Bilevel[Batch], candidates: Tensor) -> dict[str, float]:
    """What is known of the candidates (k, d) of an update besides their losses.

    Returns:
        Where the network draws operations, ``distinct``: as how many networks L_val saw them.
    """
    count = getattr(objective.val_loss, "distinct", None)
    if count is None or not len(candidates):
        return {}
    return {"distinct": float(count(candidates, objective.val_batches()))}


def _of_many(logits: Tensor, batch: Batch) -> Tensor:
    """Losses (k,) of logits (k, n, classes), each by itself, as a call gives it."""
    losses = [functional.cross_entropy(each, batch.labels) for each in logits]
    return _weighed(torch.stack(losses), batch)


def _of_each(logits: Tensor, batch: Batch) -> Tensor:
    """Losses (k,) of logits (k, n, classes), all at once."""
    labels = batch.labels.repeat(len(logits))
    losses = functional.cross_entropy(logits.flatten(0, 1), labels, reduction="none")
    return _weighed(losses.view(len(logits), -1).mean(1), batch)


def _apart(logits: Tensor, batch: Batch) -> Tensor:
    """Losses (k, n) of the single images."""
    labels = batch.labels.expand(len(logits), -1)
    return functional.cross_entropy(logits.transpose(1, 2), labels, reduction="none")


def _mean(found: Sequence[Tensor]) -> Tensor:
    return found[0] if len(found) == 1 else torch.stack(list(found)).mean(0)


def _weighed(losses: Tensor, batch: Batch) -> Tensor:
    return losses if batch.weight == 1 else losses * batch.weight


@dataclass(frozen=True, eq=False)
class ImageFeed:
    """Which batches and which rates iteration t gets; see ``zarts.bilevel.objective.Feed``.

    An epoch of S training batches holds ⌈S / period⌉ iterations; the last one is shorter where the
    period does not divide S, so that the learning rate changes between iterations only.

    Attributes:
        train: Training stream of the outer steps.
        inner: Training stream of the inner steps, or None to take the coming outer batches, as
            DARTS-2nd does.
        val: Validation stream.
        outer: Rule of the outer steps in epoch e.
        inner_rule: Rule of the inner steps given the outer rule of the epoch.
        period: Outer steps per iteration.
        val_batches_per_iteration: Validation batches that a candidate is scored on.
        stride: Inner batches set aside per iteration; problems that differ in M share the first.
        strengths: How strongly the network draws in epoch e, on all of these batches.
        cutout: Probability that an image is cut out in epoch e, where any is.
    """

    train: Stream
    inner: Stream | None
    val: Stream
    outer: Callable[[int], SGD]
    inner_rule: Callable[[SGD], SGD]
    period: int = 1
    val_batches_per_iteration: int = 1
    stride: int = 10
    strengths: Callable[[int], Strengths] = lambda epoch: Strengths()
    cutout: Callable[[int], float] = lambda epoch: 1.0
    # init=False: what `dataclasses.replace` makes has other streams, so it keeps its own batches
    _kept: dict[tuple[str, int, float], Batch] = field(default_factory=dict, init=False, repr=False)

    @property
    def iterations_per_epoch(self) -> int:
        """α updates per epoch."""
        return math.ceil(self.train.batches_per_epoch / self.period)

    def epoch(self, iteration: int) -> int:
        """The epoch (counted from 0) of an iteration."""
        return iteration // self.iterations_per_epoch

    def train_batches(self, iteration: int) -> Sequence[Batch]:
        """The outer training batches: ``period`` of them, fewer at the end of an epoch."""
        first, last = self.window(iteration)
        cutout = self.cutout(self.epoch(iteration))
        batches = [self.train.batch(index, cutout) for index in range(first, last)]
        return self._drawing(iteration, batches)

    def inner_batches(self, iteration: int, steps: int) -> Sequence[Batch]:
        """The M training batches all candidates of this iteration are fine-tuned on."""
        if self.inner is None:
            first, _ = self.window(iteration)
            kept = self._keep(iteration, "train", self.train, first, steps)
        else:
            kept = self._keep(iteration, "inner", self.inner, iteration * self.stride, steps)
        return self._drawing(iteration, kept)

    def val_batches(self, iteration: int) -> Sequence[Batch]:
        """The validation batches all candidates of this iteration are scored on.

        Where their sizes differ they are weighed, so that a mean over them is one over all images.
        """
        count = self.val_batches_per_iteration
        kept = self._keep(iteration, "val", self.val, iteration * count, count)
        batches = self._drawing(iteration, kept)
        sizes = [len(batch.labels) for batch in batches]
        if len(set(sizes)) == 1:
            return batches
        share = count / sum(sizes)
        return [
            replace(batch, weight=size * share) for batch, size in zip(batches, sizes, strict=True)
        ]

    def outer_sgd(self, iteration: int) -> SGD:
        """The rule of the outer steps in this iteration's epoch."""
        return self.outer(self.epoch(iteration))

    def inner_sgd(self, iteration: int) -> SGD:
        """The rule of the inner steps."""
        return self.inner_rule(self.outer_sgd(iteration))

    def window(self, iteration: int) -> tuple[int, int]:
        """The first of an iteration's outer batches in the training stream, and the one after."""
        epoch, position = divmod(iteration, self.iterations_per_epoch)
        size = self.train.batches_per_epoch
        start = position * self.period
        return epoch * size + start, epoch * size + min(start + self.period, size)

    def _drawing(self, iteration: int, batches: Sequence[Batch]) -> list[Batch]:
        """The batches, with the strengths of this epoch: one kept may be from the epoch before."""
        strengths = self.strengths(self.epoch(iteration))
        chances = [strengths.chance(batch.chance.key) for batch in batches]
        return [
            batch if batch.chance == chance else replace(batch, chance=chance)
            for batch, chance in zip(batches, chances, strict=True)
        ]

    def _keep(
        self, iteration: int, purpose: str, stream: Stream, first: int, count: int
    ) -> list[Batch]:
        """Makes each batch once per iteration, however many candidates ask for it."""
        cutout = self.cutout(self.epoch(iteration))
        # candidates with fewer inner steps ask for fewer batches: only another iteration evicts
        window = range(first, first + max(count, self.stride))
        for name in [name for name in self._kept if name[0] == purpose and name[1] not in window]:
            del self._kept[name]
        wanted = [(purpose, index, cutout) for index in range(first, first + count)]
        for name in wanted:
            if name not in self._kept:
                self._kept[name] = stream.batch(*name[1:])
        return [self._kept[name] for name in wanted]


def with_rate(rate: float, clip: float | None) -> Callable[[SGD], SGD]:
    """The outer rule with another clip, and with another learning rate unless ``rate`` is 0."""
    return lambda outer: replace(outer, clip=clip, learning_rate=rate or outer.learning_rate)
