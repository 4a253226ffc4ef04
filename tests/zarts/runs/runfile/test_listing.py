"""Folders of runs, in whatever state each is."""

import os

import pytest

from zarts.runs.runfile import Run, RunError, list_runs

CONFIG = {"space": "s3"}


def test_list_runs_shows_every_run_and_what_is_wrong_with_it(tmp_path):
    root = tmp_path / "runs"
    assert list_runs(root) == []
    good = Run.create(root / "good", CONFIG, {})
    (root / "notes").mkdir()
    (root / "file.txt").touch()
    for name in ("damaged", "pipe", "bad name", "huge"):
        (root / name).mkdir()
    data = (root / "good/run.h5").read_bytes()
    (root / "damaged/run.h5").write_bytes(data[:-1])
    os.mkfifo(root / "pipe/run.h5")
    (root / "bad name/run.h5").write_bytes(data)
    with (root / "huge/run.h5").open("wb") as file:
        file.truncate(1 << 28)
    Run.create(tmp_path / "outside", CONFIG, {})
    (root / "link").symlink_to(tmp_path / "outside")
    listed = {entry.name: entry for entry in list_runs(root)}
    assert list(listed) == ["bad name", "damaged", "good", "huge", "link", "pipe"]
    assert listed["good"].run == good
    assert listed["good"].problem == ""
    causes = {
        "damaged": "checksum",
        "huge": "limit",
        "link": "symbolic link",
        "pipe": "regular file",
    }
    for name, cause in {**causes, "bad name": "no run name"}.items():
        assert listed[name].run is None
        assert cause in listed[name].problem
    with pytest.raises(RunError, match="cannot be listed"):
        list_runs(root / "file.txt")


def test_list_runs_reads_only_the_runs_own_record(tmp_path):
    run = Run.create(tmp_path / "run", CONFIG, {})
    (run.path / "grid").mkdir()
    (run.path / "grid/m10.h5").write_bytes(b"damaged")
    assert [entry.run for entry in list_runs(run.path.parent)] == [run]
    with pytest.raises(RunError):
        run.content_hash()
