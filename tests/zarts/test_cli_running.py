"""What a command does while it runs: progress, signals, exit codes, one line per error."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from zarts import cli
from zarts.bilevel.inner import Diverged
from zarts.data.loaders import MissingData
from zarts.runs.runfile import RunError
from zarts.settings.config import ConfigError


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


@pytest.mark.parametrize(("total", "done", "count", "seconds", "last"), [
    (100, 0, 100, 0.005, "grid: 100/100 (100%), done in 0.5 s"),  # a quick job says only that
    # what was done before does not speed up the forecast
    (100, 50, 5, 2.0, "grid: 55/100 (55%), 0.5/s, about 1 min 30 s left"),
])  # fmt: skip
def test_one_line_says_all(
    total: int, done: int, count: int, seconds: float, last: str, clock: Clock, capsys: Read
) -> None:
    work(cli.Progress(total, "grid", done=done), clock, count, seconds)
    assert capsys.readouterr().err.splitlines() == [last]


def test_a_line_every_half_minute(clock: Clock, capsys: Read) -> None:
    work(cli.Progress(1000, "grid"), clock, 9, 10.0)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" ")[1] for line in lines] == ["3/1000", "6/1000", "9/1000"]


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
    cli.say(SimpleNamespace(quiet=False), ["one", "two"])
    cli.say(SimpleNamespace(quiet=True), ["three"])
    assert capsys.readouterr() == ("", "one\ntwo\n")


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
