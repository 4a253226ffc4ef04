"""The table of several runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from landscape import summary
from landscape.record import Figure1, Status, Surface, save_path, save_surface
from landscape.record import Path as Walked
from zarts.runfile import Run

X, Y = np.linspace(-1, 1, 5), np.linspace(-1, 1, 3)


def bowl(steps: int, center: float, height: float) -> Surface:
    loss = 1.0 + height * ((X[None, :] - center) ** 2 + Y[:, None] ** 2)
    status = np.full(loss.shape, Status.OK, dtype=np.uint8)
    return Surface(steps, X, Y, loss, status, np.zeros(loss.shape))


def walked(end: float) -> Walked:
    xy = np.array([[-0.5, 0.5], [0.0, 0.0]])
    loss = np.array([1.5, end])
    return Walked("zarts-mgs", 10, xy, loss, loss, np.zeros(2), 4, 0, 40, 1.0)


def record(end: float = 1.25) -> Figure1:
    surfaces = (bowl(0, -0.5, 2.0), bowl(10, 0.5, 1.0))
    return Figure1("r", surfaces, (walked(end),), 2.0, facts={"val_accuracy": 0.8})


def test_row_has_the_measures_of_the_run() -> None:
    numbers = summary.row(record())
    assert numbers["accuracy"] == 0.8
    assert numbers["shift of argmin"] == pytest.approx(1.0)
    assert numbers["sharpness ratio"] == pytest.approx(0.5)
    assert numbers["L_10 start"] == 1.5
    assert numbers["zarts-mgs"] == 1.25


def test_table_ends_with_mean_and_sample_deviation() -> None:
    lines = summary.table([("0", summary.row(record(1.0))), ("1", summary.row(record(2.0)))])
    assert lines.splitlines()[0].startswith("| seed | accuracy |")
    assert lines.splitlines()[-1].endswith("| 1.500 ± 0.707 |")


def test_unfinished_runs_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run.create(tmp_path / "run", {"seed": 3}, {})
    plane = {"scale": np.array(2.0)}
    run.write("plane", plane, {"val_accuracy": 0.8})
    save_surface(run, bowl(0, 0.0, 1.0))
    assert summary.main([str(run.path)]) == 2
    assert "is not finished" in capsys.readouterr().err
    save_surface(run, bowl(10, 0.0, 1.0))
    save_path(run, walked(1.0))
    assert summary.main([str(run.path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("| 3 | 0.800 |")
