"""``python -m zarts.sweep``: every search as when it runs alone, whatever happens to the others."""

from __future__ import annotations

import json
import re
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.tiny import Answer, call, create, signalled, start, tiny, wait_for
from tests.zarts.sweep.sweeps import EXPERIMENTS, NAMES, contents, sweep_file
from zarts.runs.runfile import Run
from zarts.sweep import running
from zarts.sweep.__main__ import main

DIVERGING = """
[[experiment]]
name = "bad"
method = "darts-1"
search.learning_rate = 1e20
"""


def test_one_worker_makes_what_single_commands_make(
    tmp_path: Path, runs: Path, alone: Callable[[int], dict[str, str]]
) -> None:
    answer = call(main, sweep_file(tmp_path), "--workers", "1")
    assert answer.code == 0
    assert contents(runs) == alone(2)
    head, *rows = answer.out.splitlines()
    assert head.split("  ")[0] == "experiment"
    assert [(row.split()[0], row.split()[-1]) for row in rows] == [("first", "2/2"), ("mgs", "2/2")]
    ends = re.findall(r"^(\S+) +done, validation loss \d\.\d+, .*\[ *(\d+)% of all, (.*)\]$",
                      answer.err, re.MULTILINE)  # fmt: skip
    assert {name for name, _, _ in ends} == set(NAMES)
    assert ends[-1][1] == "100"
    assert "left" in ends[0][2]
    run = Run.open(runs / NAMES[0])
    assert run.provenance["command"][:3] == ["python", "-m", "zarts.sweep"]  # type: ignore[index]
    assert {"seed", "device", "data_fingerprint", "versions"} <= set(run.provenance)
    assert (run.path / "config.toml").exists()


