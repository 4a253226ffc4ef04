"""Who may start jobs: a browser on this machine, unless it is switched off or cannot be."""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import streamlit as st

from zarts.runs.runfile import runs_root

__all__ = ["READONLY", "nearest", "refusal", "unwritable", "why_not"]

READONLY = "ZARTS_READONLY"
PROXIES = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP")


def why_not() -> str:
    """Why this browser may not start jobs, in a sentence; empty if it may."""
    if os.environ.get(READONLY, "0") not in ("", "0"):
        return f"this server only shows ({READONLY} is set)"
    return refusal(st.context.ip_address, st.context.headers) or unwritable(runs_root())


def refusal(address: str | None, headers: Mapping[str, str]) -> str:
    """The same of who asks.

    Args:
        address: Of the other end of the connection; None: this machine.
        headers: Of its request. The names in it are the browser's: a proxy on this machine, or a
            name of somebody else's that leads here, is not this machine.
    """
    rule = "jobs are started from the machine that the server runs on"
    if address is not None and not _here(address):
        return f"{rule}, and this browser is at {address}"
    host, origin = headers.get("Host"), headers.get("Origin")
    if host is None or not _here(urlsplit(f"//{host}").hostname):
        return f"{rule}, under the name localhost; this page was opened as {host or 'nothing'}"
    if origin is not None and not _here(urlsplit(origin).hostname):
        return f"{rule}, and this page is shown by {origin}"
    if any(headers.get(name) for name in PROXIES):
        return f"{rule}, and this page came through a proxy"
    return ""


def _here(name: str | None) -> bool:
    if name == "localhost":
        return True
    try:
        return ip_address(name or "").is_loopback
    except ValueError:
        return False


def nearest(folder: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    there = folder.absolute()
    while not Path(there).exists() and there != there.parent:
        there = there.parent
    return there


def unwritable(root: Path) -> str:
    """Why no run can be put into a folder; empty if one can."""
    there = nearest(root)
    if not Path(there).is_dir():
        return f"{there} is no folder; set ZARTS_RUNS to one"
    if not os.access(there, os.W_OK | os.X_OK):
        return f"the server may not write to {there}; set ZARTS_RUNS to a folder of its own"
    return ""
