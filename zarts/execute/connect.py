"""To a Ray cluster and away from it: address, token, environment, one clear error."""

from __future__ import annotations

import ipaddress
import logging
import os
import re
import secrets
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType

from zarts.execute.processes import default_workers

__all__ = ["ClusterError", "connected", "reach"]

CONNECT_SECONDS = 5.0
TOKENS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
STORE_BYTES = 256 * 2**20  # for objects of a cluster of our own, instead of 30 % of the memory

# Ray prints to stdout what befell its workers, which is told by errors here.
QUIET = {"RAY_DEDUP_LOGS": "1", "RAY_DEDUP_LOGS_SKIP_REGEX": "^"}
# One attempt to log in of a few seconds, under the names of newer and older versions; by default
# there are twenty of half a minute.
SHORT = {
    "RAY_gcs_server_port_wait_time_s": "1",
    "RAY_NUM_REDIS_GET_RETRIES": "1",
    "RAY_py_gcs_connect_timeout_s": f"{CONNECT_SECONDS:.0f}",
}


class ClusterError(Exception):
    """The cluster cannot be used; the text says why and what to do."""


def reach(address: str) -> None:
    """Tells what ``connected`` would, before there is anything to lose: connects to a cluster once.

    Args:
        address: As there; of ``local``, only whether Ray is installed.

    Raises:
        ClusterError: If there is nothing to connect to, or no token where one is needed.
        ModuleNotFoundError: If Ray is not installed.
    """
    with _ready(address) if address == "local" else connected(address, None):
        pass


@contextmanager
def connected(address: str, workers: int | None) -> Iterator[ModuleType]:
    """Ray, connected; afterwards disconnected, and ended if the cluster is our own.

    Args:
        address: ``local`` starts a cluster that only this machine reaches; HOST:PORT is one that
            this machine is part of.
        workers: How many a cluster of our own has room for; None for one per core.

    Raises:
        ClusterError: If there is nothing to connect to, or no token where one is needed.
    """
    own = address == "local"
    with _ready(address) as ray:
        if ray.is_initialized():
            raise ClusterError("Ray is in use in this process already; call ray.shutdown() first")
        options = {}
        if own:
            cores = workers or default_workers("cpu")
            options = {"num_cpus": cores, "object_store_memory": STORE_BYTES}
        try:
            with _own_signals():
                ray.init(
                    address=address,
                    include_dashboard=False,  # it lets whoever reaches it run code
                    log_to_driver=False,
                    logging_level=logging.CRITICAL,  # what matters is raised
                    **options,
                )
        except Exception as error:
            ray.shutdown()
            raise ClusterError(_refusal(address, error)) from error
        try:
            yield ray
        finally:
            ray.shutdown()


@contextmanager
def _ready(address: str) -> Iterator[ModuleType]:
    """Ray, with what it reads from the environment, and somebody who answers at the address.

    It reads some of that only once, when it is imported, so it must not be imported elsewhere.

    Raises:
        ClusterError: If there is nothing to connect to, or no token where one is needed.
    """
    own = address == "local"
    host, port = ("", 0) if own else _parsed(address)
    with environment(variables_for(own, host)):
        ray = _ray()
        if not own:
            # Ray takes a loopback address for this machine's address in the network
            found = ray.util.get_node_ip_address() if _loopback(host) else host
            knock(found, port, address)
        yield ray


def _ray() -> ModuleType:
    try:
        import ray
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "a cluster needs Ray, which is not installed: pip install 'zarts[cluster]'"
        ) from error
    module: ModuleType = ray
    return module


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keeps the handler of SIGTERM, for which Ray sets one that exits at once."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


def _parsed(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    given = colon and host and re.fullmatch(r"[0-9]{1,5}", port) and "/" not in host
    if not (given and 1 <= int(port) <= 65535):
        raise ClusterError(
            f"got the cluster address {address!r}, expected 'local' or HOST:PORT with a port from "
            "1 to 65535, such as the one `ray start --head` prints"
        )
    return host.strip("[]"), int(port)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def variables_for(own: bool, host: str) -> Mapping[str, str]:
    """What Ray reads from the environment.

    Raises:
        ClusterError: If a token is needed and missing.
    """
    variables = dict(QUIET) if own else QUIET | SHORT
    known = any(os.environ.get(name) for name in TOKENS)
    if own:
        # The name is about macOS, where a machine is by default a cluster of its own that listens
        # on the loopback address only. That is what we want everywhere.
        variables["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        if not known:
            variables["RAY_AUTH_TOKEN"] = _own_token()
    elif not known and not (Path.home() / ".ray" / "auth_token").is_file():
        if not _loopback(host):
            raise ClusterError(
                f"no token for the cluster at {host}, and without one anybody who reaches it can "
                "run code on it; start it with RAY_AUTH_MODE=token and give its token to this "
                f"command in {' or '.join(TOKENS)} (https://docs.ray.io/en/latest/ray-security)"
            )
        return variables
    return variables | {"RAY_AUTH_MODE": "token"}


@cache
def _own_token() -> str:
    return secrets.token_hex(32)  # one per process, as Ray remembers the first it sees


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def knock(host: str, port: int, address: str) -> None:
    """Asks whether anybody listens, for whom Ray itself would wait.

    Args:
        host: Where.
        port: Its port.
        address: What was given as both, which Ray may take for another host.

    Raises:
        ClusterError: If nobody does.
    """
    place = address if address == f"{host}:{port}" else f"{address}, which is {host}:{port}"
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except (OSError, UnicodeError) as error:  # the latter of a name that cannot be one
        why = getattr(error, "strerror", None) or error
        raise ClusterError(
            f"nobody answers at {place} ({why}); "
            "is the cluster running, and is this the address that `ray start --head` printed?"
        ) from error


def _refusal(address: str, error: BaseException) -> str:
    """Why Ray did not connect, or start, in a line."""
    told = [str(error)]
    while (cause := error.__cause__) is not None:
        error = cause
        told.append(str(error))
    text = "\n".join(told)
    if address != "local" and ("Unauthenticated" in text or "AuthToken" in text):
        return (
            f"the cluster at {address} does not accept the token; it needs the one the cluster was "
            f"started with, in {' or '.join(TOKENS)}"
        )
    if address != "local" and "Timed out" in text:
        return f"what answers at {address} is not a Ray cluster, or one too busy to answer"
    line = next((line.strip() for line in told[-1].splitlines() if line.strip()), "no reason given")
    if address == "local":
        return f"Ray could not start a cluster on this machine: {line}"
    return f"cannot use the cluster at {address}: {line}; this machine must be part of it"
