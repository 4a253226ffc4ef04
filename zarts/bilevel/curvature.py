"""The curvature of L_val in α at a point: the exact α-Hessian, by double backward."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from zarts.bilevel.inner import single_thread

__all__ = ["hessian", "largest_eigenvalue"]


def hessian(loss: Callable[[Tensor], Tensor], alpha: Tensor) -> Tensor:
    """∇²L at α, exact: d derivatives of the gradient, each a backward pass through a backward pass.

    It is the curvature *at a point*. How a loss curves over the distance that a zero-order
    optimizer looks, σ, is another number: on a supernet, kinks of ReLU and max-pool within that
    distance add to it. In space S2 with σ = 0.1 a difference of gradients along v was seven times
    as long as Hv, and vᵀHv can have another sign. Both have their use; neither stands for the
    other.

    Example:
        >>> import torch
        >>> from zarts.bilevel.curvature import hessian
        >>> hessian(lambda alpha: alpha[0] ** 2 * alpha[1], torch.tensor([1.0, 3.0]))
        tensor([[6., 2.],
                [2., 0.]])

    Args:
        loss: From α (d,) to a scalar that can be differentiated twice.
        alpha: α (d,).

    Returns:
        (d, d), as it is computed: symmetric but for rounding.

    Source: R-DARTS §4.
    """
    with single_thread(), torch.enable_grad():
        point = alpha.detach().clone().requires_grad_()
        value = loss(point)
        if not value.requires_grad:  # it does not read α
            return point.new_zeros(len(point), len(point))
        (slope,) = torch.autograd.grad(value, point, create_graph=True)
        if not slope.requires_grad:  # it is linear in α
            return point.new_zeros(len(point), len(point))
        rows = [
            torch.autograd.grad(each, point, retain_graph=True, materialize_grads=True)[0]
            for each in slope
        ]
    return torch.stack(rows)


def largest_eigenvalue(matrix: Tensor) -> float:
    """The largest eigenvalue, with its sign, of a matrix (d, d) that is symmetric but for rounding.

    In double precision on the CPU, and on one thread.
    """
    exact = matrix.detach().cpu().double()
    with single_thread():
        return float(torch.linalg.eigvalsh((exact + exact.T) / 2)[-1])
