"""What ``make fig1`` costs: wall time, peak memory of its processes, and the accuracy it reaches.

Run as ``python -m benchmarks.figure_1``. Prints ``name value target`` per line. The command runs in
a folder of its own from start to end. Memory is the sum over its processes of the proportional set
size (a page shared by n processes counts 1/n in each), which is what the machine has to hold; Linux
only.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.timing import show
from landscape.record import load
from zarts.runs.runfile import Run

LIMIT_SECONDS, LIMIT_MIB, LEAST_ACCURACY = 120.0, 2048.0, 0.75


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    pids = [pid]
    for each in pids:
        try:
            children = Path(f"/proc/{each}/task/{each}/children").read_text()
        except OSError:  # it has just ended
            continue
        pids += [int(word) for word in children.split()]
    return pids


def memory(pid: int) -> float:
    """Proportional set size of a process and its descendants, MiB."""
    total = 0
    for each in family(pid):
        try:
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rest", nargs="*", help="more words for the command, after --")
    rest = parser.parse_args().rest
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "figure-1"
        words = ["-m", "landscape.compute", "--steps", "10", "--out", str(out), "--quiet", *rest]
        start, peak = time.perf_counter(), 0.0
        command = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL)
        while command.poll() is None:
            peak = max(peak, memory(command.pid))
            with contextlib.suppress(subprocess.TimeoutExpired):
                command.wait(timeout=3)  # not more often: looking stops the processes for a moment
        seconds = time.perf_counter() - start
        if command.returncode:
            sys.exit(f"the command ended with {command.returncode}")
        accuracy = float(str(load(Run.open(out)).facts["val_accuracy"]))
    show("figure_1_cores", len(os.sched_getaffinity(0)))
    show("figure_1_seconds", seconds)
    show("figure_1_time_to_spare", LIMIT_SECONDS / seconds, 1)
    show("figure_1_peak_mib", peak)
    show("figure_1_memory_to_spare", LIMIT_MIB / peak, 1)
    show("figure_1_accuracy", accuracy, LEAST_ACCURACY)


if __name__ == "__main__":
    main()
