"""The searches of a sweep, done: planned, dealt out to workers, each recorded in its own run."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

from zarts.cli import Stopped
from zarts.data.arrays import Sent, receive, sent
from zarts.execute import Failure
from zarts.execute import run as execute
from zarts.problems.cost import SearchPlan, plan_search, workers_by_default, workers_that_fit
from zarts.problems.parts import gpus_of
from zarts.runs.course import search_finished
from zarts.runs.provenance import provenance
from zarts.runs.recorder import record_search
from zarts.runs.runfile import ConfigMismatch, Run, RunError, RunLocked
from zarts.runs.stored import code_of
from zarts.settings.config import Config, ConfigError, Table
from zarts.sweep.results import Problem, Result, read_result
from zarts.sweep.settings import Search

__all__ = ["finished", "make_run", "plan_searches", "run_searches", "workers_for"]

CREATE_SECONDS = 5.0  # how long another process is waited for that makes the same run


def finished(search: Search) -> bool:
    """Whether nothing is left to do; looks at names only.

    Raises:
        ConfigMismatch: If the folder holds a run of other settings.
    """
    if not (search.folder / "run.h5").exists():
        return False
    try:
        run = Run.create(search.folder, search.config.to_table(), {})
        return search_finished(run, search.config)
    except ConfigMismatch:
        raise
    except RunError:  # told when the search is tried; the others need not wait for that
        return False


def plan_searches(
    searches: Sequence[Search], check: Callable[[], None], *, device: str | None = None
) -> dict[str, SearchPlan]:
    """What each search costs, by name; measured once per experiment, as seeds cost the same.

    Args:
        searches: Those to plan.
        check: Asked between two experiments; raises to stop.
        device: Where to measure instead of the config's device, which is on another machine.

    Raises:
        ConfigError: If settings, data or memory do not fit; the experiment is named.
    """
    plans: dict[str, SearchPlan] = {}
    for search in searches:
        if search.experiment not in plans:
            config = replace(search.config, device=device or search.config.device)
            try:
                plans[search.experiment] = plan_search(config)
            except ConfigError as error:
                raise ConfigError(f"experiment {search.experiment!r}: {error}") from error
            check()
    return {search.name: plans[search.experiment] for search in searches}


def workers_for(searches: Sequence[Search], asked: int | None) -> int:
    """How many processes of this machine do the searches.

    Args:
        searches: Those to do.
        asked: By the user; None: one per core, or per GPU, as far as memory goes.

    Raises:
        ConfigError: If the memory holds fewer than asked for.
    """
    useful = max(1, len(searches))
    if asked is not None and min(asked, useful) == 1:
        return 1
    configs = {search.experiment: search.config for search in searches}
    if asked is None:
        return min([useful, *map(workers_by_default, configs.values())])
    fit = max(1, min(map(workers_that_fit, configs.values()), default=1))
    if min(asked, useful) > fit:
        raise ConfigError(f"{asked} workers need more memory than there is; --workers {fit} fit")
    return min(asked, useful)


def make_run(search: Search, plan: SearchPlan, command: Sequence[str]) -> Problem | None:
    """Makes the run of a search, unless there is one; what is in the way, if it cannot be."""
    config = search.config
    if (search.folder / "run.h5").exists():
        return None
    facts: Table = {
        "seed": config.seed,
        "device": config.device,
        "data_fingerprint": plan.fingerprint,
        "data": plan.data,
    }
    if code := code_of(config):
        facts["code"] = code
    made = provenance(command) | facts
    deadline = time.monotonic() + CREATE_SECONDS
    while True:
        try:
            Run.create(search.folder, config.to_table(), made, toml=config.to_toml())
        except RunLocked as error:  # another process makes it, which takes it some milliseconds
            if time.monotonic() > deadline:
                return Problem(str(error), locked=True)
            time.sleep(0.05)
        except RunError as error:
            return Problem(str(error))
        else:
            return None


def run_searches(
    searches: Sequence[Search],
    *,
    workers: int = 1,
    cluster: str | None = None,
    check: Callable[[], None] = lambda: None,
) -> Generator[tuple[Search, Result | Problem], None, None]:
    """Does searches whose runs are there, and yields each as it ends.

    A search that cannot be finished ends with a problem; the others go on. With several
    workers a stop ends them at once: the searches in flight go on later from their checkpoints,
    which are an epoch or two minutes old at most.

    Args:
        searches: Long ones first.
        workers: Processes, or actors of the cluster (0: what it offers).
        cluster: ``local`` or the address of a Ray cluster, whose machines see the same folders.
        check: Asked several times a second; raises to stop.

    Yields:
        The search and what came of it.
    """
    by_folder = {str(search.folder.resolve()): search for search in searches}
    here = cluster is None and min(workers, len(by_folder)) <= 1
    # in this process nobody else asks during a search; it cannot be sent to another one
    work = partial(_search, check=check) if here else _search
    own = sent({search.config.data.name for search in searches})
    outcomes = execute(
        partial(_ready, own),
        work,
        list(by_folder),
        workers=1 if here else workers,
        cluster=cluster,
        gpus=int(any(search.config.device != "cpu" for search in searches)),
        devices=max((gpus_of(search.config) for search in searches), default=(), key=len),
        check=check,
    )
    with closing(outcomes):
        for folder, value, _ in outcomes:
            yield (
                by_folder[folder],
                Problem(value.reason) if isinstance(value, Failure) else value,
            )


# What runs in a worker, or in this process.


def _ready(own: Sent) -> tuple[()]:
    receive(own)
    return ()


def _search(
    state: tuple[()], folder: str, check: Callable[[], None] = lambda: None
) -> Iterator[Result | Problem]:
    del state  # a run has with it all that its search needs
    yield _attempt(Path(folder), check)


def _attempt(folder: Path, check: Callable[[], None]) -> Result | Problem:
    """Does the search of a run, or goes on with it."""
    try:
        run = Run.open(folder)
        with run.lock():
            record_search(run, Config.from_table(run.config), check=check)
            return read_result(folder)
    except Stopped:
        raise
    except RunLocked as error:
        return Problem(str(error), locked=True)
    except (ArithmeticError, MemoryError, OSError, RunError, ValueError) as error:
        return Problem(" ".join(str(error).split()) or type(error).__name__)
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not stop the other searches
        return Problem(f"{type(error).__name__}: {' '.join(str(error).split())}")
