"""The writer of a figure: how often it puts on disk what is known."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from landscape.compute import writer as module
from landscape.compute.jobs import Losses, Points
from landscape.geometry.grid import Point, empty_surface
from landscape.record import Status, Surface
from tests.tiny import create, tiny
from zarts.runs.runfile import Run


@pytest.mark.parametrize(
    ("takes", "saves"), [(0, [0, 2, 5, 10, *range(19, 141, 11)]), (3, [0, 5, 69, 133])]
)
def test_saving_takes_a_twentieth_of_the_time_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, takes: int, saves: list[int]
) -> None:
    """A point a second: soon, then after ten, or twenty times as long as the last save took."""
    clock, saved = SimpleNamespace(now=0), list[int]()

    def save(run: Run, surface: Surface) -> None:
        saved.append(clock.now)
        clock.now += takes

    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(module, "save_surface", save)
    config = tiny("darts-1")
    run, surfaces = create(tmp_path / "run", config), {0: empty_surface(0, 2, 3)}
    writer = module.RunWriter(run, config, surfaces, lambda: lambda units, reason: None)
    while clock.now < 140:
        clock.now += 1
        writer.add(Points(0, ((0, 0),)), Losses([(Point(1.0), Status.OK)], 0.0), final=True)
    assert saved == saves
