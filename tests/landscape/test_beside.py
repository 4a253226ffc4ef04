"""What surfaces have beside the loss: its standard error and the accuracy, stored and drawn."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from landscape import figure_1, load, static
from landscape.compute.pipeline import problem_of
from landscape.compute.schema import problems
from landscape.merge import merge
from landscape.record import Figure1, Status, save_surface, surface_from
from tests.landscape.conftest import Finished
from tests.landscape.test_figures import record, surface
from tests.tiny import create
from zarts.runs.runfile import Record, Run
from zarts.settings.config import Config

NAMES = ("derived/error", "derived/accuracy")


def test_both_come_from_the_points_themselves(finished: Finished) -> None:
    setup = problem_of(finished.run)
    for made in load(finished.run).surfaces:
        places = torch.tensor([[x, y] for y in made.y for x in made.x])
        found = setup.objective.at(made.inner_steps).measure(setup.plane.points(places))
        assert np.array_equal(made.error.ravel(), found.error.numpy())
        assert np.array_equal(made.accuracy.ravel(), found.accuracy.numpy())
        assert made.error.min() > 0
        assert np.array_equal(made.accuracy * 32, (made.accuracy * 32).round())  # of 32 images


def without(run: Run, folder: Path) -> Run:
    """A copy that lacks both, as runs of before they were stored."""
    copy = Run.open(shutil.copytree(run.path, folder))
    for name in (name for name in copy.names() if name.startswith("grid/")):
        stored = copy.read(name)
        kept = {key: array for key, array in stored.arrays.items() if key not in NAMES}
        copy.write(name, kept, stored.attributes)
    return copy


def test_runs_with_and_without_them_are_equal_and_read_alike(
    finished: Finished, tmp_path: Path
) -> None:
    old = without(finished.run, tmp_path / "old")
    assert old.content_hash() == finished.run.content_hash()
    assert not problems("grid/m02", old.read("grid/m02"), Config.from_table(old.config))
    for made, had in zip(load(old).surfaces, load(finished.run).surfaces, strict=True):
        assert np.array_equal(made.loss, had.loss)
        assert np.isnan(made.error).all()
    with pytest.raises(ValueError, match="run old stores no accuracy"):
        figure_1(load(old), quantity="accuracy")
    assert "±" not in figure_1(load(old)).to_json()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("derived/accuracy", 1.5, "derived/accuracy that cannot be"),
        ("derived/error", -0.1, "derived/error that cannot be"),
        ("derived/error", np.inf, "derived/error that cannot be"),
    ],
)
def test_impossible_ones_are_found(
    finished: Finished, name: str, value: float, message: str
) -> None:
    stored, config = finished.run.read("grid/m02"), Config.from_table(finished.run.config)
    assert not problems("grid/m02", stored, config)
    odd = stored.arrays[name].copy()
    odd[1, 2] = value
    (found,) = problems("grid/m02", Record({**stored.arrays, name: odd}, stored.attributes), config)
    assert found == f"1 points, first [1, 2], have {message}"
    other = Record({**stored.arrays, name: odd[:1]}, stored.attributes)
    assert "expected (2, 3)" in problems("grid/m02", other, config)[0]


def test_a_merge_keeps_them(finished: Finished, tmp_path: Path) -> None:
    shards = []
    for part in (0, 1):
        shard = Run.open(shutil.copytree(finished.run.path, tmp_path / f"shard-{part}"))
        for made in load(finished.run).surfaces:
            mine = np.indices(made.loss.shape)[1] % 2 == part
            changed = {
                name: np.where(mine, getattr(made, name), np.nan)
                for name in ("loss", "error", "accuracy")
            }
            status = np.where(mine, made.status, Status.PENDING).astype(np.uint8)
            save_surface(shard, replace(made, **changed, status=status))
        shards.append(shard)
    whole = merge(shards, tmp_path / "whole", [], partial=False)
    for name in ("grid/m00", "grid/m02"):
        both = [run.read(name).arrays for run in (whole, finished.run)]
        assert all(np.array_equal(*(arrays[key] for arrays in both)) for key in NAMES)


def drawn() -> Figure1:
    """A made-up record with accuracies, one far above the others, and errors."""
    loss = np.linspace(1, 2, 15).reshape(3, 5)
    accuracy = np.full(loss.shape, 0.25)
    accuracy[2, 3], accuracy[0, 0] = 0.9375, 0.125
    made = replace(surface(0, loss), accuracy=accuracy, error=loss / 100)
    return record(surfaces=(made,))


def test_the_figure_draws_the_accuracy() -> None:
    figure = figure_1(drawn(), [0], quantity="accuracy")
    (contour,) = (trace for trace in figure.data if trace.type == "contour")
    assert contour.customdata.tolist() == (100 * drawn().surfaces[0].accuracy).tolist()
    assert "accuracy %{customdata:.2f} %" in contour.hovertemplate
    (star,) = (trace for trace in figure.data if trace.name == "maximum, M = 0")
    assert (star.x[0], star.y[0]) == (drawn().surfaces[0].x[3], drawn().surfaces[0].y[2])
    assert "★ 93.75 % at" in figure.layout.annotations[0].text
    assert figure.layout.coloraxis.colorbar.title.text == "validation<br>accuracy, %"
    ends = contour.contours.start, contour.contours.end
    assert ends[0] <= 12.5 < 93.75 <= ends[1]  # a single high point is what one looks for
    assert "in red" not in figure.to_json()
    assert static(drawn(), "png", [0], quantity="accuracy") != static(drawn(), "png", [0])


def test_a_loss_is_read_out_with_its_error() -> None:
    figure = figure_1(drawn(), [0])
    contour = figure.data[0]
    assert contour.text[0][0] == " ± 0.0100"
    assert "%{text}" in contour.hovertemplate
    with pytest.raises(ValueError, match="quantity = 'los', expected one of loss, accuracy"):
        figure_1(drawn(), quantity="los")  # type: ignore[arg-type]


def test_what_has_no_images_stores_nothing(tmp_path: Path, finished: Finished) -> None:
    run = create(tmp_path / "run", Config.from_table(finished.run.config))
    save_surface(run, surface(0, np.ones((3, 5))))
    stored = run.read("grid/m00")
    assert not set(NAMES) & stored.arrays.keys()
    assert np.isnan(surface_from(stored).accuracy).all()
