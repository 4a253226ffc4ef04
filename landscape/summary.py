"""``python -m landscape.summary RUN...``: several runs as one table, with their spread."""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from landscape.measure import compare, endings
from landscape.record import Figure1, load
from zarts import cli
from zarts.runfile import Run, RunError

__all__ = ["main", "row", "table"]

Row = dict[str, float]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m landscape.summary",
        description="Prints one row per finished run of Fig. 1, then mean and standard deviation.",
        epilog=cli.EPILOG,
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders")
    parser.add_argument("-v", "--verbose", action="store_true", help="show a traceback on errors")
    args = parser.parse_args(arguments)
    return cli.guarded(partial(_print, args.runs), verbose=args.verbose)


def _print(folders: list[Path]) -> int:
    records = [load(Run.open(folder)) for folder in folders]
    names = [str(record.config.get("seed", record.name)) for record in records]
    print(table(list(zip(names, map(row, records), strict=True))))
    return 0


def row(record: Figure1) -> Row:
    """The numbers of one run by the title of their column.

    Losses are those after the M steps of the exact surface, at the end of each path.

    Raises:
        RunError: If the run is not finished.
    """
    surfaces = record.surfaces
    if len(surfaces) < 2 or any(surface.done < surface.loss.size for surface in surfaces):
        raise RunError(f"{record.name}: is not finished; run its command again first")
    first, exact = surfaces[0], surfaces[-1]
    change = compare(first, exact, record.scale)
    numbers = {
        "accuracy": float(str(record.facts["val_accuracy"])),
        "sharpness ratio": change.ratio,
        "shift of argmin": change.shift,
        "rank correlation": change.correlation,
    }
    start = (
        {f"L_{exact.inner_steps} start": float(record.paths[0].target_loss[0])}
        if record.paths
        else {}
    )
    return numbers | start | {end.path.method: end.target_loss for end in endings(record)}


def table(rows: Sequence[tuple[str, Row]]) -> str:
    """A Markdown table: one row per seed, then mean ± standard deviation of each column."""
    titles = list(rows[0][1])
    lines = [["seed", *titles]]
    lines += [[name, *(f"{each[title]:.3f}" for title in titles)] for name, each in rows]
    if len(rows) > 1:
        spread = ["mean ± std"]
        for title in titles:
            values = [each[title] for _, each in rows]
            spread.append(f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}")
        lines.append(spread)
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    sys.exit(main())
