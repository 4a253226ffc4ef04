"""Fig. 1(c): what a path reports is what the surfaces say, and what it cost is what was spent."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from landscape.geometry.plane import Plane
from landscape.geometry.problem import PlaneProblem
from landscape.geometry.walks import PILOTS, walk
from landscape.record import OptimizerPath
from tests.tiny import tiny
from zarts.bilevel.inner import Weights
from zarts.bilevel.objective import Bilevel
from zarts.bilevel.rng import generator
from zarts.optimizers import METHODS
from zarts.problems.build import landscape_objective, make_problem
from zarts.problems.toy import Quadratic
from zarts.settings.config import METHOD_NAMES, Config, PathsConfig

QUADRATIC = Quadratic.random(6, 4)
STEPS, SCALE, EXTENT = 10, 2.0, 1.5
PLANE = Plane.random(torch.linspace(-0.5, 0.5, 6), generator(0, "plane"), SCALE)


def toy(problem: Bilevel[None] | None = None, seed: int = 0, **settings: Any) -> PlaneProblem:
    problem = problem or QUADRATIC.problem(STEPS)
    return PlaneProblem(problem, PLANE, EXTENT, PathsConfig(**settings), seed)  # type: ignore[arg-type]


def images(config: Config | None = None, **settings: Any) -> PlaneProblem:
    config = config or tiny()
    start = make_problem(config)
    objective = landscape_objective(config, start.objective.weights, 0.05)
    plane = Plane.random(start.alpha, generator(0, "plane"), 5.0)
    return PlaneProblem(objective, plane, 1.0, PathsConfig(**{"updates": 2, **settings}), 0)


def end(setup: PlaneProblem, method: str) -> OptimizerPath:
    *_, path = walk(setup, method)
    return path


def own_steps(method: str, target: int) -> int:
    return {"darts-1": 0, "darts-2": 1}.get(method, target)


def assert_on_surfaces(setup: PlaneProblem, path: OptimizerPath) -> None:
    """Losses are those of the surfaces of the path's own M and of the target at its points."""
    target = setup.objective.inner_steps
    assert path.inner_steps == own_steps(path.method, target)
    points = setup.plane.points(torch.from_numpy(path.xy))
    for steps, losses in ((path.inner_steps, path.loss), (target, path.target_loss)):
        surface = setup.objective.at(steps).evaluate(points).numpy()
        np.testing.assert_allclose(losses, surface, rtol=2e-6)


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_a_path_in_the_plane_agrees_with_the_surfaces(method: str) -> None:
    setup = toy()
    path = end(setup, method)
    assert path.xy.shape == (11, 2)
    assert path.method == method
    assert path.note == ""
    assert path.xy[0] == pytest.approx([-0.5, 0.5], abs=1e-12)
    assert (path.residual == 0).all()
    assert_on_surfaces(setup, path)
    for steps, losses in ((path.inner_steps, path.loss), (STEPS, path.target_loss)):
        exact = [
            float(QUADRATIC.loss_at(alpha, steps))
            for alpha in PLANE.points(torch.from_numpy(path.xy))
        ]
        np.testing.assert_allclose(losses, exact, rtol=1e-9)
    assert len(np.unique(path.xy, axis=0)) > 1


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_a_path_of_a_supernet_agrees_with_its_surfaces(method: str) -> None:
    setup = images()
    path = end(setup, method)
    assert path.xy.shape == (3, 2)
    assert (path.residual == 0).all()
    assert_on_surfaces(setup, path)


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("method", ["darts-1", "zarts-mgs"])
def test_the_change_of_a_path_is_paired_over_the_images(method: str, lanes: int) -> None:
    """By hand: L_val taken apart, with the ω* of the surface at the start and at the end."""
    net, double = {"supernet": {"lanes": lanes, "channels": 4}}, {"dtype": "float64"}
    setup = images(tiny("darts-1", net, double))
    problem, path = setup.objective, end(setup, method)
    found = []
    for alpha in setup.plane.points(torch.from_numpy(path.xy[[0, -1]])):
        weights, (batch,) = problem.tuned(alpha), problem.val_batches()
        logits = problem.val_loss.network(weights, alpha, batch.images, batch.chance)  # type: ignore[attr-defined]
        found.append(-logits.log_softmax(1)[range(32), batch.labels].detach().numpy())
    first, last = found
    both = np.cov(first, last)
    expected = [32, first.mean(), last.mean(), both[0, 0], both[1, 1], both[0, 1]]
    assert path.moments == pytest.approx(expected, rel=1e-9)
    assert path.moments[1:3] == pytest.approx(path.target_loss[[0, -1]], rel=1e-12)
    each = last - first
    assert path.change == pytest.approx((each.mean(), each.std(ddof=1) / math.sqrt(32)), rel=1e-6)
    assert end(toy(), method).change is None  # a toy has no images
    steep = landscape_objective(tiny(method, net, double), problem.weights, 1e300)
    start = setup.plane.origin.unsqueeze(0)
    assert steep.evaluate(start).isnan().all()
    assert steep.samples(start).isnan().all()


