"""Searches of several stages, and one that ends early: no end of a process changes a bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.programs import EARLY, NARROWING, registered, staged
from tests.tiny import Crash, crash_after, create
from zarts.problems.build import make_problem
from zarts.problems.cost import plan_search
from zarts.runs.course import chosen, following, last_snapshot, search_finished
from zarts.runs.recorder import iterations_done, record_search
from zarts.runs.runfile import ForeignFile, Run
from zarts.runs.snapshot import read_snapshot
from zarts.settings.config import Config, ConfigError
from zarts.settings.stages import Done, Epoch, Plain, Point, Stage
from zarts.sweep.outcomes import Result, read_outcome

STAGE = staged({}).program.stages[0]  # of two epochs, of which the last is kept
PROGRAMS = {"narrowing": NARROWING, "early": EARLY}


@pytest.fixture(autouse=True)
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    registered(monkeypatch)


def searched(path: Path, config: Config) -> Run:
    run = create(path, config)
    record_search(run, config)
    return run


def stage_of(run: Run, name: str) -> Stage | None:
    return run.parse(name, lambda record: Stage.noted(record.attributes))


def test_a_second_stage_has_a_space_of_its_own_and_the_first_has_todays_bits(
    tmp_path: Path,
) -> None:
    config = staged(NARROWING)
    run, plain = searched(tmp_path / "two", config), searched(tmp_path / "one", staged({}))
    epochs = [f"{folder}search/epoch-000{n}" for folder in ("", "stage-1/") for n in (1, 2)]
    snapshots = ["snapshot/epoch-0002", "stage-1/snapshot/epoch-0002"]
    assert run.names() == sorted([*epochs, *snapshots, "checkpoint", "result"])
    assert "result" not in plain.names()
    for name in (*epochs[:2], snapshots[0]):
        one, other = plain.read(name), run.read(name)
        assert one.attributes == other.attributes
        for key in one.arrays.keys() - {"timing_seconds"}:
            np.testing.assert_array_equal(one.arrays[key], other.arrays[key])
    alpha, first = run.read(epochs[1]).arrays["alpha"][-1], config.program.stages[0]
    stage = stage_of(run, epochs[2])
    assert stage == stage_of(run, snapshots[1])
    assert stage is not None
    for group, before in zip(stage.space.groups, first.space.groups, strict=True):
        rows = alpha[: before.size].reshape(before.edges, before.width)
        alpha = alpha[before.size :]
        for edge, wider, row in zip(group.operations, before.operations, rows, strict=True):
            assert set(wider) - set(edge) == {wider[row.argmin()]}
    last = read_snapshot(run, 2, 1)
    assert last.alpha.shape == (stage.space.dim,)
    assert {name.split(".")[1] for name in last.weights if name.startswith("cells.")} == {"0", "1"}
    assert last.stage == stage
    problem = make_problem(config, stage)
    assert problem.feed.outer_sgd(0).weight_decay == 0
    assert problem.feed.train_batches(2)[0].chance.drop_path == 0.5  # of the stage's second epoch
    assert problem.validate(last.weights, last.alpha, 1) == (last.val_loss, last.val_accuracy)
    assert chosen(run, config) == last_snapshot(run) == Point(1, 2)
    found = read_outcome(run.path)
    assert isinstance(found, Result)
    assert found.val_loss == last.val_loss
    assert plan_search(config).iterations == iterations_done(run) == 8


@pytest.mark.parametrize("program", PROGRAMS)
def test_crash_after_crash_between_writes_changes_nothing(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of epochs, between stages, and before the result."""
    config = staged(PROGRAMS[program])
    whole = searched(tmp_path / "whole", config).content_hash()
    run = create(tmp_path / "run", config)
    for crashes in count():
        try:
            # one, two, three, four writes and then a kill, and again
            with crash_after(1 + crashes % 4, monkeypatch):
                record_search(Run.open(run.path), config, flush_seconds=0)
        except Crash:
            continue
        break
    assert run.content_hash() == whole
    assert crashes >= 5


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_search_may_stop_after_every_iteration(program: str, tmp_path: Path) -> None:
    config = staged(PROGRAMS[program])
    whole, run = searched(tmp_path / "whole", config), create(tmp_path / "run", config)
    done = 0

    def stop() -> None:
        raise InterruptedError

    while not search_finished(run, config):
        with pytest.raises(InterruptedError):
            record_search(run, config, check=stop)
        done += 1
        assert iterations_done(run) == done
    assert run.content_hash() == whole.content_hash()


