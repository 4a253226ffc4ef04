"""``python -m landscape.verify RUN...``: whether runs are what they say, as a table."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from landscape.verify.report import Finding, Report, Result, table
from zarts import cli
from zarts.runs.runfile import RunError, list_runs, read_record, run_path

__all__ = ["main"]

EPILOG = (
    "results: ok; note (holds, but read it); unchecked (could not be looked at); FAIL. "
    "exit codes: 0 all hold, 1 a check fails, 2 usage, no run, or a check that could not be made, "
    "130 Ctrl-C."
)
Target = tuple[Path, str]  # a run, and the name of the one record asked for or ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = _parser().parse_args(arguments)
    return cli.guarded(partial(_verify, args), verbose=args.verbose)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m landscape.verify",
        description=(
            "Checks seals, schema, provenance, data, plane and orientation of a run, and computes "
            "its accuracy and some of its points again. Writes nothing. A run that is not finished "
            "is checked for what it holds."
        ),
        epilog=EPILOG,
    )
    parser.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="FILE|FOLDER",
        help="a run (folder, or name in the runs folder), a folder of runs, or one record (.h5) of "
        "a run",
    )
    parser.add_argument(
        "-k",
        type=_count,
        default=3,
        metavar="POINTS",
        dest="points",
        help="points of each surface to compute again (default: 3; 0: none, nor the accuracy)",
    )
    parser.add_argument("--seed", type=_count, default=0, help="of the choice of these points")
    parser.add_argument(
        "--expect",
        type=_hash,
        metavar="HASH",
        help="content_hash noted when the run was made (landscape.compute --json prints it): "
        "the only protection of settings and arrays from somebody who seals his changes",
    )
    parser.add_argument(
        "--trust-code",
        action="store_true",
        help="import optimizers and networks of your own that the run names (MODULE:CLASS), to "
        "compute with them again; else nothing that a run names is ever imported",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON record, not tables")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")
    parser.add_argument("-v", "--verbose", action="store_true", help="show a traceback on errors")
    return parser


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a whole number from 0")
    return int(text)


def _hash(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", text):  # nothing, too, of a variable that is not set
        raise argparse.ArgumentTypeError(f"got {text!r}, expected 64 hexadecimal digits")
    return text


def _verify(args: argparse.Namespace) -> int:
    targets = [target for path in args.paths for target in _targets(run_path(path))]
    if args.expect and (len(targets) != 1 or isinstance(targets[0], Report) or targets[0][1]):
        raise RunError(f"got --expect and {len(targets)} runs or records, expected one run")
    reports = []
    with cli.Phases(quiet=args.quiet) as phases:
        for target in targets:
            report = target if isinstance(target, Report) else _report(args, target, phases)
            reports.append(report)
            if not args.json:
                cli.tell(report.path, *table(report), "")
    if args.json:
        cli.tell(json.dumps({"schema": 1, "runs": [_facts(report) for report in reports]}))
    codes = {report.code for report in reports}
    return 1 if 1 in codes else max(codes)


def _report(args: argparse.Namespace, target: Target, phases: cli.Phases) -> Report:
    # torch is imported from here on, so that --help and mistakes in the flags answer at once
    from landscape.verify.run import VerifyOptions, verify

    folder, only = target
    asked = VerifyOptions(only, args.points, args.seed, args.expect or "", args.trust_code)
    return verify(folder, asked, phases.begin)


def _facts(report: Report) -> dict[str, object]:
    return {**asdict(report), "holds": report.code == 0}


def _targets(path: Path) -> Iterator[Target | Report]:
    """What a word of the command line stands for; a report where that is clear already.

    Raises:
        RunError: If it is no run, holds none, and belongs to none.
    """
    if path.is_dir():
        if (path / "run.h5").exists() or (path / "run.h5").is_symlink():
            yield path, ""
            return
        listed = list_runs(path)
        if not listed:
            raise RunError(f"{path}: is no run (no run.h5) and holds none; check the name")
        for each in listed:
            yield _failed(each.path, each.problem) if each.problem else (each.path, "")
        known = {each.path for each in listed}
        for other in sorted(path.iterdir()):
            if other not in known and other.is_dir() and any(other.glob("**/*.h5")):
                yield _failed(other, f"{other}: has records but no run.h5; restore that file")
        return
    if path.suffix != ".h5" or not os.path.lexists(path):
        raise RunError(f"{path}: is neither a folder nor a file of a run (.h5); check the name")
    folder = next((above for above in path.absolute().parents if (above / "run.h5").exists()), None)
    if folder is not None:
        only = path.absolute().relative_to(folder).as_posix().removesuffix(".h5")
        yield folder, only
        return
    try:
        read_record(path)
    except RunError as error:
        yield _failed(path, str(error))
        return
    raise RunError(
        f"{path}: is a record, but no folder above it is a run; put it back into its run"
    )


def _failed(path: Path, problem: str) -> Report:
    return Report(str(path), (Finding("seal", Result.FAIL, problem),))


if __name__ == "__main__":
    sys.exit(main())
