"""Studies as tables: our numbers beside quoted ones, partial where they are partial. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import mean, stdev
from typing import Any

from zarts.reproduce.entries import Entry, entries_of
from zarts.reproduce.published import QUOTED
from zarts.reproduce.studies import STUDIES, Arm

__all__ = [
    "as_json",
    "collect",
    "interval",
    "markdown",
    "over_epochs",
    "paired",
    "rows_of",
    "skips_over_epochs",
]

Rows = list[list[str]]

# Quantiles of Student's t for intervals of 95 %, by degrees of freedom; beyond, the normal one's.
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
)  # fmt: skip
_HEAD = [
    "data",
    "method",
    "n",
    "test error %, best",
    "mean ± std",
    "best epoch",
    "parameters",
    "skips",
    "search s",
    "quoted",
]
BASELINE = "DARTS-1st"
STEPS = ("ZARTS-MGS", "MGS at M = 0")  # one optimizer, with the M steps and without


def rows_of(study: str, entries: Sequence[Entry]) -> Rows:
    """A head and a row per arm: last and best epoch, how many of how many, and what is quoted.

    Test errors are those of the last epoch; the column "best epoch" has the mean of the lowest ones
    over epochs, which is what the released code of ZARTS reports, chosen by the test images.
    """
    quoted = dict(QUOTED[study])
    rows = [_HEAD]
    for row, column in dict.fromkeys((entry.arm.row, entry.arm.column) for entry in entries):
        mine = [entry for entry in entries if (entry.arm.row, entry.arm.column) == (row, column)]
        # a reduced run has other data than the paper, so what is quoted says its own
        place = {place: f"{place[0]}: " for place in quoted if place[1] == column}
        beside = {(row, column): ""} if (row, column) in quoted else place
        rows.append(_row(mine, "; ".join(text + quoted[key] for key, text in beside.items())))
    shown = {row[1] for row in rows}
    rows += [
        [row, column, *[""] * (len(_HEAD) - 3), text]
        for (row, column), text in quoted.items()
        if column not in shown
    ]
    return rows


def _row(entries: Sequence[Entry], quoted: str) -> list[str]:
    arm = entries[0].arm
    done = [entry for entry in entries if entry.retrained]
    last = [100 * (1 - entry.retrained.test_accuracy) for entry in done if entry.retrained]
    best = [100 * (1 - entry.retrained.best_test_accuracy) for entry in done if entry.retrained]
    sizes = [entry.retrained.parameters for entry in done if entry.retrained]
    found = {entry.seed: entry.searched for entry in entries if entry.searched}
    skips = [16 * each.cells.skip_share for each in found.values()]
    seconds = [each.seconds for each in found.values() if each.seconds]
    return [
        arm.row,
        arm.column,
        f"{len(done)} of {len(entries)}",
        f"{min(last):.2f}" if last else "–",
        spread(last, 2),
        f"{mean(best):.2f}" if best else "–",
        f"{mean(sizes):,.0f}" if sizes else "–",
        f"{mean(skips):.1f} of 16" if skips else "–",
        f"{mean(seconds):.0f}" if seconds else "–",
        quoted,
    ]


def spread(values: Sequence[float], digits: int) -> str:
    """Mean ± sample standard deviation, as far as there are values for them."""
    if not values:
        return "–"
    text = f"{mean(values):.{digits}f}"
    return f"{text} ± {stdev(values):.{digits}f}" if len(values) > 1 else text


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean of differences and half the width of its interval of 95 %, by Student's t.

    Raises:
        ValueError: If there are fewer than two.
    """
    if len(values) < 2:
        raise ValueError(f"got {len(values)} differences, expected two or more")
    quantile = _T[len(values) - 2] if len(values) - 2 < len(_T) else 1.96
    return mean(values), quantile * stdev(values) / math.sqrt(len(values))


def paired(entries: Sequence[Entry]) -> Rows:
    """By how much the cells of one arm are better than another's of the same space and seed.

    The endpoint of the study of collapse: points of test accuracy after retraining. In each space,
    and over the pairs of all spaces together.
    """
    accuracy = {
        (entry.arm.row, entry.arm.column, entry.seed): 100 * entry.retrained.test_accuracy
        for entry in entries
        if entry.retrained
    }
    rows = [["space", "arm", "against", "n", "points of test accuracy", "95 % interval", "says"]]
    places = list(dict.fromkeys(entry.arm.row for entry in entries))
    columns = dict.fromkeys(entry.arm.column for entry in entries)
    questions = [(column, BASELINE) for column in columns if column != BASELINE]
    for among in _alone_and_together(places):
        for column, other in [*questions, STEPS]:
            pairs = [
                value - accuracy[place, other, seed]
                for (place, name, seed), value in accuracy.items()
                if place in among and name == column and (place, other, seed) in accuracy
            ]
            if pairs:
                rows.append([" + ".join(among), column, other, *_judged(pairs)])
    return rows


