"""Which data sets there are by name. No torch in here."""

from __future__ import annotations

__all__ = ["FIXED", "NAMES", "SIZES"]

# The side in pixels of images that come in one size, and the default one of those in any size.
FIXED = {"packaged": 28, "cifar10": 32, "cifar100": 32, "svhn": 32, "fashion-mnist": 28}
SIZES = {"imagenet": 224, "folder": 32}
NAMES: tuple[str, ...] = (*FIXED, *SIZES)
