"""Searches and figures: trained, interrupted and gone on with, in workers, and verified."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import count

import numpy as np
import pytest
import torch

from landscape.compute.pipeline import compute
from landscape.verify.run import VerifyOptions, verify
from zarts.bilevel.inner import descend
from zarts.data.stream import Batch
from zarts.problems.build import make_problem
from zarts.problems.cost import plan_search
from zarts.problems.parts import load_dataset
from zarts.runs.provenance import provenance
from zarts.runs.recorder import record_search
from zarts.runs.runfile import Run
from zarts.settings.config import Config

Small = Callable[..., Config]
Create = Callable[[Config, str], Run]


def search(run: Run, config: Config, stop: int = 0) -> Run:
    """Searches, from where the run is, to its end or until so many iterations are done."""
    done = count(1)

    def check() -> None:
        if next(done) == stop:
            raise InterruptedError

    record_search(run, config, check=check)
    return run


def assert_same(one: Run, other: Run, rows: str) -> None:
    """The same bits on a CPU; a GPU may add in another order each time."""
    if one.config["device"] == "cpu":
        assert one.content_hash() == other.content_hash()
    for name in one.names():
        if re.fullmatch(rows, name):
            found, expected = (each.read(name).arrays for each in (one, other))
            assert found.keys() == expected.keys()
            for key in set(found) & {"alpha", "losses", "loss", "status", "epoch/val_loss"}:
                np.testing.assert_allclose(found[key], expected[key], rtol=1e-3, err_msg=name)


@pytest.mark.parametrize("method", ["darts-1", "darts-2", "zarts-mgs"])
def test_a_search_that_is_interrupted_ends_as_one_that_is_not(
    small: Small, create: Create, method: str
) -> None:
    config = small(method, {"search": {"period": 2}})
    whole = search(create(config, "whole"), config)
    broken = create(config, "broken")
    with pytest.raises(InterruptedError):
        search(broken, config, stop=3)
    again = search(create(config, "broken"), config)
    assert_same(again, whole, "search/.*")


@pytest.mark.parametrize("space", ["s3", "s4"])
def test_a_search_trains(small: Small, create: Create, space: str) -> None:
    changes = {"supernet": {"space": space}, "search": {"epochs": 4}, "data": {"subset": 200}}
    config = small("darts-1", changes)
    run = search(create(config, "run"), config)
    losses = [float(run.read(f"search/epoch-{e:04d}").arrays["epoch/val_loss"]) for e in (1, 4)]
    assert losses[1] < losses[0]


def test_a_search_is_near_that_of_the_cpu(small: Small, create: Create) -> None:
    """In double precision; what the two add in other orders grows with every step."""
    found = []
    for device in (small("darts-1").device, "cpu"):
        config = small("darts-1", dtype="float64", device=device)
        run = search(create(config, device.replace(":", "-")), config)
        found.append(run.read("search/epoch-0002").arrays["alpha"])
    np.testing.assert_allclose(*found, rtol=1e-6, atol=1e-8)


def test_a_plan_fits_the_device(small: Small) -> None:
    plan = plan_search(small("zarts-mgs"))
    assert plan.seconds > 0
    assert plan.memory > 0


def figure(create: Create, config: Config, name: str, workers: int) -> Run:
    """A whole figure, with what its numbers come from."""
    run = create(config, name)
    data = {"data_fingerprint": load_dataset(config).fingerprint, "seed": config.seed}
    run.amend(provenance(["tests"], config.device) | data)
    with run.lock():
        compute(run, config, workers=workers)
    return run


def test_a_figure_is_the_same_in_workers_and_verifies(small: Small, create: Create) -> None:
    config = small("darts-1")
    here = figure(create, config, "here", 1)
    apart = figure(create, config, "apart", 2)
    assert_same(apart, here, "(grid|search)/.*")
    report = verify(here.path, VerifyOptions(), lambda phase, total, done: lambda count, note: None)
    assert not [each for each in report.findings if each.result in ("FAIL", "unchecked")]
    assert report.code == 0


@pytest.mark.parametrize("space", ["s4", "s6"])
def test_no_step_waits_for_the_gpu(cuda: str, small: Small, space: str) -> None:
    """Making a batch, the loss, its gradient and the update; after the last step all is read."""
    problem = make_problem(small("darts-1", {"supernet": {"space": space}}))
    stream, start = problem.feed.train, problem.objective
    alpha = problem.alpha.to(cuda)

    def watched(batches: Sequence[int]) -> Iterator[Batch]:
        for k in batches:
            yield stream.batch(k)
            # what comes first makes things that are kept
            torch.cuda.set_sync_debug_mode("error")
        torch.cuda.set_sync_debug_mode("default")

    def loss(weights: dict[str, torch.Tensor], batch: Batch) -> torch.Tensor:
        return problem.loss(weights, alpha, batch)

    try:
        weights, _ = descend(loss, start.weights, watched(range(4)), problem.feed.outer_sgd(0))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert weights.keys() == start.weights.keys()
