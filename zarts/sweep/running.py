"""The runs of a sweep, done: planned, dealt out to workers, each recorded in its own folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from zarts.cli import Stopped
from zarts.data.arrays import Sent, receive, sent
from zarts.execute import Failure, default_workers
from zarts.execute import run as execute
from zarts.problems.cost import plan_search
from zarts.problems.memory import processes_that_fit
from zarts.problems.parts import gpus_of
from zarts.retrain.job import record_retraining
from zarts.retrain.plan import plan_retraining
from zarts.retrain.settings import RetrainConfig
from zarts.runs.kinds import is_retraining
from zarts.runs.provenance import provenance
from zarts.runs.recorder import record_search
from zarts.runs.runfile import ConfigMismatch, Run, RunError, RunLocked
from zarts.runs.stored import code_of
from zarts.settings.config import Config, ConfigError, Table
from zarts.sweep.outcomes import Outcome, Problem, Result, Retrained, read_outcome
from zarts.sweep.progress import Progress, epochs_done
from zarts.sweep.results import Found
from zarts.sweep.tasks import Retraining, Search, Task

__all__ = [
    "Plan",
    "Workforce",
    "finished",
    "make_run",
    "plan_runs",
    "run_all",
    "seconds_left",
    "workers_for",
]

CREATE_SECONDS = 5.0  # how long another process is waited for that makes the same run


@dataclass(frozen=True)
class Plan:
    """What a run costs.

    Attributes:
        seconds: Expected wall time.
        memory: Expected peak of one training step, bytes.
        facts: For its provenance: of its data and of code of a user's own.
        extent: All that is known, for programs.
    """

    seconds: float
    memory: int
    facts: Table
    extent: Any


def finished(task: Task) -> bool:
    """Whether nothing is left to do; looks at names only.

    Raises:
        ConfigMismatch: If the folder holds a run of other settings.
    """
    if not (task.folder / "run.h5").exists():
        return False
    try:
        return task.finished(Run.create(task.folder, task.config.to_table(), {}))
    except ConfigMismatch:
        raise
    except RunError:  # told when the run is tried; the others need not wait for that
        return False


def plan_runs(
    tasks: Sequence[Task], check: Callable[[], None], *, device: str | None = None
) -> dict[str, Plan]:
    """What each run costs, by name; measured once per experiment, as seeds cost the same.

    Args:
        tasks: Those to plan.
        check: Asked between two experiments; raises to stop.
        device: Where to measure instead of the config's device, which is on another machine.

    Raises:
        ConfigError: If settings, data or memory do not fit; the experiment is named.
    """
    plans: dict[str, Plan] = {}
    for task in tasks:
        if task.experiment not in plans:
            try:
                plans[task.experiment] = _plan(task, device)
            except ConfigError as error:
                raise ConfigError(f"experiment {task.experiment!r}: {error}") from error
            check()
    return {task.name: plans[task.experiment] for task in tasks}


def _plan(task: Task, device: str | None) -> Plan:
    if isinstance(task, Search):
        search = plan_search(replace(task.config, device=device or task.config.device))
        facts: Table = {"data_fingerprint": search.fingerprint, "data": dict(search.data)}
        if code := code_of(task.config):
            facts["code"] = code
        return Plan(search.seconds, search.memory, facts, search)
    assert isinstance(task, Retraining)
    found = plan_retraining(replace(task.config, device=device or task.config.device))
    facts = dict(found.facts) | {"genotype": {"experiment": task.experiment}}
    return Plan(found.seconds, found.memory, facts, found)


def workers_for(tasks: Sequence[Task], plans: Mapping[str, Plan], asked: int | None) -> int:
    """How many processes of this machine do the work.

    Args:
        tasks: What is to be done.
        plans: Their costs, by name.
        asked: By the user; None: one per core, or per GPU, as far as memory goes.

    Raises:
        ConfigError: If the memory holds fewer than asked for.
    """
    useful = max(1, len(tasks))
    if asked is not None and min(asked, useful) == 1:
        return 1
    devices = {_config(task).device for task in tasks}
    fit = [processes_that_fit(plans[task.name].memory, _config(task).device) for task in tasks]
    most = max(1, min(fit, default=1))
    if asked is None:
        cores = [len(gpus_of(device)) or default_workers(device) for device in devices]
        return min(useful, most, *cores)
    if min(asked, useful) > most:
        raise ConfigError(f"{asked} workers need more memory than there is; --workers {most} fit")
    return min(asked, useful)


def _config(task: Task) -> Config | RetrainConfig:
    assert isinstance(task.config, Config | RetrainConfig)
    return task.config


def make_run(task: Task, plan: Plan, command: Sequence[str]) -> Problem | None:
    """Makes a run, unless there is one; what is in the way, if it cannot be."""
    config = _config(task)
    if (task.folder / "run.h5").exists():
        return None
    made = provenance(command) | {"seed": config.seed, "device": config.device} | plan.facts
    deadline = time.monotonic() + CREATE_SECONDS
    while True:
        try:
            Run.create(task.folder, config.to_table(), made, toml=config.to_toml())
        except RunLocked as error:  # another process makes it, which takes it some milliseconds
            if time.monotonic() > deadline:
                return Problem(str(error), locked=True)
            time.sleep(0.05)
        except RunError as error:
            return Problem(str(error))
        else:
            return None


def seconds_left(task: Task, plan: Plan) -> float:
    """What a run still costs, by the epochs that are there."""
    return plan.seconds * max(0.0, 1 - epochs_done(task) / task.epochs)


@dataclass(frozen=True)
class Workforce:
    """Who does the work of many runs.

    Attributes:
        asked: Workers at a time that the user asked for; None: as many as is useful.
        cluster: ``local`` or the address of a Ray cluster; None: this machine.
        command: What the user typed, for provenance.
        check: Asked several times a second; raises to stop.
        say: Given a line now and then.
    """

    asked: int | None
    cluster: str | None
    command: Sequence[str]
    check: Callable[[], None]
    say: Callable[[str], None]

    def plan(self, tasks: Sequence[Task]) -> tuple[dict[str, Plan], int]:
        """The costs of runs by name, and how many are done at a time (0: what a cluster offers).

        Raises:
            ConfigError: If settings, data or memory do not fit.
        """
        # the machine that hands out the work may lack the device of those that do it
        plans = plan_runs(tasks, self.check, device="cpu" if self.cluster else None)
        elsewhere = self.cluster not in (None, "local")  # with memory of its own
        return plans, (self.asked or 0) if elsewhere else workers_for(tasks, plans, self.asked)

    def do(self, tasks: Sequence[Task], plans: Mapping[str, Plan], workers: int) -> Found:
        """Makes runs, finishes them and says how they go; what came of each, by name.

        Raises:
            RunError: If none of them can be made.
        """
        if not tasks:
            return {}
        made = {task.name: make_run(task, plans[task.name], self.command) for task in tasks}
        problems = {name: problem for name, problem in made.items() if problem}
        if len(problems) == len(tasks) and not any(p.locked for p in problems.values()):
            raise RunError(problems[tasks[0].name].reason)  # not of one run: of the folder
        found: dict[str, Outcome] = dict(problems)
        todo = [task for task in tasks if task.name not in problems]
        todo.sort(key=lambda task: -seconds_left(task, plans[task.name]))
        seconds = {name: plan.seconds for name, plan in plans.items()}
        progress = Progress(todo, seconds, self.say)

        def check() -> None:
            self.check()
            progress.look()

        work = run_all(todo, workers=workers, cluster=self.cluster, check=check)
        with closing(work):
            for task, what in work:
                found[task.name] = what
                progress.end(task, what)
        return found


def run_all(
    tasks: Sequence[Task],
    *,
    workers: int = 1,
    cluster: str | None = None,
    check: Callable[[], None] = lambda: None,
) -> Generator[tuple[Task, Outcome], None, None]:
    """Finishes runs whose folders are there, and yields each as it ends.

    One that cannot be finished ends with a problem; the others go on. With several workers a stop
    ends them at once: the runs in flight go on later from their checkpoints, which are an epoch or
    two minutes old at most.

    Args:
        tasks: Long ones first.
        workers: Processes, or actors of the cluster (0: what it offers).
        cluster: ``local`` or the address of a Ray cluster, whose machines see the same folders.
        check: Asked several times a second; raises to stop.

    Yields:
        The task and what came of it.
    """
    by_folder = {str(task.folder.resolve()): task for task in tasks}
    here = cluster is None and min(workers, len(by_folder)) <= 1
    # in this process nobody else asks during a run; it cannot be sent to another one
    work = partial(_finish, check=check) if here else _finish
    own = sent({_config(task).data.name for task in tasks})
    outcomes = execute(
        partial(_ready, own),
        work,
        list(by_folder),
        workers=1 if here else workers,
        cluster=cluster,
        gpus=int(any(_config(task).device != "cpu" for task in tasks)),
        devices=max((gpus_of(_config(task).device) for task in tasks), default=(), key=len),
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


def _finish(
    state: tuple[()], folder: str, check: Callable[[], None] = lambda: None
) -> Iterator[Outcome]:
    del state  # a run has with it all that its work needs
    yield _attempt(Path(folder), check)


def _attempt(folder: Path, check: Callable[[], None]) -> Result | Retrained | Problem:
    """Does the work of a run, or goes on with it."""
    try:
        run = Run.open(folder)
        with run.lock():
            if is_retraining(run.config):
                record_retraining(run, RetrainConfig.from_table(run.config), check=check)
            else:
                record_search(run, Config.from_table(run.config), check=check)
            return read_outcome(folder)
    except Stopped:
        raise
    except RunLocked as error:
        return Problem(str(error), locked=True)
    except (ArithmeticError, MemoryError, OSError, RunError, ValueError) as error:
        return Problem(" ".join(str(error).split()) or type(error).__name__)
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not stop the other runs
        return Problem(f"{type(error).__name__}: {' '.join(str(error).split())}")
