"""``python -m landscape.compute``: from one command to the page, and through every end."""

from __future__ import annotations

import errno
import json
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from landscape.compute.__main__ import main
from landscape.compute.pipeline import compute_run
from landscape.record import load
from landscape.verify.__main__ import main as verify
from tests.landscape.conftest import Finished
from tests.tiny import call, read_only, signalled, start, wait_for, words
from zarts.runs.runfile import Run
from zarts.settings.config import Config

WORDS = [*words(), "--workers", "1"]
NO_PATHS = [*WORDS, "--set", "paths.methods=[]", "--set", "search.epochs=1"]
# a grid that takes a second or two
GRID = [*NO_PATHS, "--grid", "6x7"]


def content(folder: Path) -> str:
    return Run.open(folder).content_hash()


def table(*flags: str | Path) -> dict[str, Any]:
    answer = call(main, *flags, "--print-config")
    assert answer.code == 0, answer.err
    return tomllib.loads(answer.out)


def test_the_first_lines_say_what_will_happen(finished: Finished) -> None:
    lines = finished.answer.err.splitlines()[:7]
    assert [line.split()[0] for line in lines] == [
        "data", "device", "space", "grid", "points", "cost", "run",
    ]  # fmt: skip
    text = "\n".join(lines)
    for said in ("packaged", "8,000", "cpu", "float32", "s3", "2 channels", "darts-1, 2 epochs",
                 "2 x 3", "±1", "axis unit 5.0", "M = 0, 1, 2", "inner learning rate search",
                 "evaluations", "on disk", str(finished.run.path)):  # fmt: skip
        assert said in text, said
    assert re.search(r"about [\d.]+ (s|min)", text)


def test_stdout_is_the_path_alone(finished: Finished) -> None:
    assert finished.answer.out == f"{finished.run.path}\n"


def test_the_run_holds_surfaces_paths_and_page(finished: Finished) -> None:
    figure = load(finished.run)
    assert [surface.inner_steps for surface in figure.surfaces] == [0, 1, 2]
    assert tuple(path.method for path in figure.paths) == Config().paths.methods
    assert {"config.toml", "run.h5", "figure.html"} <= {
        file.name for file in finished.run.path.iterdir()
    }
    assert finished.run.provenance["data_fingerprint"]


def test_the_page_asks_nobody_for_anything(finished: Finished) -> None:
    """What a browser would load: sources, links, imports. Texts and name spaces may be URLs."""
    page = (finished.run.path / "figure.html").read_text(encoding="utf-8")
    assert len(page) > 1e6  # plotly.js is inside
    head = re.sub(r"<script\b[^>]*>.*?</script>", "<script></script>", page, flags=re.DOTALL)
    assert not re.search(r"""\b(src|srcset|action|data)\s*=\s*["']?\s*(https?:)?//""", head)
    assert not re.search(r"<(link|iframe|img|object|embed|base)\b", head)
    assert not re.search(r"@import|url\(\s*[\"']?(https?:)?//", head)
    assert not re.search(r"<script[^>]+src", page)


def test_the_same_command_again_returns_what_is_there(finished: Finished) -> None:
    before = content(finished.run.path)
    written = {file: file.stat().st_mtime_ns for file in finished.run.path.rglob("*.h5")}
    answer = call(main, *WORDS, "--out", finished.run.path, "--json")
    assert answer.code == 0
    assert json.loads(answer.out) == {
        "schema": 1,
        "run": str(finished.run.path),
        "figure": str(finished.run.path / "figure.html"),
        "content_hash": before,
    }
    assert "finished" in answer.err
    assert {file: file.stat().st_mtime_ns for file in written} == written


def test_the_default_name_is_made_of_the_settings(tmp_path: Path) -> None:
    names = {
        seed: call(main, *NO_PATHS, "--seed", str(seed), "--dry-run").out.strip() for seed in (0, 1)
    }
    assert names[0] != names[1]
    for name in names.values():
        assert re.fullmatch(r"quick-[0-9a-f]{8}", Path(name).name)
        assert Path(name).parent == tmp_path / "runs"
    assert call(main, *NO_PATHS).out.strip() == names[0]


def test_a_dry_run_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plan = json.loads(call(main, *WORDS, "--dry-run", "--json").out)
    assert plan["points"] == 18
    assert plan["images"] == 8000
    assert list(tmp_path.iterdir()) == []


