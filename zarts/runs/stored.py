"""What a run says about how it was computed, checked before anything is added to it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from zarts.bilevel.own import digest_of_source
from zarts.optimizers import digests
from zarts.runs.runfile import Array, Record, Run
from zarts.settings.config import Config, ConfigError
from zarts.settings.sections import MOST_LANES
from zarts.supernet.protocol import NETWORKS, network_record

__all__ = [
    "check_code",
    "check_data",
    "check_unchanged",
    "code_of",
    "digest_of",
    "lanes_stored",
]


def digest_of(arrays: Mapping[str, Array]) -> str:
    """SHA-256 of names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for key in sorted(arrays):
        digest.update(f"{key} {arrays[key].dtype} {arrays[key].shape} ".encode())
        digest.update(np.ascontiguousarray(arrays[key]).tobytes())
    return digest.hexdigest()


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
    from zarts.problems.parts import load_dataset

    _compare(run, config, load_dataset(config).fingerprint)


def check_unchanged(run: Run, config: Config) -> None:
    """Checks that data and code of a user's own are still those of a run that is finished.

    What is not here any more cannot be another one: the run is read all the same.

    Raises:
        ConfigError: If one has changed since, and what the run holds is no answer for it.
    """
    try:
        here: Mapping[str, str] = code_of(config)
    except ConfigError:
        here = {}
    _compare_code(run.provenance.get("code"), here)
    from zarts.problems.parts import own_fingerprint

    if found := own_fingerprint(config):
        _compare(run, config, found)


def _compare(run: Run, config: Config, found: str) -> None:
    said = run.provenance.get("data_fingerprint")
    if said and said != found:
        raise ConfigError(
            f"data set {config.data.name} has fingerprint {found} here, that of {run.path} is "
            f"{said}; install the same data, or begin a new run"
        )


def code_of(config: Config) -> dict[str, str]:
    """SHA-256 of the source of each optimizer and network not of this project, by its name.

    Raises:
        ConfigError: If one cannot be imported.
    """
    name = config.supernet.network
    own = {} if name in NETWORKS else {name: network_record(name)}
    try:
        networks = {name: digest_of_source(record.load()) for name, record in own.items()}
        return networks | digests((config.search.method, *config.paths.methods))
    except ValueError as error:
        raise ConfigError(str(error)) from error


def check_code(said: object, config: Config) -> None:
    """Checks that optimizers and networks of a user's own are those that a run was begun with.

    Args:
        said: What ``code_of`` gave then.
        config: The run's settings.

    Raises:
        ConfigError: If one has changed, or cannot be imported.
    """
    _compare_code(said, code_of(config))


def _compare_code(said: object, here: Mapping[str, str]) -> None:
    before = said if isinstance(said, dict) else {}
    for name, digest in here.items():
        if before.get(name, digest) != digest:
            raise ConfigError(
                f"the file of {name} has SHA-256 {digest[:16]}, that of this run began with "
                f"{str(before[name])[:16]}; put back the old file, or begin a new run with --out"
            )
