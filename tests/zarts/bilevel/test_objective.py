"""L_M(α): values and derivatives against closed forms and slow references; bad numbers, types."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from tests.zarts.smooth import MOVING, POINT, TensorFeed, smooth, smooth_loss
from zarts.bilevel.alpha import flat_space
from zarts.bilevel.difference import through_step
from zarts.bilevel.inner import Diverged
from zarts.bilevel.objective import Bilevel
from zarts.bilevel.rng import generator
from zarts.problems.toy import PLAIN, ConstantFeed, Quadratic, darts_example

STEPS = [0, 1, 2, 10]
ALPHAS = torch.randn(5, 3, generator=generator(0, "alphas"), dtype=torch.float64)
ALPHA = ALPHAS[0]
QUADRATIC = Quadratic.random(dim=3, weights=2)


# --- values and gradients ------------------------------------------------------------------------


@pytest.mark.parametrize("steps", STEPS)
def test_values_equal_the_closed_form(steps: int) -> None:
    problem = QUADRATIC.problem(steps)
    losses = problem.evaluate(ALPHAS)
    assert losses.shape == (5,)
    assert losses.dtype == torch.float64
    for alpha, loss in zip(ALPHAS, losses, strict=True):
        assert loss == problem(alpha)  # one path
        torch.testing.assert_close(loss, QUADRATIC.loss_at(alpha, steps), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("steps", STEPS)
def test_gradients_equal_the_closed_form(steps: int) -> None:
    for alpha in ALPHAS:
        torch.testing.assert_close(
            QUADRATIC.problem(steps).grad(alpha),
            QUADRATIC.gradient_at(alpha, steps),
            rtol=1e-12,
            atol=1e-12,
        )


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("clip", [None, 0.1], ids=["free", "clipped"])
def test_gradients_are_the_slope_of_the_values(steps: int, clip: float | None) -> None:
    problem = smooth(TensorFeed(inner=replace(MOVING, clip=clip), scored=2), steps)
    step = 1e-5
    probes = step * torch.eye(4, dtype=torch.float64)
    slopes = (problem.evaluate(POINT + probes) - problem.evaluate(POINT - probes)) / (2 * step)
    torch.testing.assert_close(problem.grad(POINT), slopes, rtol=1e-7, atol=1e-8)


def test_the_error_falls_at_the_known_rate_as_m_grows() -> None:
    """Each step shrinks ω − ω* along the eigenvectors of H by 1 − ξλ; the slowest one remains."""
    rates = (1 - PLAIN.learning_rate * torch.linalg.eigvalsh(QUADRATIC.curvature)).abs()
    rate = float(rates.max())
    limit = QUADRATIC.loss_at(ALPHA, math.inf)
    errors = [float((QUADRATIC.problem(m)(ALPHA) - limit).abs()) for m in (20, 60, 61, 80)]
    assert errors[2] / errors[1] == pytest.approx(rate, rel=1e-3)
    assert (errors[3] / errors[1]) ** (1 / 20) == pytest.approx(rate, rel=1e-3)
    assert errors[3] < errors[0] / 100


def test_darts_own_example_by_hand() -> None:
    # ω₁ = ω − ξ·2(ω − α) = −1.6 + 0.2α from ω = −2 with ξ = 0.1.
    for value in (2.0, 0.0, -1.0, 0.7):
        alpha = torch.tensor([value], dtype=torch.float64)
        first, second = darts_example(0), darts_example(1)
        assert float(first(alpha)) == pytest.approx(-4 * value + 1)
        assert first.grad(alpha).tolist() == pytest.approx([-4])
        assert float(second(alpha)) == pytest.approx(0.2 * value**2 - 3.6 * value + 1)
        assert second.grad(alpha).tolist() == pytest.approx([0.4 * value - 3.6])
        assert float(darts_example(200)(alpha)) == pytest.approx((value - 1) ** 2)


def by_hand(problem: Bilevel[Tensor], radius: float | None) -> Tensor:
    """DARTS-2nd as its paper writes it; the mixed derivative exact, or by finite difference."""
    (batch,) = problem.feed.inner_batches(0, 1)
    (scored,) = problem.feed.val_batches(0)
    sgd, velocity = problem.feed.inner_sgd(0), problem.velocity
    assert velocity is not None
    alpha = POINT.clone().requires_grad_()
    weights = {name: weight.clone().requires_grad_() for name, weight in problem.weights.items()}
    slopes = torch.autograd.grad(
        problem.train_loss(weights, alpha, batch), list(weights.values()), create_graph=True
    )
    ahead = {
        name: weight
        - sgd.learning_rate * (sgd.momentum * velocity[name] + slope + sgd.weight_decay * weight)
        for (name, weight), slope in zip(weights.items(), slopes, strict=True)
    }
    if radius is None:
        return torch.autograd.grad(problem.val_loss(ahead, alpha, scored), alpha)[0]
    ahead = {name: weight.detach().requires_grad_() for name, weight in ahead.items()}
    loss = problem.val_loss(ahead, alpha, scored)
    direct, *through = torch.autograd.grad(loss, [alpha, *ahead.values()])
    scale = radius / math.sqrt(sum(float((part**2).sum()) for part in through))

    def slope_at(sign: float) -> Tensor:
        moved = {
            name: weight.detach() + sign * scale * part
            for (name, weight), part in zip(weights.items(), through, strict=True)
        }
        return torch.autograd.grad(problem.train_loss(moved, alpha, batch), alpha)[0]

    return direct - sgd.learning_rate * (slope_at(1) - slope_at(-1)) / (2 * scale)


def test_the_difference_converges_to_the_derivative(monkeypatch: pytest.MonkeyPatch) -> None:
    exact, errors = smooth().at(1).grad(POINT), []
    for radius in (0.02, 0.01, 0.005):
        monkeypatch.setattr("zarts.bilevel.difference.RADIUS", radius)
        errors.append(float((smooth().at(1).grad(POINT, through_step) - exact).norm()))
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.05)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.05)


def test_the_difference_is_that_of_one_step_without_a_clip() -> None:
    clipped = TensorFeed(replace(MOVING, clip=5.0))
    for problem in (smooth(steps=2), smooth(clipped, 1)):
        with pytest.raises(ValueError, match="expected M = 1 and no clip"):
            problem.grad(POINT, through_step)
    away = replace(smooth().at(1), val_loss=lambda weights, alpha, batch: (alpha**2).sum())
    torch.testing.assert_close(away.grad(POINT, through_step), 2 * POINT)  # b = 0: nothing beside a


def test_one_step_gradient_is_darts_second_order() -> None:
    problem = smooth().at(1)
    gradient = problem.grad(POINT)
    torch.testing.assert_close(gradient, by_hand(problem, None), rtol=1e-12, atol=1e-13)
    size = torch.linalg.vector_norm(gradient)
    errors = [
        float(torch.linalg.vector_norm(by_hand(problem, radius) - gradient) / size)
        for radius in (0.02, 0.01)  # 0.01 is the constant of DARTS
    ]
    assert errors[1] < 1e-4
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.02)  # a central difference: O(R²)
    # The test can fail: neither the first-order gradient nor another velocity agrees.
    assert torch.linalg.vector_norm(problem.at(0).grad(POINT) - gradient) > 0.05 * size
    published = problem.grad(POINT, through_step)  # and not h/2·R, by a precedence once shipped
    torch.testing.assert_close(published, by_hand(problem, 0.01), rtol=1e-9, atol=1e-12)
    assert not torch.allclose(published, gradient, rtol=1e-9, atol=1e-12)
    rested = replace(problem, inherit_velocity=False).grad(POINT)
    assert torch.linalg.vector_norm(rested - gradient) > 0.05 * size


def test_inherit_velocity_decides_how_the_first_step_starts() -> None:
    problem = smooth(steps=1)
    (batch,) = problem.feed.inner_batches(0, 1)
    leaves = {name: weight.clone().requires_grad_() for name, weight in problem.weights.items()}
    slopes = torch.autograd.grad(smooth_loss(leaves, POINT, batch), list(leaves.values()))
    assert problem.velocity is not None
    for inherit in (False, True):
        tuned = replace(problem, inherit_velocity=inherit).tuned(POINT)
        for (name, weight), slope in zip(problem.weights.items(), slopes, strict=True):
            kick = 0.9 * problem.velocity[name] if inherit else 0.0
            expected = weight - 0.15 * (kick + slope + 0.05 * weight)
            torch.testing.assert_close(tuned[name], expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("steps", [0, 2])
def test_several_validation_batches_are_averaged(steps: int) -> None:
    problem = smooth(TensorFeed(scored=3), steps)

    @dataclass(frozen=True)
    class Single(TensorFeed):
        which: int = 0

        def val_batches(self, iteration: int) -> Sequence[Tensor]:
            return [problem.feed.val_batches(iteration)[self.which]]

    values, slopes = [], []
    for which in range(3):
        single = replace(problem, feed=Single(which=which))
        values.append(single(POINT))
        slopes.append(single.grad(POINT))
    assert len({float(value) for value in values}) == 3
    torch.testing.assert_close(problem(POINT), torch.stack(values).mean(), rtol=1e-14, atol=0)
    torch.testing.assert_close(problem.grad(POINT), torch.stack(slopes).mean(0))


# --- what is not finite --------------------------------------------------------------------------


def picky(steps: int, where: str) -> Bilevel[None]:
    """A problem whose training or validation loss is NaN at negative α and infinite at zero."""

    def fine(weights: Mapping[str, Tensor], alpha: Tensor, batch: None) -> Tensor:
        return ((weights["omega"] - alpha) ** 2).sum()

    def bad(weights: Mapping[str, Tensor], alpha: Tensor, batch: None) -> Tensor:
        return fine(weights, alpha, batch) - alpha.log().sum()

    return Bilevel(
        flat_space("picky", 1),
        train_loss=bad if where == "train" else fine,
        val_loss=bad if where == "val" else fine,
        weights={"omega": torch.zeros(1, dtype=torch.float64)},
        feed=ConstantFeed(),
        inner_steps=steps,
    )


@pytest.mark.parametrize(("steps", "where"), [(0, "val"), (2, "val"), (2, "train")])
def test_what_is_not_finite_is_nan_and_leaves_the_other_rows_alone(steps: int, where: str) -> None:
    problem = picky(steps, where)
    rows = torch.tensor([[2.0], [-1.0], [3.0], [0.0], [math.nan]], dtype=torch.float64)
    losses = problem.evaluate(rows)
    assert losses.isnan().tolist() == [False, True, False, True, True]
    assert torch.equal(losses[[0, 2]], problem.evaluate(rows[[0, 2]]))
    for row in rows[[1, 3, 4]]:
        with pytest.raises(Diverged):
            problem.grad(row)
    assert problem.grad(rows[0]).isfinite().all()


def test_a_bad_validation_loss_is_named_as_such() -> None:
    with pytest.raises(Diverged, match="validation loss"):
        picky(2, "val").grad(torch.tensor([-1.0]))


def test_a_gradient_that_is_not_finite_is_an_error() -> None:
    def cusp(weights: Mapping[str, Tensor], alpha: Tensor, batch: None) -> Tensor:
        return (weights["omega"] - alpha).abs().sqrt().sum()

    problem = replace(picky(0, "val"), val_loss=cusp)
    assert problem(torch.zeros(1)) == 0
    with pytest.raises(Diverged):
        problem.grad(torch.zeros(1))


def test_a_training_loss_does_not_matter_before_the_first_step() -> None:
    assert picky(0, "train")(torch.tensor([-1.0])).isfinite()


def test_outer_training_that_diverges_is_an_error() -> None:
    with pytest.raises(Diverged, match="training loss"):
        picky(0, "train").advance(torch.tensor([-1.0]))


def test_fine_tuning_that_explodes_is_nan() -> None:
    problem = QUADRATIC.problem(400, inner=replace(PLAIN, learning_rate=1e3))
    assert problem(ALPHA).isnan()


# --- types and errors ----------------------------------------------------------------------------


@pytest.mark.parametrize("alpha_type", [torch.float32, torch.float64])
@pytest.mark.parametrize("weight_type", [torch.float32, torch.float64])
def test_alpha_is_moved_to_the_weights_and_the_gradient_back(
    alpha_type: torch.dtype, weight_type: torch.dtype
) -> None:
    seen = set()

    def loss(weights: Mapping[str, Tensor], alpha: Tensor, batch: None) -> Tensor:
        seen.add((alpha.dtype, weights["omega"].dtype))
        return ((weights["omega"] - alpha) ** 2).sum() + alpha.sum()

    problem = Bilevel(
        flat_space("typed", 2),
        train_loss=loss,
        val_loss=loss,
        weights={"omega": torch.ones(2, dtype=weight_type)},
        feed=ConstantFeed(),
        inner_steps=1,
    )
    alpha = torch.tensor([0.3, -0.2], dtype=alpha_type)
    assert problem.evaluate(alpha.unsqueeze(0)).dtype == torch.float64
    assert problem.grad(alpha).dtype == alpha_type
    assert problem.advance(alpha).weights["omega"].dtype == weight_type
    assert seen == {(weight_type, weight_type)}


def test_no_rows_are_no_losses() -> None:
    assert QUADRATIC.problem(1).evaluate(torch.empty(0, 3)).shape == (0,)


def test_bad_shapes_and_settings_are_refused() -> None:
    problem = QUADRATIC.problem(1)
    with pytest.raises(ValueError, match=r"expected \(n, 3\)"):
        problem.evaluate(ALPHA)
    with pytest.raises(ValueError, match=r"expected \(n, 3\)"):
        problem(ALPHAS)
    for use in (problem, problem.grad, problem.advance):
        with pytest.raises(ValueError, match=r"expects \(3,\)"):
            use(torch.zeros(4))
    with pytest.raises(ValueError, match="M >= 0"):
        problem.at(-1)


def test_a_loss_that_does_not_read_alpha_has_no_gradient() -> None:
    toy = Quadratic.random(dim=3, weights=2)
    blind = replace(toy.problem(0), val_loss=lambda weights, alpha, batch: weights["omega"].sum())
    assert torch.equal(blind.grad(torch.ones(3, dtype=torch.float64)), torch.zeros(3).double())
