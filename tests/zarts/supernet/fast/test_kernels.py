"""The fast kernels against PyTorch's plain convolutions: values, gradients, second derivatives."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from tests.zarts.supernet.agree import agree, tensors
from zarts.settings.config import SupernetConfig
from zarts.supernet.fast import kernels
from zarts.supernet.fast.kernels import Kernels


@settings(max_examples=40, deadline=None)
@given(
    edges=st.integers(1, 5),
    inputs=st.integers(1, 6),
    outputs=st.integers(1, 6),
    size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    how=st.builds(Kernels, st.sampled_from([0, 1 << 30]), st.sampled_from([1, 100])),
    channels_last=st.booleans(),
)
def test_pointwise_is_torchs(edges, inputs, outputs, size, how, channels_last):
    x, weight = tensors((2, edges * inputs, *size), (edges * outputs, inputs, 1, 1))
    if channels_last:
        x = x.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    agree(
        lambda x, weight: kernels.pointwise(x, weight, edges, how),
        lambda x, weight: functional.conv2d(x, weight, groups=edges),
        [x, weight],
    )


@given(st.integers(1, 4), st.integers(1, 4))
def test_phases_keep_parities_apart(half_height, half_width):
    (x,) = tensors((3, 2, 2 * half_height, 2 * half_width))
    phases = kernels.to_phases(x)
    assert torch.equal(kernels.from_phases(phases), x)
    assert torch.equal(phases[:3], x[:, :, ::2, ::2])
    assert torch.equal(phases[9:], x[:, :, 1::2, 1::2])


def test_factorized_reduce_reads_even_and_odd_pixels():
    x = torch.arange(30.0).view(1, 1, 5, 6)
    pointwise = torch.ones(2, 1, 1, 1)
    even, odd = kernels.factorized_reduce(x, pointwise)[0]
    assert even.tolist() == [[0, 2, 4], [12, 14, 16], [24, 26, 28]]
    assert odd.tolist() == [[7, 9, 11], [19, 21, 23], [0, 0, 0]]  # the row of zeros


def test_factorized_reduce_stacks_edges():
    x, weight = tensors((2, 3, 5, 4), (3 * 4, 3, 1, 1))
    stacked = kernels.factorized_reduce(x, weight, 3)
    alone = [kernels.factorized_reduce(x, part) for part in weight.chunk(3)]
    torch.testing.assert_close(stacked, torch.cat(alone, dim=1))


def test_settings_and_kernels_have_the_same_defaults():
    config = SupernetConfig()
    assert Kernels(config.stack_below, config.matmul_from) == Kernels()


def test_which_edges_are_stacked_depends_on_the_bytes_of_one():
    x = torch.empty(2, 4, 8, 8)
    assert Kernels(stack_below=2048).stacks(x)
    assert not Kernels(stack_below=2047).stacks(x)


class Calls(TorchDispatchMode):
    """Names of the operations that are called."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.append(function.overloadpacket.__name__)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("device", "outputs", "stack_below", "product"),
    [
        ("cpu", 7, 2 * 7 * 16 * 4, True),  # a small result
        ("cpu", 7, 2 * 7 * 16 * 4 - 1, False),  # what is read is larger, and does not count
        ("cpu", 8, 0, True),  # many channels
        ("meta", 7, 0, True),  # not a CPU
    ],
)
def test_when_one_pointwise_convolution_is_a_product(device, outputs, stack_below, product):
    x = kernels.channels_last(torch.zeros(2, 9, 4, 4, device=device))
    with Calls() as calls:
        kernels.pointwise(
            x, torch.zeros(outputs, 9, 1, 1, device=device), 1, Kernels(stack_below, matmul_from=2)
        )
    assert ("mm" in calls.names) is product
    assert ("convolution" in calls.names) is not product
