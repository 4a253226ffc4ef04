"""What the runs of a sweep are: searches, and retrainings of what they found. No torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from zarts.retrain import results as retrained
from zarts.retrain.settings import RetrainConfig
from zarts.runs.course import points_in, search_finished
from zarts.runs.runfile import Run
from zarts.settings.config import Config, Settings
from zarts.settings.stages import epochs

__all__ = ["Retraining", "Search", "Task"]


class Task(Protocol):
    """A run that is to be finished; its settings say all that it depends on."""

    @property
    def experiment(self) -> str:
        """What it is a part of; those of one experiment differ by their seeds and cost the same."""

    @property
    def config(self) -> Settings:
        """Its settings, seed included."""

    @property
    def folder(self) -> Path:
        """Its run."""

    @property
    def name(self) -> str:
        """The folder's name, which is the run's."""

    @property
    def epochs(self) -> int:
        """How many there are to expect."""

    def done(self, names: Iterable[str]) -> int:
        """How many of them are there, by the names of the run's records."""

    def finished(self, run: Run) -> bool:
        """Whether nothing is left to do; looks at names only."""

    def check(self, run: Run) -> None:
        """Raises ConfigError if data or code of a user's own are not those of a finished run."""


@dataclass(frozen=True)
class Search:
    """A search.

    Attributes:
        experiment: With axes their values are part of the name.
        config: Its settings.
        folder: Its run.
    """

    experiment: str
    config: Config
    folder: Path

    @property
    def name(self) -> str:
        """The folder's name, which is the run's."""
        return self.folder.name

    @property
    def epochs(self) -> int:
        """Of all stages to expect."""
        return epochs(self.config.program)

    def done(self, names: Iterable[str]) -> int:
        """The epochs that are there."""
        return len(points_in(names, "search"))

    def finished(self, run: Run) -> bool:
        """Whether all records of the search are there."""
        return search_finished(run, self.config)

    def check(self, run: Run) -> None:
        """Raises ConfigError if data or code of a user's own are not those of the run."""
        from zarts.runs.stored import check_unchanged

        check_unchanged(run, self.config)


@dataclass(frozen=True)
class Retraining:
    """A retraining of cells.

    Attributes:
        experiment: That of the search that found them.
        config: Its settings.
        folder: Its run.
    """

    experiment: str
    config: RetrainConfig
    folder: Path

    @property
    def name(self) -> str:
        """The folder's name, which is the run's."""
        return self.folder.name

    @property
    def epochs(self) -> int:
        """Passes over the training images."""
        return self.config.training.epochs

    def done(self, names: Iterable[str]) -> int:
        """The epochs that are there."""
        return sum(name.startswith("retrain/epoch-") for name in names)

    def finished(self, run: Run) -> bool:
        """Whether all records of the retraining are there."""
        return retrained.finished(run, self.config)

    def check(self, run: Run) -> None:
        """Raises ConfigError if images of a user's own are not those of the run."""
        from zarts.retrain.job import check_unchanged

        check_unchanged(run, self.config)
