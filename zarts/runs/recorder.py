"""Runs a search and writes everything it does to a run folder; resumes to the same bits."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from zarts.bilevel.inner import Diverged, Weights
from zarts.bilevel.objective import Objective
from zarts.bilevel.search import Memory, Step, search
from zarts.problems.build import make_problem
from zarts.problems.image import judged
from zarts.problems.optimizer import make_optimizer, sigma_schedule
from zarts.problems.parts import at_stage
from zarts.runs.choices import settle
from zarts.runs.course import (
    History,
    Ran,
    chosen,
    following,
    search_finished,
    stage_at,
    write_result,
)
from zarts.runs.origin import started
from zarts.runs.provenance import note_environment
from zarts.runs.runfile import JSON, Array, ForeignFile, Record, Run
from zarts.runs.snapshot import (
    Arrays,
    Snapshot,
    read_snapshot,
    to_arrays,
    to_tensors,
    write_snapshot,
)
from zarts.runs.stored import check_code, check_data, lanes_stored
from zarts.settings.config import Config
from zarts.settings.stages import Done, Point, Stage
from zarts.supernet.derivation import derive, entropy

__all__ = ["iterations_done", "record_search"]

Report = Callable[[int, str], None]  # iterations done since the last report, a note for people


def iterations_done(run: Run) -> int:
    """The iterations that a search resumed now would not do again.

    Raises:
        RunError: If the checkpoint is damaged.
    """
    record = _checkpoint(run)
    if record is None or _reached(record, run, Config.from_table(run.config)) is None:
        return 0
    names = ("before", "iteration") if "before" in record.attributes else ("iteration",)
    return run.parse("checkpoint", lambda record: sum(map(record.whole, names)))


def record_search(
    run: Run,
    config: Config,
    *,
    report: Report = lambda count, note: None,
    check: Callable[[], None] = lambda: None,
    flush_seconds: float = 120.0,
) -> Snapshot:
    """Runs the search of ``config`` from where the run's checkpoint left off to its end.

    If a record of an epoch before the checkpoint is missing (deleted because it was damaged), the
    search starts over and ends as soon as nothing is missing: what it writes again are the same
    bits.

    Every epoch becomes one immutable record ``search/epoch-NNNN`` (in stages after the first
    ``stage-N/search/epoch-NNNN``, which says the stage) with, per α update, α (n, d), the losses of
    all candidates, importance weights, diagnostics and time, and per epoch validation loss and
    accuracy, genotype, α entropy and the share of skip connections. ω is kept at the chosen epochs.

    Args:
        run: An open run whose lock the caller holds.
        config: The run's settings.
        report: Told about progress: iterations done since it was told last, and a note.
        check: Asked after every iteration; raises to stop. A checkpoint is written first.
        flush_seconds: Longest time between two checkpoints; a kill costs at most that much work.

    Returns:
        The snapshot of the epoch that is the result: as a rule the last.

    Raises:
        ConfigError: If the data set here is not that of the run.
        Diverged: If the training loss of ω, or the loss over D_val, is not finite.
        RunError: If the folder cannot be written, or the checkpoint is damaged.
    """
    if not search_finished(run, config):
        check_data(run, config)
        check_code(run.provenance.get("code"), config)
        note_environment(run)
        settled = settle(run, config)
        state = restore(run, settled)
        while state is not None:
            state = _record_stage(
                run, state, config=settled, report=report, check=check, flush_seconds=flush_seconds
            )
    point = chosen(run, config)
    return read_snapshot(run, point.epoch, point.stage)


def _record_stage(
    run: Run,
    state: _State,
    *,
    config: Config,
    report: Report,
    check: Callable[[], None],
    flush_seconds: float,
) -> _State | None:
    """Searches until the stage is over; gives the start of the next one, or None at the end."""
    then: _State | None = state
    clock = flushed = time.monotonic()
    for step, objective in state.steps():
        now = time.monotonic()
        state.add(step, objective, now - clock)
        clock = now
        note = ""
        if state.iteration % state.size == 0:
            note = _close_epoch(run, state)
            then = _follow(run, config, state)
        report(1, note)
        try:
            check()
        except BaseException:
            _save(run, then or state)
            raise
        if note or now - flushed > flush_seconds:
            _save(run, then or state)
            flushed = time.monotonic()
        if note and search_finished(run, config):  # true early if an old record was missing
            return None
        if then is not state:
            return then
        clock = time.monotonic()
    return None


def _follow(run: Run, config: Config, state: _State) -> _State | None:
    """What follows the epoch that ended: the state as it is, that of the next stage, or nothing."""
    epoch = state.iteration // state.size
    ran = (*state.past, (state.stage, epoch))
    found = following(config.program, state.stage, History(run, ran), epoch)
    if isinstance(found, Done):
        if config.program.leaves_result:
            write_result(run, ran, found)
        return None
    if found.index == state.stage.index:
        return state
    begun = _State(config, found, ran)
    begun.objective = replace(begun.objective, lanes=state.objective.lanes)
    if found.start:
        snapshot = read_snapshot(run, found.start.epoch, found.start.stage)
        begun.begin(snapshot.weights, snapshot.alpha)
    return begun


class _State:
    """Where a search stands, and the steps of the epoch that is not yet on disk."""

    def __init__(self, config: Config, stage: Stage, past: Ran = ()) -> None:
        self.config, self.stage, self.past = at_stage(config, stage), stage, past
        self.problem = problem = make_problem(config, stage)
        self.size = problem.feed.iterations_per_epoch
        self.objective = problem.objective
        self.alpha = problem.alpha
        self.memory: Memory = {}
        self.rows: dict[str, list[Array]] = {}

    @property
    def iteration(self) -> int:
        """Iterations done."""
        return self.objective.iteration

    def steps(self) -> Iterator[tuple[Step, Objective]]:
        """The rest of the stage's search."""
        return search(
            self.objective,
            make_optimizer(self.config),
            self.alpha,
            iterations=self.stage.epochs * self.size,
            seed=self.config.seed,
            start=self.iteration,
            warmup=self.stage.warmup * self.size,
            memory=self.memory,
            schedule=sigma_schedule(self.config, self.problem.feed),
        )

    def add(self, step: Step, objective: object, seconds: float) -> None:
        """Takes over a step."""
        assert isinstance(objective, type(self.objective))
        told = {**step.diagnostics, **judged(self.objective, step.candidates)}
        self.objective, self.alpha, self.memory = objective, step.alpha, step.memory
        row: dict[str, Array] = {
            "alpha": step.alpha.numpy(),
            "loss": np.array(step.loss),
            "losses": step.losses.numpy(),
            "weights": step.weights.numpy(),
            "timing_seconds": np.array(seconds),
        }
        row |= {f"diagnostics/{name}": np.array(value) for name, value in told.items()}
        for name, value in row.items():
            self.rows.setdefault(name, []).append(value)

    def begin(self, weights: Weights, alpha: Tensor) -> None:
        """Begins from an ω and an α; raises ValueError for those of another network."""
        self.objective.space.check(alpha)
        self.objective, self.alpha = replace(self.objective, weights=self.placed(weights)), alpha

    def placed(self, stored: Weights) -> Weights:
        """ω or its velocity in the network's order, not the file's: the norm that clips is a sum.

        Raises:
            ValueError: If it is of another network.
        """
        ours = self.problem.objective.weights
        found, asked = ({name: w.shape for name, w in each.items()} for each in (stored, ours))
        if found != asked:
            raise ValueError("ω or its velocity is not that of this network")
        return {name: stored[name].to(like) for name, like in ours.items()}

    def arrays(self) -> Arrays:
        """The steps of this epoch, stacked along the first axis."""
        return {name: np.stack(rows) for name, rows in self.rows.items()}


