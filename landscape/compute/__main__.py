"""``python -m landscape.compute --steps 10``: Fig. 1, from a search to the finished page."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from landscape.compute.flags import folder_of, parser, resolve
from zarts import cli
from zarts.runs.runfile import Run, Unwritable
from zarts.settings.config import Config, ConfigError

if TYPE_CHECKING:
    from landscape.compute.cost import LandscapePlan
    from landscape.compute.jobs import Shard
    from landscape.record import Figure1

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    args = parser().parse_args(words)
    command = ["python", "-m", "landscape.compute", *words]
    return cli.guarded(partial(_compute, args, command), verbose=args.verbose)


def _shard(args: argparse.Namespace) -> tuple[int, int] | None:
    """Which share of the work is asked for."""
    if args.shard is None:
        return None
    if args.run is None:
        raise ConfigError("--shard needs --run NAME, so that all shards share one ω")
    text = args.shard
    if text == "auto":
        text = _array_task()
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise ConfigError(f"got --shard {text}, expected K/N with 1 <= K <= N such as 1/4")
    return int(match[1]), int(match[2])


def _array_task() -> str:
    """Which share this task of an array job of SLURM is to do."""
    names = [f"SLURM_ARRAY_TASK_{name}" for name in ("ID", "MIN", "MAX", "COUNT")]
    said = {name: os.environ.get(name, "") for name in names}
    if not all(text.isdecimal() for text in said.values()):
        told = ", ".join(f"{name}={text}" for name, text in said.items() if text) or "none of them"
        raise ConfigError(
            f"--shard auto reads {', '.join(names)}, which an array job sets; got {told}; "
            "run it as an array job, or give K/N"
        )
    task, first, last, count = map(int, said.values())
    if last - first + 1 != count or not first <= task <= last:
        # of some tasks only, as when those that failed are sent again, or with a step
        raise ConfigError(
            f"--shard auto needs all tasks of an array, got task {task} of {count} from {first} to "
            f"{last}; give K/N of the array that this one completes"
        )
    return f"{task - first + 1}/{count}"


def _compute(args: argparse.Namespace, command: list[str]) -> int:
    asked = resolve(args)
    config, source = asked.config, asked.source
    if args.print_config:
        print(config.to_toml(whole=True), end="")
        return 0
    shard = _shard(args)
    folder = folder_of(args, asked)
    if shard:
        folder = folder.with_name(f"{folder.name}-shard-{shard[0]}-of-{shard[1]}")
    # torch is imported from here on, so that --help and mistakes in the flags answer at once
    from landscape.compute.cost import plan_landscape
    from landscape.compute.pipeline import compute, open_run
    from zarts.execute import reach
    from zarts.runs.origin import copy_start
    from zarts.runs.stored import check_data, check_unchanged

    if args.timeout is not None and not args.timeout > 0:
        raise ConfigError(f"got --timeout {args.timeout:g}, expected a number of seconds > 0")
    if not args.dry_run and (done := _finished(folder, config, shard)):
        cli.say(args, [f"run        {folder} (finished before)"])
        check_unchanged(done, config)
        try:
            with done.lock():
                return _deliver(args, done)
        except Unwritable as error:  # on a read-only disk it is a finished run all the same
            cli.say(args, [f"figure     not written: {error}"])
            return _deliver(args, done, write=False)
    for run in (source, asked.branch and asked.branch[0]):
        if isinstance(run, Run):  # whose D_val was not among the images its ω was trained on
            check_data(run, config)
    elsewhere = args.cluster not in (None, "local")  # with memory of its own
    if args.cluster is not None and not args.dry_run:
        reach(args.cluster)
    with cli.interruptible() as stop, cli.Phases(quiet=args.quiet) as phases:
        plan = plan_landscape(
            config,
            1 if elsewhere else args.workers,
            searched=_searched(folder, config),
            shard=shard,
        )
        cli.say(args, _headlines(config, plan, folder, shard))
        if args.dry_run:
            facts = {"schema": 1, "run": str(folder), **asdict(plan)}
            cli.tell(json.dumps(facts) if args.json else folder)
            return 0
        run = open_run(config, folder, command)
        with run.lock():
            if asked.branch:
                copy_start(run, *asked.branch)
            compute(
                run,
                config,
                source=source,
                points=asked.points,
                workers=args.workers if elsewhere else plan.workers,
                cluster=args.cluster,
                shard=shard,
                timeout=args.timeout,
                report=phases.begin,
                check=stop.check,
            )
            return _deliver(args, run)


def _searched(folder: Path, config: Config) -> bool:
    """Whether ω is there already: another run's, or this one's from before."""
    from zarts.runs.course import search_finished

    if config.source:
        return True
    return (folder / "run.h5").exists() and search_finished(Run.open(folder), config)


def _finished(folder: Path, config: Config, shard: Shard | None) -> Run | None:
    """The run, if it is there and nothing is left to do: no need to plan and measure then."""
    from landscape.compute.pipeline import finished

    if not (folder / "run.h5").exists():
        return None
    run = Run.open(folder)
    return run if run.config == config.to_table() and finished(run, config, shard) else None


def _deliver(args: argparse.Namespace, run: Run, *, write: bool = True) -> int:
    """Writes the page of a finished run and prints the result."""
    from landscape.record import load

    record = load(run)
    page = _write_page(run, record) if write else None
    cli.say(args, [*_gaps(record), *([f"figure     {page}"] if page else [])])
    result = {
        "schema": 1,
        "run": str(run.path),
        "figure": str(page) if page else None,
        "content_hash": run.content_hash(),
    }
    cli.tell(json.dumps(result) if args.json else run.path)
    return 0


def _headlines(config: Config, plan: LandscapePlan, folder: Path, shard: Shard | None) -> list[str]:
    from landscape.compute.jobs import surfaces_of
    from zarts.problems.parts import data_lines
    from zarts.settings.stages import epochs

    net, land = config.supernet, config.landscape
    surfaces = ", ".join(map(str, surfaces_of(config)))
    origin = config.source or f"{config.search.method}, {epochs(config.program)} epochs"
    if config.search.alpha and not config.source:
        origin = f"{config.search.epochs} epochs at the α that was given"
    if config.search.origin and not config.source:
        origin += f", begun with {config.search.origin}"
    rate = land.inner_learning_rate
    each = ", ".join(f"{seconds:.2g}" for seconds in plan.point_seconds.values())
    return [
        *data_lines(plan.dataset, plan.data),
        f"device     {config.device}, {config.dtype}, {plan.workers} worker(s) of one thread",
        f"space      {net.space}, {net.channels} channels, {net.cells} cells; "
        f"ω and α from {origin}",
        f"grid       {land.rows} x {land.cols} over ±{land.range:g}, axis unit {land.scale}, "
        f"M = {surfaces}, inner learning rate {rate}",
        f"points     {each} s each",
        f"cost       {f'share {shard[0]} of {shard[1]}: ' if shard else ''}"
        f"{plan.evaluations:,} evaluations, about {cli.human_time(plan.seconds)}, "
        f"{cli.human_bytes(plan.memory)} per training step, {cli.human_bytes(plan.size)} on disk",
        cli.run_line(folder),
    ]


def _gaps(record: Figure1) -> list[str]:
    """What a reader of the figure must know: points without a value, paths that ended early."""
    from landscape.record import Status

    lines = [
        f"{status.name.lower():<10} {count} of {surface.loss.size} points at "
        f"M = {surface.inner_steps}"
        + ("" if status == Status.DIVERGED else "; the same command tries them again")
        for surface in record.surfaces
        for status in (Status.DIVERGED, Status.FAILED, Status.OOM, Status.TIMEOUT)
        if (count := int((surface.status == status).sum()))
    ]
    said = [(path.method, text) for path in record.paths for text in (path.note, path.remark)]
    return lines + [f"path       {method} {text}" for method, text in said if text]


def _write_page(run: Run, record: Figure1) -> Path:
    from landscape.figures import figure_1, to_html
    from zarts.runs.runfile.disk import commit

    page = run.path / "figure.html"
    commit(page, to_html(figure_1(record), record).encode())
    return page


if __name__ == "__main__":
    sys.exit(main())
