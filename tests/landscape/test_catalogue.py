"""Which runs are finished, which have stopped, what goes on with them, and their order."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from landscape.catalogue import Entry, catalogue
from landscape.compute import __main__ as compute
from landscape.geometry.grid import empty_surface
from landscape.record import OptimizerPath, Status, Surface, save_path, save_surface
from tests.tiny import TINY, call, words
from zarts import __main__ as zarts
from zarts.runs.runfile import Run

TRIED = np.array([[Status.OK, Status.DIVERGED, Status.FAILED]] * 2, np.uint8)


def entry(folder: Path, name: str = "run") -> Entry:
    return next(each for each in catalogue(folder) if each.name == name)


def tried(m: int) -> Surface:
    loss = np.where(TRIED == Status.OK, 0.5, np.nan)
    return Surface(m, np.arange(3.0), np.arange(2.0), loss, TRIED, np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("steps", "whole", "begun", "methods", "finished"),
    [
        (10, (), (), (), False),
        (10, (0, 1), (), (), False),  # the exact one is missing,
        (10, (0, 1), (10,), (), False),  # there with no point computed,
        (10, (0, 1, 10), (), (), True),
        (10, (0, 1, 10), (), ("darts-1", "zarts-rs"), False),  # or a path is missing
        (10, (0, 1, 10), (), ("darts-1",), True),
        (0, (), (), (), False),
        (0, (0,), (), (), True),
    ],
)
def test_a_run_is_finished_once_all_it_asks_for_was_tried(
    steps: int,
    whole: tuple[int, ...],
    begun: tuple[int, ...],
    methods: tuple[str, ...],
    finished: bool,
    tmp_path: Path,
) -> None:
    asked = {"landscape": {"steps": steps}, "paths": {"methods": list(methods)}}
    run = Run.create(tmp_path / "run", asked, {})
    run.write("plane", {"scale": np.array(1.0)}, {})
    for m in whole:
        save_surface(run, tried(m))
    for m in begun:
        save_surface(run, empty_surface(m, 2, 3))
    if methods:
        t = np.zeros(1)
        save_path(run, OptimizerPath("darts-1", 0, np.zeros((1, 2)), t, t, t, 1, 1, 1, 1.0))
    assert entry(tmp_path).finished is finished


def test_the_newest_run_comes_first_and_the_bundled_ones_last(tmp_path: Path) -> None:
    for name, created in (("old", "2026-01-01"), ("new", "2026-03-01")):
        Run.create(tmp_path / name, {}, {"created": created})
    entries = catalogue(tmp_path)
    assert [entry.name for entry in entries[:2]] == ["new", "old"]
    assert not any(entry.finished for entry in entries[:2])
    assert all(entry.bundled and entry.finished for entry in entries[2:])


def test_whether_a_run_is_written_is_asked_without_writing(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", {}, {})
    files = {file: file.stat().st_mtime_ns for file in (run.path, *run.path.iterdir())}
    assert not entry(tmp_path).written
    (run.path / "run.lock").chmod(0o400)
    with run.lock():
        assert entry(tmp_path).written
        content = (run.path / "run.lock").read_bytes()
    assert not entry(tmp_path).written
    assert (run.path / "run.lock").read_bytes() == content
    assert set(files) == {run.path, *run.path.iterdir()}
    (run.path / "run.lock").unlink()
    assert not entry(tmp_path).written  # as in an unpacked copy
    assert not (run.path / "run.lock").exists()


def follow(command: str) -> str:
    """Does what the command says, here; returns what it prints."""
    start, rest = shlex.split(command)[:3], shlex.split(command)[3:]
    main = {"zarts": zarts.main, "landscape.compute": compute.main}[start[2]]
    answer = call(main, *rest, "-q")
    assert answer.code == 0, answer.err
    return answer.out.strip()


@pytest.mark.slow
def test_the_command_for_a_stopped_run_finishes_just_that_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZARTS_RUNS", str(tmp_path))
    small = words({name: TINY[name] for name in ("data", "supernet", "search")})
    small_look = {"landscape": TINY["landscape"], "paths": {"methods": '["darts-1"]', "updates": 1}}
    look = [*words(small_look), "--workers", "1", "-q"]
    made = {
        "search": [zarts.main, *small, "--method", "zarts-mgs"],
        "alone": [compute.main, *small, *look],
        "other": [compute.main, "--run", "search", *look],
        "whole-shard-2-of-2": [compute.main, "--run", "search", "--shard=2/2", *look],
    }
    for name, (main, *flags) in made.items():
        folder = tmp_path / name.partition("-shard")[0]
        assert call(main, *flags, "--preset", "quick", "--out", folder).code == 0
    for name in made:
        before = Run.open(tmp_path / name).content_hash()
        assert entry(tmp_path, name).finished is (name in ("alone", "other"))
        for lost in (("grid", "paths"), ("plane.h5", "snapshot", "search", "checkpoint.h5")):
            for part in lost:
                gone = tmp_path / name / part
                shutil.rmtree(gone) if gone.is_dir() else gone.unlink(missing_ok=True)
            if name != "search" or lost[0] == "plane.h5":
                assert not entry(tmp_path, name).finished
                assert follow(entry(tmp_path, name).resuming()) == str(tmp_path / name)
                assert Run.open(tmp_path / name).content_hash() == before
    assert entry(tmp_path, "search").search_only
    assert entry(tmp_path, "search").searching == (2, 2)
    assert not entry(tmp_path, "other").search_only
    command = entry(tmp_path, "search").computing()
    assert Path(follow(f"{command} --dry-run {shlex.join(look)}")).parent == tmp_path
