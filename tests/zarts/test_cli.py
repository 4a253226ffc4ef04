"""What the commands share: which setting wins, run names, progress, signals and exit codes."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from zarts import cli
from zarts.bilevel.inner import Diverged
from zarts.data.loaders import MissingData
from zarts.runs.runfile import RunError
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


def test_defaults_fill_what_nobody_names() -> None:
    assert resolved().search.weight_decay == Config().search.weight_decay


def test_the_last_assignment_wins_and_others_stay() -> None:
    config = resolved("--set", "search.epochs=3", "--set", "epochs=5", "--set", "search.period=2")
    assert (config.search.epochs, config.search.period) == (5, 2)


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


@pytest.mark.parametrize(
    ("short", "key", "value"),
    [
        ("space=s1", "space", "s1"),
        ("channels=4", "channels", 4),
        ("cells=5", "cells", 5),
    ],
)
def test_short_keys(short: str, key: str, value: object) -> None:
    assert getattr(resolved("--set", short).supernet, key) == value


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
        (("--set", "search.epoch=3"), "did you mean 'search.epochs'"),
        (("--set", "epochs"), "expected key=value"),
        (("--set", "search=3"), "search is 3, expected a table"),
        (("--set", "search=3", "--set", "search.epochs=1"), "search is 3 and no table"),
        (("--set", "data.name.x=1"), "no table, but got data.name.x too"),
        (("--set", "search.method=3"), "search.method is 3, expected one line of text"),
        (("--config", "not/there.toml"), "cannot read the config not/there.toml"),
        (("--seed", "-1"), "seed is -1, expected 0 or more"),
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


# --- progress -----------------------------------------------------------------------------------


class Clock:
    """Time that passes when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(cli, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


def work(progress: cli.Progress, clock: Clock, count: int, seconds: float) -> None:
    for _ in range(count):
        clock.now += seconds
        progress.update()


Read = pytest.CaptureFixture[str]


def test_a_line_every_five_per_cent(clock: Clock, capsys: Read) -> None:
    # 4 of 64 is the first share of 5 % or more
    work(cli.Progress(64, "grid"), clock, 64, 2.0)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "grid: 4/64 (6%), 0.5/s, about 2 min 00 s left"
    assert [line.split(" ")[1] for line in lines] == [f"{n}/64" for n in range(4, 65, 4)]
    assert lines[-1] == "grid: 64/64 (100%), done in 2 min 08 s"


def test_a_line_every_half_minute(clock: Clock, capsys: Read) -> None:
    work(cli.Progress(1000, "grid"), clock, 9, 10.0)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" ")[1] for line in lines] == ["3/1000", "6/1000", "9/1000"]


def test_a_quick_job_says_only_that_it_is_done(clock: Clock, capsys: Read) -> None:
    work(cli.Progress(100, "grid"), clock, 100, 0.005)
    assert capsys.readouterr().err.splitlines() == ["grid: 100/100 (100%), done in 0.5 s"]


def test_what_was_done_before_does_not_speed_up_the_forecast(clock: Clock, capsys: Read) -> None:
    work(cli.Progress(100, "grid", done=50), clock, 5, 2.0)
    assert capsys.readouterr().err == "grid: 55/100 (55%), 0.5/s, about 1 min 30 s left\n"


def test_a_note_stands_at_the_end(clock: Clock, capsys: Read) -> None:
    progress = cli.Progress(2, "search")
    clock.now += 60
    progress.update(1, "epoch 1: fine")
    told = "search: 1/2 (50%), 0.017/s, about 1 min 00 s left epoch 1: fine\n"
    assert capsys.readouterr().err == told


def test_quiet_is_quiet(clock: Clock, capsys: Read) -> None:
    progress = cli.Progress(10, "grid", quiet=True)
    work(progress, clock, 10, 60.0)
    progress.close()
    assert capsys.readouterr() == ("", "")


def test_phases_speak_one_after_the_other(clock: Clock, capsys: Read) -> None:
    with cli.Phases(quiet=False) as phases:
        for label in ("search", "grid"):
            update = phases.begin(label, 1, 0)
            clock.now += 1
            update(1, "")
    err = capsys.readouterr().err.splitlines()
    assert err == [f"{label}: 1/1 (100%), done in 1.0 s" for label in ("search", "grid")]


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: Read) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress = cli.Progress(4, "grid", done=1)
    progress.update(3, "all well")
    progress.close()
    text = capsys.readouterr().err
    assert "grid: 100%" in text
    assert "4/4" in text


def test_headlines_go_to_stderr_unless_quiet(capsys: Read) -> None:
    cli.say(arguments(), ["one", "two"])
    cli.say(arguments("--quiet"), ["three"])
    cli.say(arguments(), [])  # no empty line
    assert capsys.readouterr() == ("", "one\ntwo\n")


