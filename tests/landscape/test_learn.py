"""What the page Learn shows is what the closed form and the optimizers themselves give."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from landscape.learn import FILE, OPTIMIZERS, STEPS, UNIT, toy
from landscape.learn.make import Known, quadratic, walk


@pytest.mark.parametrize("number", range(len(STEPS) + 1))
def test_surfaces_are_the_closed_form(number: int) -> None:
    known, exact, steps = toy(), quadratic(), (*STEPS, math.inf)[number]
    best = exact.minimum(steps)
    np.testing.assert_allclose(known.minimum[number], best, atol=1e-12)
    np.testing.assert_allclose(known.trail[-1 if steps == math.inf else steps], best, atol=1e-12)
    here = torch.tensor([0.3, -0.7], dtype=torch.float64)
    expected = float(exact.loss_at(here, steps))
    found = known.lowest[number] + known.excess(here.numpy(), steps)
    assert float(found) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("steps", "draw", "start"), [(0, 2, (1, -1)), (1, 0, (-0.5, -0.75)), (10, 1, (0.125, 0.875))]
)
@pytest.mark.parametrize("method", OPTIMIZERS)
def test_paths_are_those_of_the_optimizers(
    method: str, steps: int, draw: int, start: tuple[float, float]
) -> None:
    # Not by the closed form, by which the file is made, but by training ω.
    again = walk(quadratic().problem(steps), method, draw, start).numpy()
    found = toy().path(method, steps, draw, start)
    assert found[0].tolist() == pytest.approx(list(start))
    np.testing.assert_allclose(found, again, atol=UNIT / 2 + 1e-9)


def test_the_file_is_made_by_its_command() -> None:
    known, corner = toy(), (1.0, -1.0)
    for method in OPTIMIZERS:
        again = walk(Known(quadratic(), 3), method, 1, corner)
        np.testing.assert_allclose(known.path(method, 3, 1, corner), again, atol=UNIT / 2 + 1e-9)
    assert FILE.stat().st_size < 200_000
    assert (known.draws, known.updates, len(known.starts)) == (3, 10, 17)


def test_the_story_holds_from_every_start() -> None:
    known = toy()
    ends = known.excess(known.paths[..., -1, :] * UNIT, math.inf)
    darts, zarts = ends[:2], ends[2:]
    assert zarts[:, STEPS.index(10)].max() < darts.min()
    medians = np.median(zarts, axis=(0, 2, 3, 4))
    assert (np.diff(medians) < 0).all()


def test_a_start_that_was_not_computed_is_named() -> None:
    with pytest.raises(ValueError, match=r"start is \(0\.3, 0\), expected two of \[-1\.0, "):
        toy().path("darts-1", 0, 0, (0.3, 0))
