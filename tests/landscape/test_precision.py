"""How far losses in single precision are from those in double precision."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from landscape.catalogue import BUNDLED
from landscape.compute.work import WorkerInputs
from zarts.runs.runfile import Run
from zarts.settings.config import merge


@pytest.mark.slow
def test_losses_of_the_bundled_run_are_those_of_double_precision() -> None:
    (folder,) = BUNDLED.iterdir()
    inputs = WorkerInputs.of(Run.open(folder))
    axis = torch.linspace(-1, 1, 9, dtype=torch.float64)
    places = torch.cartesian_prod(axis, axis)[4::12]

    def losses(dtype: str) -> Tensor:
        setup = replace(inputs, config=merge(inputs.config, {"dtype": dtype})).setup()
        return setup.objective.at(10).evaluate(setup.plane.points(places))

    gaps = (losses("float32") - losses("float64")).abs()
    assert float(gaps.median()) < 1e-6
