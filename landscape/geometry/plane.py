"""Planes through α-space: along random or chosen directions, points on them, projection to them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from zarts.bilevel.alpha import along

__all__ = ["TOLERANCE", "Plane", "orthonormal"]

TOLERANCE = 1e-6  # on |cos| and on the norms
FLAT = 1e-7  # relative: what is nearer to a line than this is on it, in single precision


@dataclass(frozen=True)
class Plane:
    """All α = origin + scale · (x · direction 1 + y · direction 2).

    Example:
        >>> import torch
        >>> from landscape import Plane
        >>> plane = Plane(torch.zeros(3), torch.eye(3, 2, dtype=torch.float64), scale=2.0)
        >>> plane.points(torch.tensor([[1.0, 0.5]])).tolist()
        [[2.0, 1.0, 0.0]]

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

    @classmethod
    def from_points(cls, points: Tensor, scale: float | None = None) -> Plane:
        """The plane nearest to points (n, d): through their mean, along their principal directions.

        The last point lies to the right of and above the first. ``explained`` says how much of what
        they vary lies in the plane.

        Example:
            >>> points = torch.tensor([[-4.0, 0, 0], [4, 0, 0], [0, 3, 0], [0, -3, 0]])
            >>> [round(share, 2) for share in Plane.from_points(points).explained(points).tolist()]
            [0.64, 0.36]

        Args:
            points: For instance the α of a search, one epoch a row.
            scale: Length of one axis unit; None: the farthest coordinate is 0.8.

        Raises:
            ValueError: If they lie on one line or are not finite.
        """
        points = _finite("points", points)
        if points.ndim != 2:
            raise ValueError(f"points has shape {tuple(points.shape)}, expected (n, d)")
        away = points - points.mean(0)
        lengths, directions = torch.linalg.svd(away, full_matrices=False)[1:]
        if len(lengths) < 2 or not float(lengths[1]) > FLAT * float(points.norm()):
            what = "are all equal" if not len(away) or away.norm() == 0 else "lie on one line"
            raise ValueError(
                f"the {len(points)} points {what}, a plane needs three that do not; for a second "
                "direction of another kind use Plane.along"
            )
        basis = directions[:2].T
        turned = (points[-1] - points[0]) @ basis < 0  # SVD leaves the signs open
        basis = orthonormal(torch.where(turned, -basis, basis))
        reach = float((away @ basis).abs().max())
        return cls(points.mean(0), basis, reach / 0.8 if scale is None else scale)

    @classmethod
    def along(
        cls, origin: Tensor, first: Tensor, second: Tensor | torch.Generator, scale: float = 1.0
    ) -> Plane:
        """The plane through ``origin`` (d,) whose x axis is along a direction, such as a gradient.

        Args:
            origin: α at (0, 0).
            first: Direction (d,) of x, of any length.
            second: Direction (d,), of which y is the part at a right angle to x; or a generator,
                for a random one.
            scale: Length of one axis unit.

        Raises:
            ValueError: If a direction is zero or not finite, or both are the same.
        """
        if isinstance(second, torch.Generator):
            second = torch.randn(origin.numel(), generator=second, dtype=torch.float64)
        pair = [_finite("a direction", each) for each in (first, second)]
        if any(each.shape != origin.shape or not each.any() for each in pair):
            got = [tuple(each.shape) if each.any() else "zero" for each in pair]
            raise ValueError(f"got the directions {got}, expected two of {tuple(origin.shape)}")
        basis = orthonormal(torch.stack([each / each.norm() for each in pair], dim=1))
        return cls(_finite("origin", origin), basis, scale)

    @classmethod
    def through(cls, a: Tensor, b: Tensor, c: Tensor) -> Plane:
        """The plane through three points (d,): a is at (0, 0), b at (1, 0), c above the x axis.

        Raises:
            ValueError: If they lie on one line or are not finite.
        """
        a, b, c = (_finite("a point", each) for each in (a, b, c))
        size = max(float(each.norm()) for each in (a, b, c))
        ahead, other = b - a, c - a
        length = float(ahead.norm())
        if length > FLAT * size:
            beside = other - (other @ ahead) / length**2 * ahead
            if float(beside.norm()) > FLAT * size:
                return cls.along(a, ahead, other, length)
        raise ValueError("the three points lie on one line; choose another third point")

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

    def explained(self, points: Tensor) -> Tensor:
        """Shares (2,) of the variance of points (n, d) that lie along the two directions."""
        away = points.double() - points.double().mean(0)
        shares: Tensor = (away @ self.basis).square().sum(0) / away.square().sum()
        return shares


def _finite(name: str, values: Tensor) -> Tensor:
    tensor = torch.as_tensor(values).detach().double()
    if not tensor.isfinite().all():
        raise ValueError(f"{name} has numbers that are not finite")
    return tensor


def orthonormal(draws: Tensor) -> Tensor:
    """Orthonormalises the columns of ``draws`` (d, k) jointly; the first keeps its direction.

    Example:
        >>> import torch
        >>> from landscape import orthonormal
        >>> basis = orthonormal(torch.tensor([[3.0, 1.0], [4.0, 0.0]]))
        >>> [[round(each, 2) for each in row] for row in basis.tolist()]
        [[0.6, 0.8], [0.8, -0.6]]

    Raises:
        ValueError: If the columns are linearly dependent.
    """
    basis, triangle = torch.linalg.qr(draws.double())
    diagonal = triangle.diagonal()
    if float(diagonal.abs().min()) <= 1e-12 * float(diagonal.abs().max()):
        raise ValueError("directions are linearly dependent; draw others")
    oriented: Tensor = basis * diagonal.sign()  # QR leaves the signs open
    return oriented
