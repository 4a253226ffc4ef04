"""MGS: Proposition 1 against its closed form, the weights in log space, and every proposal."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal, localcontext

import pytest
import torch
from torch import Tensor

from zarts.bilevel.objective import Objective
from zarts.bilevel.rng import generator
from zarts.bilevel.search import Step
from zarts.bilevel.wrappers import Counted
from zarts.optimizers.mgs import MGS, importance_weights
from zarts.problems.toy import Quadratic

AsObjective = Callable[[Callable[[Tensor], Tensor], int], Objective]
MANY = 100_000
ALPHA = torch.randn(3, generator=generator(0, "alpha"), dtype=torch.float64)
QUADRATIC = Quadratic.random(dim=3, weights=2)


def direction(dim: int, length: float) -> Tensor:
    draw = torch.randn(dim, generator=generator(0, "slope", dim), dtype=torch.float64)
    return length * draw / torch.linalg.vector_norm(draw)


def bessel(order: float, argument: float) -> float:
    """Modified Bessel function of the first kind by its power series."""
    half = argument / 2
    return math.fsum(
        half ** (2 * k + order) / (math.factorial(k) * math.gamma(k + order + 1)) for k in range(40)
    )


def size(dim: int, radius: float, temperature: float, length: float) -> float:
    """‖u*‖ of Proposition 1 for a linear loss with ‖g‖ = ``length``."""
    kappa = radius * length / temperature
    return radius * bessel(dim / 2 + 1, kappa) / bessel(dim / 2, kappa)


def moved(step: Step, alpha: Tensor) -> tuple[Tensor, float]:
    """The update u* and its Monte-Carlo error, from the samples: Σ w²‖u − u*‖² (delta method)."""
    update = step.alpha - alpha
    spread = ((step.candidates - alpha - update) ** 2).sum(1)
    return update, math.sqrt(float((step.weights**2 * spread).sum()))


@pytest.mark.parametrize("weighting", ["softmax", "exact"])
@pytest.mark.parametrize(
    ("dim", "radius", "temperature", "length"),
    [(3, 0.3, 0.05, 0.3), (1, 0.3, 0.05, 0.5), (2, 0.2, 0.01, 0.1), (10, 0.3, 0.05, 0.6)],
)
def test_proposition_1_on_a_linear_loss(
    as_objective: AsObjective,
    weighting: str,
    dim: int,
    radius: float,
    temperature: float,
    length: float,
) -> None:
    """E u = −ε I_{d/2+1}(κ)/I_{d/2}(κ) g/‖g‖ for u ~ exp(−gᵀu/τ) on ‖u‖ <= ε, with κ = ε‖g‖/τ."""
    slope, alpha = direction(dim, length), torch.full((dim,), 0.5, dtype=torch.float64)
    expected = size(dim, radius, temperature, length)
    optimizer = MGS(MANY, radius, temperature, proposal="ball", weighting=weighting)
    step = optimizer.step(as_objective(lambda a: a @ slope, dim), alpha, {}, generator(0, dim))
    update, error = moved(step, alpha)
    assert torch.cosine_similarity(update, -slope, dim=0) >= 0.99
    assert error < 0.03 * expected
    assert float(torch.linalg.vector_norm(update)) == pytest.approx(expected, abs=3 * error)


def test_the_closed_form_has_the_published_value_and_limits() -> None:
    assert size(3, 0.3, 0.05, 0.3) == pytest.approx(0.09925, abs=5e-6)
    small = size(7, 0.3, 0.05, 1e-4)  # → ε²‖g‖/(τ(d + 2)): a gradient step
    assert small == pytest.approx(0.3**2 / (0.05 * 9) * 1e-4, rel=1e-6)
    # d = 1 by hand: the mean of exp(−κt) on [−1, 1] is coth κ − 1/κ.
    assert size(1, 1.0, 1.0, 1.5) == pytest.approx(1 / math.tanh(1.5) - 1 / 1.5, rel=1e-12)


@pytest.mark.parametrize(("proposal", "shift"), [("gaussian", 0.0), ("grad", 1.0)])
def test_gaussian_with_softmax_tends_to_a_gradient_step(
    as_objective: AsObjective, proposal: str, shift: float
) -> None:
    """The mean of N(c, s²I)·exp(−gᵀu/τ) is c − (s²/τ) g."""
    slope, alpha, mix = direction(6, 0.3), torch.full((6,), 0.5, dtype=torch.float64), 0.2
    optimizer = MGS(MANY, 0.025, 0.01, proposal=proposal, mix=mix)
    problem = as_objective(lambda a: a @ slope, 6)
    update, error = moved(optimizer.step(problem, alpha, {}, generator(0, 6)), alpha)
    variance = 0.025**2 * ((1 - mix) ** 2 + mix**2 if shift else 1.0)
    expected = -(shift * (1 - mix) + variance / 0.01) * slope
    assert torch.cosine_similarity(update, expected, dim=0) >= 0.99
    assert torch.linalg.vector_norm(update - expected) < 3 * error
    assert error < 0.05 * 0.0625 * 0.3


def reference_weights(losses: list[float], temperature: float) -> list[float]:
    """Eq. 8 in sixty digits, where exp(±1000) is an ordinary number."""
    with localcontext() as context:
        context.prec = 60
        scores = [(-Decimal(loss) / Decimal(temperature)).exp() for loss in losses]
        return [float(score / sum(scores)) for score in scores]


@pytest.mark.parametrize(
    "changes",
    [[10.0, -10.0, 0.0], [-10.0, -10.0, -9.99, 10.0], [10.0, 10.01, 10.02], [0.003, -0.001]],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("base", [0.0, 2.5])
def test_weights_equal_a_high_precision_reference(
    changes: list[float], dtype: torch.dtype, base: float
) -> None:
    losses = torch.tensor(changes, dtype=dtype) + base
    weights = importance_weights(losses, 0.01)
    assert weights.dtype == torch.float64
    # The exponent is about 1000, known to 1e-16 of itself.
    assert weights.tolist() == pytest.approx(reference_weights(losses.tolist(), 0.01), rel=1e-12)
    assert float(weights.sum()) == pytest.approx(1, abs=1e-12)


def test_a_log_density_divides_the_weights() -> None:
    losses = torch.tensor([0.1, 0.2, 0.15], dtype=torch.float64)
    density = torch.tensor([0.5, 1e-30, 1e30], dtype=torch.float64)
    weights = importance_weights(losses, 0.05, density.log())
    slow = (-losses / 0.05).exp() / density
    torch.testing.assert_close(weights, slow / slow.sum())
    torch.testing.assert_close(importance_weights(losses, 0.05, density.log() + 99), weights)


def test_what_is_not_finite_weighs_nothing() -> None:
    losses = torch.tensor([0.1, math.nan, 0.1, math.inf, -math.inf])
    weights = importance_weights(losses, 0.01)
    assert weights.tolist() == pytest.approx([0.5, 0, 0.5, 0, 0], rel=1e-14, abs=0)
    assert importance_weights(losses[1:2], 0.01).tolist() == [0]


@pytest.mark.parametrize("weighting", ["softmax", "exact"])
@pytest.mark.parametrize("proposal", ["gaussian", "ball", "grad", "mixture"])
def test_a_constant_added_to_the_loss_changes_nothing(
    as_objective: AsObjective, proposal: str, weighting: str
) -> None:
    def loss(alphas: Tensor) -> Tensor:
        return (alphas**2).sum(1)

    optimizer = MGS(8, 0.1, proposal=proposal, weighting=weighting)
    steps = [
        optimizer.step(
            as_objective(lambda a, c=c: loss(a) + c, 3), ALPHA, {}, generator(0, proposal)
        )
        for c in (0.0, 1024.0)
    ]
    assert torch.equal(steps[0].candidates, steps[1].candidates)
    torch.testing.assert_close(steps[0].alpha, steps[1].alpha, rtol=0, atol=1e-9)
    assert not torch.equal(steps[0].alpha, ALPHA)


@pytest.mark.parametrize("weighting", ["softmax", "exact"])
@pytest.mark.parametrize("proposal", ["gaussian", "ball", "grad", "mixture"])
def test_one_sample_is_taken_whatever_its_loss(proposal: str, weighting: str) -> None:
    optimizer = MGS(1, 0.1, proposal=proposal, weighting=weighting)
    step = optimizer.step(QUADRATIC.problem(1), ALPHA, {}, generator(0, "single"))
    assert step.weights.tolist() == [1]
    torch.testing.assert_close(step.alpha, step.candidates[0], rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize("weighting", ["softmax", "exact"])
@pytest.mark.parametrize("proposal", ["gaussian", "ball", "grad", "mixture"])
def test_where_nothing_is_finite_alpha_stays(
    as_objective: AsObjective, proposal: str, weighting: str
) -> None:
    def hole(alphas: Tensor) -> Tensor:  # finite at α, so that it has a gradient, and nowhere else
        return torch.where((alphas == ALPHA).all(1), 1.0, torch.nan) * alphas.sum(1)

    optimizer = MGS(4, 0.1, proposal=proposal, weighting=weighting)
    step = optimizer.step(as_objective(hole, 3), ALPHA, {}, generator(0))
    assert torch.equal(step.alpha, ALPHA)
    assert step.diagnostics["dropped"] == 4
    assert step.diagnostics["ess"] == 0
    assert step.diagnostics["update_norm"] == 0


def test_a_candidate_that_diverged_has_no_part_in_the_update(as_objective: AsObjective) -> None:
    def holes(alphas: Tensor) -> Tensor:
        return torch.where(alphas[:, 0] > ALPHA[0], torch.nan, (alphas**2).sum(1))

    step = MGS(16, 0.1, 0.05).step(as_objective(holes, 3), ALPHA, {}, generator(0, "holes"))
    kept = step.losses.isfinite()
    assert 0 < kept.sum() < 16
    assert step.diagnostics["dropped"] == 16 - kept.sum()
    assert (step.weights[~kept] == 0).all()
    weights = (-step.losses[kept] / 0.05).softmax(0)
    torch.testing.assert_close(step.alpha, weights @ step.candidates[kept])


def test_exact_and_softmax_coincide_for_the_ball_and_only_there() -> None:
    def step(proposal: str, weighting: str) -> Step:
        optimizer = MGS(6, 0.3, 0.5, proposal=proposal, weighting=weighting)
        return optimizer.step(QUADRATIC.problem(1), ALPHA, {}, generator(0, "both"))

    for proposal in ("ball", "gaussian", "grad", "mixture"):
        softmax, exact = step(proposal, "softmax"), step(proposal, "exact")
        assert torch.equal(softmax.candidates, exact.candidates)
        assert torch.allclose(softmax.weights, exact.weights, atol=1e-12) == (proposal == "ball")


@pytest.mark.parametrize(("dim", "expected"), [(196, 1.18), (56, 1.32)])
def test_exact_weighting_with_a_gaussian_is_nearly_degenerate(
    as_objective: AsObjective, dim: int, expected: float
) -> None:
    """From 1/q alone (a flat loss): mean Kish ESS of four samples, METHODS Z4."""
    flat = as_objective(lambda alphas: torch.zeros(len(alphas)), dim)
    alpha = torch.zeros(dim, dtype=torch.float64)
    optimizer = MGS(4, 0.025, weighting="exact")
    sizes, farthest = [], []
    for i in range(1000):
        step = optimizer.step(flat, alpha, {}, generator(0, "ess", dim, i))
        sizes.append(step.diagnostics["ess"])
        norms = torch.linalg.vector_norm(step.candidates, dim=1)
        farthest.append(int(step.weights.argmax()) == int(norms.argmax()))
    mean = math.fsum(sizes) / len(sizes)
    assert mean == pytest.approx(expected, abs=0.04)  # 0.01 is the standard error
    assert all(farthest)
    even = MGS(4, 0.025).step(flat, alpha, {}, generator(0))
    assert even.diagnostics["ess"] == pytest.approx(4)
    assert even.diagnostics["cv"] == pytest.approx(0, abs=1e-12)


def test_ess_and_cv_are_two_views_of_the_weights() -> None:
    step = MGS(5, 0.3, 0.2).step(QUADRATIC.problem(), ALPHA, {}, generator(0, "ess"))
    weights = step.weights.tolist()
    ess, cv = step.diagnostics["ess"], step.diagnostics["cv"]
    assert ess == pytest.approx(1 / math.fsum(w**2 for w in weights))
    assert cv == pytest.approx(math.sqrt(math.fsum((5 * w - 1) ** 2 for w in weights) / 5))
    assert ess == pytest.approx(5 / (1 + cv**2))
    assert 1 < ess < 5


def slow_densities(proposal: str, deltas: Tensor, gradient: Tensor, optimizer: MGS) -> Tensor:
    """q(u) term by term, as the class describes it."""
    mix, sigma = optimizer.mix, optimizer.sigma

    def normal(delta: Tensor, center: Tensor, width: float) -> float:
        return math.prod(
            math.exp(-((x - c) ** 2) / (2 * width**2)) / (width * math.sqrt(2 * math.pi))
            for x, c in zip(delta.tolist(), center.tolist(), strict=True)
        )

    zero = torch.zeros_like(gradient)
    densities = {
        "gaussian": lambda u: normal(u, zero, sigma),
        "grad": lambda u: normal(
            u, -(1 - mix) * gradient, sigma * math.sqrt((1 - mix) ** 2 + mix**2)
        ),
        "mixture": lambda u: (1 - mix) * normal(u, -gradient, sigma) + mix * normal(u, zero, sigma),
        "ball": lambda u: 1.0,
    }
    return torch.tensor([densities[proposal](delta) for delta in deltas], dtype=torch.float64)


@pytest.mark.parametrize("proposal", ["gaussian", "ball", "grad", "mixture"])
@pytest.mark.parametrize("mix", [1e-3, 0.3, 1.0])
def test_exact_weights_divide_by_the_density_of_the_proposal(proposal: str, mix: float) -> None:
    optimizer = MGS(9, 0.7, 0.4, proposal=proposal, weighting="exact", mix=mix)
    step = optimizer.step(QUADRATIC.problem(2), ALPHA, {}, generator(0, "density"))
    gradient = QUADRATIC.gradient_at(ALPHA, 0)
    densities = slow_densities(proposal, step.candidates - ALPHA, gradient, optimizer)
    slow = (-(step.losses - step.losses.min()) / 0.4).exp() / densities
    torch.testing.assert_close(step.weights, slow / slow.sum(), rtol=1e-9, atol=1e-12)


def test_proposals_lie_where_they_say(as_objective: AsObjective) -> None:
    slope, alpha = direction(4, 3.0), torch.full((4,), 0.5, dtype=torch.float64)
    problem = as_objective(lambda a: a @ slope, 4)

    def deltas(proposal: str, mix: float = 0.25) -> Tensor:
        optimizer = MGS(20_000, 0.2, proposal=proposal, mix=mix)
        return optimizer.step(problem, alpha, {}, generator(0, "lie")).candidates - alpha

    def check(draws: Tensor, center: Tensor, width: float) -> None:
        error = 5 * width / math.sqrt(len(draws))
        assert (draws.mean(0) - center).abs().max() < error
        assert draws.std(0).tolist() == pytest.approx([width] * 4, rel=0.05)

    zero = torch.zeros_like(slope)
    check(deltas("gaussian"), zero, 0.2)
    check(deltas("grad"), -0.75 * slope, 0.2 * math.hypot(0.75, 0.25))
    check(deltas("ball"), zero, 0.2 / math.sqrt(6))
    assert torch.linalg.vector_norm(deltas("ball"), dim=1).max() <= 0.2
    both = deltas("mixture")  # ‖g‖ is fifteen widths, so each draw shows where it is from
    near = torch.linalg.vector_norm(both, dim=1) < 1.5
    assert float(near.double().mean()) == pytest.approx(0.25, abs=5 * math.sqrt(0.19 / 20_000))
    check(both[near], zero, 0.2)
    check(both[~near], -slope, 0.2)


@pytest.mark.parametrize("proposal", ["grad", "mixture"])
def test_the_guiding_gradient_is_the_first_order_one(proposal: str) -> None:
    counted = Counted(QUADRATIC.problem(10))
    optimizer = MGS(3, 1e-9, proposal=proposal, mix=0.0)
    step = optimizer.step(counted, ALPHA, {}, generator(0))
    center = ALPHA - QUADRATIC.gradient_at(ALPHA, 0)
    torch.testing.assert_close(step.candidates, center.expand(3, 3), rtol=0, atol=1e-7)
    tally = counted.tally
    assert (tally.evaluations, tally.gradients, tally.weight_steps) == (3, 1, 30)
    assert optimizer.gradients == 1


@pytest.mark.parametrize("proposal", ["gaussian", "ball"])
def test_without_guidance_no_gradient_is_asked_for(proposal: str) -> None:
    counted = Counted(QUADRATIC.problem(10))
    optimizer = MGS(3, proposal=proposal)
    optimizer.step(counted, ALPHA, {}, generator(0))
    assert (counted.tally.evaluations, counted.tally.gradients) == (3, 0)
    assert optimizer.gradients == 0


def test_defaults_are_those_of_the_paper_and_need_no_gradient() -> None:
    mgs = MGS()
    assert (mgs.samples, mgs.sigma, mgs.temperature, mgs.mix) == (4, 0.025, 0.01, 1e-3)
    assert (mgs.proposal, mgs.weighting) == ("gaussian", "softmax")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("samples", 0),
        ("sigma", 0.0),
        ("sigma", math.nan),
        ("temperature", -0.01),
        ("proposal", "cauchy"),
        ("weighting", "none"),
        ("mix", 1.5),
        ("mix", math.nan),
    ],
)
def test_bad_settings_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{field} is .*, expected"):
        MGS(**{field: value})
