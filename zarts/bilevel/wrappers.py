"""Objectives around another one: counted, or restricted to a plane. Optimizers need not know."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from torch import Tensor

from zarts.bilevel.alpha import Space, along, flat_space
from zarts.bilevel.objective import Objective, Through

__all__ = ["Counted", "Restricted", "Tally"]


@dataclass
class Tally:
    """What an optimizer spent: evaluations of L_M, gradients, and the inner SGD steps of both.

    Example:
        >>> from zarts import Counted, Quadratic, Tally
        >>> toy, tally = Quadratic.random(), Tally()
        >>> loss = Counted(toy.problem(10), tally)(toy.center)
        >>> slope = Counted(toy.problem(1), tally).grad(toy.center)
        >>> tally
        Tally(evaluations=1, gradients=1, weight_steps=11)
    """

    evaluations: int = 0
    gradients: int = 0
    weight_steps: int = 0


@dataclass(frozen=True, eq=False)
class Counted:
    """An objective that counts what is asked of it; all that derive from it share the tally.

    Example:
        >>> from zarts import Counted, Quadratic
        >>> toy = Quadratic.random()
        >>> counted = Counted(toy.problem(10))
        >>> losses = counted.evaluate(toy.center.repeat(4, 1))
        >>> counted.tally
        Tally(evaluations=4, gradients=0, weight_steps=40)
    """

    objective: Objective
    tally: Tally = field(default_factory=Tally)

    @property
    def space(self) -> Space:
        """The space of the counted objective."""
        return self.objective.space

    @property
    def inner_steps(self) -> int:
        """M of the counted objective."""
        return self.objective.inner_steps

    def __call__(self, alpha: Tensor) -> Tensor:
        """Loss at one α; counts one evaluation."""
        return self.evaluate(alpha.unsqueeze(0))[0]

    def evaluate(self, alphas: Tensor) -> Tensor:
        """Losses (n,); counts n evaluations of M steps."""
        self.tally.evaluations += len(alphas)
        self.tally.weight_steps += len(alphas) * self.inner_steps
        return self.objective.evaluate(alphas)

    def grad(self, alpha: Tensor, through: Through | None = None) -> Tensor:
        """Gradient (d,); counts one gradient of M steps, and those that ``through`` takes."""
        self.tally.gradients += 1
        self.tally.weight_steps += self.inner_steps + getattr(through, "steps", 0)
        return self.objective.grad(alpha, through)

    def at(self, inner_steps: int) -> Counted:
        """Another M, the same tally."""
        return replace(self, objective=self.objective.at(inner_steps))

    def advance(self, alpha: Tensor) -> Counted:
        """The next iteration, the same tally; outer training is not the optimizer's cost."""
        return replace(self, objective=self.objective.advance(alpha))


@dataclass(frozen=True, eq=False)
class Restricted:
    """An objective on a plane or line, for unchanged optimizers: z ↦ L(origin + scale · basis · z).

    Example:
        >>> import torch
        >>> from zarts import Quadratic, Restricted
        >>> toy = Quadratic.random()
        >>> plane = Restricted(toy.problem(), toy.center, torch.eye(3, 2, dtype=torch.float64))
        >>> plane.space.dim, bool(plane(torch.zeros(2)) == plane.objective(toy.center))
        (2, True)

    Attributes:
        objective: The full-dimensional problem.
        origin: A point α (d,).
        basis: Directions as columns (d, k).
        scale: Length of one unit of z along a unit direction. With 1, the coordinates z, and thus
            an optimizer's σ, μ, radii and learning rates, are lengths along the directions.

    Source: the released code projects every update of Fig. 1(c) onto the plane; for orthonormal
    directions that is this restriction.
    """

    objective: Objective
    origin: Tensor
    basis: Tensor
    scale: float = 1.0

    def __post_init__(self) -> None:
        self.objective.space.check(self.origin)
        if self.basis.ndim != 2 or len(self.basis) != len(self.origin):
            raise ValueError(
                f"basis has shape {tuple(self.basis.shape)}, expected ({len(self.origin)}, k)"
            )

    @property
    def space(self) -> Space:
        """A plain space of k coordinates."""
        return flat_space("plane", self.basis.shape[1])

    @property
    def inner_steps(self) -> int:
        """M of the full problem."""
        return self.objective.inner_steps

    def lift(self, points: Tensor) -> Tensor:
        """The α (n, d) of plane points (n, k).

        Raises:
            ValueError: If the points have another shape.
        """
        if points.ndim != 2 or points.shape[1] != self.basis.shape[1]:
            raise ValueError(
                f"points have shape {tuple(points.shape)}, expected (n, {self.basis.shape[1]})"
            )
        return self.origin + self.scale * along(points.to(self.basis), self.basis)

    def __call__(self, alpha: Tensor) -> Tensor:
        """Loss at one point (k,) of the plane."""
        return self.evaluate(alpha.unsqueeze(0))[0]

    def evaluate(self, alphas: Tensor) -> Tensor:
        """Losses (n,) at plane points (n, k)."""
        return self.objective.evaluate(self.lift(alphas))

    def grad(self, alpha: Tensor, through: Through | None = None) -> Tensor:
        """Gradient (k,) in the coordinates of the plane, by the chain rule."""
        full = self.objective.grad(self.lift(alpha.unsqueeze(0))[0], through)
        return (self.scale * (full.to(self.basis) @ self.basis)).to(alpha)

    def at(self, inner_steps: int) -> Restricted:
        """Another M, the same plane."""
        return replace(self, objective=self.objective.at(inner_steps))

    def advance(self, alpha: Tensor) -> Restricted:
        """The next iteration, the same plane."""
        lifted = self.lift(alpha.unsqueeze(0))[0]
        return replace(self, objective=self.objective.advance(lifted))
