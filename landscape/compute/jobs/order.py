"""All kinds of jobs together: in which order they are dealt out, and to which shard."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from landscape.compute.jobs.job import Job, Kind
from landscape.compute.jobs.points import SURFACES
from landscape.compute.jobs.walks import PATHS
from zarts.runs.runfile import Run
from zarts.settings.config import Config

__all__ = ["KINDS", "Shard", "jobs_of", "share_of", "split"]

Shard = tuple[int, int]  # k of n, counted from 1
KINDS: tuple[Kind, ...] = (SURFACES, PATHS)


def jobs_of(config: Config, run: Run | None = None, shard: Shard | None = None) -> list[Job]:
    """The work of a figure, or of a share of it, that a run lacks, in the order of dealing out.

    What there is to look at soon comes first, then what is long and cannot be cut, while there are
    still pieces left that fill the other workers.

    Args:
        config: Settings.
        run: What is done already; None: nothing.
        shard: Which share; None: the whole.
    """
    mine = share_of(config, shard) if shard else None
    jobs = [job for kind in KINDS for job in kind.jobs(config, run, mine)]
    return sorted(jobs, key=lambda job: job.rank)


def split(job: Job) -> Sequence[Job]:
    """The smallest pieces of a job."""
    return job.split()


def share_of(config: Config, shard: Shard) -> set[Job]:
    """The smallest pieces that are shard k's of n: about an n-th of the cost.

    Dealt out to the shard with the least so far, the longest pieces first: it depends on the config
    alone, not on what is done.
    """
    rank, count = shard
    pieces = [piece for kind in KINDS[::-1] for job in kind.jobs(config) for piece in job.split()]
    loads = [(0, number) for number in range(1, count + 1)]
    mine = set()
    for piece in sorted(pieces, key=lambda piece: -piece.units(config)):
        load, number = heapq.heappop(loads)
        heapq.heappush(loads, (load + piece.units(config), number))
        if number == rank:
            mine.add(piece)
    return mine
