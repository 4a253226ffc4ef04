"""The supernet against the plain one, and as a pure function."""

import subprocess
import sys

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from zarts.bilevel.chance import Chance
from zarts.bilevel.rng import generator
from zarts.supernet.fast.kernels import Kernels
from zarts.supernet.fast.network import Supernet
from zarts.supernet.plain import PlainSupernet
from zarts.supernet.spaces import SPACES

STEMS = {"cifar": (9, 6), "imagenet": (34, 41)}  # odd and even sizes at every stride


class Devices(TorchDispatchMode):
    """Records every operation, forward or backward, that touches another device."""

    def __init__(self, device):
        super().__init__()
        self.device = device
        self.calls = 0
        self.strays = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        tensors = [x for x in tree_leaves((args, kwargs, result)) if isinstance(x, torch.Tensor)]
        self.calls += 1
        if {x.device.type for x in tensors} != {self.device}:
            self.strays.add(str(func))
        return result


def sample(net, size, dtype=torch.float64, draw=0):
    """Weights, a decided α, images."""
    rng = generator(draw, "supernet", net.space.name)
    weights = net.init(rng, dtype)
    alpha = torch.randn(net.space.dim, generator=rng, dtype=dtype)
    images = torch.randn(4, net.image_channels, *size, generator=rng, dtype=dtype)
    return weights, alpha, images


def distance(got, expected):
    """Largest difference, relative to the largest entry."""
    return float(((got - expected).abs().max() / expected.abs().max()).detach())


def distances(net, size, dtype, draw):
    """How far the logits and the gradients by α and ω are from those of the plain network."""
    weights, alpha, images = sample(net, size, dtype, draw)
    leaves = [*(value.requires_grad_() for value in weights.values()), alpha.requires_grad_()]
    plain = PlainSupernet.like(net)(weights, alpha, images, Chance(7))
    fast = net(weights, alpha, images, Chance(7))
    direction = torch.randn(plain.shape, generator=generator(draw, "direction"), dtype=dtype)
    *slow, slow_alpha = torch.autograd.grad(plain, leaves, direction)
    *found, fast_alpha = torch.autograd.grad(fast, leaves, direction)
    joined = [torch.cat([value.flatten() for value in values]) for values in (found, slow)]
    return {
        "logits": distance(fast, plain),
        "alpha": distance(fast_alpha, slow_alpha),
        "weights": distance(*joined),
    }


class Few(Kernels):
    """What a GPU takes, on a CPU."""

    def few_calls(self, x):
        return True


KERNELS = {  # every way of computing
    "stacked": Kernels(1 << 30, 100),
    "products": Kernels(1 << 30, 1),
    "edge by edge": Kernels(0),
    "few calls": Few(1 << 30, 1),
    "channels first": Kernels(1 << 11, layout="first", phases="off"),
}


# Every space with every way of computing, and the stems in turn, so that each meets each.
CASES = [
    (name, how, list(STEMS)[(row + column) % 2])
    for row, name in enumerate(SPACES)
    for column, how in enumerate(KERNELS)
]


@pytest.mark.parametrize(("name", "how", "stem"), CASES)
def test_equals_the_plain_network(name, how, stem):
    size = STEMS[stem]
    net = Supernet(SPACES[name], 4, 4 if stem == "cifar" else 3, 5, 2, stem, KERNELS[how])
    exact = distances(net, size, torch.float64, 0)
    assert max(exact.values()) < 1e-12, exact
    # In single precision the input of one of 1e5 ReLUs may round to the other side of zero, which
    # bends the gradient. That is rare: of three draws at least one is free of it.
    single = (distances(net, size, torch.float32, draw) for draw in range(3))
    assert any(max(found.values()) < 1e-4 for found in single)


@pytest.mark.parametrize("cells", [1, 2, 3])
@pytest.mark.parametrize("name", SPACES)
def test_many_are_each_as_if_alone(name, cells):
    net = Supernet(SPACES[name], 4, cells, 5, 2, kernels=Kernels(1 << 11))
    weights, alpha, images = sample(net, (9, 6), torch.float32)
    alphas = torch.stack([alpha, -alpha, 0 * alpha])
    logits = net.many(weights, alphas, images, Chance(7))
    for each, row in zip(logits, alphas, strict=True):
        assert torch.equal(each, net.many(weights, row[None], images, Chance(7))[0])  # bit for bit
        torch.testing.assert_close(each, net(weights, row, images, Chance(7)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "how", "stem"), CASES)