def test_flags_are_settings() -> None:
    config = table(*WORDS, "--steps", "3", "--grid", "4x5", "--range", "0.5", "--scale", "unit",
                   "--inner-lr", "1e-3", "--seed", "9")  # fmt: skip
    land = config["landscape"]
    assert (land["steps"], land["rows"], land["cols"], land["range"]) == (3, 4, 5, 0.5)
    assert (land["scale"], land["inner_learning_rate"], config["seed"]) == ("unit", 1e-3, 9)
    words = table("--scale", "2", "--inner-lr", "search")["landscape"]
    assert (words["scale"], words["inner_learning_rate"]) == (2.0, "search")
    several = table("--steps", "5,0,2")["landscape"]
    assert (several["steps"], several["more_steps"]) == (5, [2])
    assert land["more_steps"] == []
    assert "got --steps 'ten', expected M such as 10" in call(main, "--steps", "ten").error
    assert table("--set", "landscape.rows=5", "--grid", "7x3")["landscape"]["rows"] == 7


def test_the_quick_preset_is_what_the_issue_asks_for() -> None:
    config = table("--steps", "10")
    assert config["supernet"]["space"] == "s3"
    assert config["data"]["name"] == "packaged"
    assert config["search"]["method"] == "darts-1"
    assert min(config["landscape"]["rows"], config["landscape"]["cols"]) >= 9
    assert config["landscape"]["steps"] == 10
    assert config["paths"] == {
        "methods": list(Config().paths.methods), "updates": 10, "start": [-0.5, 0.5],
        "space": "plane",
        "weights": "frozen", "noise": "surface", "step": "update", "fraction": 0.15,
        "samples": 4, "temperature": 0.01,
    }  # fmt: skip
    paper = table("--preset", "paper")
    assert (paper["landscape"]["rows"], paper["landscape"]["cols"]) == (101, 101)
    assert paper["landscape"]["inner_learning_rate"] == 1e-3


def test_a_flag_reaches_the_picture(tmp_path: Path) -> None:
    out = tmp_path / "run"
    answer = call(main, *NO_PATHS, "--grid", "3x2", "--range", "0.5", "--scale", "unit",
                  "--inner-lr", "1e-3", "--steps", "3", "--out", out)  # fmt: skip
    assert answer.code == 0
    figure = load(Run.open(out))
    assert [surface.inner_steps for surface in figure.surfaces] == [0, 1, 3]
    assert figure.surfaces[0].loss.shape == (3, 2)
    assert figure.surfaces[0].x.tolist() == [-0.5, 0.5]
    assert figure.surfaces[0].y.tolist() == [-0.5, 0.0, 0.5]
    assert figure.scale == 1.0
    assert figure.facts["inner_learning_rate"] == 1e-3


@pytest.mark.parametrize("preset", [[], ["--preset", "paper"], ["--preset", "paper-s2"]])
def test_a_printed_config_is_the_whole_config(tmp_path: Path, preset: list[str]) -> None:
    file = tmp_path / "config.toml"
    file.write_text(call(main, *preset, *words(), "--print-config").out)
    assert call(main, "--config", file, "--print-config").out == file.read_text()


def test_a_printed_config_makes_the_same_run(finished: Finished, tmp_path: Path) -> None:
    answer = call(main, "--config", finished.run.path / "config.toml", "--workers", "1",
                  "--out", tmp_path / "again")  # fmt: skip
    assert answer.code == 0
    assert content(tmp_path / "again") == content(finished.run.path)


