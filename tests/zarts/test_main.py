"""``python -m zarts``: exit codes, one clear line per mistake, runs that survive a kill."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.tiny import TINY, Answer, call, read_only, signalled, start, wait_for, words
from zarts.__main__ import main
from zarts.runs.runfile import Run
from zarts.settings.config import METHOD_NAMES, merge

WORDS = words({name: TINY[name] for name in ("data", "supernet", "search")})
# long enough to be caught in the middle: twelve epochs of two or four iterations
LONG = {
    "darts-1": [*WORDS, "--method", "darts-1", "--epochs", "12"],
    "zarts-mgs": [*WORDS, "--method", "zarts-mgs", "--epochs", "12", "--set", "search.period=2",
                  "--set", "search.warmup=3"],
}  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Long runs that nobody disturbed."""
    folders = {}
    for method, long in LONG.items():
        folders[method] = tmp_path_factory.mktemp("whole") / method
        assert call(main, *long, "--out", folders[method]).code == 0
    return folders


def content(folder: Path) -> str:
    return Run.open(folder).content_hash()


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_a_search_ends_with_its_folder_on_stdout(method: str, tmp_path: Path) -> None:
    answer = call(main, *WORDS, "--method", method, "--set", "search.period=2")
    assert answer.code == 0
    folder = Path(answer.out.removesuffix("\n"))
    assert folder.parent == tmp_path / "runs"
    assert folder.name.startswith(f"{method}-quick-")
    first = [line.split()[0] for line in answer.err.splitlines()[:6]]
    assert first == ["data", "device", "space", "search", "cost", "run"]
    assert "search/epoch-0002" in Run.open(folder).names()
    again = call(main, *WORDS, "--method", method, "--set", "search.period=2", "--json", "-q")
    record = json.loads(again.out)
    assert record["run"] == str(folder)
    planned = call(main, *WORDS, "--method", method, "--set", "search.period=2", "--dry-run")
    assert f"{folder} (finished before)\n" in planned.err
    assert record["content_hash"] == content(folder)
    assert 0 <= record["val_accuracy"] <= 1
    assert again.err == ""


