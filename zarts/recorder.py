"""Runs a search and writes everything it does to a run folder; resumes to the same bits."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from zarts.assembly import Problem, make_optimizer, make_problem, sigma_schedule
from zarts.config import Config
from zarts.inner import Diverged, Weights
from zarts.provenance import note_environment
from zarts.runfile import JSON, Array, ForeignFile, Record, Run
from zarts.search import Memory, Step, search
from zarts.snapshots import Snapshot, last_snapshot, read_snapshot, started, write_snapshot
from zarts.stored import check_code, check_data, lanes_stored
from zarts.supernet.genotype import derive, entropy

__all__ = [
    "Snapshot",
    "iterations_done",
    "last_snapshot",
    "read_snapshot",
    "record_search",
    "search_finished",
    "write_snapshot",
]

Arrays = dict[str, Array]
Report = Callable[[int, str], None]  # iterations done since the last report, a note for people


def search_finished(run: Run, config: Config) -> bool:
    """Whether a run holds every record of its search; looks at names only."""
    return _holds(run, config, config.search.epochs)


def iterations_done(run: Run) -> int:
    """The iterations that a search resumed now would not do again.

    Raises:
        RunError: If the checkpoint is damaged.
    """
    record = _checkpoint(run)
    if record is None or not _goes_on(record, run, Config.from_table(run.config)):
        return 0
    return run.parse("checkpoint", lambda record: record.whole("iteration"))


def record_search(
    run: Run,
    config: Config,
    *,
    report: Report = lambda count, note: None,
    check: Callable[[], None] = lambda: None,
    flush_seconds: float = 120.0,
) -> Snapshot:
    """Runs the search of ``config`` from where the run's checkpoint left off to its last epoch.

    If a record of an epoch before the checkpoint is missing (deleted because it was damaged), the
    search starts over and ends as soon as nothing is missing: what it writes again are the same
    bits.

    Every epoch becomes one immutable record ``search/epoch-NNNN`` with, per α update, α (n, d),
    the losses of all candidates, importance weights, diagnostics and time, and per epoch
    validation loss and accuracy, genotype, α entropy and the share of skip connections. ω is kept
    at the chosen epochs.

    Args:
        run: An open run whose lock the caller holds.
        config: The run's settings.
        report: Told about progress: iterations done since it was told last, and a note.
        check: Asked after every iteration; raises to stop. A checkpoint is written first.
        flush_seconds: Longest time between two checkpoints; a kill costs at most that much work.

    Returns:
        The snapshot of the last epoch.

    Raises:
        ConfigError: If the data set here is not that of the run.
        Diverged: If the training loss of ω, or the loss over D_val, is not finite.
        RunError: If the folder cannot be written, or the checkpoint is damaged.
    """
    search_config = config.search
    if search_finished(run, config):
        return read_snapshot(run, search_config.epochs)
    check_data(run, config)
    check_code(run.provenance.get("code"), config)
    note_environment(run)
    problem = started(run, config, make_problem(config))
    state = _restore(run, config, problem)
    size = problem.feed.iterations_per_epoch
    steps = search(
        state.objective,
        make_optimizer(config),
        state.alpha,
        iterations=search_config.epochs * size,
        seed=config.seed,
        start=state.iteration,
        warmup=search_config.warmup * size,
        memory=state.memory,
        schedule=sigma_schedule(config, problem.feed),
    )
    clock = flushed = time.monotonic()
    for step, objective in steps:
        now = time.monotonic()
        state.add(step, objective, now - clock)
        clock = now
        note = ""
        if state.iteration % size == 0:
            note = _close_epoch(run, config, problem, state)
        report(1, note)
        try:
            check()
        except BaseException:
            _save(run, state, size)
            raise
        if note or now - flushed > flush_seconds:
            _save(run, state, size)
            flushed = time.monotonic()
        if note and search_finished(run, config):  # true early if an old record was missing
            break
        clock = time.monotonic()
    return read_snapshot(run, search_config.epochs)


class _State:
    """Where a search stands, and the steps of the epoch that is not yet on disk."""

    def __init__(self, problem: Problem) -> None:
        self.objective = problem.objective
        self.alpha = problem.alpha
        self.memory: Memory = {}
        self.rows: dict[str, list[Array]] = {}

    @property
    def iteration(self) -> int:
        """Iterations done."""
        return self.objective.iteration

    def add(self, step: Step, objective: object, seconds: float) -> None:
        """Takes over a step."""
        assert isinstance(objective, type(self.objective))
        self.objective, self.alpha, self.memory = objective, step.alpha, step.memory
        row: dict[str, Array] = {
            "alpha": step.alpha.numpy(),
            "loss": np.array(step.loss),
            "losses": step.losses.numpy(),
            "weights": step.weights.numpy(),
            "timing_seconds": np.array(seconds),
        }
        row |= {f"diagnostics/{name}": np.array(value) for name, value in step.diagnostics.items()}
        for name, value in row.items():
            self.rows.setdefault(name, []).append(value)

    def arrays(self) -> Arrays:
        """The steps of this epoch, stacked along the first axis."""
        return {name: np.stack(rows) for name, rows in self.rows.items()}


def _close_epoch(run: Run, config: Config, problem: Problem, state: _State) -> str:
    """Writes the record, and maybe the snapshot, of the epoch that ended; a note for people."""
    weights, alpha = state.objective.weights, state.alpha
    epoch = state.iteration // problem.feed.iterations_per_epoch
    loss, accuracy = problem.validate(weights, alpha)
    if not math.isfinite(loss):  # ω can be finite and yet too large for a loss
        raise Diverged("the validation loss", epoch * problem.feed.train.batches_per_epoch)
    space = state.objective.space
    genotype = derive(space, alpha)
    rate = problem.feed.outer(epoch - 1).learning_rate
    facts = {
        "val_loss": loss,
        "val_accuracy": accuracy,
        "learning_rate": rate,
        "alpha_entropy": entropy(space, alpha),
        "skip_share": genotype.skip_share,
    }
    arrays = state.arrays() | {f"epoch/{name}": np.array(value) for name, value in facts.items()}
    lanes = state.objective.lanes
    notes: dict[str, JSON] = {"epoch": epoch, "genotype": str(genotype), "lanes": lanes}
    run.write(f"search/epoch-{epoch:04d}", arrays, notes)
    state.rows.clear()
    if epoch == config.search.epochs or epoch in config.search.snapshots:
        cpu = {name: weight.detach().cpu() for name, weight in weights.items()}
        write_snapshot(run, Snapshot(cpu, alpha, epoch, rate, loss, accuracy))
    return f"epoch {epoch}: validation loss {loss:.3f}, accuracy {accuracy:.1%}"


def _holds(run: Run, config: Config, epochs: int) -> bool:
    """Whether the run has all that the first ``epochs`` epochs leave behind."""
    kept = {*config.search.snapshots, config.search.epochs}
    names = [f"search/epoch-{epoch:04d}" for epoch in range(1, epochs + 1)]
    names += [f"snapshot/epoch-{epoch:04d}" for epoch in kept if epoch <= epochs]
    return all(name in run for name in names)


def _checkpoint(run: Run) -> Record | None:
    return run.read("checkpoint") if "checkpoint" in run else None


def _goes_on(record: Record, run: Run, config: Config) -> bool:
    """Whether a search goes on from a checkpoint, or starts over to write again what is missing."""
    try:
        epochs = record.whole("epochs")
        if not 0 <= epochs <= config.search.epochs:  # before that many names are made
            raise ValueError(f"got epoch {epochs} of {config.search.epochs}")
    except (LookupError, ValueError) as error:
        raise ForeignFile(
            f"{run.path}: checkpoint does not say its epochs; delete checkpoint.h5 to start over"
        ) from error
    return _holds(run, config, epochs)


def _save(run: Run, state: _State, iterations_per_epoch: int) -> None:
    """The checkpoint: all the next iteration depends on (draws are keyed, so no RNG state)."""
    arrays = _arrays("weights/", state.objective.weights)
    arrays |= _arrays("velocity/", state.objective.velocity or {})
    arrays |= _arrays("memory/", state.memory)
    arrays |= {f"rows/{name}": array for name, array in state.arrays().items()}
    arrays["alpha"] = state.alpha.numpy()
    epochs = state.iteration // iterations_per_epoch
    facts = {"iteration": state.iteration, "epochs": epochs, "lanes": state.objective.lanes}
    run.write("checkpoint", arrays, facts)


def _restore(run: Run, config: Config, problem: Problem) -> _State:
    """Where a search stands, with the number of lanes it began with, whatever is chosen today."""
    state, record = _State(problem), _checkpoint(run)
    if record is None:
        return state
    lanes = run.parse("checkpoint", lanes_stored)
    state.objective = replace(state.objective, lanes=lanes)
    if not _goes_on(record, run, config):
        return state
    return run.parse("checkpoint", partial(_restored, state, problem))


def _restored(state: _State, problem: Problem, record: Record) -> _State:
    """The state as a checkpoint holds it.

    Raises:
        LookupError: If it lacks something.
        ValueError: If something has another shape than in this search.
    """
    like = next(iter(problem.objective.weights.values()))
    shapes = {name: weight.shape for name, weight in problem.objective.weights.items()}

    def placed(prefix: str) -> Weights:
        stored = _tensors(record, prefix)
        found = {name: tensor.shape for name, tensor in stored.items()}
        if found != shapes and (found or prefix == "weights/"):
            raise ValueError(f"{prefix} are not those of this network")
        # in the network's order, not the file's: the norm that clips is a sum in this order
        names = (name for name in problem.objective.weights if name in stored)
        return {name: stored[name].to(like) for name in names}

    state.objective = replace(
        state.objective,
        weights=placed("weights/"),
        velocity=placed("velocity/") or None,
        iteration=record.whole("iteration"),
    )
    state.alpha = torch.from_numpy(record.arrays["alpha"])
    state.objective.space.check(state.alpha)
    state.memory = _tensors(record, "memory/")
    for name, array in record.arrays.items():
        if name.startswith("rows/"):
            state.rows[name.removeprefix("rows/")] = list(array)
    return state


def _arrays(prefix: str, tensors: Mapping[str, Tensor]) -> Arrays:
    return {prefix + name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}


def _tensors(record: Record, prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): torch.from_numpy(array)
        for name, array in record.arrays.items()
        if name.startswith(prefix)
    }
