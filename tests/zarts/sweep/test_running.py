"""How searches are dealt out, and what becomes of one that cannot be finished."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tiny import call, create, tiny
from tests.zarts.sweep.sweeps import NAMES, sweep_file
from zarts import register_dataset
from zarts.execute import Failure, Outcome
from zarts.runs.runfile import Run
from zarts.sweep import running
from zarts.sweep.__main__ import main
from zarts.sweep.outcomes import Problem, Result
from zarts.sweep.running import Plan
from zarts.sweep.tasks import Search


def test_a_defect_in_one_search_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_search = running.record_search

    def record(run: Run, *arguments: Any, **named: Any) -> Any:
        if run.name == NAMES[1]:
            raise KeyError("two\nlines")
        return record_search(run, *arguments, **named)

    monkeypatch.setattr(running, "record_search", record)
    answer = call(main, sweep_file(tmp_path), "--workers", "1", "-q")
    assert answer.code == 1
    assert answer.err.splitlines()[0] == rf"failed: {NAMES[1]}: KeyError: 'two\nlines'"
    assert [row.split()[-1] for row in answer.out.splitlines()[1:]] == ["1/2", "2/2"]


def test_a_search_whose_workers_die_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def execute(setup: Any, work: Any, items: list[str], **named: Any) -> Iterator[Any]:
        for item in items:
            if item.endswith(NAMES[0]):
                yield Outcome(item, Failure("its worker process ended 3 times"), final=True)
            else:
                yield from (Outcome(item, value, final=True) for value in work(setup(), item))

    monkeypatch.setattr(running, "execute", execute)
    answer = call(main, sweep_file(tmp_path), "--workers", "1", "-q", "--json")
    assert answer.code == 1
    first = json.loads(answer.out)["experiments"][0]
    assert first["finished"] == 1
    assert first["runs"][0]["reason"] == "its worker process ended 3 times"
    assert first["val_loss"]["sd"] is None


def test_searches_in_workers_get_the_arrays_that_are_registered_here(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (90, 2, 6, 6), dtype=np.uint8)
    register_dataset("mine", x, np.arange(90) % 3)
    own = {"data": {"name": "mine", "downscale": 1, "subset": 0}, "search": {"epochs": 1}}
    searches = [
        Search("x", tiny("darts-1", own, {"seed": seed}), tmp_path / f"{seed}") for seed in (0, 1)
    ]
    for search in searches:
        create(search.folder, search.config)
    done = [result for _, result in running.run_all(searches, workers=2)]
    assert [type(result) for result in done] == [Result, Result], done


@pytest.mark.parametrize(
    ("asked", "cores", "fit", "expected"),
    [(None, 8, 16, 4), (None, 3, 16, 3), (None, 8, 2, 2), (None, 8, 0, 1), (3, 8, 16, 3),
     (50, 1, 4, 4), (1, 8, 0, 1), (3, 8, 2, "3 workers .* --workers 2 fit")],
)  # fmt: skip
def test_workers_are_as_many_as_is_useful(
    asked: int | None, cores: int, fit: int, expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches = [Search("x", tiny(), Path(str(seed))) for seed in range(4)]
    plans = {search.name: Plan(1.0, 5, {}, None) for search in searches}
    monkeypatch.setattr(running, "default_workers", lambda device: cores)
    monkeypatch.setattr(running, "processes_that_fit", lambda memory, device: fit)
    if isinstance(expected, int):
        assert running.workers_for(searches, plans, asked) == expected
        assert running.workers_for([], {}, asked) == 1
    else:
        with pytest.raises(ValueError, match=expected):
            running.workers_for(searches, plans, asked)


def test_the_cluster_is_asked_for_what_it_offers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def execute(setup: Any, work: Any, items: list[str], **named: Any) -> Iterator[Any]:
        asked.append((named["cluster"], named["workers"], work is running._finish))
        assert all(Path(item).is_absolute() for item in items)
        yield from (Outcome(item, Problem("away"), final=True) for item in items)

    monkeypatch.setattr(running, "execute", execute)
    monkeypatch.setattr("zarts.execute.reach", lambda address: None)
    monkeypatch.setattr(running, "default_workers", lambda device: 3)
    for address in ("local", "head:6379"):
        for extra in ([], ["--workers", "1"]):
            answer = call(main, sweep_file(tmp_path), "--cluster", address, *extra)
            assert answer.code == 1
            assert f"on cluster {address}" in answer.err
    # of this machine no more than its memory holds; what another one offers is not known here
    assert asked == [("local", 3, True), ("local", 1, True), ("head:6379", 0, True),
                     ("head:6379", 1, True)]  # fmt: skip


def test_a_cluster_is_looked_for_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZARTS_RUNS", str(tmp_path / "runs"))
    answer = call(main, sweep_file(tmp_path), "--cluster", "127.0.0.1:9")
    assert answer.code == 2
    assert "nobody answers at" in answer.error
    assert not (tmp_path / "runs").exists()
