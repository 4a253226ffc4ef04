"""From settings to what moves α: optimizers by the name of their method, and their schedules."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from zarts.bilevel.search import Optimizer
from zarts.optimizers import MGS, Method, load
from zarts.problems.image import ImageFeed, cosine
from zarts.settings.config import Config, ConfigError, nearest

__all__ = ["build_optimizer", "loaded", "make_optimizer", "sigma_schedule"]


def make_optimizer(config: Config) -> Optimizer:
    """The optimizer of a search, with the hyper-parameters of the config.

    Raises:
        ConfigError: If a hyper-parameter is unknown or has an impossible value.
    """
    return build_optimizer(config.search.method, config.optimizer)


def build_optimizer(method: str, settings: Mapping[str, Any]) -> Optimizer:
    """The optimizer named ``method`` with ``settings`` by field name.

    Raises:
        ConfigError: If a hyper-parameter is unknown or has an impossible value.
    """
    found = loaded(method)
    kind: Any = found.optimizer
    known = [spec.name for spec in dataclasses.fields(kind) if spec.name not in found.fixed]
    for key in settings:
        if key not in known:
            raise ConfigError(f"{method} has no hyper-parameter {key!r}; {nearest(key, known)}")
    try:
        optimizer: Optimizer = kind(**settings, **found.fixed)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"optimizer settings of {method}: {error}") from error
    return optimizer


def loaded(method: str) -> Method:
    """The record of a method with its class, which is imported if it is a user's own.

    Raises:
        ConfigError: If it cannot be.
    """
    try:
        return load(method)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def sigma_schedule(config: Config, feed: ImageFeed) -> dict[str, Callable[[int], float]]:
    """The cosine of σ over the epochs e after the warm-up w of E, as the released code steps it.

    σ_e = σ₀ (1 + cos(π · max(0, e − w − 1)/(E − w)))/2.
    """
    search, optimizer = config.search, make_optimizer(config)
    if not isinstance(optimizer, MGS) or search.sigma_schedule == "constant":
        return {}
    if search.warmup >= search.epochs:  # α stays as it is
        return {}
    start, length = optimizer.sigma, search.epochs - search.warmup

    def sigma(iteration: int) -> float:
        return cosine(start, 0.0, max(0, feed.epoch(iteration) - search.warmup - 1), length)

    return {"sigma": sigma}
