"""A retraining and its run: a record an epoch, a checkpoint to go on from, a result at the end.

``record_retraining``, ``finished`` and ``read_result`` are to a retraining what their namesakes are
to a search, so the executor deals with both alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from zarts.data.dataset import MissingData
from zarts.data.names import FIXED
from zarts.retrain.data import Loaded, load
from zarts.retrain.ranks import ALONE, Ranks
from zarts.retrain.results import RESULT, TRAINED, Result, epoch_name, finished, read_result
from zarts.retrain.settings import RetrainConfig
from zarts.retrain.training import Trainer
from zarts.runs.provenance import note_environment
from zarts.runs.runfile import JSON, Array, Record, Run
from zarts.settings.config import ConfigError

__all__ = [
    "Result", "check_data", "check_unchanged", "finished", "read_result", "record_retraining",
    "steps_done",
]  # fmt: skip

PROCESSES = "processes"  # of the provenance: how many train together
SELECTED = "the last epoch; best is the largest test accuracy, a choice made with the test images"


def record_retraining(
    run: Run | None,
    config: RetrainConfig,
    *,
    report: Callable[[int, str], None] = lambda count, note: None,
    check: Callable[[], None] = lambda: None,
    flush_seconds: float = 120.0,
    ranks: Ranks = ALONE,
    device: str | None = None,
) -> Result | None:
    """Trains the network of ``config`` from where the run's checkpoint left off to its end.

    Every epoch becomes one immutable record ``retrain/epoch-NNNN`` with the loss and the accuracy
    over training and test images; ``trained`` has the parameters at the end, and ``result`` the
    test accuracy of the last and of the best epoch. If a record of an epoch before the checkpoint
    is missing, the training starts over: what it writes again are the same bits.

    Args:
        run: An open run whose lock the caller holds; None in all processes but the first.
        config: The run's settings.
        report: Told about progress: steps done since it was told last, and a note.
        check: Asked after every step; raises to stop, in all processes after the same step. A
            checkpoint is written first.
        flush_seconds: Longest time between two checkpoints; a kill costs at most that much work.
        ranks: The processes that train together.
        device: Of this process; None: that of the settings.

    Returns:
        The result; None in all processes but the first.

    Raises:
        ConfigError: If the data here are not those of the run, or it was begun by another number of
            processes.
        Diverged: If a loss is not finite.
        MemoryError: If the device has too little memory.
        RunError: If the folder cannot be written, or the checkpoint is damaged.
    """
    over = finished(run, config) if run else False
    if not ranks.most(int(over)):
        loaded = load(config, device)
        trainer = _Recorded(run, config, loaded, ranks, device=device)
        trainer.record(report, check, flush_seconds)
    return read_result(run.path) if run else None


def steps_done(run: Run) -> int:
    """The steps that a retraining resumed now would not do again.

    Raises:
        RunError: If the checkpoint is damaged.
    """
    if "checkpoint" not in run:
        return 0
    epochs, step = run.parse("checkpoint", _place)
    return step if _whole(run, epochs) else 0


def check_data(run: Run, facts: Mapping[str, object]) -> None:
    """Raises ConfigError if the images here, by what is known of them, are not those of a run."""
    for key, found in facts.items():
        said = run.provenance.get(key)
        if key.endswith("fingerprint") and said and said != found:
            raise ConfigError(
                f"the {key.replace('data_', 'training ').replace('_', ' ')} here is {found}, that "
                f"of {run.path} is {said}; install the same data, or begin a new run with --out"
            )


def check_unchanged(run: Run, config: RetrainConfig) -> None:
    """The same of images of a user's own and a finished run; such as are gone are not others."""
    if config.data.name in FIXED:
        return
    try:
        found = load(config).facts()
    except (ConfigError, MissingData):
        return
    check_data(run, found)


