"""``python -m zarts.reproduce STUDY``: a figure or table of the paper, computed and collected."""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING

from zarts import cli
from zarts.reproduce.entries import Entry, entries_of
from zarts.reproduce.studies import PRESETS, STUDIES, Study
from zarts.reproduce.tables import (
    as_json,
    markdown,
    over_epochs,
    paired,
    rows_of,
    skips_over_epochs,
)
from zarts.runs.runfile import RunError, runs_root
from zarts.settings.config import ConfigError, nearest
from zarts.sweep.outcomes import Problem, complain

if TYPE_CHECKING:
    from zarts.reproduce.running import Cost

__all__ = ["main"]

_WHAT = "\n".join(f"  {name:<9} {study.title}" for name, study in STUDIES.items())
_HOW = (
    "Prints what is to be done and about how long it takes, then does what is left, and collects. "
    "Parts are ordinary runs in $ZARTS_RUNS or runs; a finished one is not done again, an "
    "interrupted one goes on, one that another process works on is left to it. So the same command "
    "continues, and the jobs of an array may share the folder."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    args = _parser().parse_args(words)
    command = ["python", "-m", "zarts.reproduce", *words]
    return cli.guarded(partial(_reproduce, args, command), verbose=args.verbose)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m zarts.reproduce",
        description="Reproduces a figure or a table of the paper, or the study of collapse:\n\n"
        + _WHAT,
        epilog=textwrap.fill(_HOW, 100) + "\n\n" + textwrap.fill(cli.EPILOG, 100),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("study", help=", ".join(STUDIES))
    parser.add_argument(
        "--preset",
        default="quick",
        help="quick (minutes) or standard (hours), both on packaged images; paper (full size)",
    )
    parser.add_argument("--only", metavar="TEXT", help="entries whose row or column has this text")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:1 (default: cpu)")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="runs at a time (default: one per core or GPU)"
    )
    parser.add_argument(
        "--cluster", metavar="ADDRESS", help="a Ray cluster, or local; as for python -m zarts.sweep"
    )
    parser.add_argument("--dry-run", action="store_true", help="print plan and cost, then stop")
    parser.add_argument("--collect", action="store_true", help="only show what is there by now")
    parser.add_argument("--json", action="store_true", help="print a JSON record, not a table")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")
    parser.add_argument("-v", "--verbose", action="store_true", help="show a traceback on errors")
    return parser


def _reproduce(args: argparse.Namespace, command: list[str]) -> int:
    if args.study not in STUDIES:
        raise ConfigError(f"unknown study {args.study!r}; {nearest(args.study, STUDIES)}")
    if args.preset not in PRESETS:
        raise ConfigError(f"unknown preset {args.preset!r}; {nearest(args.preset, PRESETS)}")
    if args.workers is not None and args.workers < 1:
        raise ConfigError(f"got --workers {args.workers}, expected 1 or more")
    study = STUDIES[args.study]
    if not study.arms(args.preset):
        return _figure_1(args)
    arms = [replace(arm, device=args.device) for arm in study.arms(args.preset)]
    entries = "; ".join(arm.name for arm in arms)
    arms = [arm for arm in arms if args.only is None or args.only.lower() in arm.name.lower()]
    if not arms:
        raise ConfigError(
            f"no entry of {args.study} has {args.only!r} in its row or column; they are {entries}"
        )
    problems: dict[str, Problem] = {}
    if not args.collect:
        # torch is imported from here on, so that --help and mistakes in the flags answer at once
        from zarts.execute import reach
        from zarts.reproduce.running import cost_of, reproduce
        from zarts.sweep.running import Workforce

        if args.cluster is not None and not args.dry_run:
            reach(args.cluster)
        with cli.interruptible() as stop:
            cost = cost_of(arms)
            named = "; ".join(arm.name for arm in arms)
            cli.say(args, [*_headlines(args, study, cost), f"entries    {named}"])
            if args.dry_run:
                cli.tell(json.dumps({"schema": 1, **asdict(cost)}) if args.json else _plan(cost))
                return 0
            say = partial(_say, args)
            crew = Workforce(args.workers, args.cluster, command, stop.check, say)
            problems = reproduce(arms, crew)
    _collect(args, study, entries_of(arms))
    return complain(problems)


