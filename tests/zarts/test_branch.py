"""``--from RUN@EPOCH``: a search begins with what another one kept, and needs it no more."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from landscape.compute.schema import missing, problems
from tests.tiny import TINY, Crash, call, crash_after, words
from zarts.__main__ import main
from zarts.runs.runfile import Run
from zarts.settings.config import Config

SMALL = {name: TINY[name] for name in ("data", "supernet", "search")}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with one search, kept at two of its three epochs."""
    folder = tmp_path_factory.mktemp("runs")
    answer = call(main, *words(SMALL), "--method", "darts-1", "--epochs", "3", "--seed", "5",
                  "--set", "search.snapshots=[1]", "--out", folder / "src")  # fmt: skip
    assert answer.code == 0, answer.err
    return folder


@pytest.fixture(autouse=True)
def _here(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZARTS_RUNS", str(runs))


def branch(folder: Path, *flags: str) -> Run:
    answer = call(main, "--from", "src@1", *flags, "--out", folder)
    assert answer.code == 0, answer.err
    return Run.open(folder)


def test_a_branch_begins_with_what_was_kept(runs: Path, tmp_path: Path) -> None:
    run, source = branch(tmp_path / "b", "--epochs", "2"), Run.open(runs / "src")
    kept, begun = (each.read(name).arrays for each, name in
                   ((source, "snapshot/epoch-0001"), (run, "start")))  # fmt: skip
    assert kept.keys() == begun.keys()
    assert all(np.array_equal(kept[name], begun[name]) for name in kept)
    config, had = Config.from_table(run.config), Config.from_table(source.config)
    assert config.search.origin.startswith("src/epoch-0001/")
    assert (config.seed, config.data, config.supernet) == (5, had.data, had.supernet)
    assert (config.search.epochs, config.search.snapshots) == (2, ())
    first, moved = kept["alpha"], run.read("search/epoch-0001").arrays["alpha"][0]
    assert 0 < np.abs(moved - first).max() < 0.05  # one step of Adam away, not drawn anew
    assert missing(run.names(), config) == (missing(source.names(), had)[0], [])
    # the content of the source decides, and it is needed no more
    before = run.content_hash()
    (tmp_path / "b" / "search" / "epoch-0002.h5").unlink()
    again = call(main, "--config", tmp_path / "b" / "config.toml", "--out", tmp_path / "b")
    assert again.code == 0, again.err
    assert Run.open(tmp_path / "b").content_hash() == before


def test_a_killed_branch_resumes_to_the_same_bits(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = branch(tmp_path / "whole", "--epochs", "2").content_hash()
    for writes in (0, 1, 2):
        with crash_after(writes, monkeypatch), pytest.raises(Crash):
            branch(tmp_path / f"killed-{writes}", "--epochs", "2")
        assert branch(tmp_path / f"killed-{writes}", "--epochs", "2").content_hash() == whole


def test_another_method_brings_its_own_loop(tmp_path: Path) -> None:
    flags = ("--epochs", "1", "--method", "zarts-rs", "--set", "search.period=2")
    run = branch(tmp_path / "b", *flags)
    search = Config.from_table(run.config).search
    assert (search.inner_steps, search.period, search.warmup) == (10, 2, 0)
    assert search.inner_batch_size == 8  # of the source
    assert np.isfinite(run.read("search/epoch-0001").arrays["losses"]).any()  # no warm-up


def test_what_a_branch_begins_with_is_checked(runs: Path, tmp_path: Path) -> None:
    run = branch(tmp_path / "b", "--epochs", "1")
    config, start = Config.from_table(run.config), run.read("start")
    assert not problems("start", start, config)
    start.arrays["alpha"][0] += 1
    assert "has the content" in problems("start", start, config)[0]
    assert "start" in missing(set(run.names()) - {"start"}, config)[1][0]
    shutil.copytree(tmp_path / "b", tmp_path / "c")
    run = Run.open(tmp_path / "c")
    run.write("start", start.arrays, start.attributes)
    for name in ("search/epoch-0001", "snapshot/epoch-0001", "checkpoint"):
        (tmp_path / "c" / f"{name}.h5").unlink()
    answer = call(main, "--from", "src@1", "--epochs", "1", "--out", tmp_path / "c")
    assert answer.code == 2
    assert "start.h5: is not the snapshot of src/epoch-0001/" in answer.error


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--from", "src@2"], "run 'src' has no ω of epoch 2; it keeps [1, 3], the last and"),
        (["--from", "src"], "expected RUN@EPOCH"),
        (["--from", "../src@1"], "expected RUN@EPOCH"),
        (["--from", "nosuch@1"], "nosuch: holds no run"),
        (["--from", "src@1", "--set", "space=s1"], "but the ω of src is of"),
        (["--from", "src@1", "--set", "data.split=stratified"], "data.split is stratified"),
        (["--set", "search.origin=src@1"], "it is set by --from RUN@EPOCH"),
    ],
)
def test_what_cannot_be_branched_from_gives_one_line(
    flags: list[str], message: str, tmp_path: Path
) -> None:
    answer = call(main, *flags, "--out", tmp_path / "none")
    assert answer.code == 2
    assert message in answer.error
    assert not (tmp_path / "none").exists()