@pytest.mark.parametrize("start", [(-0.5, 0.5), (0.25, -1.0), (0.0, 0.0)])
@pytest.mark.parametrize("space", ["plane", "full"])
def test_a_path_begins_at_the_start(space: str, start: tuple[float, float]) -> None:
    for method in METHOD_NAMES:
        first = next(walk(toy(space=space, start=start), method))
        assert first.xy.shape == (1, 2)
        assert first.xy[0] == pytest.approx(start, abs=1e-12)
        assert first.residual[0] == 0


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_a_full_dimensional_path_shows_what_its_projection_hides(method: str) -> None:
    path = end(toy(space="full"), method)
    assert ((path.residual >= 0) & (path.residual <= 1 + 1e-12)).all()
    assert path.residual[0] == 0
    assert path.residual[-1] > 0.01
    # the losses are those of the α visited, which lies off the plane
    off = QUADRATIC.loss_at(PLANE.points(torch.from_numpy(path.xy[-1:]))[0], path.inner_steps)
    assert path.loss[-1] != pytest.approx(float(off), rel=1e-6)


@pytest.mark.parametrize("order", [1, 2])
def test_a_full_dimensional_darts_path_by_hand(order: int) -> None:
    path = end(toy(space="full", updates=3, fraction=0.2), f"darts-{order}")
    alpha = first = PLANE.points(torch.tensor([[-0.5, 0.5]]).double())[0]
    gradient = QUADRATIC.gradient_at(alpha, order - 1)
    rate = 0.2 * EXTENT * SCALE / torch.linalg.vector_norm(gradient)
    for step in range(1, 4):
        alpha = alpha - rate * QUADRATIC.gradient_at(alpha, order - 1)
        moved = float(torch.linalg.vector_norm(alpha - first))
        outside = float(PLANE.residual(alpha.unsqueeze(0)))
        assert path.residual[step] == pytest.approx((outside / moved) ** 2, rel=1e-6)
        np.testing.assert_allclose(path.xy[step], PLANE.project(alpha.unsqueeze(0))[0], rtol=1e-7)
        assert path.loss[step] == pytest.approx(float(QUADRATIC.loss_at(alpha, order - 1)))
        assert path.target_loss[step] == pytest.approx(float(QUADRATIC.loss_at(alpha, STEPS)))


