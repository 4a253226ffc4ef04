"""A run stored by commit 382ea1a is a run of today: found, drawn, checked and gone on with."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from landscape.compute import __main__ as compute
from landscape.compute.pipeline import compute_run
from landscape.figures import figure_1
from landscape.record import load
from landscape.verify.__main__ import main as verify
from tests.tiny import call, words
from zarts.runs.runfile import Run
from zarts.settings.config import Config, filled
from zarts.settings.sections import PathsConfig, later, without_later_defaults

STORED = Path(__file__).parent / "stored" / "quick-b3c0a96a"
CONTENT = "70cdc31792940052446198fa6ef8a46d337de18f6bd6d1769e30b3b5d14e6c17"


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A copy that may be written."""
    monkeypatch.setenv("ZARTS_RUNS", str(tmp_path))
    return Run.open(Path(shutil.copytree(STORED, tmp_path / STORED.name)))


def test_its_settings_its_name_and_its_content_are_what_they_were(stored: Run) -> None:
    config = Config.from_table(stored.config)
    assert config.to_table() == stored.config
    assert config.hash()[:8] == "b3c0a96a"
    assert stored.content_hash() == CONTENT


def test_it_is_drawn_and_passes_verify(stored: Run) -> None:
    assert figure_1(load(stored)).data
    answer = call(verify, stored.path, "--expect", CONTENT, "--quiet")
    assert answer.code == 0, answer.out


def test_its_own_settings_return_it_finished(stored: Run) -> None:
    file = stored.path / "config.toml"
    answer = call(compute.main, "--config", file, "--preset", "paper", "--out", stored.path)
    assert answer.code == 0, answer.err
    assert "finished before" in answer.err
    assert answer.out.strip() == str(stored.path)


@pytest.mark.parametrize("lost", [("paths", "grid/m02.h5"), ("search/epoch-0002.h5", "grid")])
def test_what_is_missing_is_computed_again_to_the_same_numbers(
    stored: Run, lost: tuple[str, ...]
) -> None:
    for name in lost:
        gone = stored.path / name
        shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    before = load(Run.open(STORED))
    after = compute_run(Config.from_table(stored.config), stored.path)
    assert [path.method for path in after.paths] == list(PathsConfig().methods)
    for one, other in zip(before.surfaces, after.surfaces, strict=True):
        np.testing.assert_allclose(one.loss, other.loss, rtol=1e-9)
    for one, other in zip(before.paths, after.paths, strict=True):
        np.testing.assert_allclose(one.target_loss, other.target_loss, rtol=1e-9)


def test_a_search_of_then_is_a_source_of_now(stored: Run) -> None:
    small = words({"landscape": {"steps": 1, "rows": 2, "cols": 2, "val_batches": 1}})
    paths = ["--set", "paths.methods=['darts-1']", "--set", "paths.updates=1"]
    flags = ["--run", stored.name, "--preset", "paper", *small, *paths, "--quiet"]
    assert call(compute.main, *flags).code == 0


def test_a_later_setting_is_stored_only_where_it_differs_from_its_default() -> None:
    @dataclass(frozen=True)
    class Grown(PathsConfig):
        colour: str = later("none")

    plain, grown = PathsConfig(), Grown()
    assert without_later_defaults(grown, vars(grown)) == vars(plain)
    other = Grown(colour="blue")
    assert without_later_defaults(other, vars(other)) == vars(plain) | {"colour": "blue"}


def test_settings_of_a_run_are_filled_and_those_of_a_person_are_not(stored: Run) -> None:
    assert filled(stored.config) == Config.from_table(stored.config).to_table(whole=True)
    assert filled({"seed": 3}) == {"seed": 3}
