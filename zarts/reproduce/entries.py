"""What there is of a study by now, read from the folders of its runs. No torch."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zarts.reproduce.studies import RANDOM, Arm
from zarts.retrain.results import Result as Retrained
from zarts.retrain.results import finished, read_result
from zarts.runs.course import chosen, search_finished
from zarts.runs.epochs import trace
from zarts.runs.runfile import Run
from zarts.supernet.genotype import Genotype, Inputs
from zarts.supernet.layout import NODES
from zarts.supernet.spaces import SPACES

__all__ = ["Entry", "Searched", "condition_record", "entries_of", "random_cells", "read_search"]


@dataclass(frozen=True)
class Searched:
    """What a finished search found.

    Attributes:
        cells: The genotype that it chose.
        by_epoch: Of each epoch of the last stage, its genotype; random cells have none.
        seconds: Wall time of its iterations.
        diagnostics: Of each epoch, means over its updates: ``ess``, ``cv`` and what else the
            optimizer told.
        conditions: Epoch to Q (ZARTS Eq. 9), where it was computed.
    """

    cells: Genotype
    by_epoch: Mapping[int, Genotype]
    seconds: float
    diagnostics: Mapping[int, Mapping[str, float]]
    conditions: Mapping[int, float]


@dataclass(frozen=True)
class Entry:
    """One search of an arm, and the retraining of some of its cells.

    Attributes:
        arm: Its arm.
        seed: Of the search.
        epoch: Whose cells are retrained; None: the ones that the search chose.
        searched: What it found; None: not finished.
        retrained: What its cells are worth; None: not finished.
    """

    arm: Arm
    seed: int
    epoch: int | None
    searched: Searched | None
    retrained: Retrained | None

    @property
    def cells(self) -> Genotype | None:
        """What is retrained; None: not known yet."""
        if self.searched is None:
            return None
        return self.searched.cells if self.epoch is None else self.searched.by_epoch[self.epoch]


def condition_record(epoch: int) -> str:
    """The record of Q after an epoch; it follows from the search, so no hash covers it."""
    return f"derived/condition/epoch-{epoch:04d}"


def entries_of(arms: Sequence[Arm]) -> list[Entry]:
    """All entries of some arms, with what is there of each.

    Raises:
        RunError: If a folder holds another run, or one that cannot be read.
    """
    found = []
    for arm in arms:
        for seed in arm.seeds:
            searched = read_search(arm, seed)
            for epoch in arm.epochs or (None,):
                entry = Entry(arm, seed, epoch, searched, None)
                retrained = _read_retraining(entry)
                found.append(Entry(arm, seed, epoch, searched, retrained))
    return found


def read_search(arm: Arm, seed: int) -> Searched | None:
    """What the search of an arm found; None if it is not finished.

    Raises:
        RunError: If its folder holds another run, or one that cannot be read.
    """
    if arm.method == RANDOM:
        return Searched(random_cells(arm.space, seed), {}, 0.0, {}, {})
    folder, config = arm.searched(seed), arm.searching(seed)
    if not (folder / "run.h5").exists():
        return None
    run = Run.create(folder, config.to_table(), {})  # refuses one of other settings
    if not search_finished(run, config):
        return None
    found = trace(run)
    last = {
        told.point.epoch: told
        for told in found.epochs
        if found.chosen and told.point.stage == found.chosen.stage
    }
    conditions = {epoch: condition_record(epoch) for epoch in arm.epochs}
    return Searched(
        cells=last[chosen(run, config).epoch].genotype,
        by_epoch={epoch: told.genotype for epoch, told in last.items()},
        seconds=sum(told.seconds for told in found.epochs),
        diagnostics={epoch: told.means for epoch, told in last.items()},
        conditions={
            epoch: run.parse(name, lambda record: float(record.arrays["number"]))
            for epoch, name in conditions.items()
            if name in run
        },
    )


def _read_retraining(entry: Entry) -> Retrained | None:
    if entry.cells is None:
        return None
    config = entry.arm.retraining(str(entry.cells), entry.seed)
    folder = entry.arm.retrained(str(entry.cells), entry.seed)
    if not (folder / "run.h5").exists():
        return None
    run = Run.create(folder, config.to_table(), {})  # refuses one of other settings
    return read_result(folder) if finished(run, config) else None


def random_cells(space: str, seed: int) -> Genotype:
    """Draws cells of a space: of every node two inputs, of each one operation other than none."""
    draw = random.Random(f"cells of {space}, seed {seed}")

    def cell(operations: Sequence[Sequence[str]]) -> Inputs:
        kept: list[tuple[str, int]] = []
        first = 0
        for node in range(NODES):
            for source in sorted(draw.sample(range(node + 2), 2)):
                names = [name for name in operations[first + source] if name != "none"]
                kept.append((draw.choice(names), source))
            first += node + 2
        return tuple(kept)

    normal, reduce = (group.operations for group in SPACES[space].groups)
    return Genotype(cell(normal), cell(reduce))
