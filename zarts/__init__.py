"""The bilevel problem of neural architecture search, and zero-order search on it.

The public names below are imported on first use: ``import zarts`` and ``--help`` load no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zarts.facade import facade

if TYPE_CHECKING:
    from zarts.bilevel.alpha import Group, Space, flat_space
    from zarts.bilevel.feed import ListFeed
    from zarts.bilevel.inner import SGD, Diverged, descend
    from zarts.bilevel.objective import Bilevel, Objective
    from zarts.bilevel.rng import generator
    from zarts.bilevel.search import Optimizer, Step, search
    from zarts.bilevel.wrappers import Counted, Restricted, Tally
    from zarts.data.arrays import register_dataset
    from zarts.data.loaders import load_images
    from zarts.genotype.cost import cost
    from zarts.optimizers import DARTS, GLD, METHODS, MGS, Implicit, RandomSearch, Unrolled
    from zarts.problems.build import make_problem
    from zarts.problems.module import from_module
    from zarts.problems.toy import Quadratic
    from zarts.reproduce.tables import collect
    from zarts.runs.runfile import Run
    from zarts.settings.config import Config
    from zarts.settings.presets import preset
    from zarts.supernet.derivation import derive, entropy
    from zarts.supernet.genotype import Genotype, parameters, parse
    from zarts.supernet.plain import PlainSupernet
    from zarts.supernet.spaces import SPACES

__version__ = "0.1.0"

_HOMES = {
    "bilevel.alpha": ("Group", "Space", "flat_space"),
    "bilevel.feed": ("ListFeed",),
    "bilevel.inner": ("SGD", "Diverged", "descend"),
    "bilevel.objective": ("Bilevel", "Objective"),
    "bilevel.rng": ("generator",),
    "bilevel.search": ("Optimizer", "Step", "search"),
    "bilevel.wrappers": ("Counted", "Restricted", "Tally"),
    "data.arrays": ("register_dataset",),
    "data.loaders": ("load_images",),
    "genotype.cost": ("cost",),
    "optimizers": ("DARTS", "GLD", "METHODS", "MGS", "Implicit", "RandomSearch", "Unrolled"),
    "problems.build": ("make_problem",),
    "problems.module": ("from_module",),
    "problems.toy": ("Quadratic",),
    "reproduce.tables": ("collect",),
    "runs.runfile": ("Run",),
    "settings.config": ("Config",),
    "settings.presets": ("preset",),
    "supernet.derivation": ("derive", "entropy"),
    "supernet.genotype": ("Genotype", "parameters", "parse"),
    "supernet.plain": ("PlainSupernet",),
    "supernet.spaces": ("SPACES",),
}
__all__ = [
    "DARTS",
    "GLD",
    "METHODS",
    "MGS",
    "SGD",
    "SPACES",
    "Bilevel",
    "Config",
    "Counted",
    "Diverged",
    "Genotype",
    "Group",
    "Implicit",
    "ListFeed",
    "Objective",
    "Optimizer",
    "PlainSupernet",
    "Quadratic",
    "RandomSearch",
    "Restricted",
    "Run",
    "Space",
    "Step",
    "Tally",
    "Unrolled",
    "__version__",
    "collect",
    "cost",
    "derive",
    "descend",
    "entropy",
    "flat_space",
    "from_module",
    "generator",
    "load_images",
    "make_problem",
    "parameters",
    "parse",
    "preset",
    "register_dataset",
    "search",
]
__getattr__, __dir__ = facade(__name__, _HOMES, __all__)
