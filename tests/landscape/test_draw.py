"""``python -m landscape.draw``: files of the kind that their names say, or one line."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import numpy as np
import pytest

from landscape import draw
from landscape.figures import figure_3d, static
from landscape.record import load, save_path, save_surface
from tests.landscape.test_figures import record
from tests.tiny import call
from zarts.runs.runfile import Run

BEGINS = {"pdf": b"%PDF", "svg": b"<?xml", "png": b"\x89PNG", "html": b"<!doctype html>"}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A made-up run with M = 0, 1, 10 in the folder of runs; the test is in another one."""
    made = Run.create(tmp_path / "runs" / "mine", {"seed": 3}, {})
    made.write("plane", {"scale": np.array(2.0)}, {})
    for surface in record().surfaces:
        save_surface(made, surface)
    for path in record().paths:
        save_path(made, path)
    monkeypatch.setenv("ZARTS_RUNS", str(tmp_path / "runs"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return made


def test_a_file_is_what_its_ending_says_and_replaces_what_was_there(run: Run) -> None:
    Path("a.svg").write_text("old")
    names = [f"a.{ending}" for ending in BEGINS]
    outs = [word for name in names for word in ("--out", name)]
    answer = call(draw.main, "mine", "--steps", "10", *outs)
    assert (answer.code, answer.out.split(), answer.err) == (0, names, "")
    for ending, begin in BEGINS.items():
        assert Path(f"a.{ending}").read_bytes().startswith(begin)
    assert sorted(path.name for path in Path().iterdir()) == sorted(names)  # nothing half written


def test_flags_are_the_arguments_of_the_figure(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(draw, "static", lambda *a, **b: seen.append((a, b)) or b"drawn")
    flags = "--steps 1,0 --log --levels 7 --zmax 3 --scale own --quantity loss --difference"
    assert call(draw.main, "mine", "--out", "A.PNG", *flags.split()).code == 0
    options = {"log": True, "levels": 7, "zmax": 3.0, "scale": "own", "difference": True}
    (drawn, kind, steps), given = seen.pop()
    assert (drawn.name, kind, steps, given) == (
        "mine",
        "png",
        [1, 0],
        {"quantity": "loss"} | options,
    )
    inspect.signature(static).bind(drawn, kind, steps, **given)
    monkeypatch.chdir(run.path)
    assert call(draw.main, ".").out == "mine_figure1.pdf\n"  # without a name it is a PDF here
    assert seen[0][0][1:] == ("pdf", None)
    assert Path("mine_figure1.pdf").read_bytes() == b"drawn"


def test_a_camera_draws_in_three_dimensions(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(draw, "to_picture", lambda *drawn: seen.append(drawn) or b"drawn")
    words = ("mine", "--camera", "x", "--steps", "10", "--out", "a.pdf")
    assert call(draw.main, *words).code == 0
    assert seen == [(figure_3d(load(run), [10], camera="along x"), "pdf")]
    assert Path("a.pdf").read_bytes() == b"drawn"
    monkeypatch.undo()
    monkeypatch.setattr("landscape.figures.pictures.can_draw", lambda: False)
    answer = call(draw.main, run.path, *words[1:-1], run.path / "a.pdf")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "kaleido: `pip install 'zarts[export]'`" in answer.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--out a.jpg", "got --out a.jpg, expected a name that ends in .pdf, .svg, .png or .html"),
        ("--out a.pdf --out pdf", "got --out pdf, expected a name that ends in"),
        ("--out no/a.html", "no/a.html: cannot be written"),
        ("--steps 0,5", "run mine has M = [0, 1, 10], asked for [5]"),
        ("--steps 0-5", "got --steps '0-5', expected M such as 10, or 0,10"),
        ("--steps 10 --difference", "a difference needs two M, asked for 10 alone"),
        ("--levels 1", "got --levels 1, expected 2 to 1000"),
        ("--zmax nan", "zmax = nan, expected a finite loss above the lowest, 0.45"),
        ("--quantity accuracy", "run mine stores no accuracy"),
        ("--camera top --zmax 3", "--levels and --zmax are of flat panels"),
        ("--camera top --steps 0,1,10", "expected two M at most"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_no_file(run: Run, words: str, said: str) -> None:
    answer = call(draw.main, "mine", *words.split())
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert said in answer.err
    assert not list(Path().iterdir())


def test_a_run_without_surfaces_and_a_missing_library(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = Run.create(run.path.parent / "bare", {"seed": 3}, {})
    bare.write("plane", {"scale": np.array(2.0)}, {})
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for name, said in (
        ("none", "holds no run"),
        ("bare", "run bare has no surface yet; compute one, then draw it"),
        ("mine", "pip install 'zarts[export]'"),
    ):
        answer = call(draw.main, name, "--out", "a.html" if name == "bare" else "a.pdf")
        assert (answer.code, answer.err.count("\n")) == (2, 1)
        assert said in answer.err
