"""ω of an epoch, kept beside the records of a search."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.tiny import create, tiny
from zarts.runs.runfile import RunError
from zarts.runs.snapshot import Snapshot, read_snapshot, write_snapshot


def test_a_snapshot_comes_back_as_it_was(tmp_path: Path) -> None:
    weights = {"cells.0.input": torch.randn(3, 2), "stem": torch.randn(1).double()}
    before = Snapshot(weights, torch.randn(5), 12, 0.025, 1.5, 0.8125)
    run = create(tmp_path / "run", tiny())
    write_snapshot(run, before)
    after = read_snapshot(run, 12)
    assert {name: (w.dtype, w.tolist()) for name, w in after.weights.items()} == {
        name: (w.dtype, w.tolist()) for name, w in weights.items()
    }
    assert torch.equal(after.alpha, before.alpha)
    assert (after.epoch, after.learning_rate) == (12, 0.025)
    assert (after.val_loss, after.val_accuracy) == (1.5, 0.8125)
    with pytest.raises(RunError, match="epoch-0011"):
        read_snapshot(run, 11)
