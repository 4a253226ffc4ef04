"""Which runs count as complete, and the order they are listed in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from landscape.catalogue import catalogue
from landscape.grid import empty_surface
from landscape.record import save_surface
from zarts.runfile import Run


@pytest.mark.parametrize(
    ("steps", "surfaces", "complete"),
    [(10, (), False), (10, (0,), False), (10, (0, 1, 10), True), (0, (), False), (0, (0,), True)],
)
def test_a_run_of_one_surface_is_complete_if_one_was_asked_for(
    steps: int, surfaces: tuple[int, ...], complete: bool, tmp_path: Path
) -> None:
    run = Run.create(tmp_path / "run", {"landscape": {"steps": steps}}, {})
    run.write("plane", {"scale": np.array(1.0)}, {})
    for m in surfaces:
        save_surface(run, empty_surface(m, 2, 3))
    (entry,) = (entry for entry in catalogue(tmp_path) if not entry.bundled)
    assert entry.complete is complete
    assert len(entry.figure().surfaces) == len(surfaces)


def test_the_newest_run_comes_first_and_the_bundled_ones_last(tmp_path: Path) -> None:
    for name, created in (("old", "2026-01-01"), ("new", "2026-03-01")):
        Run.create(tmp_path / name, {}, {"created": created})
    entries = catalogue(tmp_path)
    assert [entry.name for entry in entries[:2]] == ["new", "old"]
    assert not any(entry.complete for entry in entries[:2])
    assert all(entry.bundled for entry in entries[2:])