def test_a_finished_search_is_returned_from_a_read_only_disk(
    whole: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = whole["darts-1"]
    with read_only(folder, monkeypatch):
        answer = call(main, *LONG["darts-1"], "--out", folder, "-q")
    assert (answer.code, answer.out, answer.err) == (0, f"{folder}\n", "")


def test_nobody_listens_and_no_file_is_written_to_instead(tmp_path: Path) -> None:
    """The lock is the first file to be opened, and would be number 2."""
    command = f'exec "{sys.executable}" -m zarts "$@" 2>&-'
    folder = tmp_path / "run"
    with subprocess.Popen(
        ["bash", "-c", command, "", *LONG["zarts-mgs"], "--out", str(folder)],
        stdout=subprocess.PIPE,
    ) as process:
        wait_for((folder / "search" / "epoch-0003.h5").exists, process)
        process.send_signal(signal.SIGTERM)
        assert process.communicate()[0] == b""
    assert process.returncode == 3
    assert json.loads((folder / "run.lock").read_text())["pid"] == process.pid
    assert "checkpoint" in Run.open(folder).names()


def test_what_a_run_was_made_with_is_stored(whole: dict[str, Path]) -> None:
    run = Run.open(whole["zarts-mgs"])
    assert {"command", "created", "git", "versions", "seed", "device", "data_fingerprint"} <= set(
        run.provenance
    )
    assert run.config["search"]["epochs"] == 12  # type: ignore[index,call-overload]
    text = (run.path / "config.toml").read_text()
    assert tomllib.loads(text)["search"]["method"] == "zarts-mgs"
    assert str(run.path.parent) not in json.dumps(run.provenance)


def test_a_printed_config_makes_the_same_run(tmp_path: Path) -> None:
    flags = ["--method", "zarts-rs", "--seed", "4", *WORDS]
    printed = call(main, *flags, "--print-config")
    file = tmp_path / "config.toml"
    file.write_text(printed.out)
    hashes = [
        content(Path(call(main, *arguments, "--out", tmp_path / name).out.strip()))
        for name, arguments in (("a", flags), ("b", ["--config", str(file)]))
    ]
    assert hashes[0] == hashes[1]
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("method", METHOD_NAMES)
@pytest.mark.parametrize("name", ["quick", "standard", "paper", "paper-s1", "paper-s4"])
def test_a_printed_preset_needs_no_preset(tmp_path: Path, name: str, method: str) -> None:
    printed = call(main, "--preset", name, "--method", method, "--print-config").out
    file = tmp_path / "config.toml"
    file.write_text(printed)
    assert call(main, "--config", file, "--print-config").out == printed


def test_a_dry_run_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for extra in ([], ["--json"]):
        answer = call(main, *WORDS, "--method", "zarts-gld", "--dry-run", *extra)
        assert answer.code == 0
    plan = json.loads(answer.out)
    assert (plan["updates"], plan["evaluations"]) == (2, 24)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["--preset", "quik"], 2, "'quick'"),
        (["--set", "search.epoch=3"], 2, "'search.epochs'"),
        (["--set", "search.epochs=three"], 2, "search.epochs"),
        (["--epochs", "0"], 2, "search.epochs is 0"),
        (["--epochs", "-2"], 2, "search.epochs is -2"),
        (["--set", "search.inner_steps=-1"], 2, "inner_steps is -1"),
        (["--set", "search.warmup=2"], 2, "warmup"),
        (["--set", "search=darts-1"], 2, "search is 'darts-1'"),
        (["--set", "optimizer.samples=4.0"], 2, "samples is 4.0, expected a whole number"),
        (["--set", "optimizer.sigmma=1"], 2, "'sigma'"),
        (["--set", "optimizer.sigma=-1"], 2, "sigma"),
        (["--set", "data.subset=5000"], 2, "4000"),
        (["--set", "data.batch_size=65"], 2, "batch"),
        (["--set", "data.name=cifar10"], 2, "ZARTS_DATA"),
        (["--set", "supernet.channels=4096", "--set", "data.batch_size=64"], 2, "GiB"),
        (["--out", "/proc/run"], 2, "/proc/run: cannot be written"),
        (["--out", "/dev/null/run"], 2, "/dev/null"),
        (["--out", "bad name"], 2, "bad name"),
        (["--config", "nowhere.toml"], 2, "nowhere.toml"),
        (["--set", "search.learning_rate=1e20"], 1, "lower the learning rate"),
        (["--set", "search.learning_rate=nan"], 2, "learning_rate"),
        (["--seed", "-1"], 2, "seed"),
    ],
)
def test_a_mistake_is_one_clear_line(
    flags: list[str], code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ZARTS_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    answer = call(main, *WORDS, "--method", "zarts-mgs", *flags)
    assert answer.code == code
    assert message in answer.error


def test_a_diverged_search_leaves_no_omega(tmp_path: Path) -> None:
    out = tmp_path / "run"
    flags = [*WORDS, "--method", "darts-1", "--set", "search.learning_rate=1e20", "--out", out]
    for _ in range(2):  # and running it again says the same
        answer = call(main, *flags)
        assert answer.code == 1
        assert "not finite" in answer.error
    assert Run.open(out).names() == []


def test_another_config_in_the_same_folder_is_refused(
    whole: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole["darts-1"], folder)
    before = content(folder)
    answer = call(main, *LONG["darts-1"], "--seed", "3", "--set", "search.momentum=0.5",
                  "--out", folder)  # fmt: skip
    assert answer.code == 2
    assert "search.momentum: stored 0.9, asked 0.5" in answer.error
    assert "seed: stored 0, asked 3" in answer.error
    assert "epochs" not in answer.error
    assert "data set" not in answer.err  # said before anything is measured
    assert content(folder) == before


def test_a_run_that_is_being_written_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    call(main, *WORDS, "--out", folder)
    holder = f"""
import sys, time
from pathlib import Path
from zarts.runs.runfile import Run
with Run.open(Path({str(folder)!r})).lock():
    print("held", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"held\n"
            answer = call(main, *WORDS, "--out", folder)
            assert answer.code == 2
            assert f"process {process.pid}" in answer.error
        finally:
            process.kill()
    assert call(main, *WORDS, "--out", folder).code == 0


@pytest.mark.parametrize("record", ["run", "checkpoint", "snapshot/epoch-0012"])
def test_a_damaged_file_is_named(record: str, whole: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole["darts-1"], folder)
    if record == "checkpoint":  # else the finished run does not need it
        shutil.rmtree(folder / "snapshot")
    file = folder / f"{record}.h5"
    file.write_bytes(file.read_bytes()[:-1])
    answer = call(main, *LONG["darts-1"], "--out", folder)
    assert answer.code == 2
    assert str(file) in answer.error


def after_epoch(folder: Path, epoch: int) -> bool:
    return (folder / f"search/epoch-{epoch:04d}.h5").exists()


@pytest.mark.parametrize(
    ("number", "code", "method"),
    [
        (signal.SIGTERM, 3, "darts-1"),
        (signal.SIGUSR1, 3, "zarts-mgs"),
        (signal.SIGINT, 130, "zarts-mgs"),
    ],
)
def test_a_signal_stops_a_search_that_goes_on_later(
    number: signal.Signals, code: int, method: str, whole: dict[str, Path], tmp_path: Path
) -> None:
    folder, before = tmp_path / "run", signal.getsignal(number)
    with signalled(number, lambda: after_epoch(folder, 3)):
        answer = call(main, *LONG[method], "--out", folder)
    assert answer.code == code
    assert answer.out == ""
    assert "run the same command again" in answer.err.splitlines()[-1]
    assert "checkpoint" in Run.open(folder).names()
    assert not after_epoch(folder, 12)
    assert signal.getsignal(number) == before  # which ignores it where a shell started us behind it
    assert call(main, *LONG[method], "--out", folder).code == 0
    assert content(folder) == content(whole[method])


@pytest.mark.parametrize(
    ("method", "epoch"),
    [
        ("zarts-mgs", 2),  # in the warm-up
        pytest.param("zarts-mgs", 6, marks=pytest.mark.slow),
        pytest.param("darts-1", 0, marks=pytest.mark.slow),
        ("darts-1", 5),
    ],
)
def test_a_killed_process_loses_nothing(
    method: str, epoch: int, whole: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    with start("zarts", *LONG[method], "--out", folder) as process:
        seen = (lambda: after_epoch(folder, epoch)) if epoch else (folder / "run.h5").exists
        wait_for(seen, process)
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not after_epoch(folder, 12)
    assert call(main, *LONG[method], "--out", folder).code == 0
    assert content(folder) == content(whole[method])


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 3), (signal.SIGINT, 130)])
def test_a_real_process_stops_on_a_signal(
    number: signal.Signals, code: int, whole: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    with start("zarts", *LONG["zarts-mgs"], "--out", folder) as process:
        wait_for(lambda: after_epoch(folder, 1), process)
        process.send_signal(number)
        out, err = process.communicate()
    assert (process.returncode, out) == (code, "")
    assert "Traceback" not in err
    assert call(main, *LONG["zarts-mgs"], "--out", folder).code == 0
    assert content(folder) == content(whole["zarts-mgs"])


def test_an_unwritable_folder_is_refused() -> None:
    answer = call(main, *WORDS, "--out", "/proc/run")  # even root cannot write there
    assert answer.code == 2
    assert "/proc/run: cannot be written" in answer.error


def test_help_needs_no_torch(root: Path) -> None:
    code = (
        "import sys; from zarts.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: assert 'torch' not in sys.modules"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert "exit codes: 0 done" in answer.stdout


def test_settings_stack_in_the_stated_order(tmp_path: Path) -> None:
    """Preset < file < --set < flags."""
    file = tmp_path / "mine.toml"
    file.write_text('[search]\nmethod = "zarts-gld"\nepochs = 7\nperiod = 5\nmomentum = 0.5\n')

    def printed(*flags: str) -> dict[str, Any]:
        answer: Answer = call(main, "--config", str(file), *flags, "--print-config")
        assert answer.code == 0, answer.err
        return tomllib.loads(answer.out)

    search = printed("--set", "search.period=6", "--epochs", "9")["search"]
    assert (search["method"], search["epochs"], search["period"]) == ("zarts-gld", 9, 6)
    assert (search["momentum"], search["learning_rate"]) == (0.5, 0.05)
    assert "radius_max" in printed()["optimizer"]
    assert merge(printed(), {}) == printed()