def test_a_finished_sweep_is_only_read(
    tmp_path: Path, runs: Path, alone: Callable[[int], dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    file = sweep_file(tmp_path)
    call(main, file, "--workers", "1")
    for name in ("plan_search", "record_search"):
        monkeypatch.setattr(running, name, None)  # calling it would fail
    again = call(main, file, "--json", "-q")
    assert (again.code, again.err) == (0, "")
    record = json.loads(again.out)
    assert [each["name"] for each in record["experiments"]] == ["first", "mgs"]
    members = [each for experiment in record["experiments"] for each in experiment["runs"]]
    assert {Path(each["run"]).name: each["content_hash"] for each in members} == alone(2)
    first = record["experiments"][0]
    accuracy = [each["val_accuracy"] for each in first["runs"]]
    assert first["val_accuracy"]["mean"] == pytest.approx(sum(accuracy) / 2)
    assert first["val_accuracy"]["sd"] == pytest.approx(abs(accuracy[0] - accuracy[1]) / 2**0.5)
    last = Run.open(runs / NAMES[0]).read("snapshot/epoch-0002").arrays
    assert (accuracy[0], first["runs"][0]["val_loss"]) == (last["val_accuracy"], last["val_loss"])


def test_what_is_in_the_way_of_one_search_does_not_stop_the_others(
    tmp_path: Path, runs: Path
) -> None:
    runs.mkdir(exist_ok=True)
    (runs / NAMES[0]).write_text("a file where a folder should be")
    (runs / NAMES[1]).mkdir()
    held = Run.create(runs / NAMES[2], {}, {})
    (held.path / "run.h5").unlink()
    with held.lock():  # as while another process makes it, but for longer
        answer = call(main, sweep_file(tmp_path), "--workers", "1")
    assert answer.code == 1
    assert f"failed: {NAMES[0]}: {runs / NAMES[0]}: cannot be" in answer.err
    assert f"skipped: {NAMES[2]}: {runs / NAMES[2]}: process" in answer.err
    assert [row.split()[-1] for row in answer.out.splitlines()[1:]] == ["1/2", "1/2"]


def test_two_sweeps_of_one_file_at_once_both_end_well(tmp_path: Path, runs: Path) -> None:
    file = sweep_file(tmp_path)
    both = [start("zarts.sweep", file, "--workers", "1", "-q") for _ in range(2)]
    told = [process.communicate(timeout=120)[1] for process in both]
    # 3: the other one works on the rest
    assert {process.returncode for process in both} <= {0, 3}, told
    assert call(main, file, "--workers", "1").code == 0
    assert sorted(contents(runs)) == sorted(NAMES)


def test_a_finished_run_that_is_damaged_is_told_among_the_others(
    tmp_path: Path, runs: Path
) -> None:
    file = sweep_file(tmp_path)
    call(main, file, "--workers", "1")
    snapshot = runs / NAMES[0] / "snapshot" / "epoch-0002.h5"
    content = bytearray(snapshot.read_bytes())
    content[len(content) // 2] ^= 1
    snapshot.write_bytes(content)
    answer = call(main, file, "--json", "-q")
    assert answer.code == 1
    assert f"failed: {NAMES[0]}: {snapshot}" in answer.err
    first, mgs = json.loads(answer.out)["experiments"]
    assert (first["finished"], mgs["finished"]) == (1, 2)
    assert "content_hash" not in first["runs"][0]
    assert str(snapshot) in first["runs"][0]["reason"]


def test_finished_runs_are_no_answer_for_other_images(tmp_path: Path, runs: Path) -> None:
    images, rng = tmp_path / "mine.npz", np.random.default_rng(0)
    x, y = rng.integers(0, 256, (90, 1, 8, 8), dtype=np.uint8), np.arange(90) % 3
    np.savez(images, x=x, y=y, x_test=x, y_test=y)
    own = f'data = {{name = "{images}", downscale = 1, subset = 0, split = "stratified"}}\n'
    retrain = f"""[retrain]
preset = "quick"
data = {{name = "{images}", downscale = 1, batch_size = 24, count = 80}}
network = {{channels = 2, cells = 3}}
training = {{epochs = 1}}
"""
    (file := tmp_path / "own.toml").write_text(
        f'preset = "quick"\nseeds = [0]\n{own}supernet = {{channels = 2, cells = 1}}\n'
        f'search = {{epochs = 1}}\n{retrain}[[experiment]]\nname = "first"\nmethod = "darts-1"\n'
    )
    assert call(main, file, "--workers", "1").code == 0
    assert call(main, file, "--workers", "1").code == 0
    for part, said in (({"x_test": 255 - x}, "test fingerprint"), ({"x": 255 - x}, "fingerprint")):
        np.savez(images, **({"x": x, "y": y, "x_test": x, "y_test": y} | part))
        other = call(main, file, "--workers", "1")
        assert other.code == 1
        assert said in other.err


def test_two_workers_make_the_same(
    tmp_path: Path, runs: Path, alone: Callable[[int], dict[str, str]]
) -> None:
    answer = call(main, sweep_file(tmp_path), "--workers", "2")
    assert answer.code == 0, answer.err
    assert "2 at a time" in answer.err
    assert contents(runs) == alone(2)


def test_a_dry_run_writes_nothing(tmp_path: Path, runs: Path) -> None:
    file = sweep_file(tmp_path)
    answer = call(main, file, "--dry-run")
    assert answer.code == 0
    assert [line.split()[:2] for line in answer.out.splitlines()] == [[n, "0/2"] for n in NAMES]
    plan = json.loads(call(main, file, "--dry-run", "--json", "--out", "x").out)
    assert [Path(each["run"]).name[:7] for each in plan["searches"]] == ["x-first"] * 2 + [
        "x-mgs-s"
    ] * 2
    assert [each["updates"] for each in plan["searches"]] == [4, 4, 1, 1]  # MGS idles for one epoch
    assert all(each["seconds"] > 0 for each in plan["searches"])
    assert not runs.exists()


def test_a_diverging_search_does_not_stop_the_others(
    tmp_path: Path, runs: Path, alone: Callable[[int], dict[str, str]]
) -> None:
    file = sweep_file(tmp_path, DIVERGING + EXPERIMENTS)
    for _ in range(2):  # and running it again says the same
        answer = call(main, file, "--workers", "1")
        assert answer.code == 1
        assert answer.out.splitlines()[1].split() == ["bad", "-", "-", "-", "0/2"]
        said = answer.err.splitlines()
        assert re.match("failed: some-bad-seed-3: the .* is not finite .*lower the", said[-2])
        assert said[-1] == "the same command tries these again"
        assert contents(runs).items() >= alone(2).items()


def test_a_damaged_run_is_named_and_the_others_go_on(tmp_path: Path, runs: Path) -> None:
    file = sweep_file(tmp_path)
    call(main, file, "--workers", "1", "-q")
    (runs / NAMES[0] / "run.h5").write_bytes(b"not HDF5")
    (runs / NAMES[1] / "search/epoch-0001.h5").write_bytes(b"not HDF5")
    shutil.rmtree(runs / NAMES[2])
    answer = call(main, file, "--workers", "1", "-q")
    assert answer.code == 1
    assert [row.split()[-1] for row in answer.out.splitlines()[1:]] == ["0/2", "2/2"]
    assert f"failed: {NAMES[0]}: {runs / NAMES[0] / 'run.h5'}" in answer.err
    assert f"failed: {NAMES[1]}: {runs / NAMES[1] / 'search/epoch-0001.h5'}" in answer.err


def test_a_run_that_someone_else_writes_is_skipped(
    tmp_path: Path, runs: Path, alone: Callable[[int], dict[str, str]]
) -> None:
    file = sweep_file(tmp_path)
    call(main, file, "--workers", "1", "-q")
    shutil.rmtree(runs / NAMES[0] / "search")
    with Run.open(runs / NAMES[0]).lock():
        answer = call(main, file, "--workers", "1")
    assert answer.code == 3
    assert f"skipped: {NAMES[0]}: " in answer.err
    assert "is writing this run" in answer.err
    assert [row.split()[-1] for row in answer.out.splitlines()[1:]] == ["1/2", "2/2"]
    assert call(main, file, "--workers", "1", "-q").code == 0
    assert contents(runs) == alone(2)


def test_other_settings_in_the_same_folder_are_refused(tmp_path: Path, runs: Path) -> None:
    create(runs / NAMES[2], tiny("zarts-mgs"))
    answer = call(main, sweep_file(tmp_path))
    assert answer.code == 2
    assert "search.period: stored 10, asked 2" in answer.error
    assert [path.name for path in runs.iterdir()] == [NAMES[2]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("optimizer.sigmma = 1", "experiment 'x': "),
        ("supernet.channels = 8192", "experiment 'x': one training step over"),
        ('data.name = "cifar10"', "ZARTS_DATA"),
    ],
)
def test_what_cannot_run_is_refused_before_anything_runs(
    settings: str, message: str, tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ZARTS_DATA", raising=False)
    file = sweep_file(tmp_path, f'{EXPERIMENTS}\n[[experiment]]\nname = "x"\n{settings}\n')
    answer = call(main, file)
    assert answer.code == 2
    assert message in answer.error
    assert not runs.exists()


def test_an_unwritable_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZARTS_RUNS", "/proc/runs")  # even root cannot write there
    answer = call(main, sweep_file(tmp_path))
    assert answer.code == 2
    assert "/proc/runs: cannot be written" in answer.error


def after_epoch(runs: Path, epoch: int, *names: str) -> Callable[[], bool]:
    return lambda: any((runs / name / f"search/epoch-{epoch:04d}.h5").exists() for name in names)


def stopped(answer: Answer) -> bool:
    return answer.out == "" and "run the same command again" in answer.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 3), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)],
)
def test_a_signal_stops_a_sweep_that_goes_on_later(
    number: signal.Signals, code: int, tmp_path: Path, runs: Path,
    alone: Callable[[int], dict[str, str]],
) -> None:  # fmt: skip
    file = sweep_file(tmp_path, epochs=6)
    with signalled(number, after_epoch(runs, 1, *NAMES)):
        answer = call(main, file, "--workers", "1")
    assert (answer.code, stopped(answer)) == (code, True)
    assert not after_epoch(runs, 6, *NAMES)()  # the one under way did not go on to its end
    assert "failed" not in answer.err
    assert call(main, file, "--workers", "1", "-q").code == 0
    assert contents(runs) == alone(6)


