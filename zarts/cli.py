"""What the commands share: flags to settings, run folders, progress, signals, exit codes. No torch.

Exit codes: 0 done, 1 failed, 2 usage, data or configuration, 3 stopped early but resumable
(SIGTERM, SIGUSR1), 130 Ctrl-C (resumable too).
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from zarts.execute import ClusterError
from zarts.guard import open_standard_streams, out_of_memory
from zarts.runs.runfile import ConfigMismatch, Run, RunError, differences, runs_root, valid_name
from zarts.settings.config import (
    Config,
    ConfigError,
    Settings,
    Table,
    filled,
    merge,
    parse_assignment,
    read_toml,
)
from zarts.settings.presets import PRESETS, complete
from zarts.settings.variants import VARIANTS
from zarts.text import human_bytes, human_time, printable

__all__ = [
    "EPILOG",
    "Phases",
    "Progress",
    "Stop",
    "Stopped",
    "add_options",
    "add_variant",
    "given",
    "guarded",
    "human_bytes",
    "human_time",
    "interruptible",
    "resolve",
    "run_folder",
    "run_line",
    "runs_root",
    "say",
    "tell",
]

EPILOG = (
    "exit codes: 0 done, 1 failed, 2 usage, data or configuration, 3 stopped early and resumable, "
    "130 Ctrl-C. Running the same command again resumes, or returns the finished run."
)


class Stopped(Exception):
    """The user or the system asked to stop; everything so far is on disk."""

    def __init__(self, code: int) -> None:
        super().__init__("stopped; run the same command again to continue")
        self.code = code


class Stop:
    """Whether someone asked to stop; asked between pieces of work, so each piece stays whole."""

    def __init__(self) -> None:
        self.code = 0

    def request(self, number: int, frame: FrameType | None = None) -> None:
        """Notes a signal; the second one ends the process at once."""
        del frame
        code = 130 if number == signal.SIGINT else 3
        if self.code:
            raise Stopped(code)
        self.code = code
        # not print: a handler may interrupt a print, and buffers cannot be entered twice
        with suppress(OSError):  # nobody reads
            os.write(2, b"stopping (once more to stop at once)\n")

    def check(self) -> None:
        """Raises Stopped if a stop was requested."""
        if self.code:
            raise Stopped(self.code)


@contextmanager
def interruptible() -> Iterator[Stop]:
    """Turns SIGINT, SIGTERM and SIGUSR1 into a request to stop, while the body runs."""
    stop = Stop()
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = {number: signal.signal(number, stop.request) for number in signals}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Progress:
    """Progress and remaining time on stderr: a bar on a terminal, else a line every 30 s or 5 %."""

    def __init__(self, total: int, label: str, done: int = 0, *, quiet: bool = False) -> None:
        self._total, self._done, self._first = total, done, done
        self._label = printable(label)
        self._start = self._said = time.monotonic()
        self._told = done
        self._quiet = quiet
        self._bar = None
        if not quiet and sys.stderr.isatty():
            from tqdm import tqdm  # a tenth of the time that --help takes

            self._bar = tqdm(total=total, desc=self._label, initial=done, file=sys.stderr)

    def update(self, count: int = 1, note: str = "") -> None:
        """Counts work as done."""
        self._done += count
        if self._bar is not None:
            self._bar.set_postfix_str(printable(note), refresh=False)
            self._bar.update(count)
            return
        now, last = time.monotonic(), self._done >= self._total
        enough = 20 * (self._done - self._told) >= self._total  # 5 %
        if self._quiet or not (last or enough or now - self._said >= 30):
            return
        # the 5 % rule must not flood a log when the whole job takes a second
        if not last and now - self._said < 1:
            return
        self._said, self._told = now, self._done
        spent = now - self._start
        rate = max(1, self._done - self._first) / max(spent, 1e-9)
        left = human_time((self._total - self._done) / rate)
        per_second = f"{rate:,.0f}" if rate >= 100 else f"{rate:.2g}"
        tail = f"done in {human_time(spent)}" if last else f"{per_second}/s, about {left} left"
        share = self._done / self._total if self._total else 1.0
        text = f"{self._label}: {self._done}/{self._total} ({share:.0%}), {tail} {note}".rstrip()
        tell(text, error=True)

    def close(self) -> None:
        """Ends the bar."""
        if self._bar is not None:
            self._bar.close()


class Phases:
    """One ``Progress`` after another, for jobs with several parts."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._current: Progress | None = None

    def __enter__(self) -> Phases:
        return self

    def __exit__(self, *error: object) -> None:
        self._end()

    def begin(self, label: str, total: int, done: int) -> Callable[[int, str], None]:
        """Ends the part before and starts another; returns what is told about its progress."""
        self._end()
        self._current = Progress(total, label, done, quiet=self._quiet)
        return self._current.update

    def _end(self) -> None:
        if self._current is not None:
            self._current.close()