@pytest.mark.parametrize(
    ("steps", "surfaces"), [("0", [0]), ("1", [0, 1]), ("3,1,2", [0, 1, 2, 3])]
)
def test_a_surface_for_each_number_of_steps(
    steps: str, surfaces: list[int], finished: Finished, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    answer = call(main, *WORDS, "--steps", steps, "--out", out)
    assert answer.code == 0
    assert f"M = {', '.join(map(str, surfaces))}, inner" in answer.err
    figure, other = load(Run.open(out)), load(finished.run)
    assert [surface.inner_steps for surface in figure.surfaces] == surfaces
    for surface, same in zip(figure.surfaces, other.surfaces, strict=False):
        np.testing.assert_array_equal(surface.loss, same.loss)
    assert len(figure.paths) == 5
    assert call(verify, out, "-k", "1").code == 0


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A longer grid that nobody disturbed."""
    folder = tmp_path_factory.mktemp("grid") / "run"
    assert call(main, *GRID, "--out", folder).code == 0
    return folder


def points(folder: Path) -> int:
    return sum(surface.done for surface in load(Run.open(folder)).surfaces)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 3), (signal.SIGUSR1, 3)]
)
def test_a_signal_stops_a_grid_that_goes_on_later(
    number: signal.Signals, code: int, grid: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    with signalled(number, (folder / "grid/m02.h5").exists):
        answer = call(main, *GRID, "--out", folder)
    assert answer.code == code
    assert answer.out == ""
    assert "run the same command again" in answer.err.splitlines()[-1]
    assert points(folder) < 126
    again = call(main, *GRID, "--out", folder)
    assert again.code == 0
    assert "(continues)" in again.err
    assert content(folder) == content(grid)


def test_a_killed_process_loses_nothing(
    grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    with start("landscape.compute", *GRID, "--out", folder) as process:
        wait_for((folder / "grid/m02.h5").exists, process)
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert points(folder) < 126
    assert call(main, *GRID, "--out", folder).code == 0
    assert content(folder) == content(grid)


@pytest.mark.slow
@pytest.mark.parametrize("file", ["run.h5", "checkpoint.h5", "snapshot/epoch-0001.h5", "plane.h5"])
def test_a_killed_process_loses_nothing_wherever_it_was(
    file: str, grid: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    with start("landscape.compute", *GRID, "--out", folder) as process:
        wait_for((folder / file).exists, process)
        process.kill()
        process.communicate()
    assert call(main, *GRID, "--out", folder).code == 0
    assert content(folder) == content(grid)


@pytest.mark.slow
def test_workers_end_with_a_killed_command(grid: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    flags = ["2" if word == "1" and GRID[n - 1] == "--workers" else word
             for n, word in enumerate(GRID)]  # fmt: skip
    with start("landscape.compute", *flags, "--out", folder) as process:
        wait_for((folder / "grid/m02.h5").exists, process)
        group = [int(pid) for pid in children(process.pid)]
        process.kill()
        process.communicate()
    wait_for(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in group))
    assert call(main, *flags, "--out", folder).code == 0
    assert content(folder) == content(grid)


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 3), (signal.SIGINT, 130)])
def test_a_real_process_stops_on_a_signal(
    number: signal.Signals, code: int, grid: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    with start("landscape.compute", *GRID, "--out", folder) as process:
        wait_for((folder / "grid/m00.h5").exists, process)
        process.send_signal(number)
        out, err = process.communicate()
    assert (process.returncode, out) == (code, "")
    assert "Traceback" not in err
    assert call(main, *GRID, "--out", folder).code == 0
    assert content(folder) == content(grid)


def test_help_needs_no_torch(root: Path) -> None:
    code = (
        "import sys; from landscape.compute.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: assert 'torch' not in sys.modules"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    for flag in (
        "--steps",
        "--run",
        "--preset",
        "--config",
        "--set",
        "--dry-run",
        "--seed",
        "--device",
        "--grid",
        "--range",
        "--scale",
        "--inner-lr",
        "--out",
        "--json",
    ):
        assert flag in answer.stdout


@pytest.mark.parametrize("disk", ["read-only", "without flock"])
def test_a_finished_run_is_returned_from_any_disk(
    finished: Finished, disk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = finished.run.path
    again = [*words(), "--workers", "1", "--out", folder, "--json"]
    if disk == "read-only":
        with read_only(folder, monkeypatch):
            answer = call(main, *again)
            figure = compute_run(Config.from_table(finished.run.config), folder)
        assert f"figure     not written: {folder}: cannot be written (Read-only" in answer.err
        assert len(figure.surfaces) == 3
    else:
        monkeypatch.setattr("fcntl.flock", raising(OSError(errno.ENOLCK, "No locks available")))
        answer = call(main, *again)
        assert "figure.html" in answer.err
        assert not (folder / "run.held").exists()
    assert answer.code == 0
    assert json.loads(answer.out)["content_hash"] == finished.run.content_hash()
    assert (json.loads(answer.out)["figure"] is None) == (disk == "read-only")


def raising(error: OSError) -> Callable[..., None]:
    def function(*arguments: object) -> None:
        raise error

    return function