def _alone_and_together(places: Sequence[str]) -> list[Sequence[str]]:
    alone: list[Sequence[str]] = [[place] for place in places]
    return [*alone, places] if len(places) > 1 else alone


def _judged(pairs: Sequence[float]) -> list[str]:
    says, width = "undecided", "–"
    if len(pairs) > 1:
        center, half = interval(pairs)
        width = f"{center - half:+.2f} to {center + half:+.2f}"
        says = "better" if center > half else "worse" if center < -half else "undecided"
    return [str(len(pairs)), f"{mean(pairs):+.2f}", width, says]


def skips_over_epochs(entries: Sequence[Entry], every: int) -> Rows:
    """Per arm, the mean number of skip connections of 16 over the epochs of its searches."""
    arms: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        if entry.searched and entry.searched.by_epoch:
            arms.setdefault((entry.arm.row, entry.arm.column), []).append(entry)
    last = max(
        (max(e.searched.by_epoch) for es in arms.values() for e in es if e.searched), default=0
    )
    epochs = range(every, last + 1, every)
    rows = [["space", "skips of 16 after epoch", *map(str, epochs)]]
    for (row, column), mine in arms.items():
        cells = []
        for epoch in epochs:
            found = [e.searched.by_epoch.get(epoch) for e in mine if e.searched]
            shares = [16 * cell.skip_share for cell in found if cell]
            cells.append(f"{mean(shares):.1f}" if shares else "–")
        rows.append([row, column, *cells])
    return rows


def over_epochs(entries: Sequence[Entry]) -> Rows:
    """Fig. 2 in numbers: by method and epoch what cells are worth, their size, Q, ESS and CV."""
    names = ("test_error", "parameters", "skips", "condition_number", "ess", "cv")
    head = ["epoch", "test error %", "parameters", "skips of 16", "Q", "ESS", "CV"]
    form = ("{:.2f}", "{:,}", "{}", "{:.1f}", "{:.2f}", "{:.2f}")
    rows = [["data", "method", *head]]
    for facts in as_json(entries):
        known = [facts.get(name) for name in names]
        cells = ["–" if x is None else f.format(x) for f, x in zip(form, known, strict=True)]
        rows.append([facts["row"], facts["column"], str(facts["epoch"]), *cells])
    return rows


def markdown(rows: Rows) -> str:
    """A table whose columns line up, which Markdown shows as one."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def as_json(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """Each entry with what is there of it."""
    found = []
    for entry in entries:
        arm: Arm = entry.arm
        facts: dict[str, Any] = {
            "row": arm.row,
            "column": arm.column,
            "method": arm.method,
            "seed": entry.seed,
            "epoch": entry.epoch,
            "genotype": str(entry.cells) if entry.cells else None,
            "skips": round(16 * entry.cells.skip_share) if entry.cells else None,
            "search_seconds": entry.searched.seconds if entry.searched else None,
        }
        if entry.searched and entry.epoch is None:
            facts["skips_by_epoch"] = {
                epoch: round(16 * cells.skip_share)
                for epoch, cells in entry.searched.by_epoch.items()
            }
        if entry.searched and entry.epoch is not None:
            facts["condition_number"] = entry.searched.conditions.get(entry.epoch)
            facts |= entry.searched.diagnostics.get(entry.epoch, {})
        if entry.retrained:
            facts |= {
                "test_error": 100 * (1 - entry.retrained.test_accuracy),
                "best_test_error": 100 * (1 - entry.retrained.best_test_accuracy),
                "parameters": entry.retrained.parameters,
            }
        found.append(facts)
    return found


def collect(study: str, preset: str = "quick") -> list[dict[str, Any]]:
    """What there is by now of a figure or table of the paper, entry by entry; nothing is computed.

    Example:
        >>> from zarts import collect
        >>> entries = collect("table4")
        >>> [entry["column"] for entry in entries]
        ['ZARTS-MGS, cell 1', 'ZARTS-MGS, cell 2']

    Args:
        study: As for ``python -m zarts.reproduce``, but ``fig1``.
        preset: ``quick``, ``standard`` or ``paper``.

    Returns:
        Of each search that the study consists of (and each epoch whose cells are retrained): where
        it stands in the table, ``seed``, and as far as they are there ``genotype``, ``skips`` of
        16, ``skips_by_epoch``, ``test_error`` and ``best_test_error`` (percent), ``parameters``.

    Raises:
        KeyError: If there is no such study.
        RunError: If a folder holds another run, or one that cannot be read.
    """
    return as_json(entries_of(STUDIES[study].arms(preset)))
