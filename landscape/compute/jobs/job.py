"""What a piece of work is, and what a kind of such pieces is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from zarts.runs.runfile import Record, Run

if TYPE_CHECKING:
    from landscape.geometry.problem import PlaneProblem
    from landscape.record import Surface
    from landscape.record.asked import FigureSettings
    from zarts.settings.config import Config

__all__ = [
    "FIRST",
    "LAST",
    "SINGLE",
    "Check",
    "Job",
    "Kind",
    "Store",
    "Value",
    "WorkerState",
    "units",
]

Value = Any  # what a job yields; its ``store`` knows what it is
Check = Callable[[str, Record, "FigureSettings"], Iterator[str]]  # what is wrong with a record

# Ranks. What is cheap to look at comes first, then what cannot be shared among workers, while
# there is still work left that can.
FIRST, SINGLE, LAST = 0, 1, 2


@dataclass(frozen=True)
class WorkerState:
    """What a worker keeps from one job to the next."""

    setup: PlaneProblem
    surfaces: Mapping[int, Surface]


class Store(Protocol):
    """Where jobs put what they found, in the one process that writes (``compute.writer``)."""

    @property
    def run(self) -> Run:
        """Its lock is held."""

    @property
    def failed(self) -> list[str]:
        """What did not come about and holds nothing else up, in words."""

    def put(self, steps: int, points: Sequence[tuple[int, int]], value: Value) -> None:
        """Enters points (row, col) of a surface; on disk they are after a while."""


class Job(Protocol):
    """A piece of work: a frozen dataclass of plain values, so that it can be hashed and sent."""

    @property
    def rank(self) -> int:
        """``FIRST``, ``SINGLE`` or ``LAST``: jobs of a lower rank are dealt out before others."""

    @property
    def alike(self) -> Hashable:
        """Jobs with an equal one take an equal time per unit; None: as all others together."""

    def units(self, config: Config) -> int:
        """Its cost in SGD steps of ω."""

    def parts(self, config: Config) -> int:
        """How many values it yields, for progress."""

    def split(self) -> Sequence[Job]:
        """The smallest pieces that it can be cut into; itself if it cannot."""

    def run(self, worker: WorkerState) -> Iterator[Value]:
        """Does it, in a worker; yields what is known after each part of it, the result last.

        What one piece dies of is part of its value: others are not to blame.

        Raises:
            ConfigError: If the settings cannot be used, which no other job would survive either.
        """

    def store(self, writer: Store, value: Value, *, final: bool) -> None:
        """Takes in a value, or a ``Failure``, in the one process that writes."""

    def seconds(self, value: Value) -> float | None:
        """How long a value took, if that tells how long jobs alike will take."""


class Kind(Protocol):
    """All jobs of one kind, and the records that they write."""

    @property
    def checks(self) -> Mapping[str, Check]:
        """Pattern of a record's name to what checks such a record."""

    def records(self, config: Config) -> list[str]:
        """The records that the settings ask for."""

    def jobs(
        self, config: Config, run: Run | None = None, mine: Collection[Job] | None = None
    ) -> list[Job]:
        """The work that a run lacks, or all of it, in the order in which it is dealt out.

        Args:
            config: Settings.
            run: What is done already; None: nothing.
            mine: Only what consists of these smallest pieces; None: everything.
        """


def units(config: Config, jobs: Iterable[Job]) -> int:
    """The cost of jobs in SGD steps of ω, for shares and remaining times."""
    return sum(job.units(config) for job in jobs)
