"""The work of a figure in pieces; one file per kind says what a piece costs, does and stores.

A kind is a file of this folder and an entry in ``KINDS``. None needs torch before a job runs.
"""

from landscape.compute.jobs.job import Job, Kind, units
from landscape.compute.jobs.order import KINDS, Shard, jobs_of, share_of, split
from landscape.compute.jobs.points import SURFACES, Losses, Points, surfaces_of
from landscape.compute.jobs.walks import PATHS, Walk

__all__ = [
    "KINDS",
    "PATHS",
    "SURFACES",
    "Job",
    "Kind",
    "Losses",
    "Points",
    "Shard",
    "Walk",
    "jobs_of",
    "share_of",
    "split",
    "surfaces_of",
    "units",
]