def test_candidates_side_by_side_equal_single_ones(name, how, stem):
    """Logits and the gradients by α and ω, each candidate with an ω of its own."""
    size = STEMS[stem]
    net = Supernet(SPACES[name], 4, 4 if stem == "cifar" else 3, 5, 2, stem, KERNELS[how])
    alone = [sample(net, size, draw=draw) for draw in range(3)]
    images = alone[0][2]
    leaves = [(weights | {"alpha": alpha}) for weights, alpha, _ in alone]
    leaves = [{n: value.requires_grad_() for n, value in one.items()} for one in leaves]
    stack = {n: torch.stack([one[n] for one in leaves]).detach() for n in leaves[0]}
    stack = {n: value.requires_grad_() for n, value in stack.items()}
    together = net.each(stack, stack["alpha"], images, Chance(7))
    single = torch.stack([net(one, one["alpha"], images, Chance(7)) for one in leaves])
    assert distance(together, single) < 1e-10

    direction = torch.randn(single.shape, generator=generator(0, "direction"), dtype=single.dtype)
    got = torch.autograd.grad(together, list(stack.values()), direction)
    flat = [one[n] for n in stack for one in leaves]
    expected = torch.autograd.grad(single, flat, direction)
    joined = [torch.cat([grad.flatten() for grad in grads]) for grads in (got, expected)]
    assert distance(*joined) < 1e-10


@pytest.mark.parametrize(
    ("name", "channels"), [*(("s3", n) for n in (2, 6, 8, 10, 12, 18, 24)), ("s6", 6), ("s6", 24)]
)
def test_a_lane_is_like_any_other(name, channels):
    """To the last bit, in a network and in its gradients: no value depends on its company."""
    for dtype, size in ((torch.float32, (9, 9)), (torch.float32, (5, 6)), (torch.float64, (7, 6))):
        net = Supernet(SPACES[name], channels, 3, 5, 1)
        alone = [sample(net, size, dtype, draw) for draw in range(4)]
        images = alone[0][2]

        def found(order, net=net, alone=alone, images=images):
            weights, alphas, _ = zip(*(alone[lane] for lane in order), strict=True)
            stack = {n: torch.stack([one[n] for one in weights]) for n in weights[0]}
            stack = {n: value.requires_grad_() for n, value in stack.items()}
            logits = net.each(stack, torch.stack(alphas), images, Chance(0))
            return [logits, *torch.autograd.grad(logits.square().sum(), list(stack.values()))]

        for straight, rolled in zip(found([0, 1, 2, 3]), found([1, 2, 3, 0]), strict=True):
            assert torch.equal(straight.roll(-1, 0), rolled), (dtype, size)


def test_one_candidate_side_by_side_is_one_alone():
    net = Supernet(SPACES["s3"], 4, 3, 5, 2)
    weights, alpha, images = sample(net, (9, 6))
    stack = {name: weight.unsqueeze(0) for name, weight in weights.items()}
    expected = net(weights, alpha, images, Chance(7))
    assert torch.equal(net.each(stack, alpha.unsqueeze(0), images, Chance(7))[0], expected)


def test_is_pure():
    net = Supernet(SPACES["s5"], 4, 3, 5, 1)
    weights, alpha, images = sample(net, (8, 8), torch.float32)
    before = {name: value.clone() for name, value in weights.items()}
    inputs = alpha.clone(), images.clone()
    first = net(weights, alpha, images, Chance(1))
    torch.manual_seed(0)
    second = net(
        weights, alpha, images, Chance(2)
    )  # no operation of s5 draws, so the key does not matter
    assert torch.equal(first, second)
    assert all(torch.equal(value, weights[name]) for name, value in before.items())
    assert torch.equal(inputs[0], alpha)
    assert torch.equal(inputs[1], images)


