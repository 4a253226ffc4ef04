"""What the commands share: which setting wins, run names, words for people."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zarts import cli
from zarts.settings.config import METHOD_NAMES, Config, ConfigError
from zarts.settings.presets import preset
from zarts.sweep.settings import read_sweep


def arguments(*words: str, default: str = "quick") -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    cli.add_variant(parser)
    cli.add_options(parser, default_preset=default)
    return parser.parse_args(words)


def resolved(*words: str, method: str = "darts-1", **layers: Any) -> Config:
    return cli.resolve(arguments(*words), method, layers.pop("flags", {}), **layers)


# --- which setting wins -------------------------------------------------------------------------


def test_later_sources_win(tmp_path: Path) -> None:
    """Defaults < preset < base < --config < --set < flags, seen by one setting given by all."""
    file = tmp_path / "mine.toml"
    file.write_text("landscape.rows = 41\n", encoding="utf-8")

    def rows(sources: int) -> int:
        words = ["--preset", "paper"] if sources >= 1 else ["--preset", "quick"]
        words += ["--config", str(file)] if sources >= 3 else []
        words += ["--set", "landscape.rows=51"] if sources >= 4 else []
        return resolved(
            *words,
            base={"landscape": {"rows": 31}} if sources >= 2 else None,
            flags={"landscape": {"rows": 61}} if sources >= 5 else {},
        ).landscape.rows

    quick = preset("quick", "darts-1")["landscape"]["rows"]
    assert [rows(sources) for sources in range(6)] == [quick, 101, 31, 41, 51, 61]


def test_the_last_assignment_wins_and_others_stay() -> None:
    short = [word for each in ("space=s1", "channels=4", "cells=5") for word in ("--set", each)]
    words = ("--set", "search.epochs=3", "--set", "epochs=5", "--set", "search.period=2", *short)
    config = resolved(*words)
    assert (config.search.epochs, config.search.period) == (5, 2)
    net = config.supernet
    assert (net.space, net.channels, net.cells) == ("s1", 4, 5)


def test_a_variant_is_given_once() -> None:
    with pytest.raises(ConfigError, match="got --variant merged and --variant es, expected one"):
        resolved("--variant", "merged", "--variant", "es")


def test_flags_for_seed_and_device_win() -> None:
    words = ("--seed", "9", "--device", "cuda:1", "--set", "seed=4", "--set", "device=cpu")
    config = resolved(*words, flags={"seed": 5}, base={"seed": 6})
    assert (config.seed, config.device) == (9, "cuda:1")
    assert resolved("--set", "seed=4", base={"seed": 6}).seed == 4


def test_device_auto_is_one_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert resolved("--device", "auto").device == "cpu"
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert resolved("--device", "auto").device == "cuda"


@pytest.mark.parametrize("method", METHOD_NAMES)
@pytest.mark.parametrize("source", ["flags", "set", "config", "base"])
def test_the_preset_is_made_for_the_method_that_wins(
    source: str, method: str, tmp_path: Path
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f'[search]\nmethod = "{method}"\n', encoding="utf-8")
    table = {"search": {"method": method}}
    config = {
        "flags": lambda: resolved(flags=table),
        "set": lambda: resolved("--set", f"search.method={method}"),
        "config": lambda: resolved("--config", str(file)),
        "base": lambda: resolved(base=table),
    }[source]()
    assert config == Config.from_table(preset("quick", method))


def test_the_preset_is_made_for_the_space_that_wins(tmp_path: Path) -> None:
    file, sweep = tmp_path / "mine.toml", tmp_path / "sweep.toml"
    file.write_text('[supernet]\nspace = "s1"\n', encoding="utf-8")
    axes = 'axes."supernet.space" = ["s1"]\n'
    sweep.write_text(f'preset = "paper"\nseeds = [0]\n{axes}[[experiment]]\nname = "a"\n')
    paper = ("--preset", "paper")
    configs = {
        "set": resolved(*paper, "--set", "space=s1", method="zarts-mgs"),
        "config": resolved(*paper, "--config", str(file), method="zarts-mgs"),
        "sweep": read_sweep(sweep).searches[0].config,
    }
    expected = Config.from_table(preset("paper-s1", "zarts-mgs"))
    assert {name: config == expected for name, config in configs.items()} == dict.fromkeys(
        configs, True
    )
    named = resolved(
        *paper, "--set", "space=s1", "--set", "optimizer.sigma=0.1", method="zarts-mgs"
    )
    assert named.optimizer["sigma"] == 0.1
    with pytest.raises(ConfigError, match="space is 7"):
        resolved("--set", "space=7")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--preset", "quik"), "did you mean 'quick'"),
        (("--set", "epochs"), "expected key=value"),
        (("--set", "search=3", "--set", "search.epochs=1"), "search is 3 and no table"),
        (("--set", "data.name.x=1"), "no table, but got data.name.x too"),
        (("--set", "search.method=3"), "search.method is 3, expected one line of text"),
        (("--config", "not/there.toml"), "cannot read the config not/there.toml"),
        (("--device", "gpu"), "device is 'gpu', expected cpu"),
    ],
)
def test_mistakes_are_config_errors(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolved(*words)
    assert message in str(caught.value)


def test_the_preset_is_not_changed_by_what_is_merged_into_it() -> None:
    before = preset("quick", "darts-1")
    resolved("--set", "data.name=changed", "--set", "optimizer.beta1=0.1")
    assert preset("quick", "darts-1") == before


# --- run names ----------------------------------------------------------------------------------


def test_a_run_is_named_by_what_it_is(tmp_path: Path) -> None:
    first = cli.run_folder(None, "quick", resolved())
    assert first.parent == tmp_path / "runs"  # $ZARTS_RUNS, set for every test
    assert first.name == f"quick-{resolved().hash()[:8]}"
    assert cli.run_folder(None, "quick", resolved()) == first
    assert cli.run_folder(None, "quick", resolved("--seed", "1")) != first


def test_runs_go_to_the_current_folder_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZARTS_RUNS", "")
    assert cli.runs_root() == Path("runs")
    monkeypatch.delenv("ZARTS_RUNS")
    assert cli.runs_root() == Path("runs")


def test_out_is_taken_as_it_is(tmp_path: Path) -> None:
    assert cli.run_folder(tmp_path / "mine.1", "quick", resolved()) == tmp_path / "mine.1"


@pytest.mark.parametrize("name", ["with space", "näme", "x" * 81, ".hidden", "<b>"])
def test_a_name_that_is_no_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="run name"):
        cli.run_folder(tmp_path / name, "quick", resolved())


@pytest.mark.parametrize(("words", "value", "text"), [
    (cli.human_time, 0, "0.0 s"), (cli.human_time, 0.26, "0.3 s"), (cli.human_time, 8, "8.0 s"),
    (cli.human_time, 10, "10 s"), (cli.human_time, 59.4, "59 s"),
    (cli.human_time, 59.6, "1 min 00 s"), (cli.human_time, 200, "3 min 20 s"),
    (cli.human_time, 3599.6, "1 h 00 min"), (cli.human_time, 7500, "2 h 05 min"),
    (cli.human_time, 47.9 * 3600, "47 h 54 min"), (cli.human_time, 4.2 * 86400, "4.2 days"),
    (cli.human_bytes, 0, "0 B"), (cli.human_bytes, 1023, "1023 B"),
    (cli.human_bytes, 1024, "1.0 KiB"), (cli.human_bytes, 1536, "1.5 KiB"),
    (cli.human_bytes, 5 * 2**20, "5.0 MiB"), (cli.human_bytes, 2.25 * 2**30, "2.2 GiB"),
    (cli.human_bytes, 3 * 2**40, "3072.0 GiB"),
])  # fmt: skip
def test_words_for_people(words: Callable[[float], str], value: float, text: str) -> None:
    assert words(value) == text
