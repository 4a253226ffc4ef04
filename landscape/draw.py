"""``python -m landscape.draw RUN --out FILE``: Fig. 1 of a run as files, for print or a page."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from landscape.figures import figure_1, figure_3d, static, to_html, to_picture
from landscape.figures.pictures import KINDS, Kind
from landscape.record import Figure1, load
from zarts import cli
from zarts.runs.runfile import run_path
from zarts.runs.runfile.disk import commit
from zarts.settings.config import ConfigError

__all__ = ["main"]

CAMERAS = {"iso": "iso", "top": "top", "x": "along x", "y": "along y"}
OPTIONS = ("log", "levels", "zmax", "scale", "quantity", "difference")
MOST = 1000  # levels: more cannot be told apart, and a billion would fill the memory


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = _parser().parse_args(arguments)
    return cli.guarded(partial(_write, args), verbose=args.verbose)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m landscape.draw",
        description="Draws Fig. 1 of a run into files, and prints their paths.",
        epilog="exit codes: 0 done, 1 failed, 2 usage, a run that is unreadable or lacks what is "
        "asked for, a missing library, or a place that takes no files.",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="run folder, or its name")
    parser.add_argument(
        "--out",
        type=Path,
        action="append",
        metavar="FILE",
        help="FILE.pdf, .svg, .png, or .html for a page that plays; may be repeated; replaces what "
        "is there (default: RUN_figure1.pdf in this folder)",
    )
    parser.add_argument(
        "--steps", metavar="M[,M...]", help="M of the panels (default: the lowest and the highest)"
    )
    parser.add_argument("--log", action="store_true", help="colours by the logarithm of the loss")
    parser.add_argument("--levels", type=int, metavar="N", help="about how many (default: 22)")
    parser.add_argument("--zmax", type=float, metavar="LOSS", help="no level is above this loss")
    parser.add_argument("--scale", choices=("shared", "own"), help="of the panels")
    parser.add_argument("--quantity", choices=("loss", "accuracy"), help="what the panels show")
    parser.add_argument(
        "--difference", action="store_true", help="one panel more: the last M minus the first"
    )
    parser.add_argument(
        "--camera", choices=tuple(CAMERAS), help="in three dimensions, seen from there, two M"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="show a traceback on errors")
    return parser


def _write(args: argparse.Namespace) -> int:
    _check(args)
    record = load(args.run)
    files = args.out or [Path(f"{run_path(args.run).resolve().name}_figure1.pdf")]
    try:
        drawn = [(file, _drawn(record, _ending(file), args)) for file in files]
    except ValueError as error:  # the run has no such surface, quantity or loss
        raise ConfigError(str(error)) from error
    for file, data in drawn:
        commit(file, data)
        cli.tell(file)
    return 0


def _check(args: argparse.Namespace) -> None:
    """Makes numbers of ``--steps``; says at once what can be said without the run."""
    for file in args.out or ():
        if _ending(file) not in (*KINDS, "html"):
            raise ConfigError(
                f"got --out {file}, expected a name that ends in .pdf, .svg, .png or .html"
            )
    if args.steps is not None:
        if not re.fullmatch(r"\d{1,9}(,\d{1,9})*", args.steps, re.ASCII):
            raise ConfigError(f"got --steps {args.steps!r}, expected M such as 10, or 0,10")
        args.steps = list(dict.fromkeys(map(int, args.steps.split(","))))
    if args.levels is not None and not 2 <= args.levels <= MOST:
        raise ConfigError(f"got --levels {args.levels}, expected 2 to {MOST}")
    if args.camera and (args.levels is not None or args.zmax is not None):
        raise ConfigError("--levels and --zmax are of flat panels; leave them or --camera out")
    if args.camera and len(args.steps or ()) > 2:
        raise ConfigError(f"got --steps {args.steps} with --camera, expected two M at most")


def _ending(file: Path) -> str:
    return file.suffix.lower().removeprefix(".")


def _drawn(record: Figure1, ending: str, args: argparse.Namespace) -> bytes:
    options: dict[str, Any] = {
        name: value for name in OPTIONS if (value := getattr(args, name)) is not None
    }
    kinds: dict[str, Kind] = {kind: kind for kind in KINDS}
    if ending in kinds and not args.camera:
        return static(record, kinds[ending], args.steps, **options)
    if args.camera:
        figure = figure_3d(record, args.steps, camera=CAMERAS[args.camera], **options)
    else:
        figure = figure_1(record, args.steps, **options)
    if ending not in kinds:
        return to_html(figure, record, args.steps).encode()
    try:
        return to_picture(figure, kinds[ending])
    except RuntimeError as error:  # kaleido or Chrome is missing, or does not start
        raise ConfigError(str(error)) from error


if __name__ == "__main__":
    sys.exit(main())