def _close_epoch(run: Run, state: _State) -> str:
    """Writes the record, and maybe the snapshot, of the epoch that ended; a note for people."""
    weights, alpha, stage = state.objective.weights, state.alpha, state.stage
    point = Point(stage.index, state.iteration // state.size)
    loss, accuracy = state.problem.validate(weights, alpha, point.epoch - 1)
    feed, space = state.problem.feed, state.objective.space
    if not math.isfinite(loss):  # ω can be finite and yet too large for a loss
        raise Diverged("the validation loss", point.epoch * feed.train.batches_per_epoch)
    genotype = derive(space, alpha, state.config.search.derivation)
    rate = feed.outer(point.epoch - 1).learning_rate
    facts = {
        "val_loss": loss,
        "val_accuracy": accuracy,
        "learning_rate": rate,
        "alpha_entropy": entropy(space, alpha),
        "skip_share": genotype.skip_share,
    }
    arrays = state.arrays() | {f"epoch/{name}": np.array(value) for name, value in facts.items()}
    lanes = state.objective.lanes
    notes: dict[str, JSON] = {"epoch": point.epoch, "genotype": str(genotype), "lanes": lanes}
    run.write(point.search_record, arrays, notes | stage.note())
    state.rows.clear()
    if point.epoch in stage.snapshots:
        cpu = {name: weight.detach().cpu() for name, weight in weights.items()}
        write_snapshot(run, Snapshot(cpu, alpha, point.epoch, rate, loss, accuracy, stage))
    where = f"stage {stage.index}, " if stage.index else ""
    return f"{where}epoch {point.epoch}: validation loss {loss:.3f}, accuracy {accuracy:.1%}"


def _checkpoint(run: Run) -> Record | None:
    return run.read("checkpoint") if "checkpoint" in run else None


def _reached(record: Record, run: Run, config: Config) -> tuple[Stage, Ran] | None:
    """The stage of a checkpoint and those before it; None: a record from before it is missing.

    Raises:
        ForeignFile: If it does not say where it is.
    """  # noqa: DOC501 - ValueError becomes ForeignFile
    try:
        epochs, noted = record.whole("epochs"), Stage.noted(record.attributes)
        stage = noted or config.program.stages[0]
        if not 0 <= epochs <= stage.epochs:  # before that many names are made
            raise ValueError(f"got epoch {epochs} of {stage.epochs}")
        return stage_at(run, config.program, Point(stage.index, epochs))
    except (LookupError, TypeError, ValueError) as error:
        raise ForeignFile(
            f"{run.path}: checkpoint does not say its epochs; delete checkpoint.h5 to start over"
        ) from error


def _save(run: Run, state: _State) -> None:
    """The checkpoint: all the next iteration depends on (draws are keyed, so no RNG state)."""
    arrays = to_arrays("weights/", state.objective.weights)
    arrays |= to_arrays("velocity/", state.objective.velocity or {})
    arrays |= to_arrays("memory/", state.memory)
    arrays |= {f"rows/{name}": array for name, array in state.arrays().items()}
    arrays["alpha"] = state.alpha.numpy()
    facts: dict[str, JSON] = {
        "iteration": state.iteration,
        "epochs": state.iteration // state.size,
        "lanes": state.objective.lanes,
    }
    if state.past:
        facts["before"] = state.size * sum(count for _, count in state.past)
    run.write("checkpoint", arrays, facts | state.stage.note())


def restore(run: Run, config: Config) -> _State | None:
    """Where a search stands, with the lanes it began with; None if only its result was missing."""
    record = _checkpoint(run)
    if record is None:
        return _beginning(run, config)
    reached = _reached(record, run, config)
    state = _State(config, *reached) if reached else _beginning(run, config)
    lanes = run.parse("checkpoint", lanes_stored)
    state.objective = replace(state.objective, lanes=lanes)
    if reached is None:
        return state
    state = run.parse("checkpoint", partial(_restored, state))
    ended = state.iteration and state.iteration % state.size == 0
    return _follow(run, config, state) if ended else state


def _beginning(run: Run, config: Config) -> _State:
    """The start of the first stage: new, or with the α and ω that the search branches from."""
    state = _State(config, config.program.stages[0])
    if config.search.origin:
        snapshot = started(run, config.search.origin)
        state.begin(snapshot.weights, snapshot.alpha)
    return state


def _restored(state: _State, record: Record) -> _State:
    """The state as a checkpoint holds it.

    Raises:
        LookupError: If it lacks something.
        ValueError: If something has another shape than in this search.
    """
    state.begin(to_tensors(record, "weights/"), torch.from_numpy(record.arrays["alpha"]))
    velocity = to_tensors(record, "velocity/")
    state.objective = replace(
        state.objective,
        velocity=state.placed(velocity) if velocity else None,
        iteration=record.whole("iteration"),
    )
    state.memory = to_tensors(record, "memory/")
    for name, array in record.arrays.items():
        if name.startswith("rows/"):
            state.rows[name.removeprefix("rows/")] = list(array)
    return state
