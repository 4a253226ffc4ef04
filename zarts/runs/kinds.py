"""What a run is of, by its settings: a search, or a retraining, which has no α. No torch."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from zarts.runs.runfile import JSON, Run, RunError

__all__ = ["is_retraining", "refuse_retraining", "resuming_retraining"]


def is_retraining(config: Mapping[str, JSON]) -> bool:
    """Whether stored settings are those of ``zarts.retrain``."""
    return isinstance(config.get("genotype"), str) and isinstance(config.get("training"), Mapping)


def resuming_retraining(run: Run) -> str:
    """The command that goes on with a retraining, or gives its result."""
    settings = str(run.path / "config.toml")
    words = ["python", "-m", "zarts.retrain", "--config", settings, "--out", str(run.path)]
    return shlex.join(words)


def refuse_retraining(run: Run) -> None:
    """Raises RunError if a run is a retraining; says how to get its result."""
    if is_retraining(run.config):
        raise RunError(
            f"{run.path}: is a retraining, which has neither α nor a landscape; its result: "
            f"{resuming_retraining(run)}"
        )
