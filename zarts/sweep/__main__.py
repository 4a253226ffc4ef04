"""``python -m zarts.sweep FILE.toml``: searches and retrainings, each in its own run."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from zarts import cli
from zarts.runs.runfile import JSON, Run, RunError
from zarts.settings.config import ConfigError
from zarts.sweep.outcomes import Outcome, Problem, Result, complain, read_outcome
from zarts.sweep.progress import epochs_done
from zarts.sweep.results import Found, as_json, as_table, hashed
from zarts.sweep.settings import Sweep, read_sweep
from zarts.sweep.tasks import Retraining, Task

if TYPE_CHECKING:
    from zarts.sweep.running import Plan, Workforce

__all__ = ["main"]

_FILE = """\
the file:
  preset = "quick"                 # as for python -m zarts; its other settings are all allowed too
  seeds = [0, 1, 2]                # every experiment runs with each of them
  [search]                         # what all experiments share
  epochs = 3
  [axes]                           # optional: every combination of these values
  search.inner_steps = [0, 10]
  [[experiment]]                   # one for each, with a name and what is its own (axes too)
  name = "mgs"
  method = "zarts-mgs"
  optimizer.sigma = 0.1
  variant = "merged"               # optional, as for python -m zarts
  [retrain]                        # optional: what is found is retrained, with its seed
  preset = "quick"                 # as for python -m zarts.retrain, and its settings

Every search is an ordinary run NAME-EXPERIMENT-seed-SEED in $ZARTS_RUNS or runs, with the content
it has when `python -m zarts` makes it. A finished one is not done again, an interrupted one goes
on, one that fails does not stop the others, and one that another process works on is skipped: so
several machines that share the folder may run the same sweep.

