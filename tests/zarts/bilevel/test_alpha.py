"""What the entries of α mean: cutting, joining, and the only softmax."""

from __future__ import annotations

import math

import pytest
import torch

from zarts.bilevel.alpha import Group, LooksLikeWeights, Space, flat_space
from zarts.bilevel.rng import generator

# Groups of unequal shapes, so that an exchange of edges, operations or groups changes the numbers.
SPACE = Space(
    "uneven",
    (
        Group("normal", (("a", "b"), ("c", "d"), ("a", "d"))),
        Group("reduce", (("a", "b", "c", "d"), ("e", "f", "g", "h"))),
    ),
)


def test_sizes() -> None:
    normal, reduce = SPACE.groups
    assert (normal.edges, normal.width, normal.size) == (3, 2, 6)
    assert (reduce.edges, reduce.width, reduce.size) == (2, 4, 8)
    assert SPACE.dim == 14


def test_split_puts_entries_in_the_order_group_edge_operation() -> None:
    parts = SPACE.split(torch.arange(14.0))
    assert list(parts) == ["normal", "reduce"]
    assert parts["normal"].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert parts["reduce"].tolist() == [[6, 7, 8, 9], [10, 11, 12, 13]]


def test_join_is_the_inverse_of_split() -> None:
    alpha = torch.randn(14, generator=generator(0, "alpha"))
    parts = SPACE.split(alpha)
    assert torch.equal(SPACE.join(parts), alpha)
    assert torch.equal(SPACE.join(dict(reversed(parts.items()))), alpha)  # the name decides
    again = SPACE.split(SPACE.join(parts))
    assert all(torch.equal(again[name], parts[name]) for name in parts)


def test_join_takes_arrays_and_lists() -> None:
    tables = SPACE.split(torch.arange(14.0))
    for form in (lambda table: table.numpy(), lambda table: table.tolist()):
        assert torch.equal(SPACE.join({k: form(v) for k, v in tables.items()}), torch.arange(14.0))


def test_join_warns_of_weights_after_a_softmax() -> None:
    alpha = torch.randn(14, generator=generator(0, "alpha"))
    SPACE.join(SPACE.split(alpha))  # no warning, which would be an error here
    weights = SPACE.mixture(alpha)
    for tables in (weights, {k: v.numpy().round(3) for k, v in weights.items()}):
        with pytest.warns(LooksLikeWeights, match=r"sum to one.*take their logarithm"):
            SPACE.join(tables)


def test_split_takes_a_strided_alpha() -> None:
    column = torch.arange(28.0).view(14, 2)[:, 1]
    assert torch.equal(SPACE.join(SPACE.split(column)), column)


def test_mixture_is_a_softmax_over_the_operations_of_each_edge() -> None:
    alpha = 3 * torch.randn(14, generator=generator(1, "alpha"), dtype=torch.float64)
    mixture = SPACE.mixture(alpha)
    for name, logits in SPACE.split(alpha).items():
        assert mixture[name].shape == logits.shape
        for row, weights in zip(logits.tolist(), mixture[name].tolist(), strict=True):
            total = math.fsum(math.exp(logit) for logit in row)
            assert weights == pytest.approx([math.exp(logit) / total for logit in row], rel=1e-14)
            assert math.fsum(weights) == pytest.approx(1, abs=1e-15)


def test_mixture_ignores_a_shift_of_an_edge_and_survives_huge_logits() -> None:
    alpha = torch.zeros(14)
    alpha[0], alpha[6] = 500.0, -500.0
    mixture = SPACE.mixture(alpha)
    assert mixture["normal"][0].tolist() == [1, 0]
    assert mixture["reduce"][0].tolist() == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3])
    shifted = alpha.clone()
    shifted[2:4] += 7.0
    assert torch.equal(SPACE.mixture(shifted)["normal"], mixture["normal"])


def test_mixture_is_differentiable_in_alpha() -> None:
    alpha = torch.randn(14, generator=generator(2, "alpha"), dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda a: tuple(SPACE.mixture(a).values()), alpha.requires_grad_()
    )


def test_init_is_small_gaussian_noise_of_the_asked_dtype() -> None:
    space = flat_space("big", 20_000)
    alpha = space.init(generator(0, "init"), torch.float64)
    assert alpha.dtype == torch.float64
    assert alpha.mean().abs() < 4e-3 / math.sqrt(20_000)
    assert alpha.std() == pytest.approx(1e-3, rel=0.03)
    assert space.init(generator(0, "init")).dtype == torch.float32
    assert torch.equal(alpha, space.init(generator(0, "init"), torch.float64))


def test_flat_space_is_plain_numbers() -> None:
    space = flat_space("toy", 5)
    assert (space.name, space.dim) == ("toy", 5)
    assert space.split(torch.arange(5.0))["alpha"].shape == (5, 1)


@pytest.mark.parametrize("shape", [(13,), (15,), (1, 14), (14, 1), ()])
def test_an_alpha_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    for use in (SPACE.check, SPACE.split, SPACE.mixture):
        with pytest.raises(ValueError, match=r"'uneven' expects \(14,\)"):
            use(torch.zeros(shape))


def test_parts_that_do_not_fit_are_refused() -> None:
    good = SPACE.split(torch.zeros(14))
    bad = [
        {"normal": good["normal"]},
        {**good, "extra": torch.zeros(1)},
        {**good, "normal": good["normal"].T},
        {"normal": good["reduce"], "reduce": good["normal"]},
        {},
    ]
    for parts in bad:
        with pytest.raises(ValueError, match="expects"):
            SPACE.join(parts)


@pytest.mark.parametrize("operations", [(), ((),), (("a",), ("a", "b"))])
def test_a_group_needs_edges_of_one_width(operations: tuple[tuple[str, ...], ...]) -> None:
    with pytest.raises(ValueError, match="same number"):
        Group("normal", operations)