@pytest.mark.slow
def test_a_signal_ends_the_workers_too(
    tmp_path: Path, runs: Path, alone: Callable[[int], dict[str, str]]
) -> None:
    file = sweep_file(tmp_path, epochs=6)
    with start("zarts.sweep", file, "--workers", "2") as process:
        wait_for(after_epoch(runs, 2, *NAMES), process)
        process.send_signal(signal.SIGUSR1)
        out, err = process.communicate()
    assert stopped(Answer(process.returncode, out, err))
    assert (process.returncode, "Traceback" in err) == (3, False)
    for path in runs.iterdir():
        with Run.open(path).lock():  # nobody is left who holds it
            pass
    assert call(main, file, "--workers", "2", "-q").code == 0
    assert contents(runs) == alone(6)


@pytest.mark.slow
def test_a_killed_sweep_loses_nothing(
    tmp_path: Path, runs: Path, alone: Callable[[int], dict[str, str]]
) -> None:
    file = sweep_file(tmp_path, epochs=6)
    with start("zarts.sweep", file, "--workers", "2") as process:
        wait_for(after_epoch(runs, 2, *NAMES), process)
        process.kill()
        process.communicate()  # the end of the workers, who share its stderr
    assert process.returncode == -signal.SIGKILL
    assert not all(after_epoch(runs, 6, name)() for name in NAMES)
    assert call(main, file, "--workers", "1", "-q").code == 0
    assert contents(runs) == alone(6)


