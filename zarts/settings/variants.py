"""The paper's variants of a search: what each changes in a preset, whatever moves α."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from zarts.optimizers import method_of
from zarts.settings.tables import ConfigError, Table, nearest

__all__ = ["ALIASES", "VARIANTS", "Variant", "overlay"]


@dataclass(frozen=True)
class Variant:
    """A way to search that goes with any optimizer that can use it.

    Attributes:
        label: What it does, for people.
        preset: ``preset(base, gradients)`` gives the settings that differ from those of a preset's
            base (``quick``, ``standard``, ``paper``, ``paper-imagenet``), for methods that take
            gradients or for the others.
    """

    label: str
    preset: Callable[[str, bool], Table]


VARIANTS: dict[str, Variant] = {}

# What the paper calls a method with a variant.
ALIASES: dict[str, tuple[str, str]] = {}


def overlay(variant: str, base: str, method: str) -> Table:
    """What a variant changes in the settings of a preset.

    Args:
        variant: A name in ``VARIANTS``; empty: nothing.
        base: Of the preset.
        method: What moves α.

    Raises:
        ConfigError: If there is no such variant; the nearest name is given.
    """
    if not variant:
        return {}
    if variant not in VARIANTS:
        raise ConfigError(f"unknown variant {variant!r}; {nearest(variant, VARIANTS)}")
    return VARIANTS[variant].preset(base, method_of(method).gradients)
