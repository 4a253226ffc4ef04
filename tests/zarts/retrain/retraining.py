"""The smallest retraining: 80 images of 7x7 pixels, a network of one cell, two epochs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zarts.retrain.presets import complete
from zarts.retrain.settings import RetrainConfig
from zarts.runs.runfile import Run
from zarts.settings.config import merge
from zarts.supernet.genotype import Genotype
from zarts.supernet.published import NAMED

SMALL: dict[str, Any] = {
    "genotype": str(NAMED["DARTS_V1"]),
    "data": {"downscale": 4, "batch_size": 24, "count": 80, "cutout": 2},
    "network": {"channels": 2, "cells": 1},
    "training": {"epochs": 2, "auxiliary": 0.4, "drop_path": 0.3},
}
NOISE = str(Genotype(*[tuple(("noise", place % 2) for place in range(8))] * 2))


def small(*changes: Mapping[str, Any]) -> RetrainConfig:
    """The quick preset made tiny, with changes as nested tables."""
    return complete("quick", merge(SMALL, *changes))


def flags(*more: str) -> list[str]:
    """The same as words of the command, but for the genotype."""
    words = [
        f"{section}.{key}={value}"
        for section, table in SMALL.items()
        if isinstance(table, dict)
        for key, value in table.items()
    ]
    return [word for text in (*words, *more) for word in ("--set", text)]


def begin(path: Path, config: RetrainConfig) -> Run:
    """A run of a config without provenance."""
    return Run.create(path, config.to_table(), {})
