"""What the runs of a sweep found, averaged over seeds. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from statistics import mean, stdev

from zarts.runs.runfile import JSON, Run, RunError
from zarts.sweep.outcomes import Outcome, Problem, Result, Retrained
from zarts.sweep.settings import Sweep
from zarts.sweep.tasks import Search

__all__ = ["Found", "as_json", "as_table", "hashed"]

Found = Mapping[str, Outcome]  # by the name of the search


def as_table(sweep: Sweep, found: Found, retrained: Found) -> str:
    """A line per experiment: mean ± sample standard deviation over the seeds that are finished.

    Args:
        sweep: The sweep.
        found: What its searches found.
        retrained: What their cells are worth, by the name of the search.
    """
    head = ["experiment", "val accuracy %", "val loss", "seconds", "runs"]
    rows = [head + (["test accuracy %", "at best", "retrained"] if sweep.retrain else [])]
    for experiment, searches in _experiments(sweep):
        results = _finished(searches, found)
        row = [
            experiment,
            _spread([100 * result.val_accuracy for result in results], 2),
            _spread([result.val_loss for result in results], 3),
            _spread([result.seconds for result in results], 1),
            f"{len(results)}/{len(searches)}",
        ]
        if sweep.retrain:
            worth = _retrained(searches, retrained)
            row += [
                _spread([100 * each.test_accuracy for each in worth], 2),
                _spread([100 * each.best_test_accuracy for each in worth], 2),
                f"{len(worth)}/{len(searches)}" if experiment in sweep.retrain else "-",
            ]
        rows.append(row)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    )


def hashed(sweep: Sweep, found: Found) -> tuple[dict[str, Outcome], dict[str, str]]:
    """What was found, and the content hash of each finished run, by its name.

    For a hash all records are read: a run with one that cannot be is no result.
    """
    sound, hashes = dict(found), {}
    for search in sweep.searches:
        if isinstance(found[search.name], Result):
            try:
                hashes[search.name] = Run.open(search.folder).content_hash()
            except RunError as error:
                sound[search.name] = Problem(str(error))
    return sound, hashes


def as_json(
    sweep: Sweep, found: Found, hashes: Mapping[str, str], retrained: Found
) -> dict[str, JSON]:
    """The table, and each run of it with its content hash or what is wrong with it."""
    experiments: list[JSON] = []
    for experiment, searches in _experiments(sweep):
        results = _finished(searches, found)
        facts: dict[str, JSON] = {"name": experiment, "finished": len(results)}
        for name in ("val_accuracy", "val_loss", "seconds"):
            values = [getattr(result, name) for result in results]
            facts[name] = {
                "mean": mean(values) if values else None,
                "sd": stdev(values) if len(values) > 1 else None,
            }
        facts["runs"] = [
            _run(search, found[search.name], hashes, retrained.get(search.name))
            for search in searches
        ]
        experiments.append(facts)
    return {"schema": 1, "sweep": sweep.name, "experiments": experiments}


def _run(
    search: Search, what: Outcome, hashes: Mapping[str, str], worth: Outcome | None
) -> dict[str, JSON]:
    facts: dict[str, JSON] = {"run": str(search.folder), "seed": search.config.seed}
    if search.name in hashes:
        facts["content_hash"] = hashes[search.name]
    if worth is not None:
        facts["retrained"] = asdict(worth)
    return facts | asdict(what)


def _experiments(sweep: Sweep) -> Iterator[tuple[str, list[Search]]]:
    for name in sweep.experiments:
        yield name, [search for search in sweep.searches if search.experiment == name]


def _finished(searches: Sequence[Search], found: Found) -> list[Result]:
    return [what for each in searches if isinstance(what := found[each.name], Result)]


def _retrained(searches: Sequence[Search], retrained: Found) -> list[Retrained]:
    found = [retrained.get(search.name) for search in searches]
    return [what for what in found if isinstance(what, Retrained)]


def _spread(values: Sequence[float], digits: int) -> str:
    """Mean ± sample standard deviation, as far as there are values for them."""
    text = f"{mean(values):.{digits}f}" if values else "-"
    return f"{text} ± {stdev(values):.{digits}f}" if len(values) > 1 else text
