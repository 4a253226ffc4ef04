"""P-DARTS' program: deeper networks of fewer operations, each stage from new ω and α."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from zarts.bilevel.alpha import Group, Space
from zarts.bilevel.chance import Strengths
from zarts.settings.sections import SearchConfig, SupernetConfig
from zarts.settings.stages import Done, Epoch, Plain, Stage

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Staged", "skip_dropout"]

DECAY = 0.2  # of the dropout after skip connections, per epoch once α moves


@dataclass(frozen=True)
class Staged:
    """Stages of equal length; at the end of each but the last every edge loses its lightest.

    The cells are those of the last stage, derived from the operations that are left there.

    Attributes:
        stages: Those to expect. Which operations the later ones have depends on the search; here
            they are as if all weighed the same.
        drops: Operations that every edge loses at the end of each stage but the last.

    Source: P-DARTS §3.2 and its released code: 5, 11 and 17 cells, 8, 5 and 3 operations.
    """

    stages: tuple[Stage, ...]
    drops: tuple[int, ...]
    leaves_result: bool = True

    @classmethod
    def build(cls, search: SearchConfig, supernet: SupernetConfig) -> Self:
        """The program of ``search.stage_cells``, ``stage_drops`` and ``stage_dropout``.

        Raises:
            ValueError: If these do not fit each other, or the space.
        """
        first, drops = Plain.build(search, supernet).stages[0], search.stage_drops
        _check(search, first.space)
        rates = search.stage_dropout or (0.0,) * len(search.stage_cells)
        stages = list[Stage]()
        for index, (cells, rate) in enumerate(zip(search.stage_cells, rates, strict=True)):
            space = first.space
            if index:
                equal = np.zeros(stages[-1].space.dim)
                space = narrowed(stages[-1].space, equal, drops[index - 1])
            strengths = tuple(_strengths(first, rate)) if rate else first.strengths
            stage = replace(first, index=index, space=space, cells=cells, strengths=strengths)
            stages.append(stage)
        return cls(tuple(stages), drops)

    def after(self, stage: Stage, history: Sequence[Epoch]) -> Stage | Done:
        """The next epoch; after a stage's last one the next stage, or the end."""
        last = history[-1]
        if last.point.epoch < stage.epochs:
            return stage
        if stage.index == len(self.drops):
            return Done(stage.epochs)
        space = narrowed(stage.space, last.alpha, self.drops[stage.index])
        return replace(self.stages[stage.index + 1], space=space)


def _check(search: SearchConfig, space: Space) -> None:
    """Raises ValueError unless the settings of the stages can be used."""
    cells, drops, rates = search.stage_cells, search.stage_drops, search.stage_dropout
    width = min(group.width for group in space.groups)
    if not cells or min(cells) < 1:
        raise ValueError(
            f"search.stage_cells is {list(cells)}, expected the cells of each stage, as [5, 11, 17]"
        )
    if len(drops) != len(cells) - 1 or min(drops, default=0) < 0:
        raise ValueError(
            f"search.stage_drops is {list(drops)}, expected the operations that go after each of "
            f"{len(cells)} stages but the last: {len(cells) - 1} numbers"
        )
    if sum(drops) >= width:
        raise ValueError(
            f"search.stage_drops is {list(drops)}, but {space.name} has {width} operations on each "
            "edge and one must be left; lower it, or use s5, which has 8"
        )
    if rates and (len(rates) != len(cells) or not all(0 <= rate < 1 for rate in rates)):
        raise ValueError(
            f"search.stage_dropout is {list(rates)}, expected a probability in [0, 1) for each of "
            f"{len(cells)} stages"
        )


def narrowed(space: Space, alpha: NDArray[np.floating[Any]], drops: int) -> Space:
    """The space without the operations of each edge that weigh least at α (d,).

    Among equals the first goes. The others keep their order.
    """
    groups, first = list[Group](), 0
    for group in space.groups:
        rows = alpha[first : first + group.size].reshape(group.edges, group.width)
        first += group.size
        kept = np.sort(rows.argsort(axis=1, kind="stable")[:, drops:], axis=1)
        edges = [
            tuple(edge[column] for column in columns)
            for edge, columns in zip(group.operations, kept.tolist(), strict=True)
        ]
        groups.append(Group(group.name, tuple(edges)))
    name = space.name.partition("-")[0]
    return Space(f"{name}-{min(group.width for group in groups)}", tuple(groups))


def skip_dropout(rate: float, epoch: int, epochs: int, warmup: int) -> float:
    """The dropout after skip connections in an epoch, counted from 0.

    It falls linearly while α is fixed; then it begins at its rate again, and decays.
    """
    if epoch < warmup:
        return rate * (epochs - epoch - 1) / epochs
    return rate * math.exp(-DECAY * (epoch - warmup))


def _strengths(stage: Stage, rate: float) -> Iterator[Strengths]:
    for epoch in range(stage.epochs):
        drop = skip_dropout(rate, epoch, stage.epochs, stage.warmup)
        yield replace(stage.strength(epoch), drop_skip=drop)
