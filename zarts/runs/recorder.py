"""Runs a search and writes everything it does to a run folder; resumes to the same bits."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from zarts.bilevel.inner import Diverged
from zarts.problems.facts import FACTS
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
from zarts.runs.runfile import JSON, ForeignFile, Record, Run
from zarts.runs.snapshot import (
    Arrays,
    Snapshot,
    read_snapshot,
    to_arrays,
    to_tensors,
    write_snapshot,
)
from zarts.runs.state import State
from zarts.runs.stored import check_code, check_data, check_unchanged, lanes_stored
from zarts.settings.config import Config
from zarts.settings.stages import Done, Point, Stage
from zarts.supernet.derivation import derive, entropy

__all__ = ["iterations_done", "record_search"]

# Iterations done since the last report (below 0 where a search goes back), a note for people.
Report = Callable[[int, str], None]


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
        ConfigError: If the data set here, or code of a user's own, is not that of the run.
        Diverged: If the training loss of ω, or the loss over D_val, is not finite.
        RunError: If the folder cannot be written, or the checkpoint is damaged.
    """
    if search_finished(run, config):
        check_unchanged(run, config)
    else:
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
    state: State,
    *,
    config: Config,
    report: Report,
    check: Callable[[], None],
    flush_seconds: float,
) -> State | None:
    """Searches until the stage is over; gives the start of the next one, or None at the end."""
    then: State | None = state
    clock = flushed = time.monotonic()
    for step, objective in state.steps():
        now = time.monotonic()
        state.add(step, objective, now - clock)
        clock = now
        note = ""
        if state.epoch_ended:
            note = _close_epoch(run, state)
            then = _follow(run, config, state)
        gone, note = _turn(state, then, note)
        report(1 - gone, note)
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


def _turn(state: State, then: State | None, note: str) -> tuple[int, str]:
    """The iterations that the stage that begins has undone, and the note that says so."""
    if then is None or then is state or not then.stage.offset:
        return 0, note
    gone = state.before + state.iteration - then.before - then.iteration
    decay = f"weight decay {then.stage.weight_decay:g}"
    return gone, f"{note}; back to the end of epoch {then.stage.offset}, {decay}"


def _follow(run: Run, config: Config, state: State) -> State | None:
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
    begun = State(config, found, ran)
    begun.objective = replace(begun.objective, lanes=state.objective.lanes)
    if found.start:
        snapshot = read_snapshot(run, found.start.epoch, found.start.stage)
        begin = partial(begun.begin, snapshot.weights, snapshot.alpha)
        if found.offset:
            run.parse(found.start.state_record, partial(_moving, begin, found.offset * begun.size))
        else:
            begin()
    return begun


def _moving(begin: Callable[..., None], iteration: int, record: Record) -> None:
    """Begins with the velocity and the memory of a record, at an iteration."""
    velocity, memory = (to_tensors(record, prefix) for prefix in ("velocity/", "memory/"))
    begin(velocity=velocity, memory=memory, iteration=iteration)


def _close_epoch(run: Run, state: State) -> str:
    """Writes the record, and maybe the snapshot, of the epoch that ended; a note for people."""
    weights, alpha, stage = state.objective.weights, state.alpha, state.stage
    point = Point(stage.index, state.iteration // state.size)
    loss, accuracy = state.problem.validate(weights, alpha, point.epoch - 1)
    feed, space = state.problem.feed, state.objective.space
    if not math.isfinite(loss):  # ω can be finite and yet too large for a loss
        raise Diverged("the validation loss", point.epoch * feed.train.batches_per_epoch)
    genotype = derive(space, alpha, state.config.search.derivation)
    rate = feed.outer(point.epoch - 1).learning_rate
    needed = {
        name: FACTS[name].measure(state.problem, weights, alpha, state.iteration)
        for name in stage.needed(point.epoch)
    }
    facts = {
        "val_loss": loss,
        "val_accuracy": accuracy,
        "learning_rate": rate,
        "alpha_entropy": entropy(space, alpha),
        "skip_share": genotype.skip_share,
        **needed,
    }
    arrays = state.arrays() | {f"epoch/{name}": np.array(value) for name, value in facts.items()}
    lanes = state.objective.lanes
    notes: dict[str, JSON] = {"epoch": point.epoch, "genotype": str(genotype), "lanes": lanes}
    run.write(point.search_record, arrays, notes | stage.note())
    state.rows.clear()
    if point.epoch in stage.snapshots:
        cpu = {name: weight.detach().cpu() for name, weight in weights.items()}
        write_snapshot(run, Snapshot(cpu, alpha, point.epoch, rate, loss, accuracy, stage))
    if point.epoch in stage.states:
        run.write(point.state_record, _momentum(state), {"epoch": point.epoch} | stage.note())
    where = f"stage {stage.index}, " if stage.index else ""
    return f"{where}epoch {point.epoch}: validation loss {loss:.3f}, accuracy {accuracy:.1%}"


def _momentum(state: State) -> Arrays:
    """The velocity of ω and the optimizer's memory."""
    velocity = to_arrays("velocity/", state.objective.velocity or {})
    return velocity | to_arrays("memory/", state.memory)


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
        if not stage.offset <= epochs <= stage.epochs:  # before that many names are made
            raise ValueError(f"got epoch {epochs} of {stage.epochs}")
        return stage_at(run, config.program, Point(stage.index, epochs))
    except (LookupError, TypeError, ValueError) as error:
        raise ForeignFile(
            f"{run.path}: checkpoint does not say its epochs; delete checkpoint.h5 to start over"
        ) from error


def _save(run: Run, state: State) -> None:
    """The checkpoint: all the next iteration depends on (draws are keyed, so no RNG state)."""
    arrays = to_arrays("weights/", state.objective.weights) | _momentum(state)
    arrays |= {f"rows/{name}": array for name, array in state.arrays().items()}
    arrays["alpha"] = state.alpha.numpy()
    facts: dict[str, JSON] = {
        "iteration": state.iteration,
        "epochs": state.iteration // state.size,
        "lanes": state.objective.lanes,
    }
    if state.past:
        facts["before"] = state.before
    run.write("checkpoint", arrays, facts | state.stage.note())


def restore(run: Run, config: Config) -> State | None:
    """Where a search stands, with the lanes it began with; None if only its result was missing."""
    record = _checkpoint(run)
    if record is None:
        return _beginning(run, config)
    reached = _reached(record, run, config)
    state = State(config, *reached) if reached else _beginning(run, config)
    lanes = run.parse("checkpoint", lanes_stored)
    state.objective = replace(state.objective, lanes=lanes)
    if reached is None:
        return state
    state = run.parse("checkpoint", partial(_restored, state))
    return _follow(run, config, state) if state.epoch_ended else state


def _beginning(run: Run, config: Config) -> State:
    """The start of the first stage: new, or with the α and ω that the search branches from."""
    state = State(config, config.program.stages[0])
    if config.search.origin:
        snapshot = started(run, config.search.origin)
        state.begin(snapshot.weights, snapshot.alpha)
    return state


def _restored(state: State, record: Record) -> State:
    """The state as a checkpoint holds it.

    Raises:
        LookupError: If it lacks something.
        ValueError: If something has another shape than in this search.
    """
    state.begin(
        to_tensors(record, "weights/"),
        torch.from_numpy(record.arrays["alpha"]),
        velocity=to_tensors(record, "velocity/"),
        memory=to_tensors(record, "memory/"),
        iteration=record.whole("iteration"),
    )
    for name, array in record.arrays.items():
        if name.startswith("rows/"):
            state.rows[name.removeprefix("rows/")] = list(array)
    return state
