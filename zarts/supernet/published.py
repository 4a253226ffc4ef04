"""Cells that papers published, to compare with."""

from __future__ import annotations

from zarts.supernet.genotype import Genotype, Inputs

__all__ = ["NAMED"]

_SHORT = {
    "skip": "skip_connect",
    "sep3": "sep_conv_3x3",
    "sep5": "sep_conv_5x5",
    "dil3": "dil_conv_3x3",
    "dil5": "dil_conv_5x5",
    "max": "max_pool_3x3",
    "avg": "avg_pool_3x3",
}


def _named(normal: str, reduce: str) -> Genotype:
    """Expands two lists of abbreviated operations with their source, two per node."""

    def expand(text: str) -> Inputs:
        words = text.split()
        pairs = zip(words[::2], words[1::2], strict=True)
        return tuple((_SHORT[name], int(source)) for name, source in pairs)

    return Genotype(expand(normal), expand(reduce))


# Published cells: DARTS (first and second order), P-DARTS, PC-DARTS (CIFAR-10, ImageNet), GDAS.
NAMED = {
    "DARTS_V1": _named(
        "sep3 1 sep3 0  skip 0 sep3 1  skip 0 sep3 1  sep3 0 skip 2",
        "max 0 max 1  skip 2 max 0  max 0 skip 2  skip 2 avg 0",
    ),
    "DARTS_V2": _named(
        "sep3 0 sep3 1  sep3 0 sep3 1  sep3 1 skip 0  skip 0 dil3 2",
        "max 0 max 1  skip 2 max 1  max 0 skip 2  skip 2 max 1",
    ),
    "PDARTS": _named(
        "skip 0 dil3 1  skip 0 sep3 1  sep3 1 sep3 3  sep3 0 dil5 4",
        "avg 0 sep5 1  sep3 0 dil5 2  max 0 dil3 1  dil3 1 dil5 3",
    ),
    "PC_DARTS_cifar": _named(
        "sep3 1 skip 0  sep3 0 dil3 1  sep5 0 sep3 1  avg 0 dil3 1",
        "sep5 1 max 0  sep5 1 sep5 2  sep3 0 sep3 3  sep3 1 sep3 2",
    ),
    "PC_DARTS_imagenet": _named(
        "skip 1 sep3 0  sep3 0 skip 1  sep3 1 sep3 3  sep3 1 dil5 4",
        "sep3 0 skip 1  dil5 2 max 1  sep3 2 sep3 1  sep5 0 sep3 3",
    ),
    "GDAS_V1": _named(
        "skip 0 skip 1  skip 0 sep5 2  sep3 3 skip 0  sep5 4 sep3 3",
        "sep5 0 sep3 1  sep5 2 sep5 1  dil5 2 sep3 1  sep5 0 sep5 1",
    ),
}
