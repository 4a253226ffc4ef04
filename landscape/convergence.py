"""``python -m landscape.convergence FILE.json``: Fig. 2 from what ``zarts.reproduce`` collected."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from landscape.figures import figure_2
from zarts import cli
from zarts.settings.config import ConfigError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m landscape.convergence",
        description="Draws Fig. 2 into a page that works offline.",
        epilog="exit codes: 0 done, 1 failed, 2 usage, or a file that is not what it should be.",
    )
    parser.add_argument(
        "file", type=Path, metavar="FILE.json", help="from `python -m zarts.reproduce fig2 --json`"
    )
    parser.add_argument("--out", type=Path, help="the page (default: FILE.html)")
    parser.add_argument("-v", "--verbose", action="store_true", help="show a traceback on errors")
    args = parser.parse_args(arguments)
    return cli.guarded(partial(_draw, args.file, args.out), verbose=args.verbose)


def _draw(file: Path, out: Path | None) -> int:
    out = out or file.with_suffix(".html")
    figure_2(_entries(file)).write_html(out, include_plotlyjs=True, full_html=True)
    cli.tell(out)
    return 0


def _entries(file: Path) -> list[dict[str, Any]]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        entries = [dict(entry) for entry in found["entries"]]
        if not all({"column", "method", "epoch", "skips"} <= set(entry) for entry in entries):
            raise ValueError
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ConfigError(
            f"{file}: is not the JSON of `python -m zarts.reproduce fig2 --json`"
        ) from error
    return entries


if __name__ == "__main__":
    sys.exit(main())
