"""Commands that the page started: each is a run folder, a process of its own and its log.

Nothing of a job is in the memory of the server, so it outlives tab and server. Beside the runs,
where no list of runs looks, it has a folder `.jobs/NAME` of the run's name: what was asked for, the
log, the number of the process, and a lock. The process inherits the open lock, and the system
releases it when the process ends, however it ends. So what runs is known and counted by locks.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

from parts.asking import Choices
from zarts.runs.runfile import RunError, being_written, valid_name
from zarts.runs.runfile.disk import commit, load, make_folder, one_line, unwritable
from zarts.text import printable

__all__ = ["MOST", "Busy", "Cost", "Job", "Progress", "cost", "find", "running", "start"]

MOST = 2  # jobs at a time
PLACE = ".jobs"
LOCK, LOG, ASKED, PROCESS, CANCELLED = "run.lock", "log", "asked.json", "process", "cancelled"
TAIL = 1 << 16  # bytes of a log that are looked at
PYTHON = (sys.executable,)
# The process notes its number before it becomes the command, so no crash of ours can lose it.
SHELL = ("/bin/sh", "-c", 'echo "$$" >"$0" && exec "$@"')
PATIENCE = 10.0  # s to wait for another click that starts a job
MEASURE = 300.0  # s that a dry run may take
_LINE = re.compile(r"(search|surfaces and paths): (\d+)/(\d+) \(\d+%\), (.*)")
_RATE = re.compile(r"(\S+)/s, about (.+?) left(?: (.*))?")
STOPPED = "stopped; run the same command again"


class Busy(RunError):
    """Nothing can be started now; one line says why."""


@dataclass(frozen=True)
class Progress:
    """The last line of progress in a log.

    Attributes:
        phase: ``search`` or ``surfaces and paths``.
        done: Of the search steps of ω; of surfaces and paths their cost, in such steps.
        total: How many there are.
        rate: So many in a second, as text; empty where it is not told.
        left: About how long it takes, as text; likewise.
        note: What else the line says.
    """

    phase: str
    done: int
    total: int
    rate: str = ""
    left: str = ""
    note: str = ""


@dataclass(frozen=True)
class Job:
    """A job that is on disk.

    Attributes:
        folder: What is kept of it.
    """

    folder: Path

    @property
    def name(self) -> str:
        """The name of its run."""
        return self.folder.name

    @property
    def run(self) -> Path:
        """The folder of its run, which its command makes."""
        return self.folder.parent.parent / self.name

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return being_written(self.folder)

    @property
    def begun(self) -> float:
        """When it was started last, seconds since 1970; 0 if unknown."""
        try:
            return (self.folder / ASKED).lstat().st_mtime
        except OSError:
            return 0.0

    @property
    def cancelled(self) -> int:
        """How often it was asked to stop."""
        try:
            return (self.folder / CANCELLED).lstat().st_size
        except OSError:
            return 0

    def choices(self) -> Choices:
        """What was asked for.

        Raises:
            RunError: If that cannot be read.
        """
        file = self.folder / ASKED
        try:
            return Choices.read(load(file, TAIL).decode())
        except ValueError as error:
            raise RunError(f"{file}: {one_line(error)}; delete {self.folder}") from None

    def lines(self) -> list[str]:
        """The last lines of its log."""
        try:
            with os.fdopen(
                os.open(self.folder / LOG, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb"
            ) as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - TAIL))
                text = file.read(TAIL).decode(errors="replace")
        except OSError:
            return []
        return [printable(line)[:500] for line in text.splitlines() if line.strip()]

    def progress(self) -> Progress | None:
        """How far it is; None before its first phase says something."""
        for line in reversed(self.lines()):
            if found := _LINE.fullmatch(line):
                told = _RATE.fullmatch(found[4])
                more = (told[1], told[2], told[3] or "") if told else ("", "", "")
                return Progress(found[1], int(found[2]), int(found[3]), *more)
        return None

    @property
    def said_done(self) -> bool:
        """Whether the last word of its command was the run that it finished."""
        return self.lines()[-1:] == [str(self.run)]

    def cause(self) -> str:
        """Why its process ended, in a sentence."""
        lines = self.lines()
        for line in reversed(lines):
            if line.startswith("error: "):
                return line.removeprefix("error: ")
        if lines and (lines[-1].startswith(STOPPED) or self.cancelled):
            return "It was asked to stop"
        if any(line.startswith("Traceback ") for line in lines):
            return f"It met an error that it does not know: {lines[-1]}"
        return "It ended without a word: the system killed it, out of memory perhaps, or restarted"

    def cancel(self) -> None:
        """Asks it to stop; the second time at once, then it is killed. What is stored stays.

        Raises:
            Busy: If that cannot be done now.
        """
        if not self.running:
            return
        asked_before = self.cancelled
        try:
            number = int((self.folder / PROCESS).read_text(encoding="ascii"))
        except (OSError, ValueError):
            number = 0
        if number < 2:  # which would be this process's own group, or all
            raise Busy("its process is just starting; try again in a second")
        with suppress(OSError):  # a full disk must not keep it from being stopped
            (self.folder / CANCELLED).write_text("x" * (asked_before + 1), encoding="ascii")
        try:
            os.killpg(number, signal.SIGKILL if asked_before > 1 else signal.SIGINT)
        except ProcessLookupError:
            pass  # it has just ended
        except OSError as error:
            raise Busy(f"its process {number} cannot be stopped: {one_line(error)}") from None


def find(root: Path) -> list[Job]:
    """The jobs beside the runs in a folder, the last one started first.

    Raises:
        RunError: If that cannot be listed.
    """
    place = root / PLACE
    try:
        folders = [] if place.is_symlink() else list(place.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"{place}: cannot be listed ({one_line(error)})") from None
    real = (each for each in folders if valid_name(each.name) and not each.is_symlink())
    jobs = [Job(folder) for folder in real if folder.is_dir()]
    return sorted(jobs, key=lambda job: (job.begun, job.name), reverse=True)


def running(root: Path) -> list[Job]:
    """Those whose process lives."""
    return [job for job in find(root) if job.running]


def start(run: Path, choices: Choices, words: Sequence[str]) -> Job:
    """Starts a command, or goes on with it, as a process that outlives this one.

    Args:
        run: The folder of the run that it makes.
        choices: What was asked for.
        words: The command line after ``python``.

    Raises:
        Busy: If it runs already, or as many as may run at a time do.
        Unwritable: If the folder takes no files.
    """  # noqa: DOC501 - made by ``unwritable``
    job = Job(run.parent / PLACE / run.name)
    if job.folder.parent.is_symlink() or job.folder.is_symlink():
        raise Busy(f"{job.folder}: leads out of the folder of runs; remove the link")
    make_folder(job.folder)
    try:
        with _only_one_starts(job.folder.parent):
            if job.running:
                raise Busy(f"{job.name} is being computed already")
            if being_written(run):
                raise Busy(f"{run}: another process is computing this run")
            if len(found := running(run.parent)) >= MOST:
                names = " and ".join(each.name for each in found)
                raise Busy(f"{names} are running, {MOST} at a time at most; wait or cancel one")
            try:
                _launch(job, choices, words)
            finally:
                if not (job.folder / ASKED).exists():  # it would look like a job that died
                    shutil.rmtree(job.folder, ignore_errors=True)
    except OSError as error:
        raise unwritable(job.folder, error) from error
    return job


def _launch(job: Job, choices: Choices, words: Sequence[str]) -> None:
    """Starts the process, with the lock in its hands."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    lock = os.open(job.folder / LOCK, flags, 0o666)
    try:
        _flock(lock, 1.0)
        for old in (PROCESS, CANCELLED):
            (job.folder / old).unlink(missing_ok=True)
        commit(job.folder / ASKED, str(choices).encode())
        log = os.open(job.folder / LOG, flags | os.O_APPEND, 0o666)
        try:
            os.ftruncate(log, 0)
            process = subprocess.Popen(
                [*SHELL, str((job.folder / PROCESS).absolute()), *PYTHON, *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # what ends the server does not end it
                pass_fds=(lock,),
            )
        finally:
            os.close(log)
    finally:
        os.close(lock)
    # Waited for by somebody, or a finished one would stay in the list of processes.
    Thread(target=process.wait, daemon=True).start()


@contextmanager
def _only_one_starts(folder: Path) -> Iterator[None]:
    """Lets one click at a time count and start, in whatever tab or server it is made."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(folder / "start.lock", flags, 0o666)
    try:
        _flock(descriptor, PATIENCE)
        yield
    finally:
        os.close(descriptor)


def _flock(descriptor: int, seconds: float) -> None:
    """Takes a lock, which others may have for an instant; raises Busy or OSError."""
    end = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise Busy("another job is being started; try again") from None
            time.sleep(0.02)
        except OSError as error:
            if error.errno in (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP):
                raise Busy("this folder has no file locks, by which jobs are counted") from None
            raise
        else:
            return


@dataclass(frozen=True)
class Cost:
    """What a dry run says.

    Attributes:
        lines: For people.
        plan: As ``landscape.compute.cost`` has it; empty if there is none.
        wrong: Why there is none; else empty.
    """

    lines: list[str]
    plan: Mapping[str, Any]
    wrong: str = ""


def cost(words: Sequence[str]) -> Cost:
    """Asks a command what it will cost, which takes a measurement of seconds."""
    try:
        done = subprocess.run(
            [*PYTHON, *words, "--dry-run", "--json"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=MEASURE,
        )
    except subprocess.TimeoutExpired:
        return Cost(
            [], {}, f"it was not known after {MEASURE:.0f} s; run the command in a terminal"
        )
    except OSError as error:
        return Cost([], {}, f"no process can be started: {one_line(error)}")
    lines = [printable(line) for line in done.stderr.decode(errors="replace").splitlines() if line]
    try:
        plan = json.loads(done.stdout)
    except ValueError:
        last = lines[-1] if lines else f"it ended with {done.returncode} and said nothing"
        return Cost(lines, {}, last.removeprefix("error: "))
    return Cost(lines, plan)
