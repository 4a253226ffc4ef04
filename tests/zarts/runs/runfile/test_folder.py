"""Runs: made once, resumed only with the same configuration, written by one process at a time."""

import os
import random
import signal
import time
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from zarts.runs.runfile import (
    ConfigMismatch,
    CorruptFile,
    ForeignFile,
    Run,
    RunError,
    RunLocked,
    read_record,
    record,
    valid_name,
    write_record,
)

CONFIG = {"search": {"seed": 0, "method": "mgs", "sigmas": [0.1, 0.2]}, "space": "s3"}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "run", CONFIG, {"command": ["zarts"]}, toml='space = "s3"\n')


def test_a_run_is_made_with_its_parents_and_opened_again(tmp_path):
    made = Run.create(tmp_path / "a/b/run", CONFIG, {"command": ["zarts"]}, toml='space = "s3"\n')
    opened = Run.open(tmp_path / "a/b/run")
    assert made == opened
    assert (opened.name, opened.config, opened.provenance) == (
        "run",
        CONFIG,
        {"command": ["zarts"]},
    )
    assert (tmp_path / "a/b/run/config.toml").read_text() == 'space = "s3"\n'
    assert opened.names() == []


def test_the_same_configuration_resumes_and_changes_nothing(run):
    before = (run.path / "run.h5").read_bytes()
    reordered = {"space": "s3", "search": {"sigmas": (0.1, 0.2), "method": "mgs", "seed": 0}}
    again = Run.create(run.path, reordered, {"command": ["another"]}, toml="other = 1\n")
    assert again.provenance == {"command": ["zarts"]}
    assert (run.path / "run.h5").read_bytes() == before
    assert (run.path / "config.toml").read_text() == 'space = "s3"\n'


def test_another_configuration_is_refused_with_the_differing_keys(run):
    other = {"search": {"seed": 1, "method": "mgs", "sigmas": []}, "grid": {}}
    with pytest.raises(ConfigMismatch) as caught:
        Run.create(run.path, other, {})
    assert caught.value.differences == [
        "grid: stored nothing, asked {}",
        "search.seed: stored 0, asked 1",
        "search.sigmas: stored [0.1,0.2], asked []",
        'space: stored "s3", asked nothing',
    ]
    assert "repeat the command" in str(caught.value)
    assert str(run.path) in str(caught.value)
    assert "search.seed: stored 0, asked 1" in str(caught.value)
    assert Run.open(run.path) == Run.open(str(run.path)) == run


def test_a_one_is_not_a_true_and_not_a_float(run, tmp_path):
    Run.create(tmp_path / "one", {"a": 1}, {})
    for other in (True, 1.0, "1"):
        with pytest.raises(ConfigMismatch):
            Run.create(tmp_path / "one", {"a": other}, {})


def test_a_missing_run_names_the_cure(tmp_path):
    with pytest.raises(
        RunError, match=r"none: holds no run \(run\.h5 is missing\); check the name"
    ):
        Run.open(tmp_path / "none")


def test_a_record_is_not_a_run(tmp_path):
    write_record(tmp_path / "run.h5", {}, {"config": [], "provenance": {}})
    with pytest.raises(ForeignFile, match="not that of a run"):
        Run.open(tmp_path)


def test_a_folder_that_cannot_be_made_or_written(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "run", Path("/proc/run")):
        with pytest.raises(RunError, match=r"cannot be written \(.*\); choose a writable folder"):
            Run.create(path, CONFIG, {})


@pytest.mark.parametrize("name", ["a", "A.b-c_9", "m10", "x" * 80])
def test_valid_names(name):
    assert valid_name(name)


@pytest.mark.parametrize("name", [".hidden", "a b", "é", "x" * 81, "a\n", "a\\b", "a\0"])
def test_invalid_names_are_refused(name, run):
    assert not any(valid_name(each) for each in (name, "", ".", "..", "a/b"))
    with pytest.raises(ValueError, match="record name"):
        run.write(f"grid/{name}", {})
    with pytest.raises(RunError, match="cannot name a run"):
        Run.create(run.path.parent / name, CONFIG, {})


@pytest.mark.parametrize("name", ["run", "/a", "a/", "../a", "a//b", "a/b/c/d/e"])
def test_invalid_record_names(run, name):
    for use in (lambda: run.write(name, {}), lambda: run.read(name), lambda: name in run):
        with pytest.raises(ValueError, match="record name"):
            use()


