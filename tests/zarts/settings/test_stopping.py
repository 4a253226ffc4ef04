"""R-DARTS' rules on series of λ, and searches that stop early or go back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tiny import Crash, crash_after, create, tiny
from zarts.problems import facts
from zarts.problems.build import make_problem
from zarts.problems.cost import plan_search
from zarts.runs.course import chosen, deviations, epochs_asked
from zarts.runs.recorder import iterations_done, record_search
from zarts.runs.runfile import Run
from zarts.settings.config import Config
from zarts.settings.presets import complete
from zarts.settings.stages import Done, Epoch, Point, Stage, program_of
from zarts.settings.stopping import Watch

Series = Callable[[int], float]  # of e, counted from 0
WATCH = Watch(every=2, start=10, ratio=1.3, epochs=50)


def program(variant: str, **search: Any) -> Any:
    config = complete("paper", "darts-2", {"search": search}, variant=variant)
    return program_of(config.search, config.supernet)


def walk(rule: Any, series: Callable[[Stage, int], float]) -> tuple[list[tuple[Stage, int]], Done]:
    """The stages of a search with these λ, where each ended (from 0), and the end."""
    history, ended = list[Epoch](), list[tuple[Stage, int]]()
    stage, e = rule.stages[0], 0
    while True:
        needed = stage.needed(e + 1)
        values = {"lambda_max": series(stage, e)} if needed else {}
        history.append(Epoch(Point(stage.index, e + 1), np.zeros(1), values))
        found = rule.after(stage, history)
        if isinstance(found, Done):
            return [*ended, (stage, e)], found
        if found.index != stage.index:
            ended.append((stage, e))
            e = found.offset - 1
        stage, e = found, e + 1


def test_checks_are_made_at_22_to_48_and_return_twelve_epochs() -> None:
    assert WATCH.checks == {e + 1: e - 11 for e in range(22, 49, 2)}
    assert WATCH.need.epochs == (*range(1, 50, 2), 50)


@pytest.mark.parametrize(
    ("series", "ratio"),
    [(lambda e: 0.1 + 0.02 * e, 1.5333), (lambda e: 0.2 * 1.04**e, 1.3686)],
)
def test_the_golden_series_stop_at_22_and_return_10(series: Series, ratio: float) -> None:
    ended, done = walk(program("es"), lambda stage, e: series(e))
    assert [e for _, e in ended] == [22]
    assert done == Done(11)  # e = 10, counted from 1
    assert done.epoch in ended[0][0].snapshots
    for factor, stops in ((0.9999, True), (1.0001, False)):
        near = replace(WATCH, ratio=ratio * factor)
        assert (near.back(23, lambda epoch: series(epoch - 1)) == 11) == stops


def test_a_flat_series_goes_to_the_end_and_a_late_rise_is_seen() -> None:
    for variant in ("es", "ada"):
        ended, done = walk(program(variant), lambda stage, e: 0.2)
        assert ([e for _, e in ended], done) == ([49], Done(50))
    ended, done = walk(program("es"), lambda stage, e: 0.2 if e < 40 else 0.4)
    assert ([e for _, e in ended], done) == ([42], Done(31))
    # a rise in the last epoch alone is not acted on
    ended, done = walk(program("es"), lambda stage, e: 0.2 if e < 49 else 9.0)
    assert done == Done(50)


def test_adaptive_decay_returns_twice_at_most_each_time_with_ten_times_the_decay() -> None:
    ended, done = walk(program("ada"), lambda stage, e: 0.1 + 0.02 * e)
    stages = [stage for stage, _ in ended]
    assert [stage.weight_decay for stage in stages] == [3e-4, 3e-3, 3e-2]
    assert [stage.offset for stage in stages] == [0, 11, 11]
    assert [stage.start for stage in stages] == [None, Point(0, 11), Point(0, 11)]
    assert [e for _, e in ended] == [22, 22, 49]
    assert done == Done(50)
    assert stages[0].states == tuple(range(11, 38, 2))
    # each as the largest decay allows
    assert len(walk(program("ada", weight_decay=3e-3), lambda stage, e: 1.2**e)[0]) == 2


def test_the_rule_sees_the_way_that_led_here_and_not_what_was_undone() -> None:
    """Stage 1 is flat where stage 0 rose; its own rise returns to its own epoch."""
    ended, _ = walk(
        program("ada"),
        lambda stage, e: 0.1 + 0.02 * e if stage.index == 0 else 0.3 if e < 30 else 0.6,
    )
    assert [e for _, e in ended] == [22, 32, 49]
    assert [stage.start for stage, _ in ended] == [None, Point(0, 11), Point(1, 21)]


@pytest.mark.parametrize("epochs", [1, 8, 9, 25])
def test_shorter_searches_check_as_soon_as_they_can(epochs: int) -> None:
    watch = Watch(every=1, start=1, ratio=1.3, epochs=epochs)
    assert watch.checks == {epoch: epoch - 6 for epoch in range(8, epochs)}


def test_a_stage_comes_back_from_a_record_as_it_was() -> None:
    ended, _ = walk(program("ada"), lambda stage, e: 0.1 + 0.02 * e)
    for stage, _ in ended[1:]:
        assert Stage.noted(json.loads(json.dumps(stage.note()))) == stage


def test_drop_path_and_cutout_rise_from_nothing_to_all() -> None:
    config = complete("paper", "darts-2", variant="dp")
    stage = config.program.stages[0]
    assert [stage.strength(e).drop_path for e in (0, 49)] == [0, 0.2]
    assert stage.strength(7).drop_path == pytest.approx(0.2 * 7 / 49)
    small = {"data": {"cutout": 4, "cutout_schedule": "rising", "augment": "none"}}
    feed = make_problem(tiny("darts-2", small, {"search": {"epochs": 3}})).feed
    assert [feed.cutout(e) for e in range(3)] == [0, 0.5, 1]
    bare = make_problem(tiny("darts-2", {"data": {"augment": "none"}})).feed
    size = feed.iterations_per_epoch
    hidden = []
    for iteration in (0, size, 2 * size):
        pairs = zip(feed.train_batches(iteration), bare.train_batches(iteration), strict=True)
        hidden += [(one.images != other.images).any(dim=(1, 2, 3)) for one, other in pairs]
    first, middle, last = (float(each.double().mean()) for each in hidden)
    assert first == 0 < middle < last
    # an inner batch that is kept over the end of an epoch is that of the epoch that asks
    feed = make_problem(
        tiny("darts-2", small, {"search": {"epochs": 3, "inner_batches": "next"}})
    ).feed
    feed.inner_batches(size - 1, 2)
    after = feed.inner_batches(size, 1)[0].images
    fresh = make_problem(tiny("darts-2", small, {"search": {"epochs": 3, "inner_batches": "next"}}))
    np.testing.assert_array_equal(after, fresh.feed.inner_batches(size, 1)[0].images)


def test_the_decay_of_l2_is_that_of_all_steps() -> None:
    config = complete("paper", "darts-2", variant="l2")
    assert config.search.weight_decay == pytest.approx(3e-4 * 3**2)


# --- whole searches -----------------------------------------------------------------------------

STRANGE = replace(program("es").stages[0], index=1)
SMALL = {
    "supernet": {"space": "s2"},
    "search": {"epochs": 9, "period": 2, "stop_every": 1, "stop_start": 1},
    "data": {"subset": 16},
}


def watched(kind: str, **search: Any) -> Config:
    return tiny("darts-1", SMALL, {"search": {"program": kind, **search}})


@pytest.fixture
def rising(monkeypatch: pytest.MonkeyPatch) -> None:
    """λ that rises in the first stage only."""

    def measure(problem: Any, weights: Any, alpha: Any, iteration: int) -> float:
        epoch = iteration // problem.feed.iterations_per_epoch
        decay = problem.feed.outer_sgd(0).weight_decay
        return 1.3**epoch if decay == 3e-4 else 0.5

    monkeypatch.setitem(
        facts.FACTS, "lambda_max", facts.FACTS["lambda_max"]._replace(measure=measure)
    )


def searched(path: Path, config: Config) -> Run:
    run = create(path, config)
    record_search(run, config)
    return run


def names(run: Run, kind: str) -> list[str]:
    return [name for name in run.names() if kind in name]


@pytest.mark.usefixtures("rising")
def test_an_early_stop_keeps_the_epoch_that_it_returns(tmp_path: Path) -> None:
    config = watched("early-stop")
    run = searched(tmp_path / "run", config)
    assert len(names(run, "search/")) == 8
    assert chosen(run, config) == Point(0, 2)
    assert names(run, "snapshot/") == ["snapshot/epoch-0002"]
    values = [run.read(name).arrays["epoch/lambda_max"] for name in names(run, "search/")]
    np.testing.assert_allclose(values, [1.3**epoch for epoch in range(1, 9)])


@pytest.mark.usefixtures("rising")
def test_a_return_goes_on_with_the_whole_state_and_other_decay(tmp_path: Path) -> None:
    config = watched("adaptive-decay")
    run = searched(tmp_path / "run", config)
    assert chosen(run, config) == Point(1, 9)
    later = names(run, "stage-1/search/")
    assert later == [f"stage-1/search/epoch-{n:04d}" for n in range(3, 10)]
    assert names(run, "state/") == ["state/epoch-0002"]
    first = [run.read(f"search/epoch-{n:04d}") for n in range(1, 9)]
    rates = [float(record.arrays["epoch/learning_rate"]) for record in first]
    again = [float(run.read(name).arrays["epoch/learning_rate"]) for name in later]
    assert again[:6] == rates[2:]  # the schedule goes on
    state = run.read("state/epoch-0002")
    assert int(state.arrays["memory/count"]) == 2  # one update of α in each epoch
    assert any(key.startswith("velocity/") for key in state.arrays)
    stage = Stage.noted(run.read(later[0]).attributes)
    assert stage is not None
    assert (stage.offset, stage.start, stage.weight_decay) == (2, Point(0, 2), 3e-3)
    before = first[1].arrays["alpha"][-1]
    moved = np.abs(run.read(later[0]).arrays["alpha"][0] - before).max()
    rate = config.optimizer["learning_rate"]
    assert 0 < moved < 1.5 * rate  # with moments of Adam that it had, not from none


@pytest.mark.usefixtures("rising")
def test_a_return_and_a_stop_go_on_to_the_same_bits(tmp_path: Path) -> None:
    """Between the stages, and in the middle of an epoch of the second."""
    config = watched("adaptive-decay")
    whole, run = searched(tmp_path / "whole", config), create(tmp_path / "run", config)
    told = list[int]()
    # what was undone counts no more, so that all is done in the end
    for stops, done, asked in ((8, 2, 9), (1, 3, 15)):
        calls = count(1)

        def check(calls: count[int] = calls, stops: int = stops) -> None:
            if next(calls) == stops:
                raise InterruptedError

        with pytest.raises(InterruptedError):
            record_search(run, config, check=check, report=lambda more, note: told.append(more))
        assert iterations_done(run) == sum(told) == done
        assert epochs_asked(run) == asked
    record_search(run, config, report=lambda more, note: told.append(more))
    assert sum(told) == plan_search(config).iterations == 9
    assert run.content_hash() == whole.content_hash()
    assert deviations(run, config.program) == []
    (run.path / "stage-1/search/epoch-0009.h5").unlink()
    asks = "has a result, but its program asks for stage-1/search/epoch-0009"
    assert deviations(run, config.program) == [asks]


@pytest.mark.usefixtures("rising")
def test_what_a_program_would_not_have_done_is_found(tmp_path: Path) -> None:
    config = watched("early-stop")
    run = searched(tmp_path / "run", config)
    assert deviations(run, config.program) == []
    assert epochs_asked(run) == 8
    result = run.read("result")
    run.write("result", result.arrays | {"epoch": np.array(9)}, result.attributes)
    (found,) = deviations(run, config.program)
    assert found == "result is epoch 9 of stage 0, but its program ends with epoch 2 of stage 0"
    run.write("result", result.arrays, result.attributes | {"genotype": "other", "records": []})
    assert len(deviations(run, config.program)) == 2
    run.write("result", result.arrays, result.attributes)
    last = run.read("search/epoch-0008")
    calm = last.arrays | {"epoch/lambda_max": np.array(-50.0)}
    run.write("search/epoch-0008", calm, last.attributes)
    (found,) = deviations(run, config.program)
    assert found == "has a result, but its program asks for search/epoch-0009"
    earlier = run.read("search/epoch-0007")
    run.write("search/epoch-0007", earlier.arrays, earlier.attributes | STRANGE.note())
    assert "search/epoch-0007 tells of another stage" in deviations(run, config.program)[0]
    run.write("search/epoch-0008", last.arrays, last.attributes)
    run.write("stage-1/search/epoch-0001", last.arrays, last.attributes)
    assert "stage-1/search/epoch-0001 is not on the way" in deviations(run, config.program)[-1]


@pytest.mark.slow
@pytest.mark.usefixtures("rising")
def test_a_return_and_a_kill_go_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between any two writes around the return."""
    config = watched("adaptive-decay")
    whole = searched(tmp_path / "whole", config).content_hash()
    for writes in range(17, 22):  # epochs 1 to 8 with their checkpoints, a snapshot and a state
        run = create(tmp_path / f"run-{writes}", config)
        with pytest.raises(Crash), crash_after(writes, monkeypatch):
            record_search(run, config, flush_seconds=0)
        record_search(Run.open(run.path), config)
        assert run.content_hash() == whole, writes
