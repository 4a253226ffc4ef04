"""The recorded retraining: what it leaves, and that it goes on to the same bits."""

from __future__ import annotations

import errno
import os
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.tiny import Crash, crash_after
from tests.zarts.retrain.retraining import NOISE, begin, small
from zarts.bilevel.inner import Diverged
from zarts.retrain.data import load
from zarts.retrain.job import record_retraining, steps_done
from zarts.retrain.results import finished, read_result
from zarts.retrain.training import Trainer
from zarts.runs.runfile import Run, RunError, Unwritable
from zarts.settings.config import ConfigError

STEPS = 4  # an epoch of 80 images in batches of 24: 24 + 24 + 24 + 8


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = begin(tmp_path_factory.mktemp("runs") / "whole", small())
    with run.lock():
        record_retraining(run, small())
    return run


def test_a_run_holds_every_epoch_and_the_last_and_the_best_accuracy(whole: Run) -> None:
    assert whole.names() == [
        "checkpoint", "result", "retrain/epoch-0001", "retrain/epoch-0002", "trained",
    ]  # fmt: skip
    epochs = [whole.read(f"retrain/epoch-000{epoch}").arrays for epoch in (1, 2)]
    assert [float(each["learning_rate"]) for each in epochs] == pytest.approx([0.05, 0.025])
    assert [float(each["drop_path"]) for each in epochs] == pytest.approx([0.0, 0.15])
    accuracies = [float(each["test_accuracy"]) for each in epochs]
    found = read_result(whole.path)
    assert found.test_accuracy == accuracies[1]
    assert found.best_test_accuracy == max(accuracies)
    assert accuracies[found.best_epoch - 1] == max(accuracies)
    assert found.test_loss == float(epochs[1]["test_loss"])
    result = whole.read("result").attributes
    assert "test accuracy" in str(result["selected_by"])
    assert result["genotype"] == whole.config["genotype"]
    assert finished(whole, small())
    assert steps_done(whole) == 2 * STEPS


def test_the_last_incomplete_batch_is_trained_on() -> None:
    trainer = Trainer(small(), load(small()))
    for _ in trainer.steps(0):
        pass
    assert trainer.step == STEPS
    assert bool(trainer.seen[..., 0].all())
    assert sorted(trainer.feed._train.picked(k).numel() for k in range(STEPS)) == [8, 24, 24, 24]
    assert 1.5 < trainer.trained().loss < 7  # of both heads


class Stop(Exception):
    """Somebody asked to stop."""


@pytest.mark.parametrize("after", [1, STEPS])
def test_it_goes_on_to_the_same_bits(whole: Run, tmp_path: Path, after: int) -> None:
    run, asked = begin(tmp_path / "part", small()), iter(range(1, 100))

    def check() -> None:
        if next(asked) == after:
            raise Stop

    with run.lock(), pytest.raises(Stop):
        record_retraining(run, small(), check=check)
    assert not finished(run, small())
    done = steps_done(run)
    assert 0 < done < 2 * STEPS
    reports: list[int] = []
    with run.lock():
        record_retraining(run, small(), report=lambda count, note: reports.append(count))
    assert done + sum(reports) == 2 * STEPS
    assert run.content_hash() == whole.content_hash()


@pytest.mark.parametrize("writes", [1, 3, 5])
def test_a_kill_between_two_writes_costs_nothing_but_time(
    whole: Run, tmp_path: Path, writes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(tmp_path / "killed", small())
    with crash_after(writes, monkeypatch), run.lock(), pytest.raises(Crash):
        record_retraining(run, small())
    with run.lock():
        record_retraining(run, small())
    assert run.content_hash() == whole.content_hash()


def test_a_missing_epoch_is_computed_again(whole: Run, tmp_path: Path) -> None:
    run = begin(tmp_path / "lost", small())
    with run.lock():
        record_retraining(run, small())
    (run.path / "retrain" / "epoch-0001.h5").unlink()
    assert not finished(run, small())
    assert steps_done(run) == 0
    with run.lock():
        record_retraining(run, small())
    assert run.content_hash() == whole.content_hash()


def test_a_disk_that_fills_during_a_checkpoint_leaves_the_old_one(
    whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, original = begin(tmp_path / "full", small()), os.fsync
    kept: list[bytes] = []

    def full(descriptor: int) -> None:
        name = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        there = run.path / "checkpoint.h5"
        if ".checkpoint.h5.tmp" in name and there.exists():
            kept.append(there.read_bytes())
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with run.lock(), pytest.raises(Unwritable, match=r"No space left.*undamaged"):
            record_retraining(run, small())
    assert kept == [(run.path / "checkpoint.h5").read_bytes()]
    with run.lock():
        record_retraining(run, small())
    assert run.content_hash() == whole.content_hash()


def test_settings_of_one_micro_batch_and_of_several_differ_as_batch_norm_does(whole: Run) -> None:
    config = small({"training": {"accumulate": 2}})
    trainer = Trainer(config, load(config))
    for _ in trainer.steps(0):
        pass
    assert trainer.seen.shape == (STEPS, 2, 2)
    found = trainer.trained().loss
    one = float(whole.read("retrain/epoch-0001").arrays["train_loss"])
    assert found == pytest.approx(one, rel=0.2)
    assert found != one


def test_the_average_of_several_passes_is_reported_where_cells_draw_noise(tmp_path: Path) -> None:
    config = small({"genotype": NOISE, "training": {"auxiliary": 0.0, "passes": 3}})
    trainer = Trainer(config, load(config))
    found = trainer.test()
    assert found == trainer.test()
    one = Trainer(
        small({"genotype": NOISE, "training": {"auxiliary": 0.0, "passes": 1}}), load(config)
    )
    assert found.loss != one.test().loss


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.half)])
def test_autocast_computes_in_half_precision(precision: str, dtype: torch.dtype) -> None:
    config = small({"training": {"precision": precision, "epochs": 2, "drop_path": 0.5}})
    trainer = Trainer(config, load(config))
    trainer.step = STEPS  # the second epoch drops paths
    seen: list[torch.dtype] = []
    trainer.network.cells[0].register_forward_hook(lambda *_: seen.append(_[2].dtype))
    next(trainer.steps(1))
    assert seen == [dtype]
    assert {weight.dtype for weight in trainer.network.parameters()} == {torch.float32}
    assert np.isfinite(trainer.test().loss)


