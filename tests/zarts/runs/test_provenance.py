"""Provenance: what is recorded, and that no folder of anybody's machine is."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import zarts.runs.provenance
from zarts.runs.provenance import environments, note_environment, provenance
from zarts.runs.runfile import Run


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    command = ["git", *identity, *words]
    return subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "zarts/runs").mkdir(parents=True)
    (tmp_path / "zarts/runs/provenance.py").write_text("code")
    monkeypatch.setattr(
        zarts.runs.provenance, "__file__", str(tmp_path / "zarts/runs/provenance.py")
    )
    return tmp_path


def test_what_is_recorded():
    record = provenance(["zarts", "--seed", "1"])
    assert list(record) == ["command", "created", "git", "versions", "python", "machine", "cpu"]
    age = datetime.now(UTC) - datetime.fromisoformat(record["created"])
    assert timedelta(0) <= age < timedelta(seconds=30)
    assert set(record["versions"]) == {"zarts", "torch", "numpy", "h5py"}
    assert record["versions"]["h5py"]
    json.dumps(record, allow_nan=False)


def test_a_gpu_is_recorded_with_its_libraries(monkeypatch):
    monkeypatch.setattr("torch.cuda.get_device_name", lambda device: f"a card at {device}")
    record = provenance([], "cuda:1")
    assert record["gpu"] == "a card at cuda:1"
    assert {"cuda", "cudnn"} < record.keys()
    json.dumps(record, allow_nan=False)


def test_paths_are_cut_to_their_last_part():
    words = [
        "/home/ann/.venv/bin/zarts",
        "--out=/home/ann/runs/a",
        "--set",
        "a=b",
        "rel/path",
        "--grid",
        "9x9",
    ]
    assert provenance(words)["command"] == [
        "zarts", "--out=a", "--set", "a=b", "rel/path", "--grid", "9x9",
    ]  # fmt: skip
    assert str(Path.cwd()) not in json.dumps(provenance(sys.argv))


def test_commit_and_dirty_flag(checkout):
    assert provenance([])["git"] is None
    git(checkout, "init", "-q")
    git(checkout, "add", ".")
    git(checkout, "commit", "-q", "-m", "first")
    git(checkout, "tag", "v1")
    commit = git(checkout, "rev-parse", "HEAD")
    assert provenance([])["git"] == {"commit": commit, "dirty": False}
    (checkout / "zarts/runs/provenance.py").write_text("changed")
    assert provenance([])["git"] == {"commit": commit, "dirty": True}


def test_an_installed_copy_does_not_report_the_repository_around_it(checkout, monkeypatch):
    git(checkout, "init", "-q")
    inner = checkout / "site-packages/zarts/runs/provenance.py"
    inner.parent.mkdir(parents=True)
    monkeypatch.setattr(zarts.runs.provenance, "__file__", str(inner))
    assert provenance([])["git"] is None


def test_no_git_program(checkout, monkeypatch):
    git(checkout, "init", "-q")
    monkeypatch.setenv("PATH", str(checkout))
    assert provenance([])["git"] is None


def test_torch_is_not_imported():
    code = (
        "import sys, zarts.runs.provenance as p; p.provenance([]); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_run_that_goes_on_elsewhere_says_so_once(tmp_path: Path) -> None:
    here = provenance(["made"])
    run = Run.create(tmp_path / "run", {"seed": 1}, here | {"cpu": "abacus"})
    before = (run.path / "run.h5").stat().st_ino
    for _ in range(2):
        with run.lock():
            note_environment(run)
        run = Run.open(run.path)
        assert [each["cpu"] for each in environments(run.provenance)] == ["abacus", here["cpu"]]
        assert run.provenance["command"] == ["made"]
    assert (run.path / "run.h5").stat().st_ino != before
    other = Run.create(tmp_path / "other", {"seed": 1}, here)
    before = (other.path / "run.h5").stat().st_ino
    with other.lock():
        note_environment(other)  # nothing new
        assert (other.path / "run.h5").stat().st_ino == before
        note_environment(other, run.provenance)
    assert [each["cpu"] for each in environments(other.provenance)] == [here["cpu"], "abacus"]
