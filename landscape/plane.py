"""A plane through α-space: random orthonormal directions, points on it, and projection onto it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from zarts.alpha import along

__all__ = ["TOLERANCE", "Plane", "orthonormal"]

TOLERANCE = 1e-6  # on |cos| and on the norms


@dataclass(frozen=True)
class Plane:
    """All α = origin + scale · (x · direction 1 + y · direction 2).

    Attributes:
        origin: α at (0, 0), (d,), float64.
        basis: The two directions as columns (d, 2), float64, orthonormal over all of α jointly.
        scale: Length in α-space of one axis unit; one factor for both axes, so they stay
            orthogonal.

    Source: ZARTS Fig. 1 ("random orthonormal directions"). The released code divides by ‖d₁‖ where
    ‖d₁‖² is due, and draws directions with a mean |cos| of 0.5.
    """

    origin: Tensor
    basis: Tensor
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.basis.shape != (self.origin.numel(), 2):
            raise ValueError(
                f"basis has shape {tuple(self.basis.shape)}, expected ({self.origin.numel()}, 2)"
            )
        if not 0 < self.scale < math.inf:
            raise ValueError(f"scale is {self.scale}, expected a finite length > 0")
        error = float(
            (self.basis.T @ self.basis - torch.eye(2, dtype=self.basis.dtype)).abs().max()
        )
        if not error <= TOLERANCE:  # so that NaN is refused too
            raise ValueError(
                f"directions are not orthonormal (off by {error:.1e}); use orthonormal(draws)"
            )

    @classmethod
    def random(cls, origin: Tensor, rng: torch.Generator, scale: float = 1.0) -> Plane:
        """A plane through ``origin`` (d,) along two random directions, uniform over all planes."""
        draws = torch.randn(origin.numel(), 2, generator=rng, dtype=torch.float64)
        return cls(origin.double(), orthonormal(draws), scale)

    def points(self, xy: Tensor) -> Tensor:
        """The α (n, d), float64, at plane coordinates (n, 2) in axis units."""
        return self.origin + self.scale * along(xy.double(), self.basis)

    def project(self, alphas: Tensor) -> Tensor:
        """Coordinates (n, 2), in axis units, of the plane's points nearest to ``alphas`` (n, d).

        Least squares; the directions need not be orthonormal for it, but they are.
        """
        away = (alphas.double() - self.origin).T
        lengths: Tensor = torch.linalg.lstsq(self.basis, away).solution
        return lengths.T / self.scale

    def residual(self, alphas: Tensor) -> Tensor:
        """Distances (n,) of ``alphas`` (n, d) from the plane: what a projection hides."""
        outside = alphas.double() - self.points(self.project(alphas))
        distances: Tensor = torch.linalg.vector_norm(outside, dim=1)
        return distances


def orthonormal(draws: Tensor) -> Tensor:
    """Orthonormalises the columns of ``draws`` (d, k) jointly; the first keeps its direction.

    Raises:
        ValueError: If the columns are linearly dependent.
    """
    basis, triangle = torch.linalg.qr(draws.double())
    diagonal = triangle.diagonal()
    if float(diagonal.abs().min()) <= 1e-12 * float(diagonal.abs().max()):
        raise ValueError("directions are linearly dependent; draw others")
    oriented: Tensor = basis * diagonal.sign()  # QR leaves the signs open
    return oriented
