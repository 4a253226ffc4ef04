"""Bad input to ``landscape.compute``: one clear line, the stated exit code, nothing lost."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from landscape.compute.__main__ import main
from landscape.record import Status, load
from tests.landscape.conftest import Finished
from tests.tiny import call, words
from zarts.runs.runfile import Run

WORDS = [*words(), "--workers", "1"]
NO_PATHS = [*WORDS, "--set", "paths.methods=[]", "--set", "search.epochs=1"]


def content(folder: Path) -> str:
    return Run.open(folder).content_hash()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--preset", "standart"], "'standard'"),
        (["--set", "landscape.row=3"], "'landscape.rows'"),
        (["--set", "spce=s6"], "spce"),
        (["--steps", "-1"], "landscape.steps is -1"),
        (["--grid", "1x5"], "rows is 1"),
        (["--grid", "5x1"], "cols is 1"),
        (["--grid", "9"], "ROWSxCOLS"),
        (["--grid", "0x0"], "rows is 0"),
        (["--grid", "5000x5000"], "5000x5000"),
        (["--grid", "9999999x9"], "the grid is 9999999x9, expected at most 1001"),
        (["--range", "0"], "range"),
        (["--range", "-1"], "range"),
        (["--range", "nan"], "range"),
        (["--range", "inf"], "range"),
        (["--scale", "0"], "scale"),
        (["--scale", "inf"], "scale"),
        (["--scale", "wide"], "'wide'"),
        (["--inner-lr", "-1"], "inner_learning_rate"),
        (["--inner-lr", "nan"], "inner_learning_rate"),
        (["--inner-lr", "fast"], "'fast'"),
        (["--workers", "0"], "--workers 0"),
        (["--seed", "-1"], "seed"),
        (["--device", "gpu"], "'gpu'"),
        (["--set", "paths.methods=['darts-3']"], "darts-"),
        (["--set", "paths.start=[1]"], "paths.start"),
        (["--set", "paths.space=everywhere"], "everywhere"),
        (["--set", "optimizer.sigma=1"], "darts-1 has no hyper-parameter 'sigma'"),
        (["--set", "landscape.val_batches=3"], "D_val has 64 images"),
        (["--set", "landscape.val_batch_size=65"], "D_val has 64 images"),
        (["--set", "data.name=cifar10"], "ZARTS_DATA"),
        (["--set", "supernet.channels=4096", "--set", "data.batch_size=64"], "GiB"),
        (["--set", "source=foo"], "--run"),
        (["--config", "nowhere.toml"], "nowhere.toml"),
        (["--out", "/proc/run"], "/proc/run: cannot be written"),
        (["--out", "a b"], "'a b'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_clear_line(
    flags: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ZARTS_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    answer = call(main, *NO_PATHS, *flags)
    assert answer.code == 2
    assert message in answer.error


def test_a_gpu_that_is_not_here_is_not_replaced() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    answer = call(main, *NO_PATHS, "--device", "cuda")
    assert answer.code == 2
    assert "no CUDA device" in answer.error
    answer = call(main, *NO_PATHS, "--device", "auto", "--print-config")
    assert 'device = "cpu"' in answer.out


def test_a_diverged_search_stops_with_one_line(tmp_path: Path) -> None:
    answer = call(main, *NO_PATHS, "--set", "search.learning_rate=1e20", "--out", tmp_path / "run")
    assert answer.code == 1
    assert "lower the learning rate" in answer.error
    assert Run.open(tmp_path / "run").names() == []


def test_diverged_points_are_marked_and_said(tmp_path: Path) -> None:
    out = tmp_path / "run"
    flags = [*WORDS, "--inner-lr", "1e20", "--set", "search.inner_clip=0", "--out", out]
    answer = call(main, *flags)
    assert answer.code == 0
    figure = load(Run.open(out))
    for surface in figure.surfaces:
        bad = surface.status == Status.DIVERGED
        assert bad.all() == (surface.inner_steps > 0)
        assert (np.isnan(surface.loss) == bad).all()
    assert "diverged   6 of 6 points at M = 1" in answer.err
    assert "diverged   6 of 6 points at M = 2" in answer.err
    assert "M = 0\n" not in answer.err
    assert re.search(r"darts-2 diverged", answer.err)
    assert (out / "figure.html").exists()
    again = call(main, *flags)  # and said again of the finished run
    assert "diverged   6 of 6 points at M = 2" in again.err


def test_another_config_in_the_same_folder_is_refused(finished: Finished) -> None:
    before = content(finished.run.path)
    answer = call(main, *WORDS, "--seed", "3", "--grid", "3x3", "--out", finished.run.path)
    assert answer.code == 2
    assert "landscape.rows: stored 2, asked 3" in answer.error
    assert "seed: stored 0, asked 3" in answer.error
    assert "steps" not in answer.error
    assert content(finished.run.path) == before


@pytest.mark.parametrize(
    "name", ["run", "plane", "snapshot/epoch-0002", "grid/m02", "paths/darts-1"]
)
def test_a_damaged_file_is_named(name: str, finished: Finished, tmp_path: Path) -> None:
    shutil.copytree(finished.run.path, tmp_path / "run")
    file = tmp_path / "run" / f"{name}.h5"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 255
    file.write_bytes(data)
    if name.startswith("snapshot"):  # so that it is needed
        (tmp_path / "run/grid/m01.h5").unlink()
    answer = call(main, *WORDS, "--out", tmp_path / "run")
    assert answer.code == 2
    assert str(file) in answer.error


def test_a_run_that_is_being_written_is_refused(finished: Finished, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(finished.run.path, folder)
    (folder / "grid/m01.h5").unlink()
    with Run.open(folder).lock():
        answer = call(main, *WORDS, "--out", folder)
    assert answer.code == 2
    assert "is writing this run" in answer.error
    assert call(main, *WORDS, "--out", folder).code == 0
    assert content(folder) == content(finished.run.path)
