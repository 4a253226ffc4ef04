"""What is dropped in a batch: whole edges per image, and single numbers of skip connections.

What is kept is scaled up, so that means stay. Masks are drawn by the chance of the batch, so all
candidates that see it share them, in single precision, so that every precision sees the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zarts.bilevel.chance import Chance
from zarts.bilevel.rng import generator, placed
from zarts.supernet.layout import EDGES

__all__ = ["number_mask", "path_masks"]


def path_masks(chance: Chance, cell: int, images: Tensor) -> Tensor | None:
    """The factor of each edge's output, per image: (14, n, 1, 1, 1); None if nothing is dropped.

    Args:
        chance: Of the batch.
        cell: Number of the cell.
        images: What the cell reads (n, ...): its device and precision are those of the factors.

    Source: Larsson et al. 2017 (FractalNet), on every mixed edge as R-DARTS does.
    """
    if not chance.drop_path:
        return None
    rng = generator(chance.key, "drop_path", cell)
    drawn = torch.rand((len(EDGES), len(images)), generator=rng, dtype=torch.float32, device="cpu")
    return _factors(drawn, chance.drop_path, images)[..., None, None, None]


def number_mask(chance: Chance, cell: int, edge: int, shape: Sequence[int], like: Tensor) -> Tensor:
    """The factor of each number of an edge's image, of a shape; see ``rng.placed``.

    Args:
        chance: Of the batch.
        cell: Number of the cell.
        edge: Of the cell.
        shape: Of the image of one candidate, (n, C, h, w).
        like: Its device and precision are those of the factors.

    Source: P-DARTS §3.3, dropout after skip connections.
    """
    source = placed(generator(chance.key, "drop_skip", cell, edge), like.device)
    drawn = torch.rand(tuple(shape), generator=source, dtype=torch.float32, device=source.device)
    return _factors(drawn, chance.drop_skip, like)


def _factors(drawn: Tensor, probability: float, like: Tensor) -> Tensor:
    kept = (drawn >= probability).to(like.device, like.dtype, non_blocking=True)
    return kept / (1 - probability)
