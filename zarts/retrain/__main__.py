"""``python -m zarts.retrain``: trains the network of a genotype and tests it, resumable."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zarts import cli
from zarts.genotype.source import EXPECTED, Source, check_space, read_source
from zarts.retrain.presets import PRESETS, complete
from zarts.retrain.results import Result, finished
from zarts.retrain.settings import RetrainConfig
from zarts.runs.provenance import provenance
from zarts.runs.runfile import Run, Unwritable
from zarts.settings.config import ConfigError, Table, merge, read_toml

if TYPE_CHECKING:
    from zarts.retrain.plan import RetrainPlan
    from zarts.retrain.ranks import Ranks

__all__ = ["main"]

SHORT = {
    "channels": "network", "cells": "network", "epochs": "training", "batch_size": "data",
    "accumulate": "training", "precision": "training",
}  # fmt: skip


class _Team(NamedTuple):
    """Where a process works, and with whom."""

    folder: Path
    ranks: Ranks
    device: str
    check: Callable[[], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    args = _parser().parse_args(words)
    command = ["python", "-m", "zarts.retrain", *words]
    return cli.guarded(partial(_retrain, args, command), verbose=args.verbose)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m zarts.retrain",
        description=(
            "Trains the network of a genotype from scratch and reports its test accuracy, of the "
            "last epoch and of the best. Started by torchrun, several processes share the work."
        ),
        epilog=cli.EPILOG + " torchrun itself exits with 1 where its processes exit with 3.",
    )
    parser.add_argument(
        "genotype",
        nargs="?",
        metavar="GENOTYPE",
        help=f"{EXPECTED}, or the text of one (default: that of --config)",
    )
    parser.add_argument("--epochs", type=int, help="passes over the training images")
    parser.add_argument(
        "--space",
        help="that the cells were searched in, which the preset rdarts depends on (default: that "
        "of the RUN)",
    )
    parser.add_argument(
        "--measure",
        action="store_true",
        help="take the cost from a step of this network, not from a count of its operations",
    )
    cli.add_options(
        parser, default_preset="quick", presets=PRESETS, example="training.epochs=100 (or epochs)"
    )
    return parser


def _retrain(args: argparse.Namespace, command: list[str]) -> int:
    source = _source(args)
    if args.print_config:
        print(_config(args, source, 1).to_toml(whole=True), end="")
        return 0
    # torch is imported from here on, so that --help and mistakes in the flags answer at once
    from zarts.retrain.ranks import joined, launched

    config = _config(args, source, launched())
    folder = cli.run_folder(args.out, f"retrain-{args.preset}", config)
    with cli.interruptible() as stop, joined(config.device) as (ranks, device):

        def check() -> None:
            if code := ranks.most(stop.code):  # all stop after the same step
                raise cli.Stopped(code)

        if ranks.first:
            return _first(args, command, config, source, _Team(folder, ranks, device, check))
        if args.dry_run:
            return 0
        from zarts.retrain.job import record_retraining

        record_retraining(None, config, check=check, ranks=ranks, device=device)
        return 0


def _source(args: argparse.Namespace) -> Source:
    """The genotype that is named, or that of the file of settings.

    Raises:
        ConfigError: If there is none.
    """
    told = args.genotype or (read_toml(args.config).get("genotype") if args.config else None)
    if not isinstance(told, str):
        raise ConfigError(f"got no genotype, expected {EXPECTED}")
    return read_source(told)


def _config(args: argparse.Namespace, source: Source, processes: int) -> RetrainConfig:
    """The settings that the flags ask for.

    Raises:
        ConfigError: If they cannot be used, or processes cannot share the work.
    """
    flags: Table = {"genotype": str(source.genotype)}
    if args.epochs is not None:
        flags["training"] = {"epochs": args.epochs}
    tables = cli.given(args, flags, SHORT)
    wanted = merge(*tables).get("training", {})
    if processes > 1 and "accumulate" not in wanted:
        tables = (*tables[:2], merge(tables[2], {"training": {"accumulate": processes}}))
    space = args.space
    if space is not None:
        check_space(source.genotype, space)
    if space is None and source.run:
        supernet = source.run.config.get("supernet")
        space = str(supernet.get("space")) if isinstance(supernet, dict) else None
    config = complete(args.preset, *tables, space=space)
    if config.training.accumulate % processes:
        raise ConfigError(
            f"training.accumulate is {config.training.accumulate}, which {processes} processes "
            f"cannot share; use a multiple of {processes}"
        )
    return config


def _first(
    args: argparse.Namespace,
    command: list[str],
    config: RetrainConfig,
    source: Source,
    team: _Team,
) -> int:
    """What the process does that talks to people and writes."""
    from zarts.retrain.job import check_data, record_retraining, steps_done
    from zarts.retrain.plan import plan_retraining

    with cli.Phases(quiet=args.quiet) as phases:
        plan = plan_retraining(replace(config, device=team.device), measure=args.measure)
        cli.say(args, _headlines(config, plan, source, team))
        if args.dry_run:
            planned = {"schema": 1, "run": str(team.folder), **asdict(plan)}
            cli.tell(json.dumps(planned) if args.json else team.folder)
            return 0
        facts: Table = {"seed": config.seed, "device": config.device, **plan.facts}
        facts["genotype"] = source.provenance()
        made = provenance(command, team.device) | facts
        run = Run.create(team.folder, config.to_table(), made, toml=config.to_toml())
        check_data(run, plan.facts)
        with ExitStack() as stack:
            try:
                stack.enter_context(run.lock())
            except Unwritable:  # on a read-only disk, say
                if not finished(run, config):
                    raise
            done = plan.steps if finished(run, config) else steps_done(run)
            tell = phases.begin("retraining", plan.steps, done)
            result = record_retraining(
                run, config, report=tell, check=team.check, ranks=team.ranks, device=team.device
            )
    assert result is not None
    cli.say(args, [_told(result)])
    record = {
        "schema": 1,
        "run": str(team.folder),
        "content_hash": run.content_hash(),
        **asdict(result),
    }
    cli.tell(json.dumps(record) if args.json else team.folder)
    return 0


def _told(result: Result) -> str:
    return (
        f"test       {result.test_accuracy:.2%} after the last epoch; best "
        f"{result.best_test_accuracy:.2%} (epoch {result.best_epoch}), chosen by the test images "
        "themselves"
    )


def _elsewhere(source: Source, name: str) -> list[str]:
    """That a search was of other data, where it was."""
    data = source.run.config.get("data") if source.run else None
    searched = data.get("name") if isinstance(data, dict) else None
    if searched in (None, name):
        return []
    return [
        f"note       the search was on the data set {searched}; to train on it, --set data.name=… "
        "(and data.count, where it has fewer images)"
    ]


def _headlines(config: RetrainConfig, plan: RetrainPlan, source: Source, team: _Team) -> list[str]:
    net, data, train = config.network, config.data, config.training
    found = plan.facts["data"]
    shared = f", {team.ranks.count} processes" if team.ranks.count > 1 else ""
    parts = f" in {train.accumulate} parts" if train.accumulate > 1 else ""
    how = "a step was timed" if plan.measured else "an estimate; --measure times a step"
    test = "of its test part" if data.test == "test" else "of the rest"
    return [
        f"genotype   {source.name} ({source.origin})",
        f"network    {net.channels} channels, {net.cells} cells, {plan.parameters:,} parameters, "
        f"{plan.macs / 1e6:,.2f} M macs an image",
        *_elsewhere(source, data.name),
        f"data set   {data.name} (real images), {found['images']:,} to train on and "
        f"{found['test_images']:,} {test}, {found['classes']:,} classes, {found['pixels']}",
        f"device     {team.device}, {train.precision}{shared}",
        f"training   {train.epochs} epochs, {plan.steps:,} steps of {data.batch_size}{parts}, "
        f"learning rate {train.learning_rate:g} ({train.schedule})",
        f"cost       about {cli.human_time(plan.seconds / team.ranks.count)} ({how}), "
        f"{cli.human_bytes(plan.memory)} per step",
        cli.run_line(team.folder, lambda run: finished(run, config)),
    ]


if __name__ == "__main__":
    sys.exit(main())
