"""What a run says about how it was computed, checked before anything is added to it."""

from __future__ import annotations

from zarts.config import Config, ConfigError
from zarts.parts import load_dataset
from zarts.runfile import Record, Run
from zarts.sections import MOST_LANES

__all__ = ["check_data", "lanes_stored"]


def lanes_stored(record: Record) -> int:
    """How many candidates a run computes side by side, by its plane or checkpoint.

    Raises:
        ValueError: If that is no number this project chooses or lets choose.
    """
    lanes = record.attributes.get("lanes", 1)  # of before there were several
    if not isinstance(lanes, int) or isinstance(lanes, bool) or not 1 <= lanes <= MOST_LANES:
        raise ValueError(f"lanes is {lanes!r:.40}, expected 1 to {MOST_LANES}")
    return lanes


def check_data(run: Run, config: Config) -> None:
    """Checks that the data set here is the one a run was computed with, as far as the run tells.

    Raises:
        ConfigError: If it is another one.
        MissingData: If it is not here.
    """
    said = run.provenance.get("data_fingerprint")
    found = load_dataset(config).fingerprint
    if said and said != found:
        raise ConfigError(
            f"data set {config.data.name} has fingerprint {found} here, that of {run.path} is "
            f"{said}; install the same data, or begin a new run"
        )
