"""What a run leaves on disk.

`disk` is bytes, `record` one HDF5 file, `folder` one run, `locking` the right to write it, `mounts`
what it lies on, `listing` all runs of a folder.
Only `record` imports h5py.
"""

from zarts.runs.runfile.disk import (
    ConfigMismatch,
    CorruptFile,
    ForeignFile,
    RunError,
    RunLocked,
    Unwritable,
)
from zarts.runs.runfile.folder import Run, differences, flat, run_path, runs_root, valid_name
from zarts.runs.runfile.listing import ListedRun, list_runs
from zarts.runs.runfile.locking import being_written
from zarts.runs.runfile.record import FORMAT, JSON, Array, Record, read_record, write_record

__all__ = [
    "FORMAT",
    "JSON",
    "Array",
    "ConfigMismatch",
    "CorruptFile",
    "ForeignFile",
    "ListedRun",
    "Record",
    "Run",
    "RunError",
    "RunLocked",
    "Unwritable",
    "being_written",
    "differences",
    "flat",
    "list_runs",
    "read_record",
    "run_path",
    "runs_root",
    "valid_name",
    "write_record",
]
