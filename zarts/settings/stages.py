"""What a search is made of: stages, one after the other, and the program that orders them.

No torch in here, and no files: what a program decides is a function of what the epochs stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

from zarts.bilevel.alpha import Group, Space
from zarts.bilevel.chance import Strengths
from zarts.settings.sections import SearchConfig, SupernetConfig
from zarts.supernet.spaces import SPACES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "PROGRAMS",
    "Done",
    "Epoch",
    "Need",
    "Plain",
    "Point",
    "Program",
    "Stage",
    "epochs",
    "program_of",
]


class Point(NamedTuple):
    """The end of an epoch of a run.

    Attributes:
        stage: Counted from 0.
        epoch: Of the stage, counted from 1.
    """

    stage: int
    epoch: int

    @property
    def search_record(self) -> str:
        """The record of what happened in the epoch."""
        return f"{self._folder}search/epoch-{self.epoch:04d}"

    @property
    def snapshot_record(self) -> str:
        """The record of its ω and α, if they are kept."""
        return f"{self._folder}snapshot/epoch-{self.epoch:04d}"

    @property
    def state_record(self) -> str:
        """The record of ω's velocity and the optimizer's memory, if they are kept."""
        return f"{self._folder}state/epoch-{self.epoch:04d}"

    @property
    def _folder(self) -> str:
        """The first stage has the names of the time before there were several."""
        return f"stage-{self.stage}/" if self.stage else ""


class Need(NamedTuple):
    """A number that a program asks of some epochs, because it decides by it.

    Attributes:
        fact: A name in ``zarts.problems.facts``; it is stored beside the other facts of an epoch.
        epochs: At whose end it is measured, counted from 1.
    """

    fact: str
    epochs: tuple[int, ...]


@dataclass(frozen=True)
class Stage:
    """A part of a search with one network. The settings say all that does not stand here.

    Attributes:
        index: Counted from 0; of two stages the later one has the larger.
        space: The operations of each edge; it need not have a name in ``zarts.supernet.spaces``.
        cells: L.
        epochs: The number of its last epoch, at most: the program may end it before. The learning
            rate of ω and σ fall over so many.
        warmup: First epochs, in which α stays as it is.
        weight_decay: Of ω's SGD.
        strengths: How strongly the network draws, by epoch; the last one holds from there on.
            Empty: it does not.
        start: Where α and ω begin: as the snapshot of an earlier epoch has them; None: drawn anew,
            by the seed and the index. Momentum and the optimizer's memory begin empty.
        snapshots: Epochs (counted from 1) whose ω is kept, in order.
        offset: Epochs that count as done when it begins, so that its first is the next one and all
            schedules go on. If there are any, ``start`` is an epoch of ``states`` of its stage, and
            momentum and the optimizer's memory begin as they were there.
        states: Epochs of ``snapshots`` whose momentum and memory are kept besides.
        needs: What is measured for the program.
    """

    index: int
    space: Space
    cells: int
    epochs: int
    warmup: int
    weight_decay: float
    strengths: tuple[Strengths, ...] = ()
    start: Point | None = None
    snapshots: tuple[int, ...] = ()
    offset: int = 0
    states: tuple[int, ...] = ()
    needs: tuple[Need, ...] = ()

    def strength(self, epoch: int) -> Strengths:
        """How strongly the network draws in an epoch, counted from 0."""
        if not self.strengths:
            return Strengths()
        return self.strengths[min(epoch, len(self.strengths) - 1)]

    def left(self, epoch: int) -> list[str]:
        """The records that an epoch (counted from 1) of this stage leaves behind."""
        point = Point(self.index, epoch)
        kept = [point.snapshot_record] if epoch in self.snapshots else []
        kept += [point.state_record] if epoch in self.states else []
        return [point.search_record, *kept]

    def numbers(self, reached: int) -> range:
        """Its epochs up to the one that it reached, counted from 1."""
        return range(self.offset + 1, reached + 1)

    def needed(self, epoch: int) -> list[str]:
        """The facts that the program needs of an epoch, counted from 1."""
        return [need.fact for need in self.needs if epoch in need.epochs]

    def note(self) -> dict[str, Any]:
        """The attribute with the stage, of records of all stages but the first."""
        return {"stage": asdict(self)} if self.index else {}

    @classmethod
    def noted(cls, attributes: Mapping[str, Any]) -> Self | None:
        """The stage that the attributes of a record tell of; None: the first.

        Raises:
            ValueError: If they tell of it in another form (KeyError, TypeError: likewise).
        """
        if "stage" not in attributes:
            return None
        facts = dict(attributes["stage"])
        facts.setdefault("offset", 0)
        for name in ("index", "cells", "epochs", "warmup", "offset"):
            if not isinstance(facts[name], int) or not 0 <= facts[name] < 10_000:
                raise ValueError(f"stage.{name} is {facts[name]!r:.40}, expected a whole number")
        groups = [
            Group(str(group["name"]), tuple(tuple(map(str, edge)) for edge in group["operations"]))
            for group in facts["space"]["groups"]
        ]
        facts["weight_decay"] = float(facts["weight_decay"])
        facts["space"] = Space(str(facts["space"]["name"]), tuple(groups))
        facts["strengths"] = tuple(Strengths(**each) for each in facts["strengths"])
        facts["start"] = Point(*facts["start"]) if facts["start"] else None
        facts["snapshots"] = tuple(facts["snapshots"])
        facts["states"] = tuple(facts.get("states", ()))
        needs = facts.get("needs", ())
        facts["needs"] = tuple(Need(str(fact), tuple(epochs)) for fact, epochs in needs)
        return cls(**facts)


@dataclass(frozen=True)
class Done:
    """The search is over.

    Attributes:
        epoch: The epoch of the stage (counted from 1) that is its result; its ω was kept.
    """

    epoch: int


@dataclass(frozen=True, eq=False)
class Epoch:
    """What a program may know of an epoch: what its record holds.

    Attributes:
        point: Which one.
        alpha: α at its end (d,).
        facts: Numbers: ``val_loss``, ``val_accuracy``, ``learning_rate``, ``alpha_entropy``,
            ``skip_share``, and what the stage ``needs``.
    """

    point: Point
    alpha: NDArray[np.floating[Any]]
    facts: Mapping[str, float]


class Program(Protocol):
    """What follows what in a search; a class with ``build(search, supernet)`` in ``PROGRAMS``.

    Example:
        >>> program = Plain.build(SearchConfig(epochs=2), SupernetConfig())
        >>> program.after(program.stages[0], history=[None, None])
        Done(epoch=2)
    """

    @property
    def stages(self) -> Sequence[Stage]:
        """The stages to expect, for plans. The first is the one that every run begins with.

        Of the others sizes count: which operations they have may depend on the search.
        """

    @property
    def leaves_result(self) -> bool:
        """Whether the end is told by a record ``result``.

        Without, a search is over when all epochs of its only stage are there.
        """

    def after(self, stage: Stage, history: Sequence[Epoch]) -> Stage | Done:
        """What follows an epoch: the same stage, the next one (an index more), or the end.

        A pure function of its arguments, so that a search that goes on, or is looked at, takes the
        same way again.

        Args:
            stage: The stage whose epoch ended.
            history: All epochs so far, of all stages; each is read when it is asked for.
        """


# How a program is called in settings: module and class.
PROGRAMS: dict[str, str] = {
    "plain": "zarts.settings.stages:Plain",
    "staged": "zarts.settings.staged:Staged",
    "early-stop": "zarts.settings.stopping:EarlyStop",
    "adaptive-decay": "zarts.settings.stopping:AdaptiveDecay",
}


@dataclass(frozen=True)
class Plain:
    """One stage of ``search.epochs`` epochs, whose last one is the result."""

    stages: tuple[Stage]
    leaves_result: bool = False

    @classmethod
    def build(cls, search: SearchConfig, supernet: SupernetConfig) -> Self:
        """The program of some settings."""
        stage = Stage(
            index=0,
            space=SPACES[supernet.space],
            cells=supernet.cells,
            epochs=search.epochs,
            warmup=search.warmup,
            weight_decay=search.weight_decay,
            strengths=_strengths(search),
            snapshots=tuple(sorted({*search.snapshots, search.epochs})),
        )
        return cls((stage,))

    def after(self, stage: Stage, history: Sequence[Epoch]) -> Stage | Done:
        """The next epoch, or the end after the last."""
        return Done(stage.epochs) if len(history) == stage.epochs else stage


def _strengths(search: SearchConfig) -> tuple[Strengths, ...]:
    """By epoch: τ of sampled operations on a line, and drop-path that rises from 0 (R-DARTS).

    None where a network does not draw in any.
    """
    start, end = search.gumbel_temperature, search.gumbel_temperature_end
    if start == end == Strengths.temperature and not search.drop_path:
        return ()
    last = max(1, search.epochs - 1)
    return tuple(
        Strengths(
            temperature=start + (end - start) * epoch / last,
            drop_path=search.drop_path * epoch / last,
        )
        for epoch in range(search.epochs)
    )


def program_of(search: SearchConfig, supernet: SupernetConfig) -> Program:
    """The program of some settings, whose name is in ``PROGRAMS``.

    Raises:
        ValueError: If its settings do not fit each other.
    """
    module, _, name = PROGRAMS[search.program].partition(":")
    program: Program = getattr(import_module(module), name).build(search, supernet)
    return program


def epochs(program: Program) -> int:
    """The epochs of all stages to expect."""
    return sum(stage.epochs - stage.offset for stage in program.stages)
