"""Flags of ``landscape.compute``: the settings they make, and what the computation begins with."""

from __future__ import annotations

import argparse
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zarts import cli
from zarts.bilevel.alpha import LooksLikeWeights
from zarts.runs.kinds import refuse_retraining
from zarts.runs.runfile import Run, valid_name
from zarts.settings.config import Config, ConfigError, Table, filled, merge
from zarts.supernet.spaces import SPACES

if TYPE_CHECKING:
    from torch import Tensor

    from zarts.runs.given import Given

__all__ = ["Request", "folder_of", "parser", "resolve"]


class Request(NamedTuple):
    """What is to be computed, and what it begins with.

    Attributes:
        config: The settings.
        source: The run, or the files, whose ω is used.
        points: α (n, d) for principal directions.
        branch: The run and the epoch that the search begins with.
    """

    config: Config
    source: Run | Given | None = None
    points: Tensor | None = None
    branch: tuple[Run, int] | None = None


def parser() -> argparse.ArgumentParser:
    """The flags of the command."""
    made = argparse.ArgumentParser(
        prog="python -m landscape.compute",
        description=(
            "Computes Fig. 1 of ZARTS: the first-order and the M-step loss surfaces on one random "
            "plane through α, and the paths of DARTS-1st, DARTS-2nd, RS, MGS and GLD on it."
        ),
        epilog=cli.EPILOG,
    )
    made.add_argument(
        "--steps",
        metavar="M[,M...]",
        help="SGD steps of ω before the loss is taken (default: 10); several, as in 2,5,10: a "
        "surface for each, and paths as for the largest",
    )
    begin = made.add_mutually_exclusive_group()
    begin.add_argument("--run", metavar="NAME", help="use the ω of this search in the runs folder")
    begin.add_argument(
        "--from",
        dest="origin",
        metavar="RUN@EPOCH",
        help="search on from the α and ω that this search in the runs folder kept",
    )
    begin.add_argument(
        "--alpha",
        type=Path,
        metavar="FILE",
        help="look around this α, raw logits in .npy, .npz or .pt: flat, or a table per cell type, "
        "normal first. ω is trained at it for --epochs, or comes from --weights",
    )
    made.add_argument(
        "--weights", type=Path, metavar="FILE", help="ω of --alpha, .npz or .pt, tensors by name"
    )
    made.add_argument("--epochs", type=int, help="passes over the training half")
    made.add_argument(
        "--axes",
        metavar="KIND",
        help="directions of the plane: random (default), gradient (x is along −∇L_0), or pca:FILE, "
        "the principal directions of α (n, d) in .npy, .npz or .pt",
    )
    made.add_argument("--grid", metavar="ROWSxCOLS", help="grid points, e.g. 9x9 (paper: 101x101)")
    made.add_argument(
        "--range", type=float, help="the grid spans -RANGE..RANGE in axis units (default: 1)"
    )
    made.add_argument(
        "--scale",
        help="length of an axis unit: unit, alpha (the norm of α at the origin) or a number",
    )
    made.add_argument(
        "--inner-lr", help="learning rate of the M steps: search or a number (released code: 1e-3)"
    )
    made.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes for surfaces and paths (default: one per core, or per GPU, as far as "
        "memory goes); the values do not depend on it",
    )
    made.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="run points and paths on a Ray cluster: its address, or local; --workers is then the "
        "number of its actors (default: all it offers). Needs pip install zarts[cluster]",
    )
    made.add_argument(
        "--shard",
        metavar="K/N",
        help="compute the K-th of N shares of points and paths into a run of its own, for array "
        "jobs: auto takes K and N from SLURM_ARRAY_TASK_ID, _MIN, _MAX, _COUNT. Needs --run, so "
        "that all shards share one ω; python -m landscape.merge puts them together",
    )
    made.add_argument(
        "--timeout",
        type=float,
        metavar="SECONDS",
        help="give up a point of the exact surface after this long, three times at most (default: "
        "10 times the median of the finished ones, at least 60 s, if there are several workers)",
    )
    cli.add_variant(made)
    cli.add_options(made, default_preset="quick")
    return made


