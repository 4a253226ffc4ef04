"""The operations, each against PyTorch's own layer."""

import pytest
import torch
from torch.nn import functional

from zarts.bilevel.alpha import Group, Space
from zarts.bilevel.chance import Chance
from zarts.bilevel.rng import generator
from zarts.supernet import operations
from zarts.supernet.family import Edges, Operation, Source
from zarts.supernet.fast import kernels
from zarts.supernet.fast.network import Supernet
from zarts.supernet.fast.normalization import batch_norm
from zarts.supernet.operations import OPERATIONS
from zarts.supernet.plain import PlainSupernet
from zarts.supernet.shapes import LAYERS, shapes


def nothing(place):
    raise AssertionError("this operation draws nothing")


def noise(x, stride, seed):
    """One edge of S4's noise."""
    edges = Edges(1, {}, None, lambda place: generator(seed, "noise"))
    return next(iter(OPERATIONS["noise"].apply(Source(x, stride, kernels.Kernels()), edges).values))


@pytest.mark.parametrize("size", [(9, 6), (8, 7), (5, 5), (2, 3)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stack_below", [0, 1 << 20])
def test_dilated_convolution_is_torchs(size, stride, kernel, stack_below):
    rng = generator(0, "dilated")
    x = torch.randn(2, 4, *size, generator=rng, dtype=torch.float64)
    weights = {
        "depthwise_0": torch.randn(8, 1, kernel, kernel, generator=rng, dtype=torch.float64),
        "pointwise_0": torch.randn(8, 4, 1, 1, generator=rng, dtype=torch.float64),
    }
    mixture = torch.tensor([0.3, 0.7], dtype=torch.float64)
    per_channel = mixture.unsqueeze(1).repeat(1, 4)
    operation = OPERATIONS[f"dil_conv_{kernel}x{kernel}"]
    source = Source(x, stride, kernels.Kernels(stack_below=stack_below))
    found = operation.apply(source, Edges(2, weights, per_channel, nothing))
    assert found.mixed
    for edge, piece in enumerate(found.values):
        if found.phased:
            piece = kernels.from_phases(piece)
        rows = slice(4 * edge, 4 * edge + 4)
        y = functional.conv2d(
            x.relu(), weights["depthwise_0"][rows], None, stride, kernel - 1, dilation=2, groups=4
        )
        y = functional.conv2d(y, weights["pointwise_0"][rows])
        expected = mixture[edge] * functional.batch_norm(y, None, None, training=True)
        torch.testing.assert_close(piece, expected, rtol=1e-10, atol=1e-10)


class Cubes(Operation):
    """An operation of one's own, as short as can be: x³ times a number per channel, and noise."""

    def shapes(self, channels, stride):
        return {"scale_0": (channels, 1, 1)}

    def plain(self, x, weights, stride, rng):
        y = x[:, :, ::stride, ::stride] ** 3 * weights["scale_0"]
        return y + torch.randn(y.shape, generator=rng(), dtype=y.dtype)


@pytest.mark.parametrize("lanes", [1, 4])
def test_an_operation_of_ones_own_is_one_class_and_a_space_of_it_one_table(monkeypatch, lanes):
    monkeypatch.setitem(OPERATIONS, "cubes", Cubes())
    groups = tuple(Group(name, (("skip_connect", "cubes"),) * 14) for name in ("normal", "reduce"))
    net, plain = (kind(Space("own", groups), 4, 3, 5, 2) for kind in (Supernet, PlainSupernet))
    rng = generator(0, "own")
    weights = [net.init(rng, torch.float64) for _ in range(lanes)]
    alphas = torch.randn(lanes, net.space.dim, generator=rng, dtype=torch.float64)
    images = torch.randn(3, 2, 7, 6, generator=rng, dtype=torch.float64)
    stack = {name: torch.stack([one[name] for one in weights]) for name in weights[0]}
    found = net.each(stack, alphas, images, Chance(3))
    expected = [plain(one, a, images, Chance(3)) for one, a in zip(weights, alphas, strict=True)]
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-12, atol=1e-12)


def test_noise_ignores_its_input_and_is_strided():
    x = torch.randn(3, 4, 7, 6, dtype=torch.float64, requires_grad=True)
    first = noise(x, 2, 1)
    other = noise(torch.zeros_like(x), 2, 1)
    assert first.shape == (3, 4, 4, 3)
    assert first.dtype == torch.float64
    assert torch.equal(first, other)
    assert not first.requires_grad
    assert noise(x, 1, 1).shape == x.shape
    assert not torch.equal(first, noise(x, 2, 2))
    # the defaults of torch are the caller's and change nothing (S4 in single and double precision)
    torch.set_default_dtype(torch.float64)
    try:
        again = noise(x, 2, 1)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(again, first)
    large = noise(torch.zeros(8, 8, 32, 32), 1, 1)
    assert abs(float(large.mean())) < 0.02
    assert abs(float(large.std()) - 1) < 0.02


@pytest.mark.parametrize("scaled", [False, True])
def test_batch_norm_is_torchs_and_refuses_one_value(scaled):
    x = torch.randn(3, 4, 2, 1, generator=generator(0, "norm"), dtype=torch.float64)
    scale = torch.arange(4.0, dtype=torch.float64) if scaled else None
    expected = functional.batch_norm(x, None, None, scale, training=True)
    assert torch.equal(batch_norm(x, scale), expected)
    with pytest.raises(
        ValueError, match=r"shape \(1, 4, 1, 1\), expected at least 2 values per channel"
    ):
        batch_norm(x[:1, :, :1])


def test_pools_are_normalised_and_do_not_count_the_padding():
    x = torch.ones(2, 2, 4, 4) + torch.arange(2.0)[:, None, None, None]
    for operation in ("max_pool_3x3", "avg_pool_3x3"):
        found = OPERATIONS[operation].apply(
            Source(x, 2, kernels.Kernels()), Edges(3, {}, None, nothing)
        )
        first, *others = found.values
        assert first.shape == (2, 2, 2, 2)
        assert all(other is first for other in others)
        torch.testing.assert_close(first[0], -torch.ones(2, 2, 2), rtol=1e-4, atol=0)


@pytest.mark.parametrize("stride", [1, 2])
def test_names_are_those_of_the_shapes(stride):
    assert list(OPERATIONS) == list(LAYERS)
    for operation in OPERATIONS:
        assert operations.names(operation, stride) == tuple(shapes(operation, 6, stride))


def test_shapes_are_those_of_the_definition():
    assert shapes("sep_conv_5x5", 4, 2) == {
        "depthwise_0": (4, 1, 5, 5),
        "pointwise_0": (4, 4, 1, 1),
        "depthwise_1": (4, 1, 5, 5),
        "pointwise_1": (4, 4, 1, 1),
    }
    assert shapes("skip_connect", 4, 1, affine=True) == {}
    assert shapes("skip_connect", 4, 2, affine=True) == {
        "pointwise_0": (4, 4, 1, 1),
        "scale_0": (4,),
        "shift_0": (4,),
    }
    assert shapes("max_pool_3x3", 4, 2, affine=True) == {}
    with pytest.raises(ValueError, match=r"conv_7x7.*expected one of"):
        shapes("conv_7x7", 4, 1)


@pytest.mark.parametrize("channels", [2, 4, 12, 16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gradients_of_second_pixels_are_those_in_double_precision(channels, layout):
    # a stride on few channels-last channels wrote past a buffer: wrong, or the end of the process
    rng = generator(0, "second")
    for turn in range(30):
        x = torch.randn(24, channels, 8 - turn % 2, 8, generator=rng)
        x = x.contiguous(memory_format=layout).requires_grad_()
        weight = torch.randn(5, channels, 1, 1, generator=rng, requires_grad=True)
        y = operations.second_pixels(x, weight)
        slope = torch.randn(y.shape, generator=rng).contiguous(memory_format=layout)
        exact = functional.conv2d(x.double(), weight.double(), stride=2)
        wanted = torch.autograd.grad(exact, (x, weight), slope.double())
        torch.testing.assert_close(y, exact.float())
        found = torch.autograd.grad(y, (x, weight), slope)
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
