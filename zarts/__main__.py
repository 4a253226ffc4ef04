"""``python -m zarts``: a search of DARTS or ZARTS, recorded and resumable."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from zarts import cli
from zarts.optimizers import METHODS
from zarts.runs.provenance import provenance
from zarts.runs.runfile import Run, Unwritable
from zarts.settings.config import Config, Table

if TYPE_CHECKING:
    from zarts.problems.cost import SearchPlan

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    args = _parser().parse_args(words)
    return cli.guarded(
        partial(_search, args, ["python", "-m", "zarts", *words]), verbose=args.verbose
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m zarts",
        description="Searches an architecture by DARTS or ZARTS and records every step.",
        epilog=cli.EPILOG,
    )
    parser.add_argument(
        "--method",
        default=None,
        help=f"what moves α: {', '.join(METHODS)} (default: zarts-mgs), or your own MODULE:CLASS",
    )
    parser.add_argument(
        "--epochs", type=int, help="passes over the training half (200 for the convergence study)"
    )
    parser.add_argument(
        "--from",
        dest="origin",
        metavar="RUN@EPOCH",
        help="begin with the α and ω that this search in the runs folder kept, and its settings",
    )
    cli.add_variant(parser)
    cli.add_options(parser, default_preset="quick")
    return parser


def _search(args: argparse.Namespace, command: list[str]) -> int:
    given = {"epochs": args.epochs, "method": args.method}
    search = {name: value for name, value in given.items() if value is not None}
    flags: Table = {"search": search} if search else {}
    source, epoch = None, 0
    if args.origin is None:
        config = cli.resolve(args, "zarts-mgs", flags)
    else:
        from zarts.branch import branched

        config, source, epoch = branched(args, flags)
    if args.print_config:
        print(config.to_toml(whole=True), end="")
        return 0
    method = config.search.method.replace(":", "-")  # MODULE:CLASS, and a run's name has no colon
    folder = cli.run_folder(args.out, f"{method}-{args.preset}", config)
    # torch is imported from here on, so that --help and mistakes in the flags answer at once
    from zarts.problems.cost import plan_search
    from zarts.runs.course import search_finished
    from zarts.runs.origin import copy_start
    from zarts.runs.recorder import iterations_done, record_search
    from zarts.runs.stored import check_data, code_of

    if source:  # whose D_val was not among the images its ω was trained on
        check_data(source, config)
    with cli.interruptible() as stop, cli.Phases(quiet=args.quiet) as phases:
        plan = plan_search(config)
        cli.say(args, _headlines(config, plan, folder))
        if args.dry_run:
            planned = {"schema": 1, "run": str(folder), **asdict(plan)}
            cli.tell(json.dumps(planned) if args.json else folder)
            return 0
        facts: Table = {
            "seed": config.seed,
            "device": config.device,
            "data_fingerprint": plan.fingerprint,
            "data": plan.data,
        }
        if code := code_of(config):
            facts["code"] = code
        made = provenance(command, config.device) | facts
        run = Run.create(folder, config.to_table(), made, toml=config.to_toml())
        with ExitStack() as stack:
            try:
                stack.enter_context(run.lock())
            except Unwritable:  # on a read-only disk, say
                if not search_finished(run, config):
                    raise
            complete = search_finished(run, config)
            if source and not complete:
                copy_start(run, source, epoch)
            done = plan.iterations if complete else iterations_done(run)
            tell = phases.begin("search", plan.iterations, done)
            last = record_search(run, config, report=tell, check=stop.check)
    record = {
        "schema": 1,
        "run": str(folder),
        "content_hash": run.content_hash(),
        "val_loss": last.val_loss,
        "val_accuracy": last.val_accuracy,
    }
    cli.tell(json.dumps(record) if args.json else folder)
    return 0


def _headlines(config: Config, plan: SearchPlan, folder: Path) -> list[str]:
    from zarts.problems.parts import data_lines
    from zarts.runs.course import search_finished
    from zarts.settings.stages import epochs

    search, net, stages = config.search, config.supernet, config.program.stages
    cells = ", then ".join(dict.fromkeys(str(stage.cells) for stage in stages))
    return [
        *data_lines(plan.dataset, plan.data),
        f"device     {config.device}, {config.dtype}, one thread",
        f"space      {net.space}, {net.channels} channels, {cells} cells",
        *([f"begins     with α and ω of {search.origin}"] if search.origin else []),
        f"search     {search.method}, {epochs(config.program)} epochs ({search.warmup} warm-up), "
        f"{plan.updates:,} updates of α, "
        f"{plan.evaluations:,} evaluations at M = {search.inner_steps}",
        f"cost       about {cli.human_time(plan.seconds)}, "
        f"{cli.human_bytes(plan.memory)} per training step",
        cli.run_line(folder, lambda run: search_finished(run, config)),
    ]


if __name__ == "__main__":
    sys.exit(main())
