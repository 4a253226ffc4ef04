"""The parts of a study, done: searches first, then what follows from what they found."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from zarts.cli import Stopped
from zarts.execute import Failure, default_workers
from zarts.execute import run as execute
from zarts.reproduce.condition import record_condition
from zarts.reproduce.entries import condition_record, entries_of
from zarts.reproduce.estimate import Rates, condition_passes, retraining_passes, search_passes
from zarts.reproduce.studies import RANDOM, Arm
from zarts.runs.runfile import Run, RunError, RunLocked
from zarts.supernet.published import NAMED
from zarts.sweep.outcomes import Outcome, Problem
from zarts.sweep.running import Workforce, finished
from zarts.sweep.tasks import Retraining, Search, Task
from zarts.text import human_time

__all__ = ["Cost", "Problems", "cost_of", "reproduce"]

Problems = dict[str, Problem]  # by the name of the run


@dataclass(frozen=True)
class Cost:
    """What of a study is left to be done, and about how long it takes.

    Attributes:
        searches: Left.
        all_searches: In all.
        retrainings: Left, at most: equal cells share one.
        all_retrainings: In all, at most.
        search_seconds: Of the searches left, one after the other.
        retraining_seconds: Of the retrainings left.
        conditions: Condition numbers left.
        condition_seconds: Of these.
    """

    searches: int
    all_searches: int
    retrainings: int
    all_retrainings: int
    search_seconds: float
    retraining_seconds: float
    conditions: int
    condition_seconds: float


def cost_of(arms: Sequence[Arm]) -> Cost:
    """What is left of a study, estimated from counted multiplications and a measured rate.

    Raises:
        RunError: If a folder holds another run, or one that cannot be read.
    """
    rates, entries, searches = Rates(), entries_of(arms), _searches(arms)
    left = [task for task in searches if not finished(task)]
    likely = str(NAMED["DARTS_V2"])
    again = {arm.name: arm.retraining(likely, 0) for arm in arms}
    each = {
        name: retraining_passes(config) * rates.retraining(config) for name, config in again.items()
    }
    missing = [entry.arm.name for entry in entries if entry.retrained is None]
    conditions = [
        entry.arm.searching(entry.seed)
        for entry in entries
        if entry.epoch is not None
        and not (entry.searched and entry.epoch in entry.searched.conditions)
    ]
    return Cost(
        len(left),
        len(searches),
        len(missing),
        len(entries),
        sum(search_passes(task.config) * rates.search(task.config) for task in left),
        sum(each[name] for name in missing),
        len(conditions),
        sum(condition_passes(config) * rates.search(config) for config in conditions),
    )


def reproduce(arms: Sequence[Arm], crew: Workforce) -> Problems:
    """Does what is left of a study; what could not be finished.

    Searches come first, then retrainings of what they found, and the condition numbers of arms that
    ask for several epochs. What another process works on is left to it.
    """
    searches = [task for task in _searches(arms) if not finished(task)]
    problems = _finish(crew, searches, "searches")
    problems |= _finish(crew, _retrainings(arms), "retrainings")
    return problems | _conditions(arms, crew)


def _searches(arms: Sequence[Arm]) -> list[Search]:
    """All searches, each once: tables may share them."""
    found: dict[str, Search] = {}
    for arm in arms:
        if arm.method != RANDOM:
            for seed in arm.seeds:
                search = Search(arm.name, arm.searching(seed), arm.searched(seed))
                found.setdefault(search.name, search)
    return list(found.values())


def _retrainings(arms: Sequence[Arm]) -> list[Retraining]:
    """Those that are not finished, of cells that are known."""
    found = {}
    for entry in entries_of(arms):
        if entry.cells is not None and entry.retrained is None:
            config = entry.arm.retraining(str(entry.cells), entry.seed)
            folder = entry.arm.retrained(str(entry.cells), entry.seed)
            found[folder.name] = Retraining(entry.arm.name, config, folder)
    return list(found.values())


def _finish(crew: Workforce, tasks: Sequence[Task], what: str) -> Problems:
    if not tasks:
        return {}
    plans, workers = crew.plan(tasks)
    crew.say(f"{what}: {len(tasks)} to do, {workers or 'as many as it offers'} at a time")
    return _failed(crew.do(tasks, plans, workers))


def _failed(found: Mapping[str, Outcome]) -> Problems:
    return {name: what for name, what in found.items() if isinstance(what, Problem)}


Item = tuple[str, tuple[int, ...]]  # a run, which one process may write at a time, and epochs of it


def _conditions(arms: Sequence[Arm], crew: Workforce) -> Problems:
    """Computes Q at the epochs of finished searches that lack it."""
    items: list[Item] = []
    for arm in (arm for arm in arms if arm.epochs):
        for seed in arm.seeds:
            search = Search(arm.name, arm.searching(seed), arm.searched(seed))
            if finished(search):
                run = Run.open(search.folder)
                lacks = tuple(each for each in arm.epochs if condition_record(each) not in run)
                items += [(str(search.folder.resolve()), lacks)] if lacks else []
    if not items:
        return {}
    count = sum(len(lacks) for _, lacks in items)
    workers = crew.asked or (None if crew.cluster else default_workers(arms[0].device))
    crew.say(f"condition numbers: {count} to do, {workers or 'as many as it offers'} at a time")
    problems: Problems = {}
    done, begun = set[tuple[str, int]](), time.monotonic()
    work = execute(
        _nothing, _condition, items, workers=workers, cluster=crew.cluster, check=crew.check
    )
    with closing(work):
        for (folder, _), value, _ in work:
            name = Path(folder).name
            if isinstance(value, Failure | str):
                problems[name] = Problem(value.reason if isinstance(value, Failure) else value)
                continue
            done.add((name, value))  # again, where a worker was lost
            left = (time.monotonic() - begun) / len(done) * (count - len(done))
            told = f"{len(done)} of {count}, about {human_time(left)} left"
            crew.say(f"condition number of {name} at epoch {value}: done  [{told}]")
    return problems


def _nothing() -> tuple[()]:
    return ()


def _condition(state: tuple[()], item: Item) -> Iterator[int | str]:
    """The epochs, as they are done; or why one could not be."""
    del state
    folder, lacks = item
    try:
        run = Run.open(Path(folder))
        with run.lock():
            for epoch in lacks:
                record_condition(run, epoch)
                yield epoch
    except Stopped:
        raise
    except (ArithmeticError, OSError, RunError, RunLocked, ValueError) as error:
        yield " ".join(str(error).split()) or type(error).__name__
