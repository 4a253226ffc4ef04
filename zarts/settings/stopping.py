"""R-DARTS' programs: they watch the curvature of L_val in α, and act when it rises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from zarts.settings.sections import SearchConfig, SupernetConfig
from zarts.settings.stages import Done, Epoch, Need, Plain, Stage

__all__ = ["AdaptiveDecay", "EarlyStop", "Watch"]

FACT = "lambda_max"


@dataclass(frozen=True)
class Watch:
    """When λ_max, the largest eigenvalue of ∇²_α L_val, has risen too much, and to where to return.

    λ is measured in every ``every``-th epoch e, counted from 0, and in the last. Its mean over the
    last five entries is compared with the mean that was there four entries earlier. Each of these
    is said to be of the middle of its five, so the earlier one is of e − 6 · ``every``: that is
    the epoch to return to, and no check is made before it has reached ``start``. With the published
    settings (2, 10, 1.3) checks are made at e = 22 ... 48 of 50, and return e − 12.

    Attributes:
        every: Epochs between two entries.
        start: The first epoch to return to, counted from 0.
        ratio: How much larger the later mean must be.
        epochs: Of the search; after the last one there is nothing left to stop.

    Source: R-DARTS §5 and its released code, which differ; this is the code.
    """

    WINDOW: ClassVar[int] = 5
    AGO: ClassVar[int] = 4

    every: int
    start: int
    ratio: float
    epochs: int

    @property
    def need(self) -> Need:
        """λ_max at the end of these epochs, counted from 1."""
        last = self.epochs - 1
        measured = (e + 1 for e in range(self.epochs) if e % self.every == 0 or e == last)
        return Need(FACT, tuple(measured))

    @property
    def checks(self) -> dict[int, int]:
        """The epochs after which it is checked, and to which each returns, counted from 1."""
        back = (self.WINDOW // 2 + self.AGO) * self.every
        asked = range(0, self.epochs - 1, self.every)
        return {e + 1: e + 1 - back for e in asked if e - back >= self.start}

    def back(self, epoch: int, value: Callable[[int], float]) -> int | None:
        """The epoch to return to after this one, if λ has risen; both counted from 1.

        Args:
            epoch: That ended.
            value: From the number of an epoch to its λ; asked for those that are compared.
        """
        if epoch not in self.checks:
            return None
        latest = range(epoch, 0, -self.every)[: self.AGO + self.WINDOW]
        values = [value(each) for each in latest]
        now, before = (
            sum(part) / len(part) for part in (values[: self.WINDOW], values[self.AGO :])
        )
        return self.checks[epoch] if now > self.ratio * before else None


def _watched(search: SearchConfig, supernet: SupernetConfig) -> tuple[Watch, Stage]:
    """The rule, and a plain stage that measures for it and keeps what it may return to."""
    watch = Watch(search.stop_every, search.stop_start, search.stop_ratio, search.epochs)
    stage = Plain.build(search, supernet).stages[0]
    kept = tuple(sorted({*stage.snapshots, *watch.checks.values()}))
    return watch, replace(stage, snapshots=kept, needs=(watch.need,))


@dataclass(frozen=True)
class EarlyStop:
    """ES: the search ends when λ has risen, with the epoch before the rise.

    Source: R-DARTS §5.1.
    """

    stages: tuple[Stage]
    watch: Watch
    leaves_result: bool = True

    @classmethod
    def build(cls, search: SearchConfig, supernet: SupernetConfig) -> Self:
        """The program of ``search.stop_every``, ``stop_start`` and ``stop_ratio``."""
        watch, stage = _watched(search, supernet)
        return cls((stage,), watch)

    def after(self, stage: Stage, history: Sequence[Epoch]) -> Stage | Done:
        """The next epoch, or the end: at the last epoch, or where the rule says."""
        epoch = len(history)
        found = self.watch.back(epoch, lambda number: history[number - 1].facts[FACT])
        if found is not None:
            return Done(found)
        return Done(epoch) if epoch == stage.epochs else stage


@dataclass(frozen=True)
class AdaptiveDecay:
    """ADA: when λ has risen, the search returns to before that, with ten times the decay of ω.

    What follows is a later stage, which begins with α, ω, momentum and memory of the epoch that it
    returns to, and goes on with its schedules; only its batches are drawn anew. The decay never
    exceeds 0.03, so from 3e-4 there are two returns at most.

    The λ of epochs that were undone are not looked at again: the rule sees the way that led here,
    the epochs up to the one returned to and those after it. (In RobustDARTS the list in effect
    keeps them. Then the rise that was acted on would be seen again.)

    Source: R-DARTS §5.2.
    """

    FACTOR: ClassVar[int] = 10
    MOST: ClassVar[float] = 0.03

    stages: tuple[Stage]
    watch: Watch
    leaves_result: bool = True

    @classmethod
    def build(cls, search: SearchConfig, supernet: SupernetConfig) -> Self:
        """The program of ``search.stop_every``, ``stop_start`` and ``stop_ratio``."""
        watch, stage = _watched(search, supernet)
        return cls((replace(stage, states=tuple(watch.checks.values())),), watch)

    def after(self, stage: Stage, history: Sequence[Epoch]) -> Stage | Done:
        """The next epoch, the end after the last, or a stage that begins where the rule says."""
        epoch = history[-1].point.epoch
        decay = round(stage.weight_decay * self.FACTOR, 12)  # 3e-3, not 2.9999999999999996e-3
        if decay <= self.MOST and epoch in self.watch.checks:
            way = {each.point.epoch: each for each in history}  # of each epoch the latest
            found = self.watch.back(epoch, lambda number: way[number].facts[FACT])
            if found is not None:
                return replace(
                    stage,
                    index=stage.index + 1,
                    weight_decay=decay,
                    start=way[found].point,
                    offset=found,
                )
        return Done(epoch) if epoch == stage.epochs else stage
