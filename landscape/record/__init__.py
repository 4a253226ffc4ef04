"""What a finished picture consists of, and how a run keeps it; without torch.

``kinds`` has the surfaces and paths, ``files`` writes and reads them, ``asked`` says which ones the
settings ask for, and ``schema`` what they must look like.
"""

from landscape.record.files import load, path_from, save_path, save_surface, surface_from
from landscape.record.kinds import (
    BESIDE,
    LENGTH_TOLERANCE,
    Figure1,
    OptimizerPath,
    Status,
    Surface,
    moments_of,
)

__all__ = [
    "BESIDE",
    "LENGTH_TOLERANCE",
    "Figure1",
    "OptimizerPath",
    "Status",
    "Surface",
    "load",
    "moments_of",
    "path_from",
    "save_path",
    "save_surface",
    "surface_from",
]