def _say(args: argparse.Namespace, line: str) -> None:
    cli.say(args, [line])


def _headlines(args: argparse.Namespace, study: Study, cost: Cost) -> list[str]:
    images = "the paper's" if args.preset == "paper" else study.images
    seconds = cost.search_seconds + cost.retraining_seconds + cost.condition_seconds
    left = f"{cost.conditions} numbers to do, about {cli.human_time(cost.condition_seconds)}"
    return [
        f"study      {args.study}: {study.title}",
        f"images     {images}",
        f"device     {args.device}",
        f"searches   {cost.all_searches}, {cost.searches} of them to do, "
        f"about {cli.human_time(cost.search_seconds)}",
        f"retraining {cost.all_retrainings} at most, {cost.retrainings} of them to do, "
        f"about {cli.human_time(cost.retraining_seconds)}",
        *([f"condition  {left}"] if cost.conditions else []),
        f"cost       about {cli.human_time(seconds)} of one worker "
        "(an estimate, from counted multiplications)",
        f"runs       {runs_root()}",
    ]


def _plan(cost: Cost) -> str:
    numbers = f", {cost.conditions} condition numbers" if cost.conditions else ""
    return (
        f"{cost.searches} of {cost.all_searches} searches, {cost.retrainings} of "
        f"{cost.all_retrainings} retrainings{numbers} to do"
    )


def _collect(args: argparse.Namespace, study: Study, entries: list[Entry]) -> None:
    """Shows what is there; of a figure, also draws it."""
    if not any(
        entry.retrained or (entry.searched and entry.searched.by_epoch) for entry in entries
    ):
        raise RunError(
            f"nothing of {args.study} is finished in {runs_root()}; run "
            f"`python -m zarts.reproduce {args.study} --preset {args.preset}` first"
        )
    record = {"schema": 1, "study": args.study, "preset": args.preset, "entries": as_json(entries)}
    if args.study == "fig2":
        file = runs_root() / f"{args.study}-{args.preset}.json"
        file.write_text(json.dumps(record), encoding="utf-8")
        _other("landscape.convergence", str(file), quiet=args.json)
    if args.json:
        cli.tell(json.dumps(record))
        return
    tables = [rows_of(args.study, entries)]
    if args.study == "fig2":
        tables = [over_epochs(entries)]
    if args.study == "collapse":
        tables += [paired(entries), skips_over_epochs(entries, 10)]
    lines = [f"{study.title}; preset {args.preset}"]
    if args.preset != "paper":
        lines.append(f"data: {study.images}; quoted numbers are of the papers' own data and size")
    for table in tables:
        lines += ["", *markdown(table).split("\n")]
    cli.tell(*lines)


def _figure_1(args: argparse.Namespace) -> int:
    """Fig. 1 is one landscape, whose command knows all the rest."""
    words = ["--steps", "10", "--preset", args.preset, "--device", args.device]
    given = (("--workers", args.workers), ("--cluster", args.cluster))
    words += [str(word) for flag, value in given if value is not None for word in (flag, value)]
    flags = (("--dry-run", args.dry_run), ("--json", args.json), ("-q", args.quiet))
    words += [flag for flag, is_set in flags if is_set]
    if args.collect:
        raise ConfigError("fig1 is one run: `python -m landscape.summary RUN` shows what is there")
    return _other("landscape.compute", *words)


def _other(module: str, *words: str, quiet: bool = False) -> int:
    """Runs a command of this project that lies above this package; its exit code."""
    cli.tell(shlex.join(["python", "-m", module, *words]), error=True)
    out = subprocess.DEVNULL if quiet else None
    return subprocess.run(
        [sys.executable, "-m", module, *words], stdout=out, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