def resolve(args: argparse.Namespace) -> Request:
    """What the flags of ``landscape.compute`` ask for.

    Raises:
        ConfigError: If that cannot be.
        RunError: If a run that they name cannot be read.
    """
    if args.workers is not None and args.workers < 1:
        raise ConfigError(f"got --workers {args.workers}, expected 1 or more")
    if args.weights is not None and args.alpha is None:
        raise ConfigError("--weights needs --alpha FILE, the α that this ω was trained at")
    if args.weights is not None and args.epochs is not None:
        raise ConfigError("--weights is an ω that is there, --epochs trains one; leave one out")
    if args.alpha is not None:
        found = _around(args)
    elif args.origin is not None:
        from zarts.branch import branched

        config, run, epoch = branched(args, _flags(args))
        found = Request(config, branch=(run, epoch))
    elif args.run is not None:
        found = _of_run(args)
    else:
        found = Request(cli.resolve(args, "darts-1", _flags(args)))
    if args.axes is None or not args.axes.startswith("pca:"):
        return found
    from landscape.compute.axes import pca
    from zarts.runs.given import read_points

    dim = SPACES[found.config.supernet.space].dim
    points = read_points(Path(args.axes.removeprefix("pca:")), dim)
    table = merge(found.config.to_table(), {"landscape": {"axes": pca(points)}})
    return found._replace(config=Config.from_table(table), points=points)


def folder_of(args: argparse.Namespace, request: Request) -> Path:
    """Where the run of a request lives, which is found again by its settings.

    Raises:
        ConfigError: If it cannot have that name.
    """
    source = request.source
    prefix = f"{args.preset}-{source.name}" if isinstance(source, Run) else args.preset
    return cli.run_folder(args.out, prefix[:60], request.config)


def _of_run(args: argparse.Namespace) -> Request:
    """The ω of another search."""
    if not valid_name(args.run):
        raise ConfigError(
            f"got --run {args.run!r}, expected the name of a run in {cli.runs_root()}; for one "
            "elsewhere set ZARTS_RUNS to the folder that it is in"
        )
    source = Run.open(cli.runs_root() / args.run)
    refuse_retraining(source)
    searched = {
        key: value
        for key, value in filled(source.config).items()
        if key in ("seed", "dtype", "data", "supernet", "search", "optimizer")
    }
    config = cli.resolve(args, "darts-1", _flags(args), base=searched)
    had = Config.from_table(searched)
    for key in ("method", "epochs"):
        if (asked := getattr(config.search, key)) != getattr(had.search, key):
            raise ConfigError(
                f"search.{key} is {asked}, but --run takes the ω of a search that is made, with "
                f"{getattr(had.search, key)}; leave it out (landscape.epoch chooses an epoch of it)"
            )
    from landscape.compute.pipeline import origin_of
    from zarts.runs.origin import check_network

    check_network(config, had, source.name)
    epoch, name = origin_of(config, source)
    table = merge(config.to_table(), {"source": name, "landscape": {"epoch": epoch}})
    return Request(Config.from_table(table), source)


def _around(args: argparse.Namespace) -> Request:
    """An α of one's own, with its ω, or with one that is trained at it."""
    from zarts.runs.given import Given, read_alpha, read_weights

    config = cli.resolve(args, "darts-1", merge(_flags(args), {"search": {"warmup": 0}}))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", LooksLikeWeights)
        alpha = read_alpha(args.alpha, config)
    cli.say(args, [f"warning    {args.alpha}: {each.message}" for each in caught])
    if args.weights is None:  # a search that is all warm-up
        fixed = {"alpha": alpha.tolist(), "warmup": config.search.epochs}
        return Request(Config.from_table(merge(config.to_table(), {"search": fixed})))
    given = Given(alpha, read_weights(args.weights, config))
    table = merge(config.to_table(), {"source": given.source, "landscape": {"epoch": 1}})
    return Request(Config.from_table(table), given)


def _flags(args: argparse.Namespace) -> Table:
    land: Table = {}
    if args.steps is not None:
        if not re.fullmatch(r"-?\d{1,9}(,\d{1,9})*", args.steps, re.ASCII):
            raise ConfigError(f"got --steps {args.steps!r}, expected M such as 10, or 2,5,10")
        *more, land["steps"] = sorted({int(each) for each in args.steps.split(",")})
        land["more_steps"] = [each for each in more if each > 1]  # the others are always there
    if args.grid is not None:
        match = re.fullmatch(r"(\d{1,9})[xX](\d{1,9})", args.grid)
        if not match:
            raise ConfigError(f"got --grid {args.grid!r}, expected ROWSxCOLS such as 9x9")
        land["rows"], land["cols"] = int(match[1]), int(match[2])
    if args.range is not None:
        land["range"] = args.range
    for key, text in (("scale", args.scale), ("inner_learning_rate", args.inner_lr)):
        if text is not None:
            land[key] = _number_or_word(text)
    if args.axes is not None and not args.axes.startswith("pca:"):
        land["axes"] = args.axes
    search = {} if args.epochs is None else {"epochs": args.epochs}
    tables = {"landscape": land, "search": search}
    return {name: table for name, table in tables.items() if table}


def _number_or_word(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