# --- signals and exit codes ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 3), (signal.SIGUSR1, 3), (signal.SIGINT, 130)]
)
def test_a_signal_waits_for_the_piece_of_work(
    number: signal.Signals, code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    finished = []

    def main() -> int:
        with cli.interruptible() as stop:
            stop.check()  # nobody asked yet
            signal.raise_signal(number)
            finished.append("this piece")
            stop.check()
            finished.append("the next piece")
        return 0

    assert cli.guarded(main, verbose=False) == code
    assert finished == ["this piece"]
    asked, told = capfd.readouterr().err.splitlines()
    assert asked == "stopping (once more to stop at once)"
    assert told == "stopped; run the same command again to continue"


def test_a_signal_may_come_in_the_middle_of_a_print(monkeypatch: pytest.MonkeyPatch) -> None:
    class Busy:
        def write(self, text: str) -> int:
            raise RuntimeError("reentrant call inside <_io.BufferedWriter name='<stderr>'>")

        flush = write

    monkeypatch.setattr(sys, "stderr", Busy())
    with cli.interruptible() as stop:
        signal.raise_signal(signal.SIGUSR1)
    assert stop.code == 3


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_stops_at_once(second: signal.Signals) -> None:
    finished = []

    def main() -> int:
        with cli.interruptible():
            signal.raise_signal(signal.SIGINT)
            finished.append("after one")
            signal.raise_signal(second)
            finished.append("after two")
        return 0

    assert cli.guarded(main, verbose=False) in (3, 130)
    assert finished == ["after one"]


@pytest.mark.parametrize("fails", [False, True])
def test_handlers_are_put_back(fails: bool) -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in numbers]
    try:
        with cli.interruptible():
            assert [signal.getsignal(number) for number in numbers] != before
            if fails:
                raise cli.Stopped(3)
    except cli.Stopped:
        assert fails
    assert [signal.getsignal(number) for number in numbers] == before


def failing(error: BaseException) -> Callable[[], int]:
    def main() -> int:
        raise error

    return main


@pytest.mark.parametrize("code", [0, 1])
def test_a_command_that_ends_by_itself(code: int, capsys: Read) -> None:
    assert cli.guarded(lambda: code, verbose=False) == code
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("search.epochs is 0"), 2),
        (MissingData("no cifar10 here"), 2),
        (FileNotFoundError("not there"), 2),
        (ModuleNotFoundError("pip install scipy"), 2),
        (RunError("made with another config"), 2),
        (MemoryError("too much"), 2),
        (ValueError("bad value"), 1),
        (PermissionError(13, "may not write"), 1),
        (OSError(28, "disk full"), 1),
        (Diverged("the training loss", 3), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_is_one_line_and_a_code(error: Exception, code: int, capsys: Read) -> None:
    assert cli.guarded(failing(error), verbose=False) == code
    assert capsys.readouterr() == ("", f"error: {error}\n")


def allocation(of: str) -> BaseException:
    """What a library raises where 64 PiB are asked for."""
    try:
        torch.empty(1 << 56) if of == "torch" else np.empty(1 << 56, np.uint8)
    except (MemoryError, RuntimeError) as error:
        return error
    raise AssertionError("no machine has that much")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), 2),
        (allocation("numpy"), 2),
        (allocation("torch"), 1),
        (RuntimeError("CUDA out of memory.\nTried to allocate 2.00 GiB"), 1),
        (OSError(12, "Cannot allocate memory"), 1),
    ],
    ids=["Python", "numpy", "torch", "CUDA", "system"],
)
def test_memory_that_ran_out_is_called_that(error: BaseException, code: int, capsys: Read) -> None:
    assert cli.guarded(failing(error), verbose=False) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: memory ran out")
    assert "use fewer --workers, smaller batches" in line


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_what_is_told_to_a_closed_stream_lands_in_no_file(
    closed: str, tmp_path: Path, root: Path
) -> None:
    code = (
        "import os, sys; from zarts import cli\n"
        "def main():\n"
        "    with open('record', 'w'):\n"
        "        os.write(2, b'told'); print('told', file=sys.stderr); print('result')\n"
        "    os.system('echo told >&2; echo told >&1')\n"
        "    return 0\n"
        "sys.exit(cli.guarded(main, verbose=False))\n"
    )
    shell = f'exec "{sys.executable}" -c "$0" {closed}'
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        ["bash", "-c", shell, code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "record").read_bytes() == b""
    assert ("result" in done.stdout) == ("1>" not in closed)
    assert ("told" in done.stderr) == ("2>" not in closed)


@pytest.mark.parametrize(
    ("error", "code"), [(cli.Stopped(3), 3), (cli.Stopped(130), 130), (KeyboardInterrupt(), 130)]
)
def test_a_stop_says_how_to_go_on(error: BaseException, code: int, capsys: Read) -> None:
    for verbose in (False, True):
        assert cli.guarded(failing(error), verbose=verbose) == code
        assert capsys.readouterr().err == "stopped; run the same command again to continue\n"


def test_a_reader_that_went_away_is_no_news(capsys: Read) -> None:
    assert cli.guarded(failing(BrokenPipeError()), verbose=False) == 1
    assert capsys.readouterr().err == ""


def test_what_nobody_foresaw_keeps_its_traceback() -> None:
    with pytest.raises(KeyError):
        cli.guarded(failing(KeyError("a bug")), verbose=False)


# --- words for people ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (0.26, "0.3 s"),
        (8, "8.0 s"),
        (10, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3599.6, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (47.9 * 3600, "47 h 54 min"),
        (4.2 * 86400, "4.2 days"),
    ],
)
def test_human_time(seconds: float, text: str) -> None:
    assert cli.human_time(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (5 * 2**20, "5.0 MiB"),
        (2.25 * 2**30, "2.2 GiB"),
        (3 * 2**40, "3072.0 GiB"),
    ],
)
def test_human_bytes(count: float, text: str) -> None:
    assert cli.human_bytes(count) == text
