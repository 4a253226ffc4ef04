"""``python -m zarts.retrain`` as people call it."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest

from landscape import summary
from landscape.catalogue import catalogue
from landscape.compute import __main__ as compute
from landscape.verify import __main__ as verify
from tests.tiny import Answer, call, create, read_only, signalled, start, tiny, wait_for
from tests.zarts.retrain.retraining import flags
from zarts import __main__ as search
from zarts import register_dataset
from zarts.genotype.source import read_source
from zarts.retrain.__main__ import main
from zarts.retrain.presets import complete
from zarts.runs.recorder import record_search
from zarts.runs.runfile import Run
from zarts.settings.tables import from_toml
from zarts.supernet.genotype import Genotype


def retrain(*words: str | Path, genotype: str = "DARTS_V1") -> Answer:
    return call(main, genotype, *flags(), *words)


def test_it_prints_its_plan_and_its_result_and_returns_a_finished_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = retrain("--json", "--out", tmp_path / "run")
    assert first.code == 0, first.err
    heads = [line.split()[0] for line in first.err.splitlines()]
    assert heads[:7] == ["genotype", "network", "data", "device", "training", "cost", "run"]
    assert "2,000 of its test part" in first.err
    assert "(an estimate; --measure times a step)" in first.err
    assert "chosen by the test images themselves" in first.err
    record = json.loads(first.out)
    assert 0 < record["test_accuracy"] <= record["best_test_accuracy"] < 1
    run = Run.open(tmp_path / "run")
    assert run.content_hash() == record["content_hash"]
    assert run.provenance["genotype"] == read_source("DARTS_V1").provenance()
    with read_only(run.path, monkeypatch):
        again = retrain("--json", "-q", "--out", tmp_path / "run")
    assert (again.code, again.err) == (0, "")
    assert json.loads(again.out) == record


def test_a_finished_run_is_no_answer_for_other_images(tmp_path: Path) -> None:
    file, rng = tmp_path / "mine.npz", np.random.default_rng(0)
    words = ("--set", f"data.name={file}", "--set", "data.count=40", "--out", tmp_path / "run")
    x, y = rng.integers(0, 256, (60, 1, 12, 12), dtype=np.uint8), np.arange(60) % 3
    np.savez(file, x=x, y=y, x_test=x[:9], y_test=y[:9])
    first = retrain(*words)
    assert first.code == 0, first.err
    assert retrain(*words).out == first.out
    np.savez(file, x=255 - x, y=y, x_test=x[:9], y_test=y[:9])
    other = retrain(*words)
    assert other.code == 2
    assert "the training fingerprint here is" in other.err


def test_cells_that_were_searched_on_other_data_say_so(tmp_path: Path) -> None:
    rng, folder = np.random.default_rng(0), tmp_path / "found"
    register_dataset("mine", rng.integers(0, 256, (90, 1, 8, 8), dtype=np.uint8), np.arange(90) % 3)
    own = {"name": "mine", "downscale": 1, "subset": 0}
    config = tiny("darts-1", {"data": own, "search": {"epochs": 1}})
    record_search(create(folder, config), config)
    planned = call(main, folder, *flags(), "--dry-run")
    assert planned.code == 0, planned.err
    assert "the search was on the data set mine" in planned.err


def test_equal_cells_share_one_folder_and_a_plan_makes_none(tmp_path: Path) -> None:
    text = str(read_source("DARTS_V1").genotype)
    (file := tmp_path / "cells.txt").write_text(f"found it: {text}")
    planned = [retrain("--dry-run", "--json", genotype=g) for g in ("DARTS_V1", text, str(file))]
    plans = [json.loads(each.out) for each in planned]
    assert len({plan["run"] for plan in plans}) == 1
    assert not Path(plans[0]["run"]).exists()
    assert plans[0]["steps"] == 8
    assert plans[0]["seconds"] > 0
    assert plans[0]["measured"] is False
    timed = json.loads(retrain("--dry-run", "--measure", "--json").out)
    assert timed["measured"] is True
    assert timed["seconds"] > 0


def test_the_settings_can_be_printed_and_read(tmp_path: Path) -> None:
    cell = (("sep_conv_3x3", 0), ("sep_conv_3x3", 1)) * 4
    text = str(Genotype(cell, cell))
    said = call(main, text, "--preset", "rdarts", "--space", "s4", "--print-config")
    config = complete("rdarts", from_toml(said.out))
    assert config.network.channels == 16
    assert config.genotype == text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "training.epoch=3"], "unknown setting 'training.epoch'"),
        (["--preset", "cfiar"], "did you mean 'cifar'?"),
        (["--preset", "cifar", "--out", "x", "--set", "data.name=cifar10"], "set ZARTS_DATA"),
        (["--set", "data.first=7990"], "data.first = 7990 and data.count = 80 ask for images up"),
        (["--set", "batch_size=2000"], "batch_size=2000 for 80 images"),
    ],
)
def test_what_cannot_be_used_is_one_line(words: list[str], message: str) -> None:
    found = retrain(*words)
    assert found.code == 2
    assert message in found.error


def test_too_little_memory_says_what_would_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    from zarts.problems.memory import BASE_BYTES
    from zarts.retrain import extent

    config = complete("cifar", {"genotype": str(read_source("DARTS_V2").genotype)})
    found = extent.extent(config, 10, (3, 32, 32))
    assert 0.1 < found.memory(96) / 2**30 / 9 < 1.5  # DARTS: 12 GB are enough at 96 images
    monkeypatch.setattr(extent, "available", lambda _: BASE_BYTES + found.memory(40))
    assert found.fitting("cpu") == 40
    with pytest.raises(ValueError, match=r"96 images needs about .* 40 would fit: set .* = 3"):
        extent.check_memory(config, found)


def test_an_unknown_genotype_is_one_line() -> None:
    assert "which is no published genotype, no file and no run" in retrain(genotype="DATRS").error


def test_a_signal_stops_it_and_the_same_command_goes_on(tmp_path: Path) -> None:
    folder, long = tmp_path / "run", ["--set", "training.epochs=40"]
    with signalled(signal.SIGTERM, (folder / "retrain/epoch-0001.h5").exists):
        stopped = retrain(*long, "--out", folder)
    assert stopped.code == 3, stopped.err
    assert "run the same command again to continue" in stopped.err
    there = len(Run.open(folder).names())
    with signalled(signal.SIGINT, lambda: len(Run.open(folder).names()) > there + 1):
        assert retrain(*long, "--out", folder).code == 130


@pytest.mark.slow
def test_kill_9_costs_nothing_but_time(tmp_path: Path) -> None:
    words = ["DARTS_V1", *flags("training.epochs=6"), "-q", "--json"]
    whole = start("zarts.retrain", *words, "--out", tmp_path / "whole")
    killed = start("zarts.retrain", *words, "--out", tmp_path / "killed")
    wait_for((tmp_path / "killed/retrain/epoch-0002.h5").exists, killed)
    killed.kill()
    killed.communicate()
    again = start("zarts.retrain", *words, "--out", tmp_path / "killed")
    records = [json.loads(process.communicate(timeout=120)[0]) for process in (whole, again)]
    assert len({record["content_hash"] for record in records}) == 1


def test_other_commands_say_what_it_is_and_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "runs" / "cells"
    assert retrain("--out", folder, "--set", "training.epochs=1", "-q").code == 0
    command = f"python -m zarts.retrain --config {folder / 'config.toml'} --out {folder}"
    for command_of, words in (
        (summary.main, [folder]),
        (compute.main, ["--run", "cells"]),
        (search.main, ["--from", "cells@1"]),
    ):
        found = call(command_of, *words)  # type: ignore[arg-type]
        assert found.code == 2
        assert found.error == (
            f"error: {folder}: is a retraining, which has neither α nor a landscape; "
            f"its result: {command}"
        )
    (entry,) = (each for each in catalogue(tmp_path / "runs") if not each.bundled)
    assert not entry.listed.problem
    assert (entry.retraining, entry.finished, entry.searching) == (True, False, (1, 1))
    assert entry.resuming() == command
    again = call(main, *command.split()[3:], "-q")
    assert (again.code, again.out.strip()) == (0, str(folder))
    assert str(read_source(str(folder)).genotype) == str(read_source("DARTS_V1").genotype)
    checked = call(verify.main, folder)
    assert checked.code == 0
    assert "a retraining; its numbers are not computed again" in checked.out
    (folder / "trained.h5").write_bytes(b"damaged")
    assert call(verify.main, folder).code == 1
    assert "got no genotype, expected NAME" in call(main).error
