"""BatchNorm in single precision against double precision."""

import pytest
import torch
from torch.nn import functional

from tests.zarts.supernet.agree import agree, tensors
from zarts.bilevel.rng import generator
from zarts.supernet.fast.kernels import channels_last
from zarts.supernet.fast.normalization import batch_norm

SHAPES = [(64, 16, 32, 32), (256, 16, 16, 16), (64, 64, 5, 5), (64, 128, 3, 3), (1, 8, 1, 9973)]


def both(x, gradient):
    """A normalised image and the gradient by what it was made of."""
    leaf = x.clone().requires_grad_()
    y = batch_norm(leaf)
    return y.detach(), *torch.autograd.grad(y, leaf, gradient)


@pytest.mark.parametrize(("mean", "deviation", "bound"), [(1, 2, 1e-6), (3, 0.1, 5e-6)])
@pytest.mark.parametrize("shape", SHAPES)
def test_single_precision_is_as_exact_as_its_numbers(shape, mean, deviation, bound):
    drawn = torch.randn(2, *shape, generator=generator(0, "normalization", str(shape)))
    x, gradient = channels_last(mean + deviation * drawn[0]), channels_last(drawn[1])
    (y, by_x), exact = both(x, gradient), both(x.double(), gradient.double())
    assert float((y - exact[0]).abs().max()) < bound
    assert float((by_x - exact[1]).abs().max() / exact[1].abs().max()) < 5e-7


@pytest.mark.parametrize("shape", [(40, 3, 25, 25), (4, 3, 9, 7), (2, 1, 1, 1)])
def test_is_differentiated_twice_in_single_precision(shape):
    x, scale, shift = tensors(shape, shape[1:2], shape[1:2], dtype=torch.float32)

    def plain(x, scale, shift):
        doubles = (value.double() for value in (scale, shift))
        return functional.batch_norm(x.double(), None, None, *doubles, training=True).float()

    agree(batch_norm, plain, (x, scale, shift), 1e-4)