def test_fp16_leaves_out_steps_that_overflow_and_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scale begins too large, and grows after every step that is made, so it never rests."""
    scaler = partial(torch.amp.GradScaler, init_scale=2.0**18, growth_interval=1)
    monkeypatch.setattr(torch.amp, "GradScaler", scaler)
    config = small({"training": {"precision": "fp16", "epochs": 1}})
    trainer = Trainer(config, load(config))
    weight, scales, moved = trainer.network.head.weight, [2.0**18], []
    before = weight.detach().clone()
    for _ in trainer.steps(0):
        scales.append(trainer.scaler.get_scale())
        moved.append(not torch.equal(weight, before))
        before = weight.detach().clone()
    assert moved == [new > old for old, new in pairwise(scales)]
    assert set(moved) == {True, False}
    assert scales[2] < scales[0]  # where the run below is stopped
    assert trainer.step == STEPS
    assert 1.5 < trainer.trained().loss < 7  # of all images, also those of steps left out

    def recorded(name: str, *stops: int) -> Run:
        """A run that was stopped after so many steps of each turn."""
        run = begin(tmp_path / name, config)
        for stop in stops:
            asked = iter([None] * (stop - 1))
            with run.lock(), pytest.raises(StopIteration):
                record_retraining(run, config, check=lambda asked=asked: next(asked))
        return run

    part, whole = (recorded(*turns).read("checkpoint") for turns in (("part", 2, 2), ("whole", 4)))
    assert whole.attributes["scaler"] == part.attributes["scaler"]
    assert {**whole.attributes, "seconds": 0} == {**part.attributes, "seconds": 0}
    assert all(np.array_equal(array, part.arrays[name]) for name, array in whole.arrays.items())


def test_what_diverges_ends_with_one_line(tmp_path: Path) -> None:
    config = small({"training": {"learning_rate": 1e30, "clip": 0}})
    run = begin(tmp_path / "diverged", config)
    with run.lock(), pytest.raises(Diverged, match=r"loss is not finite after . SGD steps; lower"):
        record_retraining(run, config)
    assert not finished(run, config)
    assert steps_done(run) == 0  # a checkpoint would hold what is broken


def test_memory_that_runs_out_says_what_would_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(small(), load(small()))

    def out(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB; more")

    monkeypatch.setattr(trainer.network, "forward", out)
    monkeypatch.setattr("zarts.retrain.extent.Extent.fitting", lambda *_: 7)
    with pytest.raises(MemoryError, match=r"24 images .*; about 7 would fit; raise training.accu"):
        next(trainer.steps(0))


def test_other_data_and_other_processes_are_refused(whole: Run, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "other", small().to_table(), {"test_fingerprint": "abc"})
    with run.lock(), pytest.raises(ConfigError, match=r"test fingerprint here is \w{64}, that of"):
        record_retraining(run, small())
    run = Run.create(tmp_path / "more", small().to_table(), {"processes": 2})
    with run.lock(), pytest.raises(ConfigError, match=r"begun by 2 process\(es\), and here are 1"):
        record_retraining(run, small())


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    run = begin(tmp_path / "odd", small())
    run.write("checkpoint", {"seen": np.zeros((4, 1, 2))}, {"epochs": 0, "step": 1, "seconds": 0})
    with run.lock(), pytest.raises(RunError, match="weights of another network"):
        record_retraining(run, small())
