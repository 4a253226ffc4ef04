"""What a landscape begins with: an α of one's own, its ω, a branch, and the axes of its plane."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from landscape import Plane, figure_1, load
from landscape.compute.__main__ import main
from landscape.compute.pipeline import problem_of
from landscape.verify.__main__ import main as verify
from tests.landscape.conftest import Finished
from tests.tiny import TINY, call, words
from zarts.runs.runfile import Run
from zarts.runs.snapshot import read_snapshot
from zarts.settings.config import Config, merge
from zarts.supernet.spaces import SPACES

SMALL = words(merge(TINY, {"landscape": {"steps": 1}, "paths": {"methods": ["darts-1"]}}))
FLAGS = [*SMALL, "--workers", "1"]


@pytest.fixture(scope="module")
def alpha(tmp_path_factory: pytest.TempPathFactory, finished: Finished) -> Path:
    """A file of one α, and beside it an ω and some points."""
    folder = tmp_path_factory.mktemp("files")
    kept = read_snapshot(finished.run, 2)
    mine = torch.linspace(-1, 1, len(kept.alpha))
    np.save(folder / "alpha.npy", mine.numpy())
    torch.save(kept.weights, folder / "omega.pt")
    points = torch.zeros(6, len(mine))
    points[:, 3], points[:, 5] = torch.arange(6.0), torch.tensor([1.0, -1, 1, -1, 1, -1])
    np.save(folder / "points.npy", points.numpy())
    return folder / "alpha.npy"


def looked(folder: Path, *flags: str | Path) -> Run:
    answer = call(main, *FLAGS, *flags, "--out", folder)
    assert answer.code == 0, answer.err
    return Run.open(folder)


def verified(run: Run) -> str:
    answer = call(verify, run.path)
    assert answer.code == 0, answer.out + answer.err
    return answer.out


def test_omega_is_trained_at_an_alpha_that_stays(alpha: Path, tmp_path: Path) -> None:
    run = looked(tmp_path / "mine", "--alpha", alpha, "--epochs", "1")
    mine = np.load(alpha)
    assert np.array_equal(read_snapshot(run, 1).alpha.numpy(), mine)
    assert (run.read("search/epoch-0001").arrays["alpha"] == mine).all()
    assert np.array_equal(run.read("plane").arrays["origin"], mine.astype(float))
    assert "bit-equal" in verified(run)
    # another file is another run, whatever it is called; the run explains itself without any
    before = run.content_hash()
    (run.path / "grid" / "m01.h5").unlink()
    again = call(main, "--config", run.path / "config.toml", "--workers", "1", "--out", run.path)
    assert again.code == 0, again.err
    assert Run.open(run.path).content_hash() == before
    np.save(tmp_path / "other.npy", 2 * mine)
    other = call(main, *FLAGS, "--alpha", tmp_path / "other.npy", "--epochs", "1",
                 "--out", run.path)  # fmt: skip
    assert other.code == 2
    assert "search.alpha: stored [-1.0," in other.error
    assert len(other.error) < 400


def test_omega_may_come_along(alpha: Path, tmp_path: Path, finished: Finished) -> None:
    omega = alpha.with_name("omega.pt")
    run = looked(tmp_path / "mine", "--alpha", alpha, "--weights", omega)
    taken, had = read_snapshot(run, 1), read_snapshot(finished.run, 2)
    assert all(torch.equal(taken.weights[name], had.weights[name]) for name in had.weights)
    assert Config.from_table(run.config).source.startswith("(files)/epoch-0001/")
    assert not [name for name in run.names() if name.startswith("search/")]
    assert taken.learning_rate == had.learning_rate  # of the last epoch of these settings
    verified(run)
    shutil.copy(alpha, tmp_path / "same.npy")
    again = looked(run.path, "--alpha", tmp_path / "same.npy", "--weights", omega)
    assert again.content_hash() == run.content_hash()


def test_what_looks_like_weights_is_said(alpha: Path, tmp_path: Path) -> None:
    width = SPACES["s3"].groups[0].width
    np.save(tmp_path / "soft.npy", np.full(len(np.load(alpha)), 1 / width))
    answer = call(main, *FLAGS, "--alpha", tmp_path / "soft.npy", "--dry-run")
    assert answer.code == 0
    assert "warning    " in answer.err
    assert "as after a softmax" in answer.err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--weights", "w.pt"], "--weights needs --alpha FILE"),
        (["--alpha", "a.npy", "--weights", "w.pt", "--epochs", "1"], "leave one out"),
        (["--alpha", "none.npy"], "none.npy: cannot be read"),
        (
            ["--axes", "gradients"],
            "landscape.axes is 'gradients', expected random or gradient",
        ),
        (["--axes", "pca:none.npy"], "none.npy: cannot be read"),
        (["--from", "nosuch@1"], "nosuch: holds no run"),
    ],
)
def test_what_cannot_be_is_refused(flags: list[str], message: str, tmp_path: Path) -> None:
    answer = call(main, *FLAGS, *flags, "--out", tmp_path / "none")
    assert answer.code == 2
    assert message in answer.error
    assert not (tmp_path / "none").exists()


def test_a_figure_of_a_branch(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZARTS_RUNS", str(finished.run.path.parent))
    flags = ["--from", f"{finished.run.name}@2", "--epochs", "1", "--workers", "1"]
    small = {"landscape": TINY["landscape"], "paths": {"methods": ["darts-1"], "updates": 1}}
    answer = call(main, *words(small), *flags, "--out", tmp_path / "branch")
    assert answer.code == 0, answer.err
    run = Run.open(tmp_path / "branch")
    kept = finished.run.read("snapshot/epoch-0002").arrays
    assert np.array_equal(run.read("start").arrays["alpha"], kept["alpha"])
    verified(run)


def test_x_is_along_the_gradient(alpha: Path, tmp_path: Path) -> None:
    omega = alpha.with_name("omega.pt")
    run = looked(tmp_path / "mine", "--alpha", alpha, "--weights", omega, "--axes", "gradient")
    setup = problem_of(run)
    slope = setup.objective.at(0).grad(setup.plane.origin).double()
    assert float(setup.plane.basis[:, 0] @ slope / slope.norm()) == pytest.approx(-1, abs=1e-6)
    layout = figure_1(load(run)).layout
    assert layout.xaxis.title.text == "along −∇L₀ (1 unit = 5)"
    assert layout.yaxis.title.text == "random direction (1 unit = 5)"
    verified(run)


def test_axes_may_be_principal_directions(alpha: Path, tmp_path: Path) -> None:
    file, omega = alpha.with_name("points.npy"), alpha.with_name("omega.pt")
    flags = ("--alpha", alpha, "--weights", omega, "--axes", f"pca:{file}")
    run = looked(tmp_path / "mine", *flags)
    points = torch.from_numpy(np.load(file))
    expected, plane = Plane.from_points(points), problem_of(run).plane
    assert torch.equal(plane.basis, expected.basis)
    assert plane.scale == 5.0
    assert load(run).facts["axes"] == [
        f"PC {n} ({100 * share:.0f} % of variance), 1 unit = 5"
        for n, share in enumerate(expected.explained(points).tolist(), 1)
    ]
    verified(run)
    # the plane is stored: with it, the points are needed no more; without either, nothing is drawn
    (run.path / "grid" / "m01.h5").unlink()
    again = call(main, "--config", run.path / "config.toml", "--workers", "1", "--out", run.path)
    assert again.code == 0, again.err
    (run.path / "plane.h5").unlink()
    lost = call(main, "--config", run.path / "config.toml", "--workers", "1", "--out", run.path)
    assert lost.code == 2
    assert "give its points with --axes pca:FILE" in lost.error
    np.save(tmp_path / "other.npy", 2 * points)
    other = call(main, *FLAGS, *flags[:-1], f"pca:{tmp_path / 'other.npy'}", "--out", run.path)
    assert other.code == 2
    assert "landscape.axes: stored" in other.error
    # of a new run nothing is trained before they are asked for
    named = f"landscape.axes=pca:{'a' * 16}"
    early = call(main, *FLAGS, "--set", named, "--out", tmp_path / "new")
    assert early.code == 2
    assert "give its points with --axes pca:FILE" in early.error
    assert not Run.open(tmp_path / "new").names()
