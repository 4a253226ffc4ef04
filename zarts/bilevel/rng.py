"""Keyed randomness: every draw is a function of (seed, purpose, counter), never of call order."""

from __future__ import annotations

import hashlib
import operator

import torch

__all__ = ["generator", "key", "placed"]


def key(seed: int, *parts: str | int) -> int:
    """Returns the 63-bit integer that names one random stream.

    Args:
        seed: The seed of the run.
        parts: What the stream is for, e.g. ``("candidates", iteration)``.

    Returns:
        The leading 63 bits of SHA-256 over the unambiguous text of all parts. The same parts give
        the same integer on every platform and in every process, so resuming needs no generator
        state.
    """
    # operator.index: numpy and Python integers name the same stream
    names = [part if isinstance(part, str) else operator.index(part) for part in parts]
    text = repr((operator.index(seed), *names)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


def generator(seed: int, *parts: str | int) -> torch.Generator:
    """Returns a fresh CPU generator for the stream named by ``(seed, *parts)``.

    Draws are made on the CPU and then moved, so a run sees the same numbers on every device; but
    for masses of them, see ``placed``.

    Example:
        >>> a, b = generator(0, "plane"), generator(0, "plane")
        >>> bool((torch.randn(3, generator=a) == torch.randn(3, generator=b)).all())
        True
    """
    return torch.Generator().manual_seed(key(seed, *parts))


def placed(source: torch.Generator, device: torch.device) -> torch.Generator:
    """The stream of a fresh generator for masses of draws, such as an image of noise.

    On a GPU it is one of the GPU's own, of the same seed: to draw on the CPU and to send that takes
    longer than to compute with it. So such numbers differ between types of devices, and are the
    same on all devices of one type. For every other device it is ``source`` itself.
    """
    if device.type != "cuda":
        return source
    return torch.Generator(device).manual_seed(source.initial_seed())
