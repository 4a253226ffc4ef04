"""The loop: order of the two updates, warm-up, schedules, and resuming to the same bits."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from zarts.bilevel.inner import SGD, Diverged
from zarts.bilevel.objective import Bilevel, Objective
from zarts.bilevel.rng import generator
from zarts.bilevel.search import Memory, Optimizer, Step, search
from zarts.optimizers import DARTS, GLD, MGS, RandomSearch
from zarts.problems.toy import Quadratic

OUTER = SGD(0.1, momentum=0.9, weight_decay=1e-3, clip=5.0)
QUADRATIC = Quadratic.random(dim=3, weights=2)
SCHEDULE: Mapping[str, Callable[[int], float]] = {
    "learning_rate": lambda iteration: 0.1 / (1 + iteration)
}
ALPHA = torch.randn(3, generator=generator(0, "alpha"), dtype=torch.float64)


def problem() -> Bilevel[None]:
    return QUADRATIC.problem(1, outer=OUTER)


def tensors(step: Step, after: Objective) -> list[Tensor]:
    """Everything that a resumed run must repeat."""
    assert isinstance(after, Bilevel)
    return [
        step.alpha,
        step.candidates,
        step.losses,
        step.weights,
        *(step.memory[name] for name in sorted(step.memory)),
        after.weights["omega"],
        *(after.velocity or {}).values(),
        torch.tensor(after.iteration),
        torch.tensor(list(step.diagnostics.values())),
    ]


def same(left: list[Tensor], right: list[Tensor]) -> bool:
    return all(map(torch.equal, left, right)) and len(left) == len(right)


@dataclass(frozen=True)
class Recording:
    """An optimizer that notes what it is given and moves α by one in its first entry."""

    sigma: float = 1.0
    notes: list[dict[str, object]] = field(default_factory=list)

    def step(
        self, objective: Objective, alpha: Tensor, memory: Memory, rng: torch.Generator
    ) -> Step:
        self.notes.append(
            {
                "sigma": self.sigma,
                "alpha": alpha.clone(),
                "memory": dict(memory),
                "draw": torch.rand(2, generator=rng),
                "objective": objective,
            }
        )
        count = memory.get("count", torch.tensor(0))
        return Step(
            alpha=alpha + torch.eye(3, dtype=alpha.dtype)[0],
            loss=0.0,
            candidates=alpha.new_empty(0, 3),
            losses=torch.empty(0, dtype=torch.float64),
            memory={"count": count + 1},
        )


@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [
        (DARTS(order=2, learning_rate=0.1), SCHEDULE),
        (RandomSearch(learning_rate=0.1), SCHEDULE),
        (MGS(sigma=0.2), {"sigma": lambda t: 0.1 * (1 + math.cos(math.pi * t / 8))}),
        (GLD(radius_max=1.0, radius_min=0.1), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_search_resumed_anywhere_gives_the_same_bits(
    optimizer: Optimizer, schedule: Mapping[str, Callable[[int], float]] | None
) -> None:
    def run(**changes: object) -> list[tuple[Step, Objective]]:
        settings = {"objective": problem(), "alpha": ALPHA, **changes}
        return list(
            search(
                optimizer=optimizer, iterations=6, seed=3, warmup=2, schedule=schedule, **settings
            )
        )

    whole = run()
    assert len(whole) == 6
    for begin in range(1, 6):  # also in the middle of the warm-up
        step, after = whole[begin - 1]
        rest = run(objective=after, alpha=step.alpha, memory=step.memory, start=begin)
        assert len(rest) == 6 - begin
        for left, right in zip(rest, whole[begin:], strict=True):
            assert same(tensors(*left), tensors(*right))
    step, after = whole[-1]
    assert run(objective=after, alpha=step.alpha, memory=step.memory, start=6) == []


def test_the_seed_is_what_the_draws_depend_on() -> None:
    def run(seed: int) -> list[Tensor]:
        steps = search(problem(), MGS(sigma=0.2), ALPHA, iterations=3, seed=seed)
        return [tensor for step, after in steps for tensor in tensors(step, after)]

    assert same(run(0), run(0))
    assert not same(run(0), run(1))


def test_draws_belong_to_the_iteration() -> None:
    optimizer = Recording()
    list(search(problem(), optimizer, ALPHA, iterations=5, seed=7, warmup=2))
    draws = [note["draw"] for note in optimizer.notes]
    expected = [torch.rand(2, generator=generator(7, "optimizer", t)) for t in (2, 3, 4)]
    assert same(draws, expected)
    assert not torch.equal(draws[0], draws[1])


def test_warm_up_trains_omega_and_leaves_alpha() -> None:
    optimizer, current = Recording(), problem()
    steps = list(search(current, optimizer, ALPHA, iterations=4, seed=0, warmup=3))
    for step, after in steps[:3]:
        current = current.advance(ALPHA)
        assert torch.equal(step.alpha, ALPHA)
        assert torch.equal(after.weights["omega"], current.weights["omega"])
        assert math.isnan(step.loss)
        assert step.candidates.shape == (0, 3)
        assert step.losses.shape == (0,)
        assert step.diagnostics["update_norm"] == 0
    assert not torch.equal(current.weights["omega"], problem().weights["omega"])
    assert len(optimizer.notes) == 1
    assert not torch.equal(steps[3][0].alpha, ALPHA)


def test_omega_is_trained_at_the_new_alpha() -> None:
    """The order of DARTS and of Alg. 1: α with the old ω, then ω with the new α."""
    optimizer, current, alpha = Recording(), problem(), ALPHA
    for step, after in search(current, optimizer, ALPHA, iterations=3, seed=0):
        note = optimizer.notes[-1]
        assert note["objective"] is current
        assert torch.equal(note["alpha"], alpha)
        expected = current.advance(step.alpha)
        stale = current.advance(alpha)
        assert torch.equal(after.weights["omega"], expected.weights["omega"])
        assert not torch.equal(after.weights["omega"], stale.weights["omega"])
        current, alpha = after, step.alpha
    assert current.iteration == 3


def test_memory_goes_from_step_to_step_and_through_the_warm_up() -> None:
    optimizer = Recording()
    given = {"count": torch.tensor(5)}
    steps = list(search(problem(), optimizer, ALPHA, iterations=4, seed=0, warmup=2, memory=given))
    assert [int(step.memory["count"]) for step, _ in steps] == [5, 5, 6, 7]
    assert int(given["count"]) == 5
    assert list(given) == ["count"]
    first = Recording()
    list(search(problem(), first, ALPHA, iterations=1, seed=0))
    assert first.notes[0]["memory"] == {}


def test_schedules_set_the_field_at_every_iteration_of_the_whole_search() -> None:
    optimizer = Recording(sigma=9.0)
    asked = []

    def halving(iteration: int) -> float:
        asked.append(iteration)
        return 0.5**iteration

    list(search(problem(), optimizer, ALPHA, iterations=4, seed=0, warmup=1, start=0,
                schedule={"sigma": halving}))  # fmt: skip
    assert [note["sigma"] for note in optimizer.notes] == [0.5, 0.25, 0.125]
    assert set(asked) >= {1, 2, 3}
    assert optimizer.sigma == 9.0  # the optimizer itself is a value
    plain = Recording(sigma=9.0)
    list(search(problem(), plain, ALPHA, iterations=2, seed=0))
    assert [note["sigma"] for note in plain.notes] == [9.0, 9.0]


def test_the_inputs_stay_and_nothing_runs_before_it_is_asked() -> None:
    optimizer, first, alpha = Recording(), problem(), ALPHA.clone()
    omega = first.weights["omega"].clone()
    steps = search(first, optimizer, alpha, iterations=100, seed=0)
    assert optimizer.notes == []
    next(steps)
    next(steps)
    assert len(optimizer.notes) == 2
    assert torch.equal(alpha, ALPHA)
    assert torch.equal(first.weights["omega"], omega)
    assert first.iteration == 0


def test_outer_training_that_diverges_stops_the_search() -> None:
    wild = QUADRATIC.problem(outer=dataclasses.replace(OUTER, learning_rate=1e6, clip=None))
    with pytest.raises(Diverged):
        list(search(wild, Recording(), ALPHA, iterations=200, seed=0))


def test_a_whole_search_lowers_the_fine_tuned_loss() -> None:
    """MGS on the bilevel quadratic ends near the minimum that M = ∞ promises."""
    start = QUADRATIC.problem(10, outer=OUTER)
    steps = list(search(start, MGS(samples=8, sigma=0.1), ALPHA, iterations=80, seed=0))
    best = QUADRATIC.loss_at(QUADRATIC.minimum(math.inf), math.inf)
    gaps = [float(QUADRATIC.loss_at(a, math.inf) - best) for a in (ALPHA, steps[-1][0].alpha)]
    assert gaps[1] < 0.1 * gaps[0]
