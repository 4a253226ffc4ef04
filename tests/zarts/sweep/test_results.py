"""The table of a sweep: averages over what is finished."""

from __future__ import annotations

from dataclasses import replace

from tests.zarts.sweep.sweeps import sweep_of
from zarts.retrain.results import Result as Retrained
from zarts.sweep.outcomes import Problem, Result
from zarts.sweep.results import as_json, as_table


def test_the_table_averages_what_is_finished() -> None:
    sweep = sweep_of("a-0", "a-1", "a-2", "b-0", "b-1", "c-0")
    found = {
        "a-0": Result(0.50, 1.0, 10.0, ""),
        "a-1": Result(0.60, 2.0, 20.0, ""),
        "a-2": Result(0.70, 3.0, 60.0, ""),
        "b-0": Problem("diverged"),
        "b-1": Result(0.25, 1.5, 7.0, ""),
        "c-0": Problem("away", locked=True),
    }
    assert as_table(sweep, found, {}).splitlines() == [
        "experiment  val accuracy %       val loss      seconds  runs",
        "a            60.00 ± 10.00  2.000 ± 1.000  30.0 ± 26.5   3/3",
        "b                    25.00          1.500          7.0   1/2",
        "c                        -              -            -   0/1",
    ]
    only = sweep_of("c-0")
    assert as_json(only, found, {}, {})["experiments"] == [
        {
            "name": "c",
            "finished": 0,
            **{
                name: {"mean": None, "sd": None} for name in ("val_accuracy", "val_loss", "seconds")
            },
            "runs": [{"run": "c-0", "seed": 0, "reason": "away", "locked": True}],
        }
    ]


def test_what_cells_are_worth_stands_beside() -> None:
    sweep = replace(sweep_of("a-0", "a-1", "b-0"), retrain={"a": {}})
    found = {name: Result(0.5, 1.0, 10.0, "") for name in ("a-0", "a-1", "b-0")}
    worth = {"a-0": Retrained(0.7, 1.0, 0.75, 2, 1000, 5.0), "a-1": Problem("diverged")}
    rows = [line.split("  ") for line in as_table(sweep, found, worth).splitlines()]
    last = [[cell.strip() for cell in row if cell.strip()][5:] for row in rows]
    assert last == [["test accuracy %", "at best", "retrained"], ["70.00", "75.00", "1/2"],
                    ["-", "-", "-"]]  # fmt: skip
    runs = as_json(sweep, found, {}, worth)["experiments"][0]["runs"]  # type: ignore[index, call-overload]
    assert runs[0]["retrained"]["test_accuracy"] == 0.7
