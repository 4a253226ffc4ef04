"""All runs as one table: ``python -m landscape.runs``, the page Runs for the terminal.

Landscapes, searches and retrainings, each with how far it is and its numbers.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from functools import partial
from itertools import takewhile

from landscape.catalogue import catalogue
from landscape.index import KINDS, STATES, Facts, Index, Row, differing, rows
from zarts import cli
from zarts.runs.runfile import RunError, runs_root
from zarts.text import human_bytes, human_time, markdown_table, printable

__all__ = ["main", "table"]

EPILOG = (
    "Runs are those in $ZARTS_RUNS or runs/, the newest first, then the bundled one. Accuracy is "
    "that of the supernet on D_val, test accuracy that of a retrained network; skips are of 16 "
    "edges. exit codes: 0 done, 1 failed, 2 usage, or no such run."
)
_FORMS = {
    "accuracy": "{:.2%}".format,
    "test accuracy": "{:.2%}".format,
    "parameters": "{:,.0f}".format,
    "seconds": human_time,
    "size": human_bytes,
}
MANY = 50  # runs that take more than a moment to read
_LAST = "problem"  # of runs that cannot be read, said below the table; then the settings come


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m landscape.runs",
        description="Lists runs: what each is, how far it is, and its numbers.",
        epilog=EPILOG,
    )
    parser.add_argument(
        "words", nargs="*", metavar="WORD", help="only runs whose name or settings have all of "
        "these words, such as: method=zarts-mgs epochs=3",
    )  # fmt: skip
    parser.add_argument("--kind", choices=KINDS, help="only runs of this kind")
    parser.add_argument(
        "--differing", action="store_true",
        help="only the columns in which the runs differ, settings included",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="all columns of each run as JSON")
    parser.add_argument("-v", "--verbose", action="store_true", help="show a traceback on errors")
    args = parser.parse_args(arguments)
    return cli.guarded(partial(_print, args), verbose=args.verbose)


def _print(args: argparse.Namespace) -> int:
    found, among = _found(args.words, args.kind)
    if not found:
        kind = f" of the kind {args.kind}" if args.kind else ""
        words = f" with {' '.join(args.words)!r}" if args.words else ""
        raise RunError(f"no run{kind}{words} in {runs_root()}; set ZARTS_RUNS for another folder")
    lines = rows(found, among)
    if args.json:
        cli.tell(json.dumps(lines, indent=1, ensure_ascii=False))
        return 0
    cli.tell(*table(lines, settings=args.differing).split("\n"))
    names = {each.name for each in found}
    for entry in catalogue(runs_root()):
        if entry.bundled and entry.name in names:
            cli.tell(f"{entry.name} came with the package: {entry.listed.path}", error=True)
    for each in found:
        if each.problem:
            cli.tell(f"{each.name}: {each.problem}", error=True)
    return 0


def _found(words: Sequence[str], kind: str | None) -> tuple[list[Facts], list[Facts]]:
    """The runs that are asked for, and the searches that may have found what they retrain.

    Their numbers take a while, so others are left out before.
    """
    index, entries = Index(), catalogue(runs_root())
    early = [word for word in words if not any(word.lower() in state for state in STATES)]

    def fits(told: Facts) -> bool:
        return told.says(early) and kind in (None, told.kind)

    pairs = list(zip(entries, index.facts(entries, seconds=0), strict=True))
    asked = [entry for entry, told in pairs if fits(told)]
    searches = [entry for entry, told in pairs if told.kind == "search" and not fits(told)]
    if not any(told.kind == "retraining" for _, told in pairs if fits(told)):
        searches = []
    progress = cli.Progress(len(asked) + len(searches), "runs read", quiet=len(asked) < MANY)
    among = []
    for entry in (*asked, *searches):
        among += index.facts([entry])
        progress.update()
    progress.close()
    return [each for each in among[: len(asked)] if each.says(words)], among


def table(lines: Sequence[Row], *, settings: bool = False) -> str:
    """A Markdown table of rows that ``landscape.index.rows`` gives.

    Args:
        lines: A row per run.
        settings: Whether it has the columns in which runs differ, settings too; else it has what
            runs are and their numbers.
    """
    if settings:
        titles = [title for title in differing(lines) if title != _LAST]
    else:
        first = takewhile(lambda title: title != _LAST, lines[0])
        titles = [title for title in first if any(row[title] is not None for row in lines)]
    cells = [[_cell(title, row[title]) for title in titles] for row in lines]
    return markdown_table([titles, *cells])


def _cell(title: str, value: str | float | None) -> str:
    if value is None:
        return "–"
    if isinstance(value, str):
        return printable(value)
    return _FORMS.get(title, "{:.4g}".format)(value)


if __name__ == "__main__":
    sys.exit(main())
