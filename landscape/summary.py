"""``python -m landscape.summary RUN...``: several runs as one table, with their spread."""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from landscape.measure import compare, endings, on_border
from landscape.record import Figure1, load
from landscape.record.asked import FigureSettings
from landscape.record.counts import count, unfinished
from zarts import cli
from zarts.optimizers import method_of
from zarts.runs.runfile import Run, RunError, differences, run_path
from zarts.text import markdown_table, printable

__all__ = ["SHARE", "budgets", "main", "row", "table", "unlike"]

Row = dict[str, float]

EPILOG = (
    "columns: accuracy of the supernet on D_val; sharpness (mean norm of the gradient) of the "
    "surface after M steps over that of the first-order one; how far its lowest point is from the "
    "other's, in axis units, and whether it lies at the border; Spearman's correlation of the two; "
    "L_M where the paths start, and where each ends. "
    "exit codes: 0 done, 1 failed, 2 usage, or a run that is unreadable or not finished."
)
SHARE = "argmin on border"  # yes or no of a run, a share of several


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m landscape.summary",
        description="Prints one row per finished run of Fig. 1, then mean and standard deviation.",
        epilog=EPILOG,
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders, or names")
    parser.add_argument(
        "--paths",
        action="store_true",
        help="one row per optimizer instead: what its path gained and what it spent",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="show a traceback on errors")
    args = parser.parse_args(arguments)
    return cli.guarded(partial(_print, args.runs, paths=args.paths), verbose=args.verbose)


def _print(folders: list[Path], *, paths: bool) -> int:
    folders = [run_path(folder) for folder in folders]
    places = [folder.resolve() for folder in folders]
    if twice := [
        folder for folder, place in zip(folders, places, strict=True) if places.count(place) > 1
    ]:
        raise RunError(f"{twice[0]}: is named twice, which would count it twice; name it once")
    records = [load(Run.open(folder)) for folder in folders]
    if paths:
        cli.tell(*budgets(records).split("\n"))
        return 0
    differing = unlike(records)
    names = [
        printable(record.name if differing else record.config.get("seed", record.name))
        for record in records
    ]
    named = list(zip(names, map(row, records), strict=True))
    rows = table(named, spread=not differing, first="run" if differing else "seed")
    cli.tell(*rows.split("\n"))
    if differing:
        cli.tell(f"no mean: the runs differ in {differing}, not in their seeds only", error=True)
    return 0


def row(record: Figure1) -> Row:
    """The numbers of one run by the title of their column.

    Losses are those after the M steps of the exact surface, at the end of each path; NaN for one
    that ended early, which has not come as far as the others.

    Raises:
        RunError: If the run is not finished, or has one surface only.
    """
    _check_finished(record)
    first, exact = record.surfaces[0], record.surfaces[-1]
    change = compare(first, exact, record.scale)
    said = record.facts.get("val_accuracy")  # not by a run that was made by hand
    numbers = {"accuracy": float(said)} if isinstance(said, int | float) else {}
    numbers |= {
        "sharpness ratio": change.ratio,
        "shift of argmin": change.shift,
        SHARE: float(on_border(exact)),
        "rank correlation": change.correlation,
    }
    start = (
        {f"L_{exact.inner_steps} start": float(record.paths[0].target_loss[0])}
        if record.paths
        else {}
    )
    ends = {
        end.path.method: math.nan if end.path.note else end.target_loss for end in endings(record)
    }
    return numbers | start | ends


def budgets(records: Sequence[Figure1]) -> str:
    """A Markdown table: a row per optimizer, mean ± standard deviation over the runs.

    ``change`` is the loss at the end of the path minus that at its start, with the M of the exact
    surface; what is spent includes pilots, and a path that ended early counts up to there.

    Raises:
        RunError: If a run is not finished.
    """
    for record in records:
        _check_finished(record)
    methods = dict.fromkeys(path.method for record in records for path in record.paths)
    spent = ("evaluations", "gradients", "SGD steps of ω", "seconds")
    lines = [["optimizer", "change", *spent]]
    for method in methods:
        paths = [path for record in records for path in record.paths if path.method == method]
        changes = [float(path.target_loss[-1] - path.target_loss[0]) for path in paths]
        columns: list[list[float]] = [
            [path.evaluations for path in paths],
            [path.gradients for path in paths],
            [path.weight_steps for path in paths],
            [path.seconds for path in paths],
        ]
        lines.append(
            [
                printable(method_of(method).style.label),
                _spread("", changes),
                *(f"{statistics.mean(column):.4g}" for column in columns),
            ]
        )
    return markdown_table(lines)


def unlike(records: Sequence[Figure1]) -> str:
    """Which settings, besides the seed, are not the same in all runs; empty if none."""
    alike = [
        {key: value for key, value in record.config.items() if key not in ("seed", "source")}
        for record in records
    ]
    found = {text.partition(":")[0] for other in alike for text in differences(alike[0], other)}
    return ", ".join(sorted(found))


def _check_finished(record: Figure1) -> None:
    if FigureSettings.of(record.config).steps == 0:
        raise RunError(f"{record.name}: needs two surfaces to compare; compute it with --steps 10")
    lost = count(record.surfaces).failed
    if len(record.surfaces) < 2 or lost or unfinished(record):
        raise RunError(f"{record.name}: is not finished; run its command again first")


def table(rows: Sequence[tuple[str, Row]], *, spread: bool = True, first: str = "seed") -> str:
    """A Markdown table: one row per run, then mean ± standard deviation of each column.

    Without ``spread`` only the rows, as of runs that are no sample of one thing. ``first`` is the
    title of what the rows are called by.

    A run without a column, e.g. without that optimizer, has a dash there. Means are over the finite
    numbers; where these are fewer than the runs, n says how many.
    """
    titles = list(dict.fromkeys(title for _, each in rows for title in each))
    lines = [[first, *titles]]
    lines += [[name, *(_cell(title, each.get(title)) for title in titles)] for name, each in rows]
    if len(rows) > 1 and spread:
        spreads = (_spread(title, [each.get(title) for _, each in rows]) for title in titles)
        lines.append(["mean ± std", *spreads])
    return markdown_table(lines)


def _cell(title: str, value: float | None) -> str:
    if value is None:
        return "–"
    if title == SHARE:
        return "yes" if value else "no"
    return f"{value:.3f}"


def _spread(title: str, values: Sequence[float | None]) -> str:
    found = [value for value in values if value is not None and math.isfinite(value)]
    if not found:
        return "–"
    mean = statistics.mean(found)
    if title == SHARE:
        return f"{mean:.0%}"
    deviation = f" ± {statistics.stdev(found):.3f}" if len(found) > 1 else ""
    count = f" (n = {len(found)})" if len(found) < len(values) else ""
    return f"{mean:.3f}{deviation}{count}"


if __name__ == "__main__":
    sys.exit(main())
