"""A problem of one's own on a plane of one's own: computed, kept, gone on with, shown, verified."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from landscape import Plane, compute_surface, figure_1, load, save, static
from landscape.catalogue import Entry
from landscape.figures.words import caption
from landscape.record import Status
from tests.landscape.verifying import verdict
from zarts import SGD, Bilevel, ListFeed, flat_space
from zarts.bilevel.inner import Weights
from zarts.problems.toy import Quadratic
from zarts.runs.runfile import ConfigMismatch, ListedRun, Run

TOY = Quadratic.random(dim=4)
GENERATOR = torch.Generator()
ORIGIN = torch.tensor([1.0, -1, 2, 0.5], dtype=torch.float64)


def mine(alphas: int = 2, weight: float = 1.0, rate: float = 0.01) -> Bilevel[Tensor]:
    """A line through points whose slope α shrinks, fed from lists."""

    def loss(weights: Weights, alpha: Tensor, batch: Tensor) -> Tensor:
        return ((batch * weights["w"] - 1) ** 2).mean()

    def train_loss(weights: Weights, alpha: Tensor, batch: Tensor) -> Tensor:
        return loss(weights, alpha, batch) + weight * alpha.exp().sum() * weights["w"] ** 2

    space = flat_space("mine", ["log decay", "other"] if alphas == 2 else alphas)
    weights = {"w": torch.tensor(0.0)}
    batches = list(torch.arange(1.0, 7.0).view(3, 2))
    rule = SGD(rate, momentum=0, weight_decay=0, clip=None)
    return Bilevel(space, train_loss, loss, weights, ListFeed(batches, batches, rule))


def test_values_are_those_of_the_objective() -> None:
    told: list[tuple[int, int]] = []
    record = compute_surface(
        TOY.problem(), ORIGIN, steps=(3, 0), rows=3, cols=4, extent=2, scale=0.5, seed=7,
        report=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert told == [(k, 24) for k in range(1, 25)]
    plane = Plane.random(ORIGIN, torch.Generator(), 0.5)  # of another seed
    again = compute_surface(
        TOY.problem(), ORIGIN, steps=(0, 3), rows=3, cols=4, extent=2, plane=plane
    )
    for figure, other in ((record, again), (again, record)):
        assert [surface.inner_steps for surface in figure.surfaces] == [0, 3]
        assert not np.allclose(figure.surfaces[1].loss, other.surfaces[1].loss)
    surface = again.surfaces[1]
    at = plane.points(torch.tensor([[surface.x[3], surface.y[1]]]))[0]
    assert surface.loss[1, 3] == pytest.approx(float(TOY.loss_at(at, 3)), rel=1e-12)


def test_two_numbers_are_the_axes_and_say_so(tmp_path: Path) -> None:
    record = compute_surface(
        mine(), [-1.0, 0.25], folder=tmp_path / "own", steps=(0, 5), rows=3, cols=3, scale=0.5
    )
    axes = ["log decay = −1 + 0.5·x", "other = 0.25 + 0.5·y"]
    assert record.facts["axes"] == axes
    figure = figure_1(record)
    assert [figure.layout.xaxis.title.text, figure.layout.yaxis.title.text] == axes
    assert static(record)
    assert "learning rate" not in caption(record)
    flat, bent = (surface.loss for surface in record.surfaces)
    assert np.ptp(flat) == 0
    assert np.ptp(bent[:, 1]) > 0
    given = record.facts | {"axes": ["<img src=x>", "y"]}
    assert "<img" not in figure_1(replace(record, facts=given)).layout.xaxis.title.text


def test_a_stopped_surface_goes_on_and_a_finished_one_is_read(tmp_path: Path) -> None:
    whole = compute_surface(mine(), [0, 0], folder=tmp_path / "whole", steps=(0, 2), rows=3, cols=4)

    def stop(done: int, total: int) -> None:
        if done == 15:
            raise KeyboardInterrupt

    again: dict[str, Any] = {"folder": tmp_path / "own", "steps": (0, 2), "rows": 3, "cols": 4}
    with pytest.raises(KeyboardInterrupt):
        compute_surface(mine(), [0, 0], **again, report=stop)
    assert [surface.done for surface in load(Run.open(tmp_path / "own")).surfaces] == [12, 3]
    left: list[tuple[int, int]] = []
    record = compute_surface(mine(), [0, 0], **again, report=lambda *told: left.append(told))
    assert left == [(k, 24) for k in range(16, 25)]
    assert Run.open(tmp_path / "own").content_hash() == Run.open(tmp_path / "whole").content_hash()
    assert all((surface.status == Status.OK).all() for surface in record.surfaces)
    compute_surface(mine(), [0, 0], **again, report=lambda *told: left.append(told))
    assert len(left) == 9
    assert whole.surfaces[1].loss.tolist() == record.surfaces[1].loss.tolist()


@pytest.mark.parametrize(
    ("objective", "origin", "changes", "said"),
    [
        (mine(), [0, 0], {"rows": 5}, "landscape.rows: stored 3, asked 5"),
        (mine(), [0, 0], {"steps": (0, 4)}, "surfaces"),
        (mine(), [0, 1], {}, "plane: stored another origin"),
        (mine(), [0, 0], {"scale": 2.0}, "plane: stored another origin, direction or scale"),
        (mine(weight=9.0), [0, 0], {}, "stored .*, this objective gives"),
        (mine(rate=0.02), [0, 0], {}, "M = 2: stored .*, this objective gives"),
    ],
)
def test_another_grid_plane_or_objective_is_refused_and_nothing_is_lost(
    objective: Bilevel[Tensor], origin: list[float], changes: dict[str, Any], said: str,
    tmp_path: Path,
) -> None:  # fmt: skip
    asked: dict[str, Any] = {"folder": tmp_path / "own", "steps": (0, 2), "rows": 3, "cols": 3}
    compute_surface(mine(), [0, 0], **asked)
    before = Run.open(tmp_path / "own").content_hash()
    with pytest.raises(ConfigMismatch, match=said):
        compute_surface(objective, origin, **(asked | changes))
    assert Run.open(tmp_path / "own").content_hash() == before


def test_a_difference_like_that_of_rounding_is_a_warning(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"folder": tmp_path / "own", "steps": (0, 2), "rows": 3, "cols": 3}
    compute_surface(mine(), [0, 0], **asked)
    with pytest.warns(UserWarning, match="M = 2: stored .* if the objective is another"):
        compute_surface(mine(rate=0.010001), [0, 0], **asked)


def test_a_trajectory_of_ones_own_on_its_own_plane(tmp_path: Path) -> None:
    objective = TOY.problem(inner_steps=3)
    alphas = [ORIGIN]
    for _ in range(8):
        alphas.append(alphas[-1] - 0.3 * objective.grad(alphas[-1]))
    walked = torch.stack(alphas)
    plane = Plane.from_points(walked)
    asked: dict[str, Any] = {
        "folder": tmp_path / "own", "steps": (0, 3), "rows": 3, "cols": 3, "plane": plane,
        "paths": {"my-run": walked.tolist()},
    }  # fmt: skip
    record = compute_surface(objective, plane.origin, **asked)
    (path,) = record.paths
    assert (path.method, path.inner_steps) == ("my-run", 3)
    assert path.target_loss.tolist() == objective.evaluate(walked).tolist()
    assert np.allclose(path.xy, plane.project(walked).numpy())
    assert 0 < path.residual.max() < 0.1
    assert "my-run" in [trace.name for trace in figure_1(record).data]
    run = Run.open(tmp_path / "own")
    entry = Entry(ListedRun(run.path, run, ""), bundled=False)
    assert entry.finished
    before = (run.path / "paths" / "my-run.h5").stat().st_mtime_ns
    compute_surface(objective, plane.origin, **asked)
    assert (run.path / "paths" / "my-run.h5").stat().st_mtime_ns == before
    longer = asked | {"paths": {"my-run": walked[:4], "other": walked}}
    found = {
        each.method: len(each.xy)
        for each in compute_surface(objective, plane.origin, **longer).paths
    }
    assert found == {"my-run": 4, "other": 9}


def test_a_record_made_by_hand_is_kept_and_opened(tmp_path: Path) -> None:
    walked = torch.stack([ORIGIN, ORIGIN + 1])
    made = compute_surface(TOY.problem(), ORIGIN, steps=(3,), rows=3, cols=3, paths={"a": walked})
    record = replace(made, config={})
    run = save(record, tmp_path / "by-hand")
    again = load(run)
    assert [path.method for path in again.paths] == ["a"]
    assert again.surfaces[0].loss.tolist() == record.surfaces[0].loss.tolist()
    assert Entry(ListedRun(run.path, run, ""), bundled=False).finished
    asking = replace(record, config={"paths": {"methods": ["darts-1"]}})
    with pytest.raises(ValueError, match="settings ask for less than it has"):
        save(asking, tmp_path / "asking")


def test_verify_says_that_the_objective_is_not_there(tmp_path: Path) -> None:
    compute_surface(mine(), [0, 0], folder=tmp_path / "own", steps=(0, 2), rows=3, cols=3)
    said = verdict(tmp_path / "own")
    assert (said.code, said.failed) == (2, set())
    assert said.of("values") == ["unchecked"]
    assert "its objective is not stored" in said.why("values")
    assert "not stored" in said.why("config")
    file = tmp_path / "own" / "grid" / "m02.h5"
    content = bytearray(file.read_bytes())
    content[-9] ^= 1
    file.write_bytes(bytes(content))
    assert verdict(tmp_path / "own").failed == {"seal"}
    file.unlink()
    Run.open(tmp_path / "own").write("plane", {"scale": np.array(-1.0)})
    assert verdict(tmp_path / "own").failed == {"schema"}


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: compute_surface(mine(), [0, np.nan]), "origin has 1 numbers that are not finite"),
        (lambda: compute_surface(mine(), [0, 0, 0]), r"alpha has shape \(3,\)"),
        (lambda: compute_surface(mine(1), [0]), "has 1 dimension, a plane needs two"),
        (lambda: compute_surface(mine(), [0, 0], steps=()), "expected one M >= 0 or more"),
        (lambda: compute_surface(mine(), [0, 0], steps=10), "got steps=10, expected one M"),
        (lambda: compute_surface(mine(), [0, 0], paths={"p": [0, 1]}), "expected .n, 2."),
        (lambda: compute_surface(mine(), [0, 0], paths={"a b": [[0, 1]]}), "name 'a b'"),
        (lambda: compute_surface(mine(), [0, 0], plane=Plane.random(torch.ones(2), GENERATOR)),
         "the plane has another origin"),
        (lambda: compute_surface(replace(mine(), val_loss=lambda *_: torch.ones(3)), [0, 0]),
         r"val_loss gives \(3,\), expected a scalar tensor"),
        (lambda: compute_surface(replace(mine(), train_loss=lambda *_: 2.0), [0, 0]),
         "train_loss gives float, expected a scalar tensor"),
        (lambda: ListFeed([], [1], SGD(0.1)), "train is an empty list, expected a list of one"),
        (lambda: ListFeed([1], iter([2]), SGD(0.1)), r"val is a list_iterator, .*list\(loader\)"),
        (lambda: ListFeed([1], [1], SGD(0.1), outer_steps=0), "outer_steps is 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_said_before_anything_is_computed(
    call: Callable[[], Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        call()


def test_list_feed_takes_its_batches_in_turn() -> None:
    feed = ListFeed("abcde", "xy", SGD(0.1), inner=SGD(0.2), outer_steps=2)
    assert [feed.train_batches(t) for t in range(3)] == [["a", "b"], ["c", "d"], ["e", "a"]]
    assert feed.inner_batches(1, 4) == ["c", "d", "e", "a"]
    assert feed.inner_batches(1, 0) == []
    assert feed.val_batches(5) == "xy"
    assert (feed.outer_sgd(0), feed.inner_sgd(0)) == (SGD(0.1), SGD(0.2))
    assert ListFeed("a", "b", SGD(0.1)).inner_sgd(3) == SGD(0.1)
