"""What the numbers in the architecture parameters α mean, and the only softmax over them.

Torch is imported where numbers are made, so that what spaces there are can be read without it.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import add
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["Group", "LooksLikeWeights", "Space", "along", "flat_space"]

_Points = TypeVar("_Points", "Tensor", "NDArray[Any]")


class LooksLikeWeights(UserWarning):
    """Tables of α that are probably weights after a softmax, not logits."""


@dataclass(frozen=True)
class Group:
    """The α of one cell type: ``edges`` rows of ``width`` logits.

    Example:
        >>> from zarts import Group
        >>> cell = Group("normal", (("skip_connect", "max_pool_3x3"),) * 3)
        >>> cell.edges, cell.width, cell.size
        (3, 2, 6)

    Attributes:
        name: The cell type, ``"normal"`` or ``"reduce"`` in the DARTS family.
        operations: The candidate operations of each edge, in the order of the logits. All edges of
            a group offer the same number of operations, not necessarily the same ones (S1).
    """

    name: str
    operations: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        widths = {len(edge) for edge in self.operations}
        if len(widths) != 1 or 0 in widths:
            raise ValueError(
                f"group {self.name!r} has edges with {sorted(widths)} operations; "
                "give every edge the same number (at least one)"
            )

    @property
    def edges(self) -> int:
        """Number of edges."""
        return len(self.operations)

    @property
    def width(self) -> int:
        """Number of operations per edge."""
        return len(self.operations[0])

    @property
    def size(self) -> int:
        """Number of logits."""
        return self.edges * self.width


@dataclass(frozen=True)
class Space:
    """A search space: how a flat α of ``dim`` raw logits is cut into groups, edges and operations.

    Example:
        >>> from zarts import Group, Space
        >>> space = Space("small", (Group("normal", (("skip_connect", "max_pool_3x3"),) * 2),))
        >>> alpha = space.join({"normal": [[0.0, 0.0], [1.0, -1.0]]})
        >>> space.mixture(alpha)
        {'normal': tensor([[0.5000, 0.5000],
                [0.8808, 0.1192]])}

    Source: ZARTS §3.1 and DARTS §2.2 (continuous relaxation); one α per cell type, shared by its
    cells.
    """

    name: str
    groups: tuple[Group, ...]

    def __post_init__(self) -> None:
        names = [group.name for group in self.groups]
        if len(set(names)) != len(names):
            raise ValueError(f"space {self.name!r} has groups {names}; give each its own name")

    @property
    def dim(self) -> int:
        """Number of entries of α."""
        return sum(group.size for group in self.groups)

    def check(self, alpha: Tensor | NDArray[Any]) -> None:
        """Raises ValueError unless ``alpha`` is a flat vector of this space."""
        if alpha.shape != (self.dim,):
            raise ValueError(
                f"alpha has shape {tuple(alpha.shape)}, space {self.name!r} expects ({self.dim},); "
                "build it with space.join(...) or space.init(rng)"
            )

    def split(self, alpha: Tensor) -> dict[str, Tensor]:
        """Cuts α (dim,) into one (edges, width) view per group.

        Raises:
            ValueError: If ``alpha`` is not a vector of this space.
        """
        self.check(alpha)
        pieces = alpha.split([group.size for group in self.groups])
        return {
            group.name: piece.view(group.edges, group.width)
            for group, piece in zip(self.groups, pieces, strict=True)
        }

    def join(self, parts: Mapping[str, Any]) -> Tensor:
        """Puts one (edges, width) table per group together to the flat α (dim,); inverse of split.

        Args:
            parts: Raw logits by the name of the group, as tensors, arrays of numpy or lists.

        Raises:
            ValueError: If a group is missing, unknown or of another shape.

        Warns:
            LooksLikeWeights: If the rows of all tables are non-negative and sum to one, as they do
                after a softmax. α are the numbers before it.
        """
        import torch

        tables = {name: torch.as_tensor(part) for name, part in parts.items()}
        expected = {group.name: (group.edges, group.width) for group in self.groups}
        got = {name: tuple(table.shape) for name, table in tables.items()}
        if got != expected:
            raise ValueError(f"got parts {got}, space {self.name!r} expects {expected}")
        if all(map(_like_weights, tables.values())):
            warnings.warn(
                "the rows of these tables sum to one, as after a softmax; α are the raw logits "
                "before it: if these are weights, take their logarithm",
                LooksLikeWeights,
                stacklevel=2,
            )
        return torch.cat([tables[group.name].reshape(-1) for group in self.groups])

    def mixture(self, alpha: Tensor) -> dict[str, Tensor]:
        """Returns the weights of the mixed operations: softmax over the logits of each edge.

        Args:
            alpha: Raw logits (dim,).

        Returns:
            One (edges, width) tensor per group, rows summing to one.

        Source: DARTS Eq. 2, ZARTS §3.1. No other code takes a softmax of α.
        """
        return {name: _weights(logits) for name, logits in self.split(alpha).items()}

    def weights(self, alpha: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Returns what ``mixture`` gives, in numpy: for an α that is read where torch is not.

        Example:
            >>> import numpy as np
            >>> from zarts import Group, Space
            >>> space = Space("small", (Group("normal", (("skip_connect", "max_pool_3x3"),) * 2),))
            >>> space.weights(np.zeros(4))["normal"].tolist()
            [[0.5, 0.5], [0.5, 0.5]]

        Args:
            alpha: Raw logits (dim,).

        Returns:
            One (edges, width) array per group, rows summing to one.

        Raises:
            ValueError: If ``alpha`` is not a vector of this space.
        """
        import numpy as np

        self.check(alpha)
        ends = np.cumsum([group.size for group in self.groups])[:-1]
        found = {}
        for group, piece in zip(self.groups, np.split(alpha, ends), strict=True):
            logits = piece.reshape(group.edges, group.width)
            raised = np.exp(logits - logits.max(axis=1, keepdims=True))
            found[group.name] = raised / raised.sum(axis=1, keepdims=True)
        return found

    def one_hot(self, alpha: Tensor, rng: torch.Generator, temperature: float) -> dict[str, Tensor]:
        """Draws one operation per edge, with the probabilities ``mixture``, by the Gumbel trick.

        The value is the one-hot of the largest logit plus Gumbel noise, exactly, whatever the
        temperature is. The gradient is the straight-through estimator: that of the softmax p of
        these sums over τ, so with the gradient g of a loss by the value, ∂/∂α_j =
        Σ_i g_i p_i (δ_ij − p_j)/τ.

        Example:
            >>> import torch
            >>> from zarts import Group, Space
            >>> space = Space("small", (Group("normal", (("skip_connect", "max_pool_3x3"),) * 2),))
            >>> space.one_hot(torch.zeros(4), torch.Generator().manual_seed(0), 1.0)
            {'normal': tensor([[1., 0.],
                    [0., 1.]])}

        Args:
            alpha: Raw logits (dim,).
            rng: A CPU generator; the same numbers are drawn for every device and precision.
            temperature: τ > 0.

        Returns:
            One (edges, width) tensor per group, each row with a single 1.

        Source: GDAS (Dong and Yang, CVPR 2019) Eq. 3-5.
        """
        import torch

        found = {}
        for name, logits in self.split(alpha).items():
            uniform = torch.rand(
                logits.shape, generator=rng, dtype=torch.float64, device=torch.device("cpu")
            )
            noisy = logits - uniform.log().neg().log().to(logits)
            hard = torch.zeros_like(noisy).scatter(1, noisy.argmax(dim=1, keepdim=True), 1.0)
            soft = _weights(noisy / temperature)
            found[name] = hard + (soft - soft.detach())  # in this order it is hard to the last bit
        return found

    def init(self, rng: torch.Generator, dtype: torch.dtype | None = None) -> Tensor:
        """Draws the initial α (dim,) ~ 1e-3 · N(0, 1), as DARTS does; in float32 if not told."""
        import torch

        return 1e-3 * torch.randn(self.dim, generator=rng, dtype=dtype or torch.float32)


def _weights(logits: Tensor) -> Tensor:
    return logits.softmax(dim=-1)


def _like_weights(table: Tensor) -> bool:
    rows = table.detach().double()
    sums = (rows.sum(1) - 1).abs()  # pasted numbers are rounded
    return rows.shape[1] > 1 and bool((rows >= 0).all()) and bool((sums < 5e-3).all())


def flat_space(name: str, dim: int | Sequence[str]) -> Space:
    """Returns a space of plain numbers, for problems without operations.

    Example:
        >>> flat_space("training", ["weight decay", "dropout"]).dim
        2

    Args:
        name: Of the space.
        dim: How many numbers, or what each of them is, which axes of figures then say.
    """
    names = ("value",) * dim if isinstance(dim, int) else tuple(dim)
    return Space(name, (Group("alpha", tuple((each,) for each in names)),))


def along(points: _Points, basis: _Points) -> _Points:
    """Sums the directions (d, k), each as far as a point (n, k) says: (n, d).

    Not a matrix product, whose last digits depend on how many points are asked for together.
    """
    steps = [points[:, [axis]] * basis[:, axis] for axis in range(basis.shape[1])]
    return functools.reduce(add, steps)