"""
_CODES = (
    " A sweep ends with 1 if a search failed, and with 3 if the only ones missing are those that "
    "another process works on."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    args = _parser().parse_args(words)
    command = ["python", "-m", "zarts.sweep", *words]
    return cli.guarded(partial(_sweep, args, command), verbose=args.verbose)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m zarts.sweep",
        description="Runs the searches of a file, seeds and experiments, and tells what came out.",
        epilog=_FILE + textwrap.fill(cli.EPILOG + _CODES, 100),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, metavar="FILE.toml", help="the sweep, see below")
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="searches at a time (default: one per core, or per GPU, as far as memory goes; "
        "with --cluster, what it offers); the values do not depend on it",
    )
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="work on a Ray cluster, or with `local` on one made of this machine; all its machines "
        "must see the run folders under the same path, on a file system they share",
    )
    parser.add_argument(
        "--out", metavar="NAME", help="what the names of the runs begin with (default: the file's)"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print the searches and their cost, then stop"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON record, not a table")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")
    parser.add_argument("-v", "--verbose", action="store_true", help="show a traceback on errors")
    return parser


def _sweep(args: argparse.Namespace, command: list[str]) -> int:
    if args.workers is not None and args.workers < 1:
        raise ConfigError(f"got --workers {args.workers}, expected 1 or more")
    sweep = read_sweep(args.file, args.out)
    # torch is imported from here on, so that --help and mistakes in the file answer at once
    from zarts.execute import reach
    from zarts.sweep.running import Workforce, finished, seconds_left

    if args.cluster is not None and not args.dry_run:
        reach(args.cluster)
    with cli.interruptible() as stop:
        say = partial(_say, args)
        crew = Workforce(args.workers, args.cluster, command, stop.check, say)
        todo = [search for search in sweep.searches if not finished(search)]
        plans, workers = crew.plan(todo)
        costs = {search.name: seconds_left(search, plans[search.name]) for search in todo}
        cli.say(args, _headlines(args, sweep, plans, costs, workers))
        if args.dry_run:
            told = [json.dumps(_plan(sweep, plans, costs))] if args.json else _listed(sweep, costs)
            cli.tell(*told)
            return 0
        names = {search.name for search in todo}
        found = {each.name: _read(each) for each in sweep.searches if each.name not in names}
        found |= crew.do(todo, plans, workers)
        worth = _retrain(crew, sweep, found)
    if args.json:
        found, hashes = hashed(sweep, found)
        cli.tell(json.dumps(as_json(sweep, found, hashes, worth)))
    else:
        cli.tell(*as_table(sweep, found, worth).split("\n"))
    return complain({**found, **{f"retraining of {name}": what for name, what in worth.items()}})


def _say(args: argparse.Namespace, line: str) -> None:
    cli.say(args, [line])


def _retrain(crew: Workforce, sweep: Sweep, found: Found) -> Found:
    """Retrains the cells of all finished searches that the file asks it for; by search.

    Equal cells of one experiment and seed share a run, so there may be fewer of these.
    """
    from zarts.sweep.running import finished

    asked: dict[str, Retraining] = {}
    for search in sweep.searches:
        what = found[search.name]
        retraining = isinstance(what, Result) and sweep.retraining(search, what.genotype)
        if retraining:
            asked[search.name] = retraining
    runs = {task.name: task for task in asked.values()}
    todo = [task for task in runs.values() if not finished(task)]
    plans, workers = crew.plan(todo)
    if todo:
        crew.say(f"retraining {len(runs)} networks, {len(runs) - len(todo)} of them finished")
    done = {name: _read(task) for name, task in runs.items() if task not in todo}
    done |= crew.do(todo, plans, workers)
    return {name: done[task.name] for name, task in asked.items()}


def _read(task: Task) -> Outcome:
    """The result of a run that was finished before, if all of its records can be read."""
    try:
        task.check(Run.open(task.folder))
        return read_outcome(task.folder)
    except (ConfigError, RunError) as error:
        return Problem(str(error))


def _headlines(
    args: argparse.Namespace,
    sweep: Sweep,
    plans: Mapping[str, Plan],
    costs: Mapping[str, float],
    workers: int,
) -> list[str]:
    count, finished = len(sweep.searches), len(sweep.searches) - len(plans)
    lines = [
        f"sweep      {sweep.name}: {len(sweep.experiments)} experiments, {count} searches, "
        f"{finished} of them finished"
    ]
    if not plans:
        return lines
    devices = sorted({search.config.device for search in sweep.searches})
    where = f"cluster {args.cluster}" if args.cluster else "this machine"
    crew = f"{workers} at a time" if workers else "as many at a time as it offers"
    # one that takes longer than all others divided by the workers decides
    seconds = max(sum(costs.values()) / max(1, workers), *costs.values())
    memory = max(plan.memory for plan in plans.values())
    return [
        *lines,
        f"device     {', '.join(devices)} on {where}, {crew}",
        f"cost       about {cli.human_time(seconds)}, "
        f"up to {cli.human_bytes(memory)} per training step",
        f"runs       {sweep.searches[0].folder.parent / sweep.name}-EXPERIMENT-seed-SEED",
    ]


def _listed(sweep: Sweep, costs: Mapping[str, float]) -> list[str]:
    """The searches of a dry run, for people."""
    width = max(len(search.name) for search in sweep.searches)
    lines = []
    for search in sweep.searches:
        left = costs.get(search.name)
        todo = "finished" if left is None else f"about {cli.human_time(left)}"
        done = f"{epochs_done(search)}/{search.epochs} epochs"
        lines.append(f"{search.name:<{width}}  {done}  {todo}")
    return lines


def _plan(sweep: Sweep, plans: Mapping[str, Plan], costs: Mapping[str, float]) -> dict[str, JSON]:
    """The searches of a dry run, for programs; the seconds are those that are left."""
    searches: list[JSON] = []
    for search in sweep.searches:
        facts: dict[str, JSON] = {
            "run": str(search.folder),
            "experiment": search.experiment,
            "seed": search.config.seed,
            "epochs": search.epochs,
            "epochs_done": epochs_done(search),
        }
        if search.name in plans:
            facts |= asdict(plans[search.name].extent) | {"seconds": costs[search.name]}
        searches.append(facts)
    return {"schema": 1, "sweep": sweep.name, "searches": searches}


if __name__ == "__main__":
    sys.exit(main())
