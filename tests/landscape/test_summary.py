"""The table of several runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from landscape import summary
from landscape.record import Figure1, OptimizerPath, Status, Surface, save_path, save_surface
from zarts.runs.runfile import Run, RunError

X, Y = np.linspace(-1, 1, 5), np.linspace(-1, 1, 3)


def bowl(steps: int, center: float, height: float) -> Surface:
    loss = 1.0 + height * ((X[None, :] - center) ** 2 + Y[:, None] ** 2)
    status = np.full(loss.shape, Status.OK, dtype=np.uint8)
    return Surface(steps, X, Y, loss, status, np.zeros(loss.shape))


def walked(end: float) -> OptimizerPath:
    xy = np.array([[-0.5, 0.5], [0.0, 0.0]])
    loss = np.array([1.5, end])
    return OptimizerPath("zarts-mgs", 10, xy, loss, loss, np.zeros(2), 4, 0, 40, 1.0)


def record(end: float = 1.25, center: float = 0.5, method: str = "zarts-mgs") -> Figure1:
    surfaces = (bowl(0, -0.5, 2.0), bowl(10, center, 1.0))
    path = replace(walked(end), method=method)
    return Figure1("r", surfaces, (path,), 2.0, facts={"val_accuracy": 0.8})


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("| ").split(" | ")]


def test_row_has_the_measures_of_the_run() -> None:
    numbers = summary.row(record())
    assert numbers["accuracy"] == 0.8
    assert numbers["shift of argmin"] == pytest.approx(1.0)
    assert numbers["sharpness ratio"] == pytest.approx(0.5)
    assert numbers["L_10 start"] == 1.5
    assert numbers["zarts-mgs"] == 1.25


def test_what_paths_gained_and_spent_is_a_row_per_optimizer() -> None:
    lines = summary.budgets([record(1.0), record(2.0)]).splitlines()
    assert lines[0] == "| optimizer | change | evaluations | gradients | SGD steps of ω | seconds |"
    assert lines[2] == "| ZARTS-MGS | 0.000 ± 0.707 | 4 | 0 | 40 | 1 |"


def test_table_ends_with_mean_and_sample_deviation() -> None:
    lines = summary.table([("0", summary.row(record(1.0))), ("1", summary.row(record(2.0)))])
    assert lines.splitlines()[0].startswith("| seed | accuracy |")
    assert lines.splitlines()[-1].endswith("| 1.500 ± 0.707 |")


def test_unfinished_runs_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run.create(tmp_path / "run", {"seed": 3}, {})
    plane = {"scale": np.array(2.0)}
    run.write("plane", plane, {"val_accuracy": 0.8})
    save_surface(run, bowl(0, 0.0, 1.0))
    assert summary.main([str(run.path)]) == 2
    assert "is not finished" in capsys.readouterr().err
    save_surface(run, bowl(10, 0.0, 1.0))
    save_path(run, walked(1.0))
    monkeypatch.setenv("ZARTS_RUNS", str(tmp_path))
    for name in (str(run.path), run.name):
        assert summary.main([name]) == 0
        assert capsys.readouterr().out.splitlines()[-1].startswith("| 3 | 0.800 |")


@pytest.mark.parametrize("status", [Status.OOM, Status.TIMEOUT, Status.FAILED, Status.PENDING])
def test_a_run_with_a_lost_point_is_refused(status: Status) -> None:
    whole = record()
    exact = whole.surfaces[-1]
    exact.loss[1, 2], exact.status[1, 2] = np.nan, status
    with pytest.raises(RunError, match="is not finished"):
        summary.row(whole)


def test_a_path_that_ended_early_is_in_no_mean() -> None:
    early = replace(record(), paths=(replace(walked(0.5), note="diverged at step 1"),))
    lines = summary.table([("0", summary.row(early)), ("1", summary.row(record(2.0)))]).splitlines()
    assert [cells(line)[-1] for line in lines[2:]] == ["nan", "2.000", "2.000 (n = 1)"]


def test_runs_that_are_no_sample_have_no_mean(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = []
    for seed, epochs in ((0, 5), (1, 5), (2, 9)):
        run = Run.create(tmp_path / f"run-{seed}", {"seed": seed, "search": {"epochs": epochs}}, {})
        run.write("plane", {"scale": np.array(2.0)}, {"val_accuracy": 0.8})
        for surface in (bowl(0, 0.0, 1.0), bowl(10, 0.0, 1.0)):
            save_surface(run, surface)
        save_path(run, walked(1.0))
        folders.append(str(run.path))
    assert summary.main(folders[:2]) == 0
    answer = capsys.readouterr()
    assert (answer.out.splitlines()[-1].split(" | ")[0], answer.err) == ("| mean ± std", "")
    assert summary.main(folders) == 0
    answer = capsys.readouterr()
    lines = answer.out.splitlines()
    assert lines[0].startswith("| run | accuracy")
    assert lines[-1].startswith("| run-2 | ")  # which of them it is
    assert answer.err == "no mean: the runs differ in search.epochs, not in their seeds only\n"
    assert summary.main([folders[0], folders[1], folders[0] + "/."]) == 2
    assert "named twice" in capsys.readouterr().err


def test_a_minimum_on_the_border_is_told_with_its_share() -> None:
    rows = [(str(n), summary.row(record(center=x))) for n, x in enumerate((0.5, 1.0, -0.5, -2.0))]
    head, _, *lines = map(cells, summary.table(rows).splitlines())
    column = head.index("argmin on border")
    assert [line[column] for line in lines] == ["no", "yes", "no", "yes", "50%"]


def test_runs_of_other_optimizers_leave_cells_empty() -> None:
    rows = [
        ("0", summary.row(record(1.0))),
        ("1", summary.row(record(2.0, method="zarts-rs"))),
        ("2", summary.row(record(4.0, method="zarts-rs"))),
        ("3", summary.row(record(float("nan"), method="zarts-rs"))),
    ]
    head, _, *lines = map(cells, summary.table(rows).splitlines())
    assert head[-2:] == ["zarts-mgs", "zarts-rs"]
    assert [line[-2] for line in lines] == ["1.000", "–", "–", "–", "1.000 (n = 1)"]
    assert [line[-1] for line in lines] == ["–", "2.000", "4.000", "nan", "3.000 ± 1.414 (n = 2)"]


def test_one_surface_is_told_apart_from_an_unfinished_run() -> None:
    alone = replace(record(), surfaces=(bowl(0, 0.0, 1.0),))
    with pytest.raises(RunError, match="is not finished"):
        summary.row(alone)
    with pytest.raises(RunError, match="r: needs two surfaces"):
        summary.row(replace(alone, config={"landscape": {"steps": 0}}))


def test_paths_that_are_missing_and_points_that_failed_are_unfinished() -> None:
    summary.row(replace(record(), config={"paths": {"methods": ["zarts-mgs"]}}))
    with pytest.raises(RunError, match="is not finished"):
        summary.row(replace(record(), config={"paths": {"methods": ["zarts-mgs", "darts-1"]}}))
    whole = record()
    whole.surfaces[1].status[0, 1] = Status.DIVERGED  # a result
    summary.row(whole)
    whole.surfaces[1].status[0, 1] = Status.FAILED
    with pytest.raises(RunError, match="is not finished"):
        summary.row(whole)


def test_help_promises_no_resuming(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        summary.main(["--help"])
    said = capsys.readouterr().out
    assert "exit codes" in said
    assert "resum" not in said
