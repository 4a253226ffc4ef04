"""One contract for every optimizer on every toy, without special cases."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from zarts.bilevel.inner import SGD
from zarts.bilevel.objective import Bilevel, Objective
from zarts.bilevel.rng import generator
from zarts.bilevel.search import Step
from zarts.bilevel.wrappers import Counted, Restricted
from zarts.optimizers import METHODS
from zarts.problems.toy import CLASSICS, Quadratic, classic, darts_example

# What a user would choose on a bowl of radius about two: one row per method, no branches below.
SETTINGS: dict[str, dict[str, Any]] = {
    "darts-1": {"learning_rate": 0.05},
    "darts-2": {"learning_rate": 0.05},
    "darts-m": {"learning_rate": 0.05},
    "implicit": {"learning_rate": 0.05},
    "zarts-rs": {"learning_rate": 0.2},
    "zarts-mgs": {"sigma": 0.2},
    "zarts-gld": {"radius_max": 1.0, "radius_min": 0.01},
}
OUTER = SGD(0.05, momentum=0.9, weight_decay=3e-4, clip=5.0)
QUADRATIC = Quadratic.random(dim=3, weights=2)
PLANE = torch.linalg.qr(torch.randn(3, 2, generator=generator(0, "plane")).double())[0]
TOYS: dict[str, Objective] = {
    "quadratic": QUADRATIC.problem(2, outer=OUTER),
    "darts-example": darts_example(2, outer=OUTER),
    "plane": Restricted(QUADRATIC.problem(2, outer=OUTER), QUADRATIC.center, PLANE, 2.0),
    **{name: classic(name, inner_steps=1) for name in CLASSICS},
}


def build(method: str) -> Any:
    return METHODS[method].optimizer(**METHODS[method].fixed, **SETTINGS[method])


def start(problem: Objective, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(problem.space.dim, generator=generator(seed, "start"), dtype=dtype)


def ask(method: str, problem: Objective, alpha: Tensor, seed: int = 0, **memory: Tensor) -> Step:
    return build(method).step(problem, alpha, memory, generator(seed, "draws"))


def equal(left: Step, right: Step) -> bool:
    return (
        all(
            torch.equal(getattr(left, name), getattr(right, name))
            for name in ("alpha", "candidates", "losses", "weights")
        )
        and left.diagnostics == right.diagnostics
        and left.memory.keys() == right.memory.keys()
        and all(torch.equal(left.memory[key], right.memory[key]) for key in left.memory)
    )


def test_every_method_is_covered_and_keeps_to_the_style() -> None:
    assert SETTINGS.keys() == METHODS.keys()
    for method in METHODS:
        optimizer = build(method)
        assert dataclasses.is_dataclass(optimizer)
        with pytest.raises(dataclasses.FrozenInstanceError):
            optimizer.learning_rate = 1.0


@pytest.mark.parametrize("toy", TOYS)
@pytest.mark.parametrize("method", METHODS)
def test_a_step_is_well_formed(method: str, toy: str) -> None:
    problem = TOYS[toy]
    alpha = start(problem)
    before = alpha.clone()
    step = ask(method, problem, alpha)
    assert torch.equal(alpha, before)
    assert step.alpha.shape == alpha.shape
    assert step.alpha.dtype == alpha.dtype
    assert step.alpha.isfinite().all()
    assert not step.alpha.requires_grad
    count = len(step.candidates)
    assert step.candidates.shape == (count, problem.space.dim)
    assert step.losses.shape == (count,)
    assert step.losses.dtype == torch.float64
    assert step.losses.isfinite().all()
    assert len(step.weights) in (0, count)
    assert step.weights.dtype == torch.float64
    assert torch.equal(step.losses, problem.evaluate(step.candidates))
    assert isinstance(step.loss, float)
    moved = float(torch.linalg.vector_norm(step.alpha - alpha))
    assert step.diagnostics["update_norm"] == pytest.approx(moved, rel=1e-6, abs=1e-12)
    assert all(type(value) is float for value in step.diagnostics.values())


@pytest.mark.parametrize("toy", TOYS)
@pytest.mark.parametrize("method", METHODS)
def test_the_same_numbers_go_in_and_the_same_come_out(method: str, toy: str) -> None:
    problem = TOYS[toy]
    alpha = start(problem)
    step = ask(method, problem, alpha)
    torch.rand(7)  # the global generator plays no part
    assert equal(step, ask(method, problem, alpha))
    other = ask(method, problem, alpha, seed=1)
    drawn = len(step.candidates) > 0
    assert torch.equal(step.candidates, other.candidates) != drawn


@pytest.mark.parametrize("toy", TOYS)
@pytest.mark.parametrize("method", METHODS)
def test_the_cost_is_as_declared(method: str, toy: str) -> None:
    counted = Counted(TOYS[toy])
    optimizer = build(method)
    step = optimizer.step(counted, start(counted), {}, generator(0, "draws"))
    assert counted.tally.evaluations == optimizer.evaluations
    assert counted.tally.gradients == optimizer.gradients
    assert counted.tally.evaluations >= len(step.candidates)
    assert optimizer.evaluations + optimizer.gradients > 0


@pytest.mark.parametrize("toy", TOYS)
@pytest.mark.parametrize("method", METHODS)
def test_memory_survives_the_disk(method: str, toy: str) -> None:
    problem = TOYS[toy]
    first = ask(method, problem, start(problem))
    stored = {name: tensor.numpy().copy() for name, tensor in first.memory.items()}
    loaded = {name: torch.from_numpy(array) for name, array in stored.items()}
    second = ask(method, problem, first.alpha, 1, **first.memory)
    assert equal(second, ask(method, problem, first.alpha, 1, **loaded))
    assert all(torch.equal(first.memory[name], loaded[name]) for name in loaded)  # only read
    assert second.memory.keys() == first.memory.keys()
    assert second.diagnostics.keys() == first.diagnostics.keys()


@pytest.mark.parametrize("method", METHODS)
def test_single_precision_stays_single(method: str) -> None:
    problem = QUADRATIC.problem(1)
    step = ask(method, problem, start(problem, dtype=torch.float32))
    again = ask(method, problem, step.alpha, **step.memory)
    assert step.alpha.dtype == step.candidates.dtype == again.alpha.dtype == torch.float32


@pytest.mark.parametrize("method", METHODS)
def test_omega_and_momentum_stay_while_a_candidate_has_moved(method: str) -> None:
    """Fails for the released search code, whose fine-tune moves the wrong model (METHODS Z1)."""
    problem: Bilevel[None] = QUADRATIC.problem(3, outer=OUTER)
    alpha = start(problem)
    problem = problem.advance(alpha)
    assert problem.velocity is not None
    tensors = {**problem.weights, **{f"v.{k}": v for k, v in problem.velocity.items()}}
    copies = {name: tensor.clone() for name, tensor in tensors.items()}
    versions = {name: tensor._version for name, tensor in tensors.items()}
    loss = problem(alpha)
    step = ask(method, problem, alpha)
    assert all(torch.equal(tensors[name], copies[name]) for name in tensors)
    assert {name: tensor._version for name, tensor in tensors.items()} == versions
    assert problem(alpha) == loss
    assert problem.iteration == 1
    for candidate in (step.alpha, *step.candidates):
        assert not torch.equal(problem.tuned(candidate)["omega"], problem.weights["omega"])


@pytest.mark.parametrize("method", METHODS)
def test_a_single_level_bowl_is_descended_from_nine_of_ten_starts(method: str) -> None:
    problem = classic("bowl")
    better = 0
    for seed in range(10):
        alpha = start(problem, seed)
        memory: Any = {}
        before = float(problem(alpha))
        for iteration in range(40):
            rng = generator(seed, "optimizer", iteration)
            step = build(method).step(problem, alpha, memory, rng)
            alpha, memory = step.alpha, step.memory
        better += float(problem(alpha)) < 0.5 * before
    assert better >= 9
