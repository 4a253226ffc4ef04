"""A page that is served and looked at: the real server and a real Chromium."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

__all__ = ["ROOT", "browsing", "serving", "visiting"]

ROOT = Path(__file__).resolve().parents[1]
# WebGL in software draws 3-D where there is no screen.
FLAGS = ("--no-sandbox", "--disable-background-networking", "--enable-unsafe-swiftshader")


@contextlib.contextmanager
def serving(
    folder: Path,
    runs: Path,
    settings: Mapping[str, str] | None = None,
    *,
    port: int = 0,
    root: Path = ROOT,
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Serves the page; yields its address and its process.

    Args:
        folder: For the server's log, and its home: a user's own settings decide nothing.
        runs: The folder of runs.
        settings: More environment variables.
        port: Where it listens; 0: a free one.
        root: The folder whose ``app/main.py`` is served.

    Raises:
        RuntimeError: If it does not start within a minute; with its log.
    """
    if not port:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    words = ["-m", "streamlit", "run", "app/main.py", "--server.port", str(port)]
    given = {"HOME": str(folder), "ZARTS_RUNS": str(runs), **(settings or {})}
    with (folder / "server.log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, *words, "--server.headless", "true"],
            cwd=root, env=os.environ | given, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        _answers(f"http://127.0.0.1:{port}/_stcore/health", process, folder / "server.log")
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.terminate()
        process.wait(timeout=20)


def _answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:
            if answer.read() == b"ok":
                return
        time.sleep(0.05)
    raise RuntimeError(f"the server did not start: {log.read_text()[-2000:]}")


@contextlib.contextmanager
def browsing(chromium: str = "") -> Iterator[Browser]:
    """A Chromium whose windows remember nothing of each other.

    Args:
        chromium: Its path; empty: ``$CHROMIUM``, or the one of this machine.

    Raises:
        FileNotFoundError: If there is none.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=_found(chromium), args=list(FLAGS))
        yield browser
        browser.close()


@contextlib.contextmanager
def visiting(profile: Path) -> Iterator[BrowserContext]:
    """A Chromium as people have it: what it loaded before is kept in a folder.

    Raises:
        FileNotFoundError: If there is none.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        context = play.chromium.launch_persistent_context(
            profile,
            executable_path=_found(),
            args=list(FLAGS),
            viewport={"width": 1440, "height": 900},
        )
        yield context
        context.close()


def _found(chromium: str = "") -> str:
    names = [chromium, os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"]
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found is None:
        raise FileNotFoundError("no Chromium; `make browser` installs one, or set CHROMIUM")
    return found
