"""What the tests on a device share: which device it is, and runs that are small."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from zarts.runs.runfile import Run
from zarts.settings.config import Config, merge
from zarts.settings.presets import preset

# Before a process that a test starts: on a CPU, sums are split over threads.
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)

SMALL: dict[str, Any] = {
    "data": {"subset": 64, "downscale": 4, "batch_size": 16},
    "supernet": {"channels": 8, "cells": 2},
    "search": {"epochs": 2, "warmup": 0, "inner_batch_size": 8},
    "landscape": {"steps": 2, "rows": 3, "cols": 3, "val_batches": 1, "val_batch_size": 32},
    "paths": {"updates": 1, "step": "matched", "methods": ["darts-2", "zarts-mgs"]},
}


@pytest.fixture(scope="session")
def device() -> str:
    """What computes; DEVICE names it."""
    return os.environ.get("DEVICE", "cuda")


@pytest.fixture
def cuda(device: str) -> str:
    """The same, for what is true of GPUs only."""
    if device == "cpu":
        pytest.skip("asks something of a GPU")
    return device


@pytest.fixture(scope="session")
def small(device: str) -> Callable[..., Config]:
    """Makes the settings of a method, small, with changes as a nested table."""

    def make(method: str, changes: Any = None, **settings: Any) -> Config:
        steps = {"darts-1": 0, "darts-2": 1}.get(method, 2)
        own = {"search": {"method": method, "inner_steps": steps}, "device": device, **settings}
        return Config.from_table(merge(preset("quick", method), SMALL, own, changes or {}))

    return make


@pytest.fixture
def create(tmp_path: Path) -> Callable[[Config, str], Run]:
    """Makes the run of some settings, with no text of them for people."""

    def make(config: Config, name: str = "run") -> Run:
        return Run.create(tmp_path / name, config.to_table(), {"device": config.device})

    return make
