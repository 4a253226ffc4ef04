"""``python -m zarts.genotype``: the cells of a genotype, and what a network of them costs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from zarts import cli
from zarts.genotype.cost import NETWORKS, Cost, NetworkSize, cost, network_size
from zarts.genotype.drawing import svg, text
from zarts.genotype.source import EXPECTED, Source, read_source
from zarts.runs.runfile import JSON
from zarts.settings.config import ConfigError
from zarts.supernet.published import NAMED

__all__ = ["main"]

EPILOG = "exit codes: 0 done, 1 failed, 2 usage, or no such genotype, run or network."


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = _parser().parse_args(arguments)
    return cli.guarded(partial(_show, args), verbose=args.verbose)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m zarts.genotype",
        description="Draws the cells of a genotype and counts what a network of them costs.",
        epilog=EPILOG,
    )
    parser.add_argument(
        "genotype",
        nargs="?",
        metavar="GENOTYPE",
        help=f"{EXPECTED}: a published one, a file with Genotype(...) in it, or a search (default: "
        "the epoch it chose); without it, what is published",
    )
    parser.add_argument(
        "--network",
        default="20x36",
        help=f"{', '.join(NETWORKS)}, or any CELLSxCHANNELS on 32x32 pixels (default: 20x36)",
    )
    parser.add_argument("--classes", type=int, help="default: 10, for imagenet 1000")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="write the drawing as SVG too")
    parser.add_argument("--json", action="store_true", help="print a JSON record")
    parser.add_argument("-v", "--verbose", action="store_true", help="show a traceback on errors")
    return parser


def _show(args: argparse.Namespace) -> int:
    try:
        size = network_size(args.network, args.classes)
    except ValueError as error:
        raise ConfigError(f"--network, --classes: {error}") from error
    if args.genotype is None:
        if args.svg is not None:
            raise ConfigError(f"got --svg without a genotype, expected {EXPECTED}")
        sources = [read_source(name) for name in NAMED]
    else:
        sources = [read_source(args.genotype)]
    costs = [cost(source.genotype, **asdict(size)) for source in sources]
    if args.svg is not None:
        _write(args.svg, svg(sources[0].genotype, sources[0].name))
    if args.json:
        records = [_record(*pair, size) for pair in zip(sources, costs, strict=True)]
        cli.tell(json.dumps(records if args.genotype is None else records[0]))
    elif args.genotype is None:
        cli.tell(_spoken(size), *map(_row, sources, costs))
    else:
        cli.tell(*_lines(sources[0], costs[0], size))
    return 0


def _write(path: Path, drawing: str) -> None:
    try:
        path.write_text(drawing, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--svg {path}: cannot be written ({error.strerror})") from error


def _record(source: Source, found: Cost, size: NetworkSize) -> dict[str, JSON]:
    return {
        "schema": 1,
        "name": source.name,
        "origin": source.provenance(),
        "genotype": str(source.genotype),
        "network": asdict(size),
        "cost": asdict(found),
    }


def _spoken(size: NetworkSize) -> str:
    image = "×".join(map(str, size.image))
    stem = ", ImageNet stem" if size.stem == "imagenet" else ""
    return (
        f"network      {size.count} cells, {size.channels} channels, {size.classes:,} classes, "
        f"images of {image}{stem}"
    )


def _row(source: Source, found: Cost) -> str:
    return (
        f"{source.name:<18} {found.parameters:>10,} parameters   {_millions(found.macs):>9} macs   "
        f"{_millions(found.thop_legacy):>9} thop_legacy"
    )


def _lines(source: Source, found: Cost, size: NetworkSize) -> list[str]:
    return [
        f"{source.name}: {source.origin}",
        "",
        *text(source.genotype),
        "",
        str(source.genotype),
        "",
        _spoken(size),
        f"parameters   {found.parameters:,}, with auxiliary head {found.with_auxiliary:,}",
        f"macs         {_millions(found.macs)}",
        f"thop_legacy  {_millions(found.thop_legacy)}",
    ]


def _millions(count: int) -> str:
    return f"{count / 1e6:,.2f} M"


if __name__ == "__main__":
    sys.exit(main())
