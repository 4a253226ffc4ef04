"""What the paper's figures and tables consist of: searches, and retrainings of what they find.

No torch. The full settings are those of the presets of searches and retrainings; what ``quick``
(a study in about 20 minutes, ``collapse`` in half an hour per space, on two cores) and ``standard``
(hours) change stands here. Both take the quick preset of searches and retrainings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from zarts import cli
from zarts.retrain.presets import complete as complete_retraining
from zarts.retrain.settings import RetrainConfig
from zarts.settings.config import Config, Table, merge
from zarts.settings.presets import complete

__all__ = ["PRESETS", "STUDIES", "Arm", "Study"]

PRESETS = ("quick", "standard", "paper")
_SEARCHED = {"quick": "quick", "standard": "quick", "paper": "paper"}  # presets of searches
RANDOM = "random"  # an arm that searches nothing
_DATA = {"C10": "cifar10", "C100": "cifar100", "SVHN": "svhn"}
# Half of the packaged images: a search of 3 epochs and a retraining take a minute each on one core.
_HALF: Table = {"data": {"subset": 2000}}
_QUARTER: Table = {"data": {"subset": 1000}}
# For quick studies of many retrainings: half a minute each.
_SHORT: Table = {"training": {"epochs": 5}}


@dataclass(frozen=True)
class Arm:
    """One entry of a table: searches that differ by their seed, and how their cells are retrained.

    Attributes:
        row: Where it stands.
        column: Where it stands.
        preset: Of the search.
        method: What moves α, or a name of the paper; ``random``: cells are drawn, not searched.
        search: Settings that differ from the preset's.
        retrain: Preset of the retrainings, and ...
        changed: ... settings that differ from it.
        seeds: Of searches; each retraining has the seed of its search.
        epochs: Epochs whose cells are retrained; empty: the one that the search chose.
        device: Of all of them.
    """

    row: str
    column: str
    preset: str
    method: str
    search: Table
    retrain: str
    changed: Table = field(default_factory=dict)
    seeds: tuple[int, ...] = (0, 1, 2, 3)
    epochs: tuple[int, ...] = ()
    device: str = "cpu"

    @property
    def name(self) -> str:
        """Row and column: those of one name cost the same."""
        return f"{self.row}, {self.column}"

    @property
    def space(self) -> str:
        """The name of the space that is searched."""
        return self.searching(0).supernet.space

    def searching(self, seed: int) -> Config:
        """The settings of a search."""
        method = "darts-1" if self.method == RANDOM else self.method
        return complete(self.preset, method, self.search, {"seed": seed, "device": self.device})

    def searched(self, seed: int) -> Path:
        """Where that search is: the folder that ``python -m zarts`` gives it."""
        config = self.searching(seed)
        return cli.run_folder(None, f"{config.search.method}-{self.preset}", config)

    def retraining(self, genotype: str, seed: int) -> RetrainConfig:
        """The settings of the retraining of some cells."""
        own = {"genotype": genotype, "seed": seed, "device": self.device}
        given = merge(self.changed, own)
        return complete_retraining(self.retrain, given, space=self.space)

    def retrained(self, genotype: str, seed: int) -> Path:
        """Where that retraining is: the folder that ``python -m zarts.retrain`` gives it."""
        return cli.run_folder(None, f"retrain-{self.retrain}", self.retraining(genotype, seed))


@dataclass(frozen=True)
class Study:
    """A figure or a table.

    Attributes:
        title: What it shows.
        arms: Its entries in a preset, row by row; none: a landscape.
        images: What reduced runs are made of, where the paper names other data.
    """

    title: str
    arms: Callable[[str], Sequence[Arm]] = lambda preset: ()
    images: str = "the packaged images at 9×9 in searches and 14×14 in retrainings"


def _figure_2(preset: str) -> list[Arm]:
    reduced = preset != "paper"
    kept = tuple(range(4, 33, 4)) if reduced else tuple(range(25, 201, 25))
    images = {"quick": _QUARTER, "standard": _HALF}.get(preset, {})
    return [
        Arm(
            row="packaged" if reduced else "C10",
            column=column,
            preset=_SEARCHED[preset],
            method=method,
            search=merge(images, {"search": {"epochs": kept[-1], "snapshots": list(kept)}}),
            retrain="quick" if reduced else "cifar",
            seeds=(0,),
            epochs=kept,
        )
        for column, method in (("DARTS-1st", "darts-1"), ("ZARTS-MGS", "zarts-mgs"))
    ]


_ZARTS = {"ZARTS-RS": "zarts-rs", "ZARTS-MGS": "zarts-mgs", "ZARTS-GLD": "zarts-gld"}


def _table_2(preset: str) -> list[Arm]:
    reduced = preset != "paper"
    small = {"quick": _QUARTER, "standard": _HALF}.get(preset, {})
    return [
        Arm(
            row=f"{data} S{number}",
            column=column,
            preset=_SEARCHED[preset],
            method=method,
            search=merge(small or {"data": {"name": name}}, {"supernet": {"space": f"s{number}"}}),
            retrain="quick" if reduced else "rdarts",
            changed={"quick": _SHORT, "standard": {}}.get(preset, {"data": {"name": name}}),
            seeds=(0, 1) if reduced else (0, 1, 2, 3),
        )
        for data, name in ([("packaged", "")] if reduced else _DATA.items())
        for number in (1, 2, 3, 4)
        for column, method in _ZARTS.items()
    ]


_SMALL_S6: Table = merge(_HALF, {"supernet": {"space": "s6"}})


def _table_3(preset: str) -> list[Arm]:
    reduced = preset != "paper"
    return [
        Arm(
            row=data,
            column=column,
            preset=_SEARCHED[preset],
            method=method,
            search=_SMALL_S6 if reduced else {"data": {"name": name}},
            retrain="quick" if reduced else "cifar",
            changed={} if reduced else {"data": {"name": name}},
            seeds=(0, 1) if reduced else (0, 1, 2, 3),
        )
        for data, name in ([("packaged", "")] if reduced else list(_DATA.items())[:2])
        for column, method in (("DARTS-1st", "darts-1"), ("ZARTS-MGS", "zarts-mgs"))
        if reduced or method == "zarts-mgs"  # the paper quotes its peers
    ]


def _table_4(preset: str) -> list[Arm]:
    reduced = preset != "paper"
    whole: Table = {"data": {"downscale": 1}, "network": {"stem": "imagenet", "channels": 16}}
    return [
        Arm(
            row="packaged" if reduced else "ImageNet",
            column=f"ZARTS-MGS, cell {seed + 1}",
            preset=_SEARCHED[preset],
            method="zarts-mgs",
            search=_SMALL_S6 if reduced else {},
            retrain="quick" if reduced else "imagenet",
            changed=whole if reduced else {},
            seeds=(seed,),
        )
        for seed in (0, 1)
    ]


_VARIANTS = {
    "GDAS": "gdas",
    "GZAS": "gzas",
    "P-DARTS": "p-darts",
    "P-ZARTS": "p-zarts",
    "MergeNAS": "merge-nas",
    "MergeZARTS": "merge-zarts",
}


def _table_5(preset: str) -> list[Arm]:
    reduced = preset != "paper"
    return [
        Arm(
            row="packaged" if reduced else "C10",
            column=column,
            preset=_SEARCHED[preset],
            method=method,
            # stages have their own space and fewer images
            search=_SMALL_S6 if reduced and "P-" not in column else {},
            retrain="quick" if reduced else "cifar",
            seeds=(0, 1) if reduced else (0, 1, 2, 3),
        )
        for column, method in _VARIANTS.items()
        if reduced or "Z" in column  # the paper quotes the others
    ]


# The arms of the study of collapse, and what each adds to DARTS-1st: the claim is that values of
# L_10 are what saves a search from it, so each control takes one thing away.
_COLLAPSE: dict[str, tuple[str, Table]] = {
    "DARTS-1st": ("darts-1", {}),
    "ZARTS-MGS": ("zarts-mgs", {}),
    "MGS at M = 0": ("zarts-mgs", {"search": {"inner_steps": 0}}),
    "random walk": ("zarts-mgs", {"optimizer": {"samples": 1}, "search": {"inner_steps": 0}}),
    "random cells": (RANDOM, {}),
}


def _collapse(preset: str) -> list[Arm]:
    reduced = preset != "paper"
    # 60 epochs of 8 or 16 batches: DARTS drifts to skips within some 430 updates
    count = {"quick": 500, "standard": 1000}.get(preset)
    data = {"subset": count, "batch_size": 64}
    long = {"search": {"epochs": 60}, "data": data} if reduced else {}
    # images that no search sees: those behind the thousand that D_val has
    apart: Table = {"data": {"first": 5000, "count": 3000}} if reduced else {}
    short = _SHORT if preset == "quick" else {}
    return [
        Arm(
            row=f"S{number}",
            column=column,
            preset=_SEARCHED[preset],
            method=method,
            search=merge(long, {"supernet": {"space": f"s{number}"}}, changed),
            retrain="quick" if reduced else "rdarts",
            changed=merge(apart, short),
            seeds=tuple(range(10 if method == RANDOM else 5)),
        )
        for number in (2, 3)
        for column, (method, changed) in _COLLAPSE.items()
    ]


STUDIES: dict[str, Study] = {
    "fig1": Study("loss surfaces at M = 0 and M = 10, and the paths of five optimizers"),
    "fig2": Study("test error and size of what a search has found, over its epochs", _figure_2),
    "table2": Study("test error on the spaces S1 to S4 of RobustDARTS", _table_2),
    "table3": Study("test error on the space of DARTS", _table_3),
    "table4": Study(
        "the cells of Table 3 on larger images",
        _table_4,
        "the packaged images at 28×28, with the stem for ImageNet",
    ),
    "table5": Study("variants of DARTS and of ZARTS", _table_5),
    "collapse": Study("does descending L_10 save a search from collapse?", _collapse),
}
