"""A user's optimizer, in a file of its own: computed, stored, drawn; imported by nothing else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from landscape import compute_run, figure_1, load
from landscape.verify.report import Result
from landscape.verify.run import VerifyOptions, verify
from tests.tiny import call, tiny
from zarts.__main__ import main
from zarts.optimizers import name_of, record_name
from zarts.runs.runfile import Run
from zarts.settings.config import Config, ConfigError

SOURCE = """
from dataclasses import dataclass
import torch
from zarts import Step

@dataclass(frozen=True)
class Evolution:
    sigma: float = 0.5
    evaluations: int = 2
    gradients: int = 0

    def step(self, objective, alpha, memory, rng):
        child = alpha + self.sigma * torch.randn(alpha.numel(), generator=rng, dtype=alpha.dtype)
        both = torch.stack([alpha, child])
        losses = objective.evaluate(both)
        return Step(both[losses.argmin()], float(losses[0]), both, losses)

@dataclass(frozen=True)
class Scaled(Evolution):
    def reach(paths, dim, length):
        return {"sigma": length}

@dataclass(frozen=True)
class Raises(Evolution):
    def step(self, objective, alpha, memory, rng):
        raise TypeError("no such luck")

@dataclass(frozen=True)
class Lost(Evolution):
    def step(self, objective, alpha, memory, rng):
        return Step(alpha * float("nan"), 0.0, alpha[:0, None], alpha[:0].double())

@dataclass(frozen=True)
class Wide(Evolution):
    def step(self, objective, alpha, memory, rng):
        return Step(torch.cat([alpha, alpha]), 0.0, alpha[:0, None], alpha[:0].double())
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with a file of optimizers in it."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "own_file.py"
    file.write_text(SOURCE, encoding="utf-8")
    yield file
    sys.modules.pop("own_file", None)
    sys.path[:] = [place for place in sys.path if place != str(tmp_path)]


def config(*methods: object) -> Config:
    return tiny("darts-1", {"paths": {"methods": list(methods), "updates": 2}})


def test_it_walks_by_name_and_by_class_here_and_in_workers(mine: Path) -> None:
    names = ("darts-1", "own_file:Evolution", "own_file:Evolution(sigma=0.1)")
    figure = compute_run(config(*names), "by-name", workers=2)
    assert tuple(path.method for path in figure.paths) == names
    assert {path.note for path in figure.paths} == {""}
    assert [path.evaluations for path in figure.paths[1:]] == [4, 4]
    import own_file  # type: ignore[import-not-found]

    again = config("darts-1", own_file.Evolution, own_file.Evolution(sigma=0.1))
    assert again == config(*names)
    compute_run(again, "by-class")
    runs = [Run.open(Path(name)) for name in ("by-name", "by-class")]
    assert runs[0].content_hash() == runs[1].content_hash()
    assert set(runs[0].provenance["code"]) == set(names[1:])  # type: ignore[arg-type]


def test_what_reads_a_run_imports_nothing_that_it_names(mine: Path) -> None:
    name = "own_file:Evolution"
    compute_run(config(name), "run")
    mine.unlink()
    sys.modules.pop("own_file")
    record = load(Run.open(Path("run")))
    assert "Evolution" in {trace.name for trace in figure_1(record).data}
    report = verify(Path("run"), VerifyOptions(), lambda *words: lambda *told: None)
    found = {(each.check, each.result): each.detail for each in report.findings}
    assert "--trust-code does" in found[f"path {name}", Result.NOTE]
    assert not [each for each in report.findings if each.result == Result.FAIL]
    assert "own_file" not in sys.modules
    trusting = verify(
        Path("run"), VerifyOptions(trust_code=True), lambda *words: lambda *told: None
    )
    assert f"path {name}" in {x.check for x in trusting.findings if x.result == Result.UNCHECKED}
    mine.write_text(SOURCE, encoding="utf-8")
    trusting = verify(
        Path("run"), VerifyOptions(trust_code=True), lambda *words: lambda *told: None
    )
    assert "walked again" in {x.detail[-12:] for x in trusting.findings if x.result == Result.OK}


def test_another_file_does_not_continue_a_run(mine: Path) -> None:
    asked = config("own_file:Evolution")
    compute_run(asked, "run")
    Path("run", f"{record_name('own_file:Evolution')}.h5").unlink()
    mine.write_text(SOURCE + "# edited\n", encoding="utf-8")
    with pytest.raises(
        ConfigError, match=r"the file of own_file:Evolution has SHA-256 .* put back"
    ):
        compute_run(asked, "run")
    mine.write_text(SOURCE, encoding="utf-8")
    assert len(compute_run(asked, "run").paths) == 1


def test_a_class_can_say_how_its_step_scales(mine: Path) -> None:
    asked = tiny(
        "darts-1", {"paths": {"methods": ["own_file:Scaled"], "updates": 1, "step": "update"}}
    )
    (path,) = compute_run(asked, "run").paths
    assert path.length_ratio is not None
    assert path.evaluations > 2  # its pilots


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("own_file:Raises", "TypeError: no such luck"),
        ("own_file:Wide", "gave an α of shape (4,), torch.float64; expected (2,)"),
        ("own_file:Lost", "Lost.step gave an α of which 2 numbers are not finite"),
        ("own_file:Nobody", "own_file:Nobody cannot be imported"),
        ("own_file.py:Own", "into own_file.py in the current folder, and name it own_file:Own"),
        ("no_file:Evolution", "put class Evolution into no_file.py in the current folder"),
        ("own_file:Step", "is no optimizer: expected a frozen dataclass with step"),
        ("own_file:Evolution(size=3)", "unexpected keyword argument 'size'"),
        ("own_file:Evolution(open('x'))", "expected one of: darts-1"),
    ],
)
def test_one_that_cannot_be_used_is_one_clear_line(mine: Path, name: str, problem: str) -> None:
    with pytest.raises((ConfigError, ChildProcessError)) as error:
        compute_run(config(name), "run")
    assert problem in str(error.value)
    assert "\n" not in str(error.value)


def test_a_search_with_it_is_recorded_and_its_failure_told(mine: Path) -> None:
    flags = ["--set", "data.subset=64", "--set", "data.downscale=4", "--epochs", "2", "--quiet"]
    flags += ["--set", "channels=2", "--set", "cells=1", "--set", "search.inner_steps=1"]
    done = call(main, "--method", "own_file:Evolution", *flags, "--out", "good")
    assert done.code == 0, done.err
    assert "own_file:Evolution" in Run.open(Path("good")).provenance["code"]  # type: ignore[operator]
    again = ["--method", "own_file:Evolution", *flags, "--out", "good"]
    assert call(main, *again).out == done.out
    mine.write_text(SOURCE + "# edited\n", encoding="utf-8")
    edited = call(main, *again)
    assert edited.code == 2
    assert "the file of own_file:Evolution has SHA-256" in edited.err
    planned = call(main, "--method", "own_file:Evolution", *flags, "--dry-run")  # without --out
    assert Path(planned.out).name.startswith("own_file-Evolution-quick-"), planned.err
    failed = call(main, "--method", "own_file:Raises", *flags, "--out", "bad")
    assert failed.code == 1
    assert "Raises.step failed (TypeError: no such luck)" in failed.err


def test_names_say_what_is_not_the_default() -> None:
    from zarts import MGS

    assert name_of(MGS(sigma=0.3)) == "zarts.optimizers.mgs:MGS(sigma=0.3)"
    with pytest.raises(ValueError, match="expected a method's name, or a frozen dataclass"):
        name_of(object())