def test_a_record_belongs_to_settings_and_data_but_to_no_device_and_no_name(run):
    run.write("checkpoint", {"x": np.zeros(2)}, {"n": 1})

    def seen_by(config, provenance):
        return Run(run.path, config, provenance).read("checkpoint").attributes

    assert seen_by(run.config | {"device": "cuda"}, run.provenance) == {"n": 1}
    assert seen_by(run.config, run.provenance | {"command": ["other"]}) == {"n": 1}
    for others in (
        (run.config | {"seed": 99}, run.provenance),
        (run.config, run.provenance | {"data_fingerprint": "other"}),
    ):
        with pytest.raises(ForeignFile, match=r"checkpoint.h5: is of a run of other settings"):
            seen_by(*others)
    write_record(run.path / "checkpoint.h5", {}, {"n": 2})  # of before records said whose they are
    assert seen_by(run.config | {"seed": 99}, run.provenance) == {"n": 2}


def test_records_are_written_read_replaced_and_listed(run):
    run.write("grid/m10", {"loss": np.zeros((3, 5))}, {"rows": "y"})
    run.write("checkpoint", {"weights/stem": np.zeros(3, "f4")})
    run.write("search/epoch-0003", {"alpha": np.zeros((2, 4), "f4")})
    run.write("grid/m10", {"loss": np.ones((3, 5))}, {"rows": "y"})
    assert run.read("grid/m10").arrays["loss"].sum() == 15
    assert run.read("grid/m10").attributes == {"rows": "y"}
    assert "grid/m10" in run
    assert "grid/m1" not in run
    (run.path / "grid/notes.txt").touch()
    (run.path / "grid/link.h5").symlink_to("m10.h5")
    (run.path / "grid/folder.h5").mkdir()
    assert "grid/link" not in run
    assert run.names() == ["checkpoint", "grid/m10", "search/epoch-0003"]
    with pytest.raises(
        RunError, match="has no record 'paths'; it has checkpoint, grid/m10, search"
    ):
        run.read("paths")


def test_content_hash_is_of_what_equal_runs_share(tmp_path):
    def make(name: str, config=CONFIG, loss=1.0, alpha="f4") -> str:
        run = Run.create(tmp_path / name, config, {"command": [name]}, toml=f"# {name}")
        arrays = {"loss": np.array([loss, np.nan]), "alpha": np.zeros(3, alpha)}
        noise = {
            "timing": np.random.default_rng().random(2),
            "x/attempts": np.ones(len(name), "u1"),
        }
        run.write("grid/m10", arrays | noise, {"host": name})
        if name != "reference":
            run.write("checkpoint", {"w": np.zeros(3)})
        return run.content_hash()

    reference = make("reference")
    assert make("equal") == reference
    different = [
        make("config", config={**CONFIG, "space": "s4"}),
        make("value", loss=np.nextafter(1.0, 2.0)),
        make("dtype", alpha="i4"),
    ]
    extra = Run.open(tmp_path / "equal")
    extra.write("grid/m1", {})
    different.append(extra.content_hash())
    assert len({reference, *different}) == 5


def hold(path: Path, ready: Connection) -> None:
    with Run.open(path).lock():
        ready.send(os.getpid())
        time.sleep(60)


def test_a_second_writer_is_refused_by_name_and_a_killed_one_does_not_block(run, start):
    (run.path / "run.lock").write_text("an older and longer text" * 9)
    parent, child = Pipe()
    holder = start(hold, run.path, child)
    pid = parent.recv()
    with pytest.raises(RunLocked, match=f"process {pid} on .* is writing this run"), run.lock():
        pass
    assert Run.create(run.path, CONFIG, {}) == run  # reading and returning it is not writing
    os.kill(pid, signal.SIGKILL)
    holder.join()
    with run.lock():
        run.write("a", {})
    with run.lock():  # and a clean end frees it too
        pass


def test_an_error_under_the_lock_passes_and_frees_it(run):
    with pytest.raises(OSError, match="mine"), run.lock():
        raise OSError("mine")
    with run.lock():
        pass


def test_a_run_being_made_is_not_made_twice(run, start):
    (run.path / "run.h5").rename(run.path / "kept.h5")
    with run.lock(), pytest.raises(RunLocked):
        Run.create(run.path, CONFIG, {})
    assert not (run.path / "run.h5").exists()


def test_lock_removes_what_dead_writers_left_and_nothing_else(run, start):
    dead = start(os.getpid)
    dead.join()
    run.write("grid/m10", {})
    gone = [
        run.path / f".run.h5.tmp.{dead.pid}.0123abcd",
        run.path / f"grid/.m1.h5.tmp.{dead.pid}.ffffffff",
        run.path / f".a.h5.tmp.{os.getpid()}.00000000",  # same number in another container
    ]
    kept = [
        run.path / f".a.h5.tmp.{os.getppid()}.00000000",
        run.path / ".a.h5.tmp.notes",
        run.path / "a.h5.tmp.1.00000000",
    ]
    for path in gone + kept:
        path.touch()
    with run.lock():
        assert not any(path.exists() for path in gone)
        assert all(path.exists() for path in kept)
        assert run.names() == ["grid/m10"]