class _Recorded:
    """A trainer and the run of it."""

    def __init__(
        self,
        run: Run | None,
        config: RetrainConfig,
        loaded: Loaded,
        ranks: Ranks,
        *,
        device: str | None,
    ) -> None:
        if run:
            check_data(run, loaded.facts())
            _check_processes(run, ranks.count)
            note_environment(run)
        self.run, self.ranks, self.config = run, ranks, config
        self.trainer = Trainer(config, loaded, ranks, device=device)
        self.epochs = 0
        self.seconds = 0.0  # of the epoch that is not over
        if run and "checkpoint" in run:
            epochs, _ = run.parse("checkpoint", _place)
            if _whole(run, epochs):
                run.parse("checkpoint", self._restore)
        self._share()

    def record(
        self,
        report: Callable[[int, str], None],
        check: Callable[[], None],
        flush_seconds: float,
    ) -> None:
        """Trains to the end, and writes."""
        clock = flushed = time.monotonic()
        while self.epochs < self.config.training.epochs:
            done = 0  # and not told: the last step of an epoch is told with its accuracy
            for _ in self.trainer.steps(self.epochs):
                now = time.monotonic()
                self.seconds += now - clock
                clock = now
                report(done, "")
                done = 1
                try:
                    check()
                except BaseException:
                    self._save()
                    raise
                if self.ranks.most(int(now - flushed > flush_seconds)):
                    self._save()
                    clock = flushed = time.monotonic()
            note = self._close(clock)
            self._save()
            clock = flushed = time.monotonic()
            report(done, note)
            check()
            if self.ranks.most(int(self._complete())):  # early if an old record was missing
                return
        self._finish()

    def _complete(self) -> bool:
        return self.run is not None and finished(self.run, self.config)

    def _close(self, clock: float) -> str:
        """Tests the network and writes the record of the epoch that ended; a note for people."""
        train, trainer, epoch = self.config.training, self.trainer, self.epochs
        trained, tested = trainer.trained(), trainer.test()
        self.epochs += 1
        facts = {
            "train_loss": trained.loss,
            "train_accuracy": trained.accuracy,
            "test_loss": tested.loss,
            "test_accuracy": tested.accuracy,
            "learning_rate": train.rate(epoch),
            "drop_path": train.drop(epoch),
            "timing_seconds": self.seconds + time.monotonic() - clock,
        }
        self.seconds = 0.0
        if self.run:
            arrays = {name: np.array(value) for name, value in facts.items()}
            self.run.write(epoch_name(self.epochs), arrays, {"epoch": self.epochs})
        return (
            f"epoch {self.epochs}: training loss {trained.loss:.3f}, test accuracy "
            f"{tested.accuracy:.2%}"
        )

    def _finish(self) -> None:
        """Writes the trained network, and the result, which ends the run."""
        if self.run is None:
            return
        state = {name: value for name, value in self._state().items() if "momentum/" not in name}
        self.run.write(TRAINED, state)
        accuracies = [
            self.run.parse(epoch_name(n), lambda record: float(record.arrays["test_accuracy"]))
            for n in range(1, self.epochs + 1)
        ]
        best = max(range(self.epochs), key=accuracies.__getitem__)  # the first of equals
        loss = self.run.parse(
            epoch_name(self.epochs), lambda record: float(record.arrays["test_loss"])
        )
        arrays = {
            "test_accuracy": np.array(accuracies[-1]),
            "test_loss": np.array(loss),
            "best_test_accuracy": np.array(accuracies[best]),
            "best_epoch": np.array(best + 1),
            "parameters": np.array(self.trainer.parameters),
        }
        notes: dict[str, JSON] = {"genotype": self.config.genotype, "selected_by": SELECTED}
        self.run.write(RESULT, arrays, notes)

    def _save(self) -> None:
        """The checkpoint: all the next step depends on (draws are keyed, so no RNG state)."""
        self.trainer.check()
        seen = self.ranks.total(self.trainer.seen)
        if self.run is None:
            return
        arrays = self._state() | {"seen": seen.numpy()}
        notes: dict[str, JSON] = {
            "epochs": self.epochs,
            "step": self.trainer.step,
            "seconds": self.seconds,
        }
        if self.trainer.scaler.is_enabled():
            notes["scaler"] = dict(self.trainer.scaler.state_dict())
        self.run.write("checkpoint", arrays, notes)

    def _tensors(self) -> dict[str, torch.Tensor]:
        """Parameters, running statistics and momentum, by name."""
        network, state = self.trainer.network, self.trainer.optimizer.state
        found = {f"weights/{name}": value for name, value in network.named_parameters()}
        found |= {f"statistics/{name}": value for name, value in network.named_buffers()}
        for name, weight in network.named_parameters():
            buffer = state[weight].get("momentum_buffer") if weight in state else None
            if buffer is not None:
                found[f"momentum/{name}"] = buffer
        return found

    def _state(self) -> dict[str, Array]:
        return {name: value.detach().cpu().numpy() for name, value in self._tensors().items()}

    def _restore(self, record: Record) -> None:
        """Takes over a checkpoint; raises LookupError or ValueError if it is of another network."""
        names = [name for name in record.arrays if name.startswith("momentum/")]
        self._at_rest(name.removeprefix("momentum/") for name in names)
        ours, theirs = self._tensors(), dict(record.arrays)
        seen = torch.from_numpy(theirs.pop("seen"))
        shapes = {name: tuple(value.shape) for name, value in ours.items()}
        if shapes != {name: array.shape for name, array in theirs.items()}:
            raise ValueError("it has the weights of another network")
        with torch.no_grad():
            for name, value in ours.items():
                value.copy_(torch.from_numpy(theirs[name]))
            self.trainer.seen.copy_(seen)
        self.epochs, self.trainer.step = _place(record)
        self.seconds = float(record.attributes["seconds"])  # type: ignore[arg-type]
        scaler: Any = record.attributes.get("scaler")
        if scaler and self.trainer.scaler.is_enabled():
            self.trainer.scaler.load_state_dict(scaler)

    def _at_rest(self, names: Any) -> None:  # noqa: ANN401
        """Makes momentum buffers of zeros, to be overwritten."""
        weights = dict(self.trainer.network.named_parameters())
        for name in names:
            zeros = torch.zeros_like(weights[name], memory_format=torch.preserve_format)
            self.trainer.optimizer.state[weights[name]]["momentum_buffer"] = zeros

    def _share(self) -> None:
        """Gives all processes what the first one read."""
        if self.ranks.count == 1:
            return
        names = list(dict(self.trainer.network.named_parameters()))
        there = [f"momentum/{name}" in self._tensors() for name in names]
        place = torch.tensor([self.epochs, self.trainer.step, *there])
        self.ranks.share([place])
        self.epochs, self.trainer.step, *moving = place.tolist()
        if not self.ranks.first:
            self._at_rest(name for name, moves in zip(names, moving, strict=True) if moves)
        self.ranks.share(value.data for value in self._tensors().values())
        if self.trainer.scaler.is_enabled():
            state = self.trainer.scaler.state_dict()
            packed = torch.tensor([float(value) for value in state.values()], dtype=torch.float64)
            self.ranks.share([packed])
            kinds = zip(state.items(), packed.tolist(), strict=True)
            self.trainer.scaler.load_state_dict({key: type(old)(new) for (key, old), new in kinds})


def _place(record: Record) -> tuple[int, int]:
    """Epochs and steps done."""
    return record.whole("epochs"), record.whole("step")


def _whole(run: Run, epochs: int) -> bool:
    """Whether the records of all epochs so far are there."""
    return all(epoch_name(epoch) in run for epoch in range(1, epochs + 1))


def _check_processes(run: Run, count: int) -> None:
    """Notes how many processes train together, or raises ConfigError if others began."""
    before = run.provenance.get(PROCESSES)
    if before is None:
        run.amend({PROCESSES: count})
    elif before != count:
        raise ConfigError(
            f"{run.path} was begun by {before} process(es), and here are {count}; go on with "
            f"{before}, or begin a new run with --out"
        )