def test_noise_is_a_function_of_the_key():
    net = Supernet(SPACES["s4"], 4, 3, 5, 1)
    weights, alpha, images = sample(net, (8, 8))
    first, again, other = (net(weights, alpha, images, Chance(key)) for key in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_softmax_of_one_operation_picks_it():
    """With all weight on ``none``-free skips, the logits do not depend on the convolutions."""
    net = Supernet(SPACES["s3"], 4, 3, 5, 1)
    weights, _, images = sample(net, (8, 8))
    alpha = torch.tensor([-60.0, 60.0, -60.0]).repeat(28).double()
    changed = {name: value + 1 if "sep_conv" in name else value for name, value in weights.items()}
    torch.testing.assert_close(
        net(weights, alpha, images, Chance(0)), net(changed, alpha, images, Chance(0))
    )


@pytest.mark.parametrize("kind", [Supernet, PlainSupernet])
@pytest.mark.parametrize("name", ["s1", "s3", "s5"])
def test_differentiates_twice(name, kind):
    """The mixed derivative of DARTS' second order, against a central difference of the gradient."""
    net = kind(SPACES[name], 2, 3, 3, 1)
    weights, alpha, images = sample(net, (7, 6))
    rng = generator(5, "directions")
    step = {n: torch.randn(v.shape, generator=rng, dtype=v.dtype) for n, v in weights.items()}
    labels = torch.tensor([0, 1, 2, 0])

    def loss(shift):
        moved = {n: (v + shift * step[n]).requires_grad_() for n, v in weights.items()}
        point = alpha.clone().requires_grad_()
        logits = net(moved, point, images, Chance(0))
        return torch.nn.functional.cross_entropy(logits, labels), point, moved

    value, point, moved = loss(0.0)
    grads = torch.autograd.grad(value, list(moved.values()), create_graph=True)
    along = sum((g * v).sum() for g, v in zip(grads, step.values(), strict=True))
    (mixed,) = torch.autograd.grad(along, point)

    size = 1e-9  # tiny, since a ReLU that switches in between would bend the difference
    ends = [torch.autograd.grad(*loss(shift)[:2])[0] for shift in (size, -size)]
    assert mixed.abs().max() > 1e-3
    assert distance(mixed, (ends[0] - ends[1]) / (2 * size)) < 1e-4


@pytest.mark.parametrize("name", ["s1", "s4", "s5"])
def test_stays_on_the_device(name):
    """Nothing lives on the CPU, but for the noise, which is drawn there and moved."""
    net = Supernet(SPACES[name], 4, 3, 5, 1)
    weights = {
        n: torch.empty(s, device="meta", requires_grad=True) for n, s in net.shapes().items()
    }
    alpha = torch.empty(net.space.dim, device="meta", requires_grad=True)
    with Devices("meta") as seen:
        logits = net(weights, alpha, torch.empty(2, 1, 9, 8, device="meta"), Chance(0))
        forward = seen.calls
        grads = torch.autograd.grad(logits.sum(), [alpha, *weights.values()])
    assert seen.calls > forward > 0
    drawn = {"aten.randn.generator", "aten._to_copy.default"}
    assert seen.strays == (drawn if name == "s4" else set())
    assert logits.shape == (2, 5)
    assert {grad.device.type for grad in grads} == {"meta"}


@pytest.mark.parametrize(
    ("name", "ten", "hundred"),
    [
        ("s1", 405_146, 428_276),
        ("s2", 665_466, 688_596),
        ("s3", 665_466, 688_596),
        ("s5", 1_930_618, 1_953_748),
        ("s6", 1_930_618, 1_953_748),
    ],
)
def test_parameter_counts(name, ten, hundred):
    """S1, S3 and DARTS as in the public logs of RobustDARTS and DARTS."""
    assert Supernet(SPACES[name]).parameters == ten
    assert Supernet(SPACES[name], classes=100).parameters == hundred


def test_init_is_that_of_torch():
    net = Supernet(SPACES["s5"], 8, 3, 10, 3)
    weights = net.init(generator(0, "weights"))
    again = net.init(generator(0, "weights"))
    assert {name: tuple(value.shape) for name, value in weights.items()} == net.shapes()
    assert all(torch.equal(value, again[name]) for name, value in weights.items())
    assert bool((weights["stem.0.scale"] == 1).all())
    assert bool((weights["stem.0.shift"] == 0).all())
    for name, layer in {
        "stem.0.convolution": torch.nn.Conv2d(3, 24, 3),
        "cells.0.source.2.sep_conv_5x5.depthwise_0": torch.nn.Conv2d(24, 24, 5, groups=24),
        "head.weight": torch.nn.Linear(128, 10),
    }.items():
        limit = layer.weight[0].numel() ** -0.5
        largest = float(weights[name].abs().max())
        assert 0.9 * limit < largest <= limit, name
        assert abs(float(weights[name].std() - limit / 3**0.5)) < 0.1 * limit, name
    assert float(weights["head.bias"].abs().max()) <= 128**-0.5


@pytest.mark.parametrize("count", [1, 2])
def test_tiny_depths(count):
    net = Supernet(SPACES["s2"], 2, count, 3, 1)
    weights, alpha, images = sample(net, (8, 8))
    alpha.requires_grad_()
    logits = net(weights, alpha, images, Chance(0))
    assert logits.shape == (4, 3)
    (gradient,) = torch.autograd.grad(logits.square().sum(), alpha)
    parts = net.space.split(gradient)
    assert bool((parts["normal"] == 0).all())  # every cell reduces
    assert bool((parts["reduce"] != 0).any())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channels": 3}, "got 3 channels, expected an even number"),
        ({"cells": 0}, "got 0 cells"),
        ({"classes": 0}, "got 0 classes"),
        ({"stem": "mnist"}, "got stem 'mnist', expected one of cifar, imagenet"),
    ],
)
def test_refuses_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        Supernet(SPACES["s2"], **settings)


def test_refuses_wrong_shapes():
    net = Supernet(SPACES["s2"], 4, 3, 5, 1)
    weights, alpha, images = sample(net, (8, 8))
    with pytest.raises(ValueError, match=r"images of shape \(4, 1, 8\), expected \(n, 1, h, w\)"):
        net(weights, alpha, images[..., 0], Chance(0))
    with pytest.raises(ValueError, match="alpha has shape"):
        net(weights, alpha[1:], images, Chance(0))


def test_the_package_imports_no_torch():
    code = "import sys, zarts.supernet; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