def test_a_sweep_can_be_started_as_a_module(root: Path) -> None:
    with start("zarts.sweep", "nowhere.toml") as process:
        out, err = process.communicate()
    assert (process.returncode, out) == (2, "")
    assert err.startswith("error: cannot read")
    assert "zarts.sweep.__main__" in sys.modules


def test_what_is_found_is_retrained_and_equal_cells_share_a_run(tmp_path: Path, runs: Path) -> None:
    file = sweep_file(tmp_path, EXPERIMENTS.split("[[experiment]]")[1].join(["[[experiment]]", ""]))
    settings = """
[retrain]
preset = "quick"
data = {downscale = 4, batch_size = 24, count = 80}
network = {channels = 2, cells = 3}
training = {epochs = 1}
"""
    file.write_text(file.read_text() + settings)
    answer = call(main, file, "--workers", "1", "--json")
    assert answer.code == 0, answer.err
    assert "retraining 2 networks, 0 of them finished" in answer.err
    members = json.loads(answer.out)["experiments"][0]["runs"]
    found = [path for path in runs.iterdir() if path.name.startswith("retrain-quick-")]
    assert len(found) == 2  # of other seeds
    stored = {Run.open(path).config["genotype"] for path in found}
    assert stored == {each["genotype"] for each in members}
    assert all(0 <= each["retrained"]["test_accuracy"] <= 1 for each in members)
    again = call(main, file, "--workers", "1")
    assert "retraining" not in again.err
    assert again.out.splitlines()[1].endswith("2/2")
    file.write_text(file.read_text().replace("epochs = 1}", "epoch = 1}"))
    wrong = call(main, file)
    assert wrong.code == 2
    assert "retrain of experiment 'first': unknown setting" in wrong.err
