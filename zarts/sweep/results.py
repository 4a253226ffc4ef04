"""What the searches of a sweep found: read from their runs, averaged over seeds. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev

from zarts.runs.course import chosen, left_behind, points_in
from zarts.runs.runfile import JSON, Run, RunError
from zarts.settings.config import Config
from zarts.sweep.settings import Search, Sweep

__all__ = ["Found", "Problem", "Result", "as_json", "as_table", "hashed", "read_result"]


@dataclass(frozen=True)
class Result:
    """What a finished search found.

    Attributes:
        val_accuracy: Over D_val after the last epoch, or that which it chose, share in [0, 1].
        val_loss: Likewise, nats.
        seconds: Wall time of all its iterations; what a kill cost is not in it.
    """

    val_accuracy: float
    val_loss: float
    seconds: float


@dataclass(frozen=True)
class Problem:
    """Why a search is not finished.

    Attributes:
        reason: One line.
        locked: Whether it is only that another process works on it.
    """

    reason: str
    locked: bool = False


Found = Mapping[str, Result | Problem]  # by the name of the search


def read_result(folder: Path) -> Result:
    """The result of the finished search in a folder.

    Raises:
        RunError: If it cannot be read.
    """
    run = Run.open(folder)
    config = Config.from_table(run.config)
    seconds = [
        run.parse(point.search_record, lambda record: float(record.arrays["timing_seconds"].sum()))
        for point in points_in(left_behind(run, config), "search")
    ]
    last = chosen(run, config).search_record
    loss, accuracy = (
        run.parse(last, lambda record, key=key: float(record.arrays[f"epoch/{key}"]))  # type: ignore[misc]
        for key in ("val_loss", "val_accuracy")
    )
    return Result(val_accuracy=accuracy, val_loss=loss, seconds=sum(seconds))


def as_table(sweep: Sweep, found: Found) -> str:
    """A line per experiment: mean ± sample standard deviation over the seeds that are finished."""
    rows = [("experiment", "val accuracy %", "val loss", "seconds", "runs")]
    for experiment, searches in _experiments(sweep):
        results = _finished(searches, found)
        rows.append(
            (
                experiment,
                _spread([100 * result.val_accuracy for result in results], 2),
                _spread([result.val_loss for result in results], 3),
                _spread([result.seconds for result in results], 1),
                f"{len(results)}/{len(searches)}",
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    )


def hashed(sweep: Sweep, found: Found) -> tuple[dict[str, Result | Problem], dict[str, str]]:
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


def as_json(sweep: Sweep, found: Found, hashes: Mapping[str, str]) -> dict[str, JSON]:
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
        facts["runs"] = [_run(search, found[search.name], hashes) for search in searches]
        experiments.append(facts)
    return {"schema": 1, "sweep": sweep.name, "experiments": experiments}


def _run(search: Search, what: Result | Problem, hashes: Mapping[str, str]) -> dict[str, JSON]:
    facts: dict[str, JSON] = {"run": str(search.folder), "seed": search.config.seed}
    if search.name in hashes:
        facts["content_hash"] = hashes[search.name]
    return facts | asdict(what)


def _experiments(sweep: Sweep) -> Iterator[tuple[str, list[Search]]]:
    for name in sweep.experiments:
        yield name, [search for search in sweep.searches if search.experiment == name]


def _finished(searches: Sequence[Search], found: Found) -> list[Result]:
    return [what for each in searches if isinstance(what := found[each.name], Result)]


def _spread(values: Sequence[float], digits: int) -> str:
    """Mean ± sample standard deviation, as far as there are values for them."""
    text = f"{mean(values):.{digits}f}" if values else "-"
    return f"{text} ± {stdev(values):.{digits}f}" if len(values) > 1 else text