def add_options(
    parser: argparse.ArgumentParser,
    *,
    default_preset: str,
    presets: Sequence[str] = PRESETS,
    example: str = "supernet.space=s6 (space=s6 for short)",
) -> None:
    """Adds the flags every command has."""
    parser.add_argument(
        "--preset",
        default=default_preset,
        help=f"named settings: {', '.join(presets)} (default: {default_preset})",
    )
    parser.add_argument("--config", type=Path, metavar="FILE.toml", help="settings from a file")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="assignments",
        help=f"one setting, e.g. {example}; may be repeated",
    )
    parser.add_argument("--seed", type=int, help="of initialisation, data order, plane and draws")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 or auto (default: cpu)")
    parser.add_argument(
        "--out",
        type=Path,
        help="run folder (default: $ZARTS_RUNS or runs, then a name made of preset and settings)",
    )
    parser.add_argument("--dry-run", action="store_true", help="print plan and cost, then stop")
    parser.add_argument("--print-config", action="store_true", help="print settings, then stop")
    parser.add_argument("--json", action="store_true", help="print a JSON record instead of a path")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")
    parser.add_argument("-v", "--verbose", action="store_true", help="show a traceback on errors")


def add_variant(parser: argparse.ArgumentParser) -> None:
    """Adds the flag that every command has whose settings are those of a search."""
    parser.add_argument(
        "--variant",
        action="append",
        default=[],
        help=f"of the search and its supernet: {', '.join(VARIANTS)}; goes with any method",
    )


def resolve(
    args: argparse.Namespace, method: str, flags: Table, base: Table | None = None
) -> Config:
    """Merges defaults < preset < base < ``--config`` < ``--set`` < flags to one checked config.

    Args:
        args: Parsed ``add_options`` and ``add_variant``.
        method: As for ``presets.complete``.
        flags: Settings from the command's own flags.
        base: Settings of an existing run to build on.

    Raises:
        ConfigError: For anything that cannot be used.
    """
    if len(args.variant) > 1:
        raise ConfigError(f"got --variant {' and --variant '.join(args.variant)}, expected one")
    file, *rest = given(args, flags, SHORT)
    variant = "".join(args.variant)
    return complete(args.preset, method, filled(file), *rest, base=base, variant=variant)


# Short keys of a search whose section is clear.
SHORT = {"space": "supernet", "channels": "supernet", "cells": "supernet", "epochs": "search"}


def given(
    args: argparse.Namespace, flags: Table, short: Mapping[str, str]
) -> tuple[Table, Table, Table]:
    """The settings of ``--config``, those of ``--set`` and those of flags, the last to win.

    Args:
        args: Parsed ``add_options``.
        flags: Settings from the command's own flags.
        short: Keys that stand for themselves in the section named.

    Raises:
        ConfigError: If one of them is no setting.
    """
    sets = [parse_assignment(text) for text in args.assignments]
    whole = [
        {short[key]: {key: value}} if key in short else {key: value}
        for table in sets
        for key, value in table.items()
    ]
    if args.seed is not None:
        flags = merge(flags, {"seed": args.seed})
    if args.device is not None:
        flags = merge(flags, {"device": _device(args.device)})
    return read_toml(args.config) if args.config else {}, merge(*whole), flags


def _device(name: str) -> str:
    if name != "auto":
        return name
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def say(args: argparse.Namespace, lines: list[str]) -> None:
    """Prints the first lines of a command to stderr; stdout is for the result."""
    if lines and not args.quiet:
        tell(*lines, error=True)


def tell(*lines: object, error: bool = False) -> None:
    """Prints lines to stdout or stderr; whatever stands in them, each is one line of plain text."""
    print(*map(printable, lines), sep="\n", file=sys.stderr if error else sys.stdout, flush=True)


def run_folder(out: Path | None, prefix: str, config: Settings) -> Path:
    """Where a run lives: ``--out``, or a name made of its settings, so it is found again."""
    folder = out or runs_root() / f"{prefix}-{config.hash()[:8]}"
    if not valid_name(folder.name):
        raise ConfigError(
            f"run name {folder.name!r} may hold letters (a to z), digits, '.', '_' and '-', at "
            "most 80; choose another one with --out FOLDER"
        )
    there = Run.open(folder).config if out and (folder / "run.h5").exists() else None
    if there and (found := differences(there, config.to_table())):
        raise ConfigMismatch(folder, found)  # said before anything is loaded and measured
    return folder


def run_line(folder: Path, finished: Callable[[Run], bool] = lambda run: False) -> str:
    """The line of a plan that says where the run is, and whether it is there already."""
    state = ""
    if (folder / "run.h5").exists():
        state = " (finished before)" if finished(Run.open(folder)) else " (continues)"
    return f"run        {folder}{state}"


def guarded(main: Callable[[], int], *, verbose: bool) -> int:
    """Runs a command and turns what can go wrong into one clear line and an exit code."""
    open_standard_streams()
    try:
        return main()
    except Stopped as error:
        tell(error, error=True)
        return error.code
    except KeyboardInterrupt:
        tell("stopped; run the same command again to continue", error=True)
        return 130
    except BrokenPipeError:
        return 1
    except (
        ConfigError,
        ClusterError,
        FileNotFoundError,
        ModuleNotFoundError,
        RunError,
        MemoryError,
        ValueError,
        OSError,
        ArithmeticError,
        RuntimeError,
    ) as error:
        short = out_of_memory(error)
        if isinstance(error, RuntimeError) and not short:
            raise  # a defect, to be seen
        if verbose:
            tell(*traceback.format_exc().rstrip().split("\n"), error=True)
        tell(f"error: {short or error}", error=True)
        usage = (
            ConfigError, ClusterError, FileNotFoundError, ModuleNotFoundError, RunError,
            MemoryError,
        )  # fmt: skip
        return 2 if isinstance(error, usage) else 1
