"""Depthwise convolutions and means against PyTorch's: values, gradients, second derivatives."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from tests.zarts.supernet.agree import agree, tensors
from zarts.supernet.fast.depthwise import average_pool, depthwise
from zarts.supernet.fast.kernels import Kernels


@settings(max_examples=100, deadline=None)
@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    stride=st.sampled_from([1, 2]),
    kernel=st.sampled_from([3, 5]),
    how=st.sampled_from([Kernels(0), Kernels(1 << 30)]),
    rectify=st.booleans(),
)
def test_depthwise_is_torchs(height, width, stride, kernel, how, rectify):
    inputs = tensors((2, 3, height, width), (3, 1, kernel, kernel))

    def fast(x, weight):
        return depthwise(2 * x, weight, stride, how, rectify=rectify)

    def plain(x, weight):
        x = functional.relu(2 * x) if rectify else 2 * x
        return functional.conv2d(x, weight, None, stride, kernel // 2, groups=3)

    agree(fast, plain, inputs)


@pytest.mark.parametrize("width", [6, 7])
def test_depthwise_reads_no_memory_it_has_not_written(width, monkeypatch):
    def dirty(x, *size):
        return x.new_full(size, float("nan"))

    monkeypatch.setattr(torch.Tensor, "new_empty", dirty)
    inputs = tensors((2, 3, 7, width), (3, 1, 5, 5))
    agree(
        lambda x, weight: depthwise(x, weight, 1, Kernels()),
        lambda x, weight: functional.conv2d(x, weight, None, 1, 2, groups=3),
        inputs,
    )


@pytest.mark.parametrize("size", [(4, 3), (8, 8), (32, 32)])
def test_depthwise_of_width_5_in_single_precision(size):
    x, weight = tensors((4, 16, *size), (16, 1, 5, 5), dtype=torch.float32)
    x = x.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    gradients = [
        torch.autograd.grad(run(x, weight).square().sum(), [x, weight])
        for run in (
            lambda x, weight: depthwise(x, weight, 1, Kernels()),
            lambda x, weight: functional.conv2d(x, weight, None, 1, 2, groups=16),
        )
    ]
    for fast, plain in zip(*gradients, strict=True):
        assert float((fast - plain).abs().max() / plain.abs().max()) < 1e-5


@settings(max_examples=50, deadline=None)
@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    stride=st.sampled_from([1, 2]),
    how=st.sampled_from([Kernels(0), Kernels(1 << 30)]),
)
def test_average_pool_is_torchs(height, width, stride, how):
    def plain(x):
        return functional.avg_pool2d(x, 3, stride, padding=1, count_include_pad=False)

    agree(lambda x: average_pool(x, stride, how), plain, tensors((2, 3, height, width)))
