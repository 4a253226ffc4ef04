"""Tiny run folders, made as the real ones are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path as Folder

import numpy as np
import pytest

from landscape.record import OptimizerPath, Status, Surface, save_path, save_surface
from zarts.runs.runfile import Run

X = np.linspace(-1.0, 1.0, 5)
Y = np.linspace(-1.0, 1.0, 4)
COLS, ROWS = np.meshgrid(X, Y)
LOSSES = {
    0: 0.5 + (COLS - 0.5) ** 2 + 0.2 * (ROWS + 1) ** 2,
    1: 0.5 + COLS**2 + 0.1 * ROWS**2,
    10: 0.45 + 0.2 * (COLS + 0.5) ** 2 + 0.05 * ROWS**2,
}
CONFIG = {
    "space": "s3",
    "data": "fashion",
    "inner_learning_rate": 0.001,
    "paths": {"space": "plane", "weights": "frozen"},
}

Make = Callable[..., Run]


@pytest.fixture
def make(tmp_path: Folder) -> Make:
    """Makes a run in the folder that the app looks into; changes by keyword."""

    def build(
        name: str = "quick-1",
        *,
        losses: dict[int, np.ndarray] = LOSSES,
        status: Status = Status.OK,
        methods: tuple[str, ...] = ("darts-1", "zarts-mgs"),
        created: str = "2026-01-01T00:00:00+00:00",
        plane: bool = True,
    ) -> Run:
        provenance = {
            "command": ["python", "-m", "landscape.compute", "--seed", "7"],
            "created": created,
            "seed": 7,
            "device": "cpu",
        }
        run = Run.create(tmp_path / "runs" / name, {**CONFIG, "name": name}, provenance)
        if plane:
            run.write("plane", {"scale": np.array(3.2)}, {"val_accuracy": 0.8})
        for m, loss in losses.items():
            states = np.full(loss.shape, Status.OK, np.uint8)
            if status != Status.OK and m == max(losses):
                states[-1] = status
            values = np.where(states == Status.OK, loss, np.nan)
            save_surface(run, Surface(m, X, Y, values, states, 0 * loss))
        t = np.arange(4.0)
        for shift, method in enumerate(methods):
            xy = np.column_stack([-0.5 + 0.1 * t, 0.5 - (0.1 + 0.1 * shift) * t])
            m = 0 if method == "darts-1" else 10
            save_path(
                run, OptimizerPath(method, m, xy, 1 - t / 9, 0.9 - t / 20, 0 * t, 8, 3, 80, 1.5)
            )
        return run

    return build
