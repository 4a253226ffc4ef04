"""Programs that only tests have: of two stages, and one that ends early."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pytest

from tests.tiny import tiny
from zarts.bilevel.alpha import Group, Space
from zarts.bilevel.chance import Strengths
from zarts.settings.stages import PROGRAMS, Done, Epoch, Plain, Point, Stage


@dataclass(frozen=True)
class Staged:
    """Whatever the settings' own stage is the first of."""

    stages: tuple[Stage, ...]
    leaves_result = True

    @classmethod
    def build(cls, search: Any, supernet: Any) -> Self:
        first = Plain.build(search, supernet).stages[0]
        return cls(tuple(cls.order(first)))

    @staticmethod
    def order(first: Stage) -> list[Stage]:
        raise NotImplementedError


class Narrowing(Staged):
    """A second stage of more cells, each edge without the operation of least α."""

    @staticmethod
    def order(first: Stage) -> list[Stage]:
        return [first, narrowed(first, np.zeros(first.space.dim))]

    def after(self, stage: Stage, history: Sequence[Epoch]) -> Stage | Done:
        last = history[-1]
        if last.point.epoch < stage.epochs:
            return stage
        return Done(last.point.epoch) if stage.index else narrowed(stage, last.alpha)


def narrowed(stage: Stage, alpha: Any) -> Stage:
    groups, first = [], 0
    for group in stage.space.groups:
        rows = alpha[first : first + group.size].reshape(group.edges, group.width)
        first += group.size
        kept = [
            tuple(name for column, name in enumerate(edge) if column != row.argmin())
            for edge, row in zip(group.operations, rows, strict=True)
        ]
        groups.append(Group(group.name, tuple(kept)))
    return replace(
        stage,
        index=1,
        space=Space("narrowed", tuple(groups)),
        cells=2,
        epochs=2,
        warmup=1,
        weight_decay=0.0,
        strengths=(Strengths(), Strengths(temperature=2.0, drop_path=0.5)),
        snapshots=(2,),
    )


class Early(Staged):
    """Ends when the learning rate is below 0.04, with the epoch before; keeps them all."""

    @staticmethod
    def order(first: Stage) -> list[Stage]:
        return [replace(first, snapshots=tuple(range(1, first.epochs + 1)))]

    def after(self, stage: Stage, history: Sequence[Epoch]) -> Stage | Done:
        low = [each.facts["learning_rate"] < 0.04 for each in history]
        return Done(len(history) - 1) if any(low) else stage


class Again(Staged):
    """A second stage like the first, from where the first was after its first epoch."""

    @staticmethod
    def order(first: Stage) -> list[Stage]:
        first = replace(first, snapshots=(1, 2))
        return [first, replace(first, index=1, warmup=1, start=Point(0, 1))]

    def after(self, stage: Stage, history: Sequence[Epoch]) -> Stage | Done:
        if len(history) % 2:
            return stage
        return Done(2) if stage.index else self.stages[1]


SMALL = {"supernet": {"space": "s3"}, "search": {"period": 2}}
NARROWING = {"search": {"program": "narrowing"}}
STAGED = {  # P-DARTS' own, as small as it can be
    "supernet": {"space": "s3"},
    "search": {
        "program": "staged",
        "epochs": 1,
        "stage_cells": [1, 2],
        "stage_drops": [1],
        "stage_dropout": [0.0, 0.5],
        "derivation": "pdarts",
    },
}
EARLY = {"search": {"program": "early", "epochs": 4}}


def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (Narrowing, Early, Again):
        monkeypatch.setitem(PROGRAMS, kind.__name__.lower(), f"{__name__}:{kind.__name__}")


def staged(program: dict[str, Any], *changes: dict[str, Any]) -> Any:
    return tiny("darts-1", SMALL, program, *changes)