@pytest.mark.parametrize("samples", [1, 4, 5])
def test_budgets_are_what_was_spent(samples: int) -> None:
    updates, pairs = 3, max(1, samples // 2)
    spent = {method: end(toy(updates=updates, samples=samples), method) for method in METHOD_NAMES}
    counts = {name: (path.evaluations, path.gradients) for name, path in spent.items()}
    assert counts == {
        "darts-1": (0, updates + 1),  # the first sets the step length
        "darts-2": (0, updates + 1),
        "darts-m": (0, updates + 1),
        "implicit": (0, updates + 1),
        "zarts-rs": ((updates + PILOTS) * 2 * pairs, 0),
        "zarts-mgs": (updates * samples, 0),
        "zarts-gld": (updates * (samples + 1), 0),
    }
    for name, path in spent.items():
        asked = path.evaluations + path.gradients
        products = 5 * 11 if name == "implicit" else 0  # with the Hessian, ten and one more
        assert path.weight_steps == asked * (own_steps(name, STEPS) + products)
        assert path.seconds > 0


def test_the_budget_is_what_reaches_the_problem() -> None:
    """Counted from below: what is asked of L_M arrives once, and what a path is judged by."""
    trained, asked = [], []

    def train(weights: Weights, alpha: Tensor, batch: None) -> Tensor:
        trained.append(alpha)
        return QUADRATIC.train_loss(weights, alpha, batch)

    def val(weights: Weights, alpha: Tensor, batch: None) -> Tensor:
        asked.append(alpha.detach().numpy().tobytes())
        return QUADRATIC.val_loss(weights, alpha, batch)

    for method in METHOD_NAMES:
        trained.clear()
        asked.clear()
        setup = toy(replace(QUADRATIC.problem(STEPS), train_loss=train, val_loss=val), updates=2)
        path = end(setup, method)
        visited = len(np.unique(path.xy, axis=0))
        if METHODS[method].gradients:
            steps = {STEPS, path.inner_steps}
            # a product with the Hessian counts as five steps, the training loss is taken once
            known = (5 * 11 - 1) * path.gradients if method == "implicit" else 0
            assert len(trained) == path.weight_steps - known + visited * sum(steps), method
            assert len(asked) == path.gradients + visited * len(steps), method
            continue
        assert len(set(asked)) == len(asked), method  # no value is computed twice
        assert len(trained) == STEPS * len(asked), method
        assert path.evaluations - 2 <= len(asked) <= path.evaluations + visited, method
        if method == "zarts-gld":  # its points and their losses are all its own
            assert len(asked) == path.evaluations - 1, method


WORDS = (
    ("plane", "full"),
    ("frozen", "trained"),
    ("surface", "fresh"),
    ("matched", "update", "paper"),
)
CHOICES = [  # every second one, so that any two words meet
    tuple(word for _, word in found)
    for found in itertools.product(*map(enumerate, WORDS))
    if sum(place for place, _ in found) % 2 == 0
]


@pytest.mark.parametrize(("space", "weights", "noise", "step"), CHOICES)
def test_every_choice_runs_with_every_optimizer(
    space: str, weights: str, noise: str, step: str
) -> None:
    for method in METHOD_NAMES:
        setup = toy(space=space, weights=weights, noise=noise, step=step, updates=3)
        path = end(setup, method)
        assert path.xy.shape == (4, 2)
        assert np.isfinite(path.xy).all()
        assert np.isfinite(path.loss).all()
        if space == "plane":  # the surfaces stay what they are, whatever the optimizer saw
            assert_on_surfaces(setup, path)


def test_every_choice_runs_on_a_supernet() -> None:
    for method in METHOD_NAMES:
        setup = images(space="full", weights="trained", noise="fresh", step="paper")
        path = end(setup, method)
        assert path.xy.shape == (3, 2)
        assert np.isfinite(path.target_loss).all()
        assert path.evaluations + path.gradients > 0


@pytest.mark.parametrize("method", ["darts-1", "darts-2", "zarts-rs", "zarts-mgs"])
def test_trained_weights_change_the_problem_from_the_second_update_on(method: str) -> None:
    # GLD takes the same winner of a handful, and the toy's ∇L_0 does not depend on ω
    make = images if method == "darts-1" else toy
    frozen = end(make(updates=4), method)
    trained = end(make(updates=4, weights="trained"), method)
    np.testing.assert_allclose(frozen.xy[:2], trained.xy[:2], rtol=1e-12)
    assert not np.allclose(frozen.xy[2:], trained.xy[2:], rtol=1e-6)
    assert_on_surfaces(make(), trained)  # judged by the surfaces of the snapshot


def test_trained_weights_are_trained_on_batches_of_their_own() -> None:
    """As in a search: update t trains on the batches of iteration t, at the new α."""
    setup = images(weights="trained", updates=3)
    seen: list[int] = []
    feed = setup.objective.feed
    original = type(feed).train_batches

    class Watched(type(feed)):  # type: ignore[misc]
        def train_batches(self, iteration: int) -> Any:
            seen.append(iteration)
            return original(self, iteration)

    watched = Watched(**{name: getattr(feed, name) for name in (
        "train", "inner", "val", "outer", "inner_rule", "period", "val_batches_per_iteration",
        "stride")})  # fmt: skip
    setup = replace(setup, objective=replace(setup.objective, feed=watched))
    end(setup, "zarts-mgs")
    assert seen == [0, 1, 2]


@pytest.mark.parametrize("method", ["darts-1", "darts-2", "zarts-mgs", "zarts-rs"])
def test_fresh_noise_is_other_batches_at_every_update(method: str) -> None:
    assert method in METHOD_NAMES
    same, fresh = end(images(), method), end(images(noise="fresh"), method)
    assert not np.allclose(same.xy[1:], fresh.xy[1:], rtol=1e-6)
    assert_on_surfaces(images(), fresh)


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_a_path_depends_on_its_settings_alone(method: str) -> None:
    first = end(toy(), method)
    setup = toy()
    for other in METHOD_NAMES:  # walked before, on the same setup
        end(setup, other)
    again = end(setup, method)
    np.testing.assert_array_equal(first.xy, again.xy)
    np.testing.assert_array_equal(first.loss, again.loss)
    np.testing.assert_array_equal(first.target_loss, again.target_loss)
    if method.startswith("zarts"):
        assert not np.allclose(first.xy[1:], end(toy(seed=1), method).xy[1:])


def test_a_path_is_told_while_it_grows() -> None:
    for method in METHOD_NAMES:
        states = list(walk(toy(updates=3), method))
        assert [len(state.xy) for state in states] == [1, 2, 3, 4]
        np.testing.assert_allclose(states[1].xy, states[-1].xy[:2], rtol=1e-12)
        # it is judged once it is whole
        for state in states[:-1]:
            assert np.isnan([state.loss, state.target_loss]).all()
        assert np.isfinite([states[-1].loss, states[-1].target_loss]).all()


def test_no_updates_are_a_path_of_one_point() -> None:
    for method in METHOD_NAMES:
        (path,) = walk(toy(updates=0), method)
        assert path.xy.shape == (1, 2)


@dataclass(frozen=True)
class Cliff:
    """A loss that is NaN farther than ``radius`` from the start of the paths."""

    radius: float

    def __call__(self, weights: Weights, alpha: Tensor, batch: None) -> Tensor:
        loss = QUADRATIC.val_loss(weights, alpha, batch)
        start = PLANE.points(torch.tensor([[-0.5, 0.5]]).double())[0]
        return loss if float((alpha.detach() - start).norm()) < self.radius else loss * math.nan


def test_a_path_that_leaves_the_finite_ends_and_says_where() -> None:
    length = 0.15 * EXTENT * SCALE
    steep = replace(QUADRATIC.problem(STEPS), val_loss=Cliff(1.01 * length))
    path = end(toy(steep), "darts-1")
    assert path.note.startswith("diverged at step ")
    step = int(path.note.rsplit(" ", 1)[1])
    assert 2 <= step <= 10
    assert len(path.xy) == len(path.loss) == len(path.residual) == step
    assert np.isfinite(path.xy).all()
    for method in ("zarts-rs", "zarts-mgs", "zarts-gld"):  # they drop what is not finite
        path = end(toy(steep), method)
        assert path.note == ""
        assert np.isfinite(path.xy).all()


def test_a_start_that_is_not_finite_ends_a_path_not_the_figure() -> None:
    for method in METHOD_NAMES:
        path = end(toy(replace(QUADRATIC.problem(STEPS), val_loss=Cliff(0.0))), method)
        assert np.isfinite(path.xy).all()
        assert np.isnan(path.loss[0])
        if method.startswith("darts"):
            assert path.note == "diverged at the start"
            assert len(path.xy) == 1
