"""``--run NAME``: the ω of an existing search, copied, named by its content, or refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from landscape.compute.__main__ import main
from tests.tiny import TINY, call, words
from zarts.__main__ import main as search
from zarts.runs.runfile import Run, read_record, write_record


def content(folder: Path) -> str:
    return Run.open(folder).content_hash()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search by another method, kept at two epochs."""
    folder = tmp_path_factory.mktemp("sources") / "mgs"
    flags = words({name: TINY[name] for name in ("data", "supernet", "search")})
    answer = call(search, *flags, "--method", "zarts-mgs", "--set", "search.snapshots=[1]",
                  "--set", "search.period=2", "--seed", "5", "--out", folder)  # fmt: skip
    assert answer.code == 0
    return folder


LOOK = [*words({"landscape": TINY["landscape"]}), "--set", "paths.methods=['darts-2','zarts-gld']",
        "--set", "paths.updates=1", "--workers", "1"]  # fmt: skip


def test_the_omega_of_a_search_is_used_and_kept(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZARTS_RUNS", str(tmp_path))
    shutil.copytree(source, tmp_path / "mgs")
    answer = call(main, *LOOK, "--run", "mgs")
    assert answer.code == 0
    folder = Path(answer.out.strip())
    assert folder.name.startswith("quick-mgs-")
    run, given = Run.open(folder), Run.open(source)
    assert run.config["source"].startswith("mgs/epoch-0002/")  # type: ignore[union-attr]
    assert run.config["seed"] == 5
    assert run.config["search"] == given.config["search"]
    assert run.config["optimizer"] == given.config["optimizer"]
    taken, had = (each.read("snapshot/epoch-0002").arrays for each in (run, given))
    assert all(np.array_equal(taken[name], had[name]) for name in had)
    early = call(main, *LOOK, "--run", "mgs", "--set", "landscape.epoch=1")
    assert Path(early.out.strip()) != folder
    # the run needs its source no more
    before = content(folder)
    shutil.rmtree(tmp_path / "mgs")
    (folder / "grid" / "m01.h5").unlink()
    again = call(main, "--config", folder / "config.toml", "--workers", "1", "--out", folder)
    assert again.code == 0
    assert content(folder) == before


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--run", "nosuch"], "nosuch: holds no run"),
        (["--run", "../mgs"], "'../mgs'"),
        (["--run", "/etc"], "'/etc'"),
        (["--run", ""], "--run"),
        (["--run", "mgs", "--set", "landscape.epoch=7"], "landscape.epoch is 7"),
        (
            ["--run", "mgs", "--set", "cells=2"],
            "error: supernet.cells is 2, but the ω of mgs is of",
        ),
        (["--run", "mgs", "--set", "space=s1"], "s1"),
        (["--run", "mgs", "--epochs", "1"], "search.epochs is 1, but --run takes the ω of a sea"),
        (["--run", "mgs", "--set", "search.method=darts-1"], "search.method is darts-1, but"),
        (["--run", "mgs", "--set", "supernet.stem=imagenet"], "imagenet"),
    ],
)
def test_a_run_that_cannot_be_used_is_refused(
    flags: list[str], message: str, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZARTS_RUNS", str(source.parent))
    there = sorted(source.parent.iterdir())
    answer = call(main, *LOOK, *flags)
    assert answer.code == 2
    assert message in answer.error
    assert sorted(source.parent.iterdir()) == there


def test_a_search_that_has_no_omega_yet_is_refused(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZARTS_RUNS", str(tmp_path))
    shutil.copytree(source, tmp_path / "mgs")
    shutil.rmtree(tmp_path / "mgs" / "snapshot")
    answer = call(main, *LOOK, "--run", "mgs")
    assert answer.code == 2
    assert "none yet" in answer.error


def test_an_omega_of_other_images_is_refused(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZARTS_RUNS", str(tmp_path))
    shutil.copytree(source, tmp_path / "mgs")
    run = Run.open(source)
    facts = {"config": run.config, "provenance": {**run.provenance, "data_fingerprint": "0" * 64}}
    for file in (tmp_path / "mgs").rglob("*.h5"):  # as of old, when no record said whose it is
        record = read_record(file)
        record.attributes.pop("owner", None)
        write_record(file, record.arrays, record.attributes)
    write_record(tmp_path / "mgs" / "run.h5", {}, facts)
    answer = call(main, *LOOK, "--run", "mgs")
    assert answer.code == 2
    assert "install the same data" in answer.error
    assert [folder.name for folder in tmp_path.iterdir()] == ["mgs"]  # nothing was begun
