"""Kills the process it runs in, inside a commit, between two calls from Python into C."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from zarts.runs.runfile import record

CALLS = 50  # about as many are in one commit


def die_inside(commits: int, calls: int) -> None:
    """Lets this process be killed after so many commits and so many calls of the next one."""
    commit, left = record.commit, [commits, calls]

    def count(frame: object, event: str, called: object) -> None:
        left[1] -= event == "c_call"
        if left[1] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def watched(path: Path, data: bytes) -> None:
        if left[0] == 0:
            sys.setprofile(count)
        left[0] -= 1
        commit(path, data)
        sys.setprofile(None)

    record.commit = watched