def test_an_early_end_is_an_end(tmp_path: Path) -> None:
    config = staged(EARLY)
    run = searched(tmp_path / "run", config)
    rates = [run.read(f"search/epoch-000{n}").arrays["epoch/learning_rate"] for n in (1, 2, 3)]
    assert [rate < 0.04 for rate in rates] == [False, False, True]
    assert "search/epoch-0004" not in run
    assert search_finished(run, config)
    assert chosen(run, config) == Point(0, 2)
    genotype = run.read("search/epoch-0002").attributes["genotype"]
    assert run.read("result").attributes["genotype"] == genotype
    last = record_search(run, config, report=lambda count, note: pytest.fail("asked again"))
    assert last.epoch == 2
    found = read_outcome(run.path)
    assert isinstance(found, Result)
    assert found.val_loss == last.val_loss


@pytest.mark.parametrize("lost", ["result", "search/epoch-0001", "snapshot/epoch-0002"])
def test_what_is_lost_is_written_again(lost: str, tmp_path: Path) -> None:
    config, told = staged(EARLY), list[int]()
    run = searched(tmp_path / "run", config)
    before = run.content_hash()
    (run.path / f"{lost}.h5").unlink()
    assert not search_finished(run, config)
    record_search(run, config, report=lambda count, note: told.append(count))
    assert run.content_hash() == before
    assert len(told) == {"result": 0, "search/epoch-0001": 2, "snapshot/epoch-0002": 4}[lost]


def test_a_stage_may_begin_as_an_earlier_epoch_ended(tmp_path: Path) -> None:
    config = staged({"search": {"program": "again"}})
    run = searched(tmp_path / "run", config)
    alpha = run.read("search/epoch-0001").arrays["alpha"][-1]
    warm = run.read("stage-1/search/epoch-0001").arrays["alpha"]
    np.testing.assert_array_equal(warm, np.stack([alpha] * len(warm)))
    assert not np.array_equal(run.read("search/epoch-0002").arrays["alpha"][-1], alpha)


@pytest.mark.parametrize(
    ("change", "cause"), [({"cells": "two"}, "stage.cells is 'two'"), ({"space": {}}, "groups")]
)
def test_a_checkpoint_that_tells_of_no_stage_is_named(
    change: dict[str, Any], cause: str, tmp_path: Path
) -> None:
    config, calls = staged(NARROWING), count(1)
    run = create(tmp_path / "run", config)

    def check() -> None:
        if next(calls) == 5:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        record_search(run, config, check=check)
    record = run.read("checkpoint")
    stage: Any = record.attributes["stage"]
    run.write("checkpoint", record.arrays, record.attributes | {"stage": stage | change})
    with pytest.raises(ForeignFile, match=r"checkpoint does not say") as caught:
        record_search(run, config)
    assert cause in str(caught.value.__cause__)


def test_an_unknown_program_is_named() -> None:
    with pytest.raises(ConfigError, match=r"search\.program is 'nosuch'; expected one of: plain"):
        staged({"search": {"program": "nosuch"}})


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Done(1), "epoch 1, whose ω was not kept"),
        (Done(3), "epoch 3, whose ω was not kept"),
        (STAGE, "from stage 0 to 0"),  # after its last epoch
        (replace(STAGE, index=2), "from stage 0 to 2"),
    ],
)
def test_a_program_that_leads_nowhere_is_stopped(answer: Stage | Done, message: str) -> None:
    class Lost(Plain):
        def after(self, stage: Stage, history: Sequence[Epoch]) -> Stage | Done:
            del stage, history
            return answer

    with pytest.raises(ValueError, match=message):
        following(Lost((STAGE,)), STAGE, [], 2)
    assert following(Plain((STAGE,)), STAGE, [], 1) == STAGE