def test_damage_in_a_record_is_an_error_and_not_another_hash(run):
    run.write("grid/m10", {"loss": np.zeros(100)})
    file = run.path / "grid/m10.h5"
    file.write_bytes(file.read_bytes()[:-8] + b"\1" * 8)
    for use in (run.content_hash, lambda: run.read("grid/m10"), lambda: read_record(file)):
        with pytest.raises(CorruptFile, match=r"m10\.h5: is damaged or truncated"):
            use()


def append_epochs(path: Path, acknowledge: Connection) -> None:
    """Resumes where the run stands and writes epochs until it is killed."""
    run = Run.create(path, CONFIG, {})
    with run.lock():
        epoch = sum(name.startswith("search/") for name in run.names())
        while True:
            run.write(f"search/epoch-{epoch:04d}", {"alpha": np.full(500, float(epoch))})
            run.write("checkpoint", {"epoch": np.array(epoch)})
            acknowledge.send(epoch)
            epoch += 1


def test_kill_at_random_moments_loses_nothing_acknowledged(tmp_path, start):
    path, acknowledged = tmp_path / "run", -1
    randomness = random.Random(0)
    for _ in range(20):
        parent, child = Pipe(duplex=False)
        writer = start(append_epochs, path, child)
        child.close()
        assert parent.poll(20)
        time.sleep(randomness.random() * 0.02)
        writer.kill()
        writer.join()
        try:
            while True:
                acknowledged = max(acknowledged, parent.recv())
        except EOFError:
            parent.close()
        run = Run.open(path)
        epochs = [name for name in run.names() if name.startswith("search/")]
        # What was acknowledged is there; one more epoch may have landed before the kill.
        assert acknowledged + 1 <= len(epochs) <= acknowledged + 2
        for epoch, name in enumerate(epochs):
            assert name == f"search/epoch-{epoch:04d}"
        assert (run.read(epochs[-1]).arrays["alpha"] == len(epochs) - 1).all()
        assert run.read("checkpoint").arrays["epoch"] >= acknowledged
    with run.lock():
        assert not list(path.rglob(".*.tmp.*"))
    unkilled = Run.create(tmp_path / "unkilled", CONFIG, {})
    for epoch in range(len(epochs)):
        unkilled.write(f"search/epoch-{epoch:04d}", {"alpha": np.full(500, float(epoch))})
    assert unkilled.content_hash() == run.content_hash()


@pytest.mark.parametrize(
    ("name", "size"), [("checkpoint", 1 << 29), ("grid/m10", 72 << 20), ("paths/zarts-rs", 2 << 20)]
)
def test_a_record_beyond_what_is_drawn_is_refused_unread(run, name, size):
    file = run.path / f"{name}.h5"
    file.parent.mkdir(exist_ok=True)
    with file.open("wb") as sparse:
        sparse.truncate(size + 1)
    with pytest.raises(ForeignFile, match=f"{name}.h5: has {size + 1} bytes, the limit is {size}"):
        run.read(name)


def test_settings_are_not_nested_without_end(tmp_path, monkeypatch):
    deep = lambda levels: {"a": deep(levels - 1)} if levels else 1  # noqa: E731
    assert Run.create(tmp_path / "run", deep(8), {}).config == deep(8)
    with pytest.raises(ValueError, match="nested deeper than 9"):
        Run.create(tmp_path / "other", deep(9), {})
    with monkeypatch.context() as patch:
        patch.setattr(record, "MAX_NESTED", 900)
        Run.create(tmp_path / "other", deep(100), {})
    with pytest.raises(ForeignFile, match=r"run\.h5: .* nested deeper than 9"):
        Run.open(tmp_path / "other")


def test_seals_tell_contents_from_each_other_and_not_times(run):
    for name in ("grid/m10", "result"):
        run.write(name, {"loss": np.arange(3.0)})
    before = run.seals()
    assert [name for name, _ in before] == ["grid/m10", "result"]
    run.write("result", {"loss": np.arange(3.0)})
    os.utime(run.path / "result.h5", (0, 0))
    assert run.seals() == before
    run.write("result", {"loss": np.array([0.0, 1.0, 2.5])})  # as long as before
    assert [old == new for old, new in zip(before, run.seals(), strict=True)] == [True, False]
    file = run.path / "grid" / "m10.h5"
    file.write_bytes(file.read_bytes()[:-1])
    assert run.seals()[0] != before[0]
