"""Settings, provenance and data: what a run says about itself, and whether it is so here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from landscape.compute.pipeline import compute, open_run, origin_of
from landscape.verify import origin
from landscape.verify import run as checks
from tests.landscape.conftest import Finished
from tests.landscape.verifying import copied, reseal, restate, verdict
from zarts.data import loaders
from zarts.problems.parts import set_precision
from zarts.runs.runfile import Run
from zarts.settings.config import Config, ConfigError, merge


@pytest.fixture
def run(finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    return copied(finished.run, tmp_path / "tiny", monkeypatch)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"git": None}, "has no git"),
        ({"seed": 7}, "seed is 7, the settings say 0"),
        ({"device": "cuda"}, "device is 'cuda', the settings say 'cpu'"),
        ({"command": "landscape.compute"}, "command is 'landscape.compute'"),
        ({"versions": {"zarts": "0.1.0"}}, "has no version of torch"),
        ({"git": {"commit": "abc", "dirty": False}}, "git commit is 'abc'"),
        ({"git": {"commit": "a" * 40}}, "does not say whether the checkout was dirty"),
        ({"data_fingerprint": None}, "has no data_fingerprint"),
    ],
)
def test_provenance_that_says_too_little(run: Run, changes: Mapping[str, Any], said: str) -> None:
    restate(run, "provenance", changes)
    found = verdict(run.path, points=0)
    assert found.code == 1
    assert "provenance" in found.failed <= {"provenance", "data"}
    assert said in found.why("provenance")


def test_code_that_nobody_can_look_up_is_a_note(run: Run) -> None:
    for git in ({"commit": "a" * 40, "dirty": True}, {"commit": "a" * 40, "dirty": False}):
        restate(run, "provenance", {"git": git})
        said = verdict(run.path, points=0)
        assert (said.code, said.of("provenance")) == (0, ["note" if git["dirty"] else "ok"])
        assert f"commit aaaaaaa{' with changes' if git['dirty'] else ''}" in said.why("provenance")


def test_other_data_are_named_and_nothing_is_computed_with_them(run: Run) -> None:
    restate(run, "provenance", {"data_fingerprint": "f" * 64})
    said = verdict(run.path)
    assert (said.code, said.failed, said.of("values")) == (1, {"data"}, ["unchecked"])
    assert f"the run is of {'f' * 16}" in said.why("data")


def test_data_that_are_not_here_are_no_failure_and_no_proof(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(config: Config) -> None:
        raise loaders.MissingData("cifar10 is not in data; put it there")

    monkeypatch.setattr(origin, "load_dataset", gone)
    said = verdict(run.path)
    assert (said.code, said.failed) == (2, set())
    assert said.of("data") == said.of("values") == ["unchecked"]
    assert "put it there" in said.why("data")


def test_settings_that_cannot_be_used(run: Run) -> None:
    restate(run, "config", {"landscape.rows": -1})
    said = verdict(run.path)
    assert (said.code, said.failed, said.of("all else")) == (1, {"config"}, ["unchecked"])
    assert "landscape.rows is -1" in said.why("config")


def test_settings_of_an_earlier_version_are_a_note(run: Run) -> None:
    restate(run, "config", {"paths.temperature": None})
    (run.path / "config.toml").unlink()
    said = verdict(run.path, points=0)
    assert (said.code, said.of("config")) == (0, ["note"])
    assert "has no paths.temperature" in said.why("config")


def test_the_text_beside_the_run_says_the_same(run: Run) -> None:
    text = run.path / "config.toml"
    text.write_text(text.read_text().replace("seed = 0", "seed = 1"))
    said = verdict(run.path, points=0)
    assert said.failed == {"config"}
    assert "config.toml says other settings" in said.why("config")
    text.write_text("seed = = 1")
    assert "config.toml cannot be read" in verdict(run.path, points=0).why("config")


def test_a_name_made_of_the_settings_fits_them(run: Run) -> None:
    name = Config.from_table(run.config).hash()[:8]
    for folder, code in ((f"quick-{name}", 0), ("quick-01234567", 1), ("mine-01234567", 0)):
        path = run.path.rename(run.path.with_name(folder))
        said = verdict(path, points=0)
        assert (said.code, said.failed) == (code, {"config"} if code else set())
        run = Run.open(path)


def test_other_settings_do_not_fit_the_records(run: Run) -> None:
    changes = {"landscape.range": 2.0, "landscape.scale": 4.0, "paths.start": [0.0, 0.0]}
    restate(run, "config", changes)
    assert verdict(run.path).failed == {"config", "schema", "plane"}


def test_an_omega_that_is_not_its_sources(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = merge(run.config, {"paths": {"methods": []}, "landscape": {"steps": 0}})
    epoch, name = origin_of(Config.from_table(settings), run)
    config = Config.from_table(merge(settings, {"source": name, "landscape": {"epoch": epoch}}))
    made = open_run(config, tmp_path / "other", ["test"])
    compute(made, config, source=run)
    said = verdict(made.path)
    assert (said.code, said.of("complete"), said.of("plane")) == (0, ["ok"], ["ok"])
    reseal(made, "snapshot/epoch-0002", lambda arrays: arrays["weights/head.bias"].fill(0.5))
    said = verdict(made.path)
    assert said.failed == {"plane"}
    assert "the settings say it is that of tiny/epoch-0002/" in said.why("plane")


def test_a_run_of_a_gpu_is_checked_on_the_cpu(run: Run) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has the GPU")
    restate(run, "config", {"device": "cuda"})
    (run.path / "config.toml").unlink()
    restate(Run.open(run.path), "provenance", {"device": "cuda"})
    reseal(run, "grid/m00", lambda arrays: arrays["loss"].__imul__(1 + 1e-7))
    said = verdict(run.path / "grid" / "m00.h5")
    assert (said.code, said.of("surface M=0")) == (0, ["note"])
    assert "device cuda, here cpu" in said.why("surface M=0")
    restate(Run.open(run.path), "config", {"supernet": run.config["supernet"] | {"space": "s4"}})
    said = verdict(run.path / "plane.h5")
    assert said.of("values") == ["unchecked"]
    assert "noise was drawn on a GPU" in said.why("values")


def test_settings_that_do_not_fit_this_machine_prove_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def large(config: Config, methods: object) -> int:
        raise ConfigError("one training step needs about 9000.0 GiB")

    monkeypatch.setattr(checks, "check_memory", large)
    said = verdict(run.path)
    assert (said.code, said.of("values")) == (2, ["unchecked"])
    monkeypatch.setattr(checks, "MOST_STEPS", 1)
    assert verdict(run.path).why("values") == "M is larger than 1"


def test_bits_are_promised_for_the_same_code_torch_and_cpu(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = {
        "versions": {"torch": "2.0", "zarts": "1.0"},
        "git": {"commit": "a" * 40, "dirty": False},
        "machine": "Linux x86_64",
        "cpu": "AVX2",
    }
    monkeypatch.setattr(origin, "provenance", lambda command, device: here)

    def reasons(**changes: Any) -> list[str]:
        made = replace(finished.run, provenance=here | changes)
        return origin.elsewhere(made, finished.run)

    assert reasons() == []
    assert reasons(cpu="AVX512") == ["cpu AVX512, here AVX2"]
    assert reasons(versions={"torch": "2.1", "zarts": "1.0"}) == ["torch 2.1, here 2.0"]
    assert reasons(git={"commit": "b" * 40, "dirty": True}) == [
        "commit bbbbbbb with changes, here commit aaaaaaa"
    ]
    assert reasons(continued_with=[here | {"cpu": "AVX512"}]) == ["cpu AVX512, here AVX2"]
    assert reasons(git=None) == ["of no commit, here commit aaaaaaa"]
    assert origin.elsewhere(replace(finished.run, provenance={}), finished.run)


@pytest.mark.parametrize(
    ("tf32", "off", "code"), [("off", 2e-5, 0), ("on", 2e-3, 0), ("off", 2e-3, 1)]
)
def test_a_gpu_has_its_own_tolerance(run: Run, tf32: str, off: float, code: int) -> None:
    for name in ("grid/m00", "grid/m01"):
        reseal(run, name, lambda arrays: arrays.update(loss=arrays["loss"] * (1 + off)))
    (run.path / "config.toml").unlink()
    restate(run, "config", {"device": "cuda", "tf32": tf32})
    card = {"device": "cuda", "gpu": "a card", "cuda": "13.0", "cudnn": 92400}
    restate(Run.open(run.path), "provenance", card)
    said = verdict(run.path)
    assert (said.code, bool(said.failed)) == (code, bool(code))
    assert said.of("surface M=0") == ["FAIL" if code else "note"]
    if not code:
        assert "device cuda, here cpu; " in said.why("surface M=0")


@pytest.fixture
def flags() -> Iterator[Callable[[], tuple[bool, bool, bool]]]:
    """What PyTorch's libraries may do, put back after the test."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_tf32, cudnn.deterministic
    yield lambda: (cudnn.allow_tf32, matmul.allow_tf32, cudnn.deterministic)
    cudnn.allow_tf32, matmul.allow_tf32, cudnn.deterministic = before


def test_what_a_gpu_may_round_is_set(flags: Callable[[], tuple[bool, bool, bool]]) -> None:
    set_precision(Config(device="cuda", tf32="off", deterministic="on"))
    assert flags() == (False, False, True)
    set_precision(Config(device="cuda", tf32="on", deterministic="on"))
    assert flags() == (True, True, True)
    set_precision(Config(device="cuda"))  # as commit 382ea1a, which set nothing
    assert flags() == (True, False, False)
