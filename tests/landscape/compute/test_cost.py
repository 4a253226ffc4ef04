"""What the plan of a figure says is what its computation asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from landscape.compute.cost import plan_landscape
from landscape.compute.jobs import surfaces_of
from landscape.compute.pipeline import compute
from tests.tiny import create, tiny
from zarts.bilevel.objective import Bilevel
from zarts.problems.build import make_problem


def test_surfaces_of_first_second_and_exact_order() -> None:
    wanted = {0: [0], 1: [0, 1], 2: [0, 1, 2], 10: [0, 1, 10]}
    for steps, surfaces in wanted.items():
        assert surfaces_of(tiny("darts-1", {"landscape": {"steps": steps}})) == surfaces


@pytest.mark.parametrize("step", ["matched", "update", "paper"])
def test_the_plan_counts_what_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    config = tiny("darts-1", {"paths": {"step": step, "updates": 2}})
    plan = plan_landscape(config)
    assert (plan.points, plan.iterations, plan.images) == (18, 8, 8000)
    asked = []
    original = Bilevel.measure

    def counting(self: Bilevel[Any], alphas: torch.Tensor) -> Any:
        asked.append(len(alphas))
        return original(self, alphas)

    monkeypatch.setattr(Bilevel, "measure", counting)
    compute(create(tmp_path / "run", config), config)
    # the start is judged once for all paths, and GLD may stay where it is
    # how many trials find the length of an update is not known before, only that four are the most
    pilots = 32 * (4 + 5) if step == "update" else 0
    assert sum(asked) <= plan.evaluations <= 1.3 * sum(asked) + pilots


def test_the_plans_of_all_shards_are_that_of_the_whole() -> None:
    config = tiny("darts-1")
    whole = plan_landscape(config, 1, searched=True)
    parts = [plan_landscape(config, 1, searched=True, shard=(rank, 4)) for rank in (1, 2, 3, 4)]
    assert sum(part.points for part in parts) == whole.points
    assert sum(part.evaluations for part in parts) == whole.evaluations
    assert max(part.evaluations for part in parts) < 0.7 * whole.evaluations


@pytest.mark.parametrize("batches", [1, 2])
def test_measuring_does_not_grow_with_the_validation_set(
    batches: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dry run of the paper's grid (391 batches a point) must answer in seconds."""
    seen: list[int] = []
    problem = make_problem(tiny())
    kind = type(problem.loss)
    original = kind.__call__

    def counting(self: object, weights: object, alpha: object, batch: object) -> torch.Tensor:
        seen.append(1)
        return original(self, weights, alpha, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(kind, "__call__", counting)
    size = 32 // batches
    plan_landscape(tiny("darts-1", {"landscape": {"val_batches": batches, "val_batch_size": size}}))
    assert len(seen) <= 24
