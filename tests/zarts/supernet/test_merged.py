"""The network of MergeNAS and MergeZARTS: one kernel for all convolutions of an edge."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.zarts.supernet.agree import agree, tensors
from zarts.bilevel.alpha import Group, Space
from zarts.bilevel.chance import Chance
from zarts.bilevel.rng import generator
from zarts.supernet.family import Source
from zarts.supernet.fast.kernels import Kernels
from zarts.supernet.layout import Use
from zarts.supernet.merged import MERGED, Merge, MergedSupernet, merge_kernels
from zarts.supernet.plain import PlainSupernet
from zarts.supernet.sampled import SampledSupernet
from zarts.supernet.spaces import SPACES, TABLES

KERNELS = {
    "stacked": Kernels(1 << 30, 1),
    "edge by edge": Kernels(0),
    "directly": Kernels(1 << 30, layout="first", phases="off"),
}
# the side of an operation's kernel, and its dilation
SIDES = {
    "sep_conv_3x3": (3, 1),
    "sep_conv_5x5": (5, 1),
    "dil_conv_3x3": (3, 2),
    "dil_conv_5x5": (5, 2),
}


def sample(space: str, how: Kernels = KERNELS["stacked"], draw: int = 0) -> tuple[Any, ...]:
    net = MergedSupernet(SPACES[space], 4, 4, 5, 2, kernels=how)
    rng = generator(draw, "merged", space)
    alpha = torch.randn(net.space.dim, generator=rng, dtype=torch.float64)
    images = torch.randn(4, 2, 9, 6, generator=rng, dtype=torch.float64)
    return net, net.init(rng, torch.float64), alpha, images


@pytest.mark.parametrize("operation", MERGED)
def test_a_one_hot_is_the_dense_or_the_dilated_convolution(operation: str) -> None:
    (weight, x) = tensors((6, 1, 9, 9), (2, 6, 12, 13))
    one_hot = torch.tensor([[float(name == operation) for name in MERGED]], dtype=torch.float64)
    merged = functional.conv2d(x, merge_kernels(weight, one_hot), padding=4, groups=6)
    side, dilation = SIDES[operation]
    reach = dilation * (side // 2)
    taps = slice(4 - reach, 5 + reach, dilation)
    alone = functional.conv2d(x, weight[..., taps, taps], None, 1, reach, dilation, 6)
    torch.testing.assert_close(merged, alone, rtol=1e-12, atol=1e-12)
    used = merge_kernels(torch.ones_like(weight), torch.ones(1, 4).double())[0, 0] > 0
    assert int(used.sum()) == 41


@pytest.mark.parametrize("how", KERNELS)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    "merged",
    [
        [*MERGED],
        ["sep_conv_3x3"],
        ["sep_conv_3x3", "dil_conv_3x3"],
        ["dil_conv_3x3"],
        [*MERGED][1:3],
    ],
)
def test_the_fast_way_is_the_9x9_convolution(merged: list[str], stride: int, how: str) -> None:
    """Values and two derivatives, of even and odd sizes, edges with operations of their own."""
    edges = [merged, merged[:1], merged[-1:]]
    shares = torch.rand(3, 4, generator=generator(0, "shares"), dtype=torch.float64)
    shares *= torch.tensor([[float(name in edge) for name in MERGED] for edge in edges])
    plan: dict[str, list[Use]] = {}
    for place, edge in enumerate(edges):
        for name in edge:
            plan.setdefault(name, []).append(Use(place, place, 0))
    merge = Merge.of(plan)
    assert [use.edge for use in merge.uses] == [0, 1, 2]

    def fast(x: Tensor, weight: Tensor, pixel: Tensor) -> Tensor:
        source = Source(x, stride, KERNELS[how])
        weights = {"kernel": merge_kernels(weight, shares), "pointwise": pixel}
        return merge.convolve(source, weights, 3)

    def plain(x: Tensor, weight: Tensor, pixel: Tensor) -> Tensor:
        kernel, x = merge_kernels(weight, shares), functional.relu(x).repeat(1, 3, 1, 1)
        y = functional.conv2d(x, kernel, None, stride, 4, groups=12)
        return functional.conv2d(y, pixel, groups=3)

    for size in ((8, 6), (9, 7)):
        agree(fast, plain, tensors((2, 4, *size), (12, 1, 9, 9), (12, 4, 1, 1)))


@pytest.mark.parametrize("how", KERNELS)
@pytest.mark.parametrize("operation", ["dil_conv_3x3", "dil_conv_5x5", "max_pool_3x3"])
def test_decided_edges_are_those_of_the_plain_network(operation: str, how: str) -> None:
    """A dilated convolution has one layer there too, and merged kernels of weight 0 give 0."""
    net, weights, _, images = sample("s6", KERNELS[how])
    plain = PlainSupernet(net.space, 4, 4, 5, 2)
    own = plain.init(generator(0, "plain"), torch.float64)
    for name in own:
        place, _, part = name.rpartition(".")
        if place.endswith(operation):
            kind = {"depthwise_0": "kernel", "pointwise_0": "pointwise"}[part]
            shared = weights[f"{place.removesuffix(operation)}merged.{kind}"]
            own[name] = (
                shared[..., MERGED[operation], MERGED[operation]] if kind == "kernel" else shared
            )
        elif name in weights:
            own[name] = weights[name]
    hot = torch.tensor([200.0 * (name == operation) for name in TABLES["s6"][0][0]] * 28).double()
    found, expected = (n(w, hot, images, Chance(0)) for n, w in ((net, weights), (plain, own)))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_only_ratios_act_on_a_merged_image_and_the_rest_is_mixed_as_ever() -> None:
    net, weights, alpha, images = sample("s6")
    parts = net.space.split(alpha)
    only = {name: table.clone() for name, table in parts.items()}
    for table in only.values():
        table[:, :3] = -300.0  # pools and skips
    shifted = {name: table + torch.tensor([0.0] * 3 + [2.0] * 4) for name, table in only.items()}
    one, two, three = (
        net(weights, net.space.join(tables), images, Chance(0)) for tables in (only, shifted, parts)
    )
    torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-3)  # BatchNorm adds 1e-5
    assert (one - three).abs().max() > 0.01


@pytest.mark.parametrize("space", SPACES)
def test_every_space_works_and_candidates_side_by_side_equal_single_ones(space: str) -> None:
    net, _, _, images = sample(space)
    alone = [sample(space, draw=draw)[1:3] for draw in range(3)]
    leaves = [{n: w.requires_grad_() for n, w in (one | {"alpha": a}).items()} for one, a in alone]
    stack = {
        n: torch.stack([one[n] for one in leaves]).detach().requires_grad_() for n in leaves[0]
    }
    together = net.each(stack, stack["alpha"], images, Chance(7))
    single = torch.stack([net(one, one["alpha"], images, Chance(7)) for one in leaves])
    torch.testing.assert_close(together, single, rtol=1e-9, atol=1e-9)
    got = torch.autograd.grad(together.square().sum(), list(stack.values()))
    flat = [one[n] for n in stack for one in leaves]
    expected = torch.autograd.grad(single.square().sum(), flat)
    joined = [torch.cat([grad.flatten() for grad in grads]) for grads in (got, expected)]
    torch.testing.assert_close(*joined, rtol=1e-8, atol=1e-9)
    assert not hasattr(net, "many")


@pytest.mark.parametrize(
    "edge", [("sep_conv_3x3", "dil_conv_3x3"), ("skip_connect",), ("none", "dil_conv_5x5")]
)
@pytest.mark.parametrize("kind", [MergedSupernet, SampledSupernet])
def test_the_spaces_that_stages_leave_over_work(kind: Any, edge: tuple[str, ...]) -> None:
    """Nothing but convolutions, nothing to merge; first without gradients, then with them."""
    groups = tuple(Group(name, (edge,) * 14) for name in ("normal", "reduce"))
    net = kind(Space("left", groups), 4, 3, 5, 1)
    weights, images = (
        net.init(generator(0, "w")),
        torch.randn(4, 1, 9, 9, generator=generator(0, "i")),
    )
    alpha, chance = net.space.init(generator(0, "a")), Chance(0, drop_path=0.3, drop_skip=0.3)
    with torch.inference_mode():
        expected = net(weights, alpha, images, chance)
    leaves = [alpha.requires_grad_(), *(weight.requires_grad_() for weight in weights.values())]
    logits = net(weights, alpha, images, chance)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
    grads = torch.autograd.grad(logits.square().sum(), leaves, materialize_grads=True)
    assert all(grad.isfinite().all() for grad in grads)


def test_a_lane_is_like_any_other() -> None:
    net = MergedSupernet(SPACES["s6"], 8, 3, 5, 1)
    alone = [
        (net.init(generator(n, "w")), net.space.init(generator(n, "a")), generator(n, "i"))
        for n in range(4)
    ]
    images = torch.randn(8, 1, 9, 9, generator=alone[0][2])

    def found(order: list[int]) -> list[Tensor]:
        stack = {n: torch.stack([alone[lane][0][n] for lane in order]) for n in alone[0][0]}
        stack = {n: weight.requires_grad_() for n, weight in stack.items()}
        alphas = torch.stack([1000 * alone[lane][1] for lane in order])
        logits = net.each(stack, alphas, images, Chance(0))
        return [logits, *torch.autograd.grad(logits.square().sum(), list(stack.values()))]

    for straight, rolled in zip(found([0, 1, 2, 3]), found([1, 2, 3, 0]), strict=True):
        assert torch.equal(straight.roll(-1, 0), rolled)


def test_the_papers_size() -> None:
    net = MergedSupernet(SPACES["s6"])
    assert net.parameters == 725_498
    kernels = [shape for name, shape in net.shapes().items() if name.endswith("merged.kernel")]
    assert sum(rows for rows, *_ in kernels) * (81 - 41) == 179_200
    weights = MergedSupernet(SPACES["s6"], 16, 3).init(generator(0, "weights"))
    drawn = torch.cat([w.flatten() for n, w in weights.items() if n.endswith("merged.kernel")])
    assert float(drawn.std()) == pytest.approx((2 / 81) ** 0.5, rel=0.01)
