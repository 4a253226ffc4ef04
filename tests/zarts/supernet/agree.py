"""Whether two ways of computing one thing agree, also in their first and second derivatives."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from zarts.bilevel.rng import generator


def tensors(*shapes: tuple[int, ...], dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Leaves of these shapes, drawn from N(0, 1)."""
    rng = generator(0, "kernels", str(shapes))
    return [torch.randn(shape, generator=rng, dtype=dtype).requires_grad_() for shape in shapes]


def agree(
    fast: Callable[..., Tensor],
    plain: Callable[..., Tensor],
    inputs: Sequence[Tensor],
    tolerance: float = 1e-10,
) -> None:
    """Values, gradients and a second derivative of two functions of the same tensors."""
    values = fast(*inputs), plain(*inputs)
    torch.testing.assert_close(*values, rtol=tolerance, atol=tolerance)
    direction = torch.randn(
        values[0].shape, generator=generator(1, "direction"), dtype=values[0].dtype
    )
    firsts = [
        torch.autograd.grad(value.square(), inputs, direction, create_graph=True)
        for value in values
    ]
    seconds = [
        torch.autograd.grad(sum(grad.square().sum() for grad in first), inputs) for first in firsts
    ]
    for one, other in (*zip(*firsts, strict=True), *zip(*seconds, strict=True)):
        scale = float(other.detach().abs().max()) + 1
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance * scale)
