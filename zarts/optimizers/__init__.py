"""What moves α: gradient descent (DARTS) and the zero-order optimizers of ZARTS, one file each.

The files import no torch before a step is made, so names and settings of all methods are at hand
in commands and pages.
"""

from __future__ import annotations

from zarts.optimizers.darts import DARTS
from zarts.optimizers.gld import GLD
from zarts.optimizers.implicit import Implicit
from zarts.optimizers.method import GradientCost, Method, Style, gradient_cost
from zarts.optimizers.mgs import MGS
from zarts.optimizers.random_search import RandomSearch
from zarts.optimizers.registry import (
    METHODS,
    OwnName,
    digests,
    load,
    method_of,
    name_of,
    record_name,
)
from zarts.optimizers.unrolled import Unrolled

__all__ = [
    "DARTS",
    "GLD",
    "METHODS",
    "MGS",
    "GradientCost",
    "Implicit",
    "Method",
    "OwnName",
    "RandomSearch",
    "Style",
    "Unrolled",
    "digests",
    "gradient_cost",
    "load",
    "method_of",
    "name_of",
    "record_name",
]
