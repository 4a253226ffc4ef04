"""Failures on a Ray cluster of several machines, all of them this one: prints a JSON object.

A program of its own, so that the tests can give it a network of its own.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.zarts.execute.chores import (
    alive,
    apart,
    brief_among_two,
    counted_setup,
    descendants,
    finals,
    folder_of,
    on_machine,
    poison,
    setup,
    sleeping,
    square,
    squares,
    unsendable,
)
from zarts.execute import ClusterError, Failure, cluster, reach, run

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

Found = dict[str, object]
ITEMS = range(150)


def error_of(act: Callable[[], object]) -> Found:
    start = time.monotonic()
    try:
        act()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told
        return {
            "type": type(error).__name__,
            "text": str(error),
            "notes": getattr(error, "__notes__", []),
            "seconds": time.monotonic() - start,
        }
    return {"type": "none"}


def machines_come_and_go(machines: Cluster, folder: Path) -> Found:
    """One of two machines is lost in the middle, and later another one joins."""
    job = partial(folder_of, str(folder))
    values: dict[int, object] = {}
    twice, failures = [], []
    lost = machines.list_all_nodes()[-1]
    joined = None
    for outcome in run(job, on_machine, ITEMS, cluster=machines.address, workers=None):
        if not outcome.final:
            continue
        if outcome.item in values:
            twice.append(outcome.item)
        if isinstance(outcome.value, Failure):
            failures.append(outcome.value.reason)
        values[outcome.item] = outcome.value
        if len(values) == 20:
            machines.remove_node(lost, allow_graceful=False)
        if len(values) == 35:
            joined = machines.add_node(num_cpus=1, wait=False)
    assert joined is not None
    serial = finals(run(job, on_machine, ITEMS))
    begun = [path.read_text().split() for path in folder.glob("at-*")]
    return {
        "address": machines.address,
        "identical": values == serial,
        "twice": twice,
        "failures": failures,
        "on the lost one": sum(lost.node_id in nodes for nodes in begun),
        "on the new one": sum(joined.node_id in nodes for nodes in begun),
        "machines": len({node for nodes in begun for node in nodes}),
    }


def workers_are_killed(machines: Cluster, folder: Path) -> Found:
    job, values = partial(counted_setup, str(folder)), {}
    for outcome in run(job, brief_among_two, range(60), cluster=machines.address, workers=2):
        assert outcome.final
        assert outcome.item not in values
        if len(values) in {3, 7, 22, 40, 41}:
            (folder / f"killed-{outcome.value[1]}").touch()
            os.kill(outcome.value[1], signal.SIGKILL)
        values[outcome.item] = outcome.value[0]
    return {
        "identical": values == {item: item**2 for item in range(60)},
        "setups": {path.name[6:]: len(path.read_text()) for path in folder.glob("setup-*")},
        "workers": [path.name[4:] for path in folder.glob("pid-*")],
    }


def bad_points(machines: Cluster, folder: Path) -> Found:
    items = [(0, 1, 7), (8, 2), (3,), (9,)]
    start = time.monotonic()
    found = finals(
        run(
            setup,
            squares,
            items,
            cluster=machines.address,
            workers=2,
            limit=lambda item: 0.5,
            split=apart,
        )
    )
    return {
        "failed": {
            str(*item): [value.reason, value.timeout]
            for item, value in found.items()
            if isinstance(value, Failure)
        },
        "done": {
            str(item): value for item, value in found.items() if not isinstance(value, Failure)
        },
        "seconds": time.monotonic() - start,
    }


def stops(machines: Cluster, folder: Path) -> Found:
    """A worker stands still, another works, then the caller stops."""

    def check() -> None:
        if len(list(folder.glob("pid-*"))) == 2:
            raise TimeoutError

    job = partial(folder_of, str(folder))
    told = error_of(
        lambda: list(run(job, sleeping, range(4), cluster=machines.address, workers=2, check=check))
    )
    pids = [int(path.name[4:]) for path in folder.glob("pid-*")]
    deadline = time.monotonic() + 15
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return {**told, "workers": len(pids), "left": sum(map(alive, pids))}


def errors(machines: Cluster, folder: Path) -> Found:
    del folder
    there = {"cluster": machines.address, "workers": 1}
    handler = signal.getsignal(signal.SIGTERM)
    original = cluster.versions
    told = {
        "raised": error_of(lambda: list(run(setup, poison, [4], **there))),
        "awkward": error_of(lambda: list(run(setup, poison, [5], **there))),
        "unsendable": error_of(lambda: list(run(setup, unsendable, [0], **there))),
        "setup": error_of(lambda: list(run(partial(divmod, 1, 0), square, [0], **there))),
        "closed": error_of(
            lambda: list(run(setup, square, [0], cluster="127.0.0.1:9", workers=None))
        ),
    }
    cluster.versions = lambda: {**original(), "torch": "0.0.1"}
    told["versions"] = error_of(lambda: list(run(setup, square, [0], **there)))
    cluster.versions = original
    outcomes = [outcome[1:] for outcome in run(setup, square, [2], **there)]
    return {**told, "progress": outcomes, "sigterm": signal.getsignal(signal.SIGTERM) is handler}


STRANGER = """
from tests.zarts.execute.chores import setup, square
from zarts.execute import run
import sys
list(run(setup, square, [0], cluster=sys.argv[1], workers=None))
"""


FRIEND = """
from tests.zarts.execute.chores import setup, square
from zarts.execute import reach, run
import sys
reach(sys.argv[1])  # as the commands do first
print([outcome.value for outcome in run(setup, square, [3], cluster=sys.argv[1], workers=1)][-1])
"""


def friends(machines: Cluster, folder: Path) -> Found:
    """The token alone, as the documentation has it, and nothing else in the environment."""
    del folder
    variables = {name: value for name, value in os.environ.items() if name != "RAY_AUTH_MODE"}
    done = subprocess.run(
        [sys.executable, "-c", FRIEND, machines.address],
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return {"code": done.returncode, "stdout": done.stdout, "stderr": done.stderr}


def stranger(address: str, token: str) -> Found:
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", STRANGER, address],
        env={**os.environ, "RAY_AUTH_TOKEN": token},
        capture_output=True,
        text=True,
        timeout=60,
    )
    *_, last = done.stderr.strip().splitlines()
    return {"text": last, "stdout": done.stdout, "seconds": time.monotonic() - start}


def strangers(machines: Cluster, folder: Path) -> Found:
    """Another token than that of the cluster."""
    del folder
    return stranger(machines.address, "f" * 64)


def something_else(machines: Cluster, folder: Path) -> Found:
    """What listens says nothing."""
    del machines, folder
    with socket.create_server(("", 0)) as line:
        return stranger(f"127.0.0.1:{line.getsockname()[1]}", "f" * 64)


LONELY = """
from tests.zarts.execute.chores import nap, setup
from zarts.execute import reach, run
reach("local")  # as the commands do first
for outcome in run(setup, nap, [8, 0, 1, 6, 7], cluster="local", workers=2):
    print(outcome.item, flush=True)
"""


def a_cluster_of_our_own(machines: Cluster, folder: Path) -> Found:
    """All is done but an item that sleeps, when the caller is killed."""
    del machines, folder
    variables = {name: value for name, value in os.environ.items() if "RAY_AUTH" not in name}
    caller = subprocess.Popen(
        [sys.executable, "-c", LONELY], env=variables, stdout=subprocess.PIPE, text=True
    )
    assert caller.stdout is not None
    lines = [caller.stdout.readline() for _ in range(4)]
    # all but Ray's agents, which take a minute to notice that they are alone
    below = descendants(caller.pid)
    own = [pid for pid, name in below.items() if name.startswith(("ray::_Actor", "raylet", "gcs"))]
    sockets = subprocess.run(["ss", "-ltnpH"], capture_output=True, text=True).stdout.splitlines()
    listening = [line for line in sockets if any(f"pid={pid}," in line for pid in own)]
    caller.kill()
    lines += caller.communicate()[0]
    deadline = time.monotonic() + 15
    while any(map(alive, own)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return {
        "stdout": sorted(lines),
        "processes": sorted(below[pid] for pid in own),
        "left": sum(map(alive, own)),
        "listening": listening,
    }


def main() -> None:
    with suppress(ClusterError):  # as the commands do first: Ray reads some settings only once
        reach("127.0.0.1:9")
    from ray.cluster_utils import Cluster  # not above: tests are collected without Ray, too

    base = Path(sys.argv[1])
    machines = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0,
            "include_dashboard": False,
            "_system_config": {"health_check_period_ms": 500, "health_check_failure_threshold": 4},
        },
    )
    told: Found = {}
    try:
        for _ in range(2):
            machines.add_node(num_cpus=1)
        for drill in (
            machines_come_and_go,
            workers_are_killed,
            bad_points,
            stops,
            errors,
            friends,
            strangers,
            something_else,
            a_cluster_of_our_own,
        ):
            folder = base / drill.__name__
            folder.mkdir()
            start = time.monotonic()
            told[drill.__name__] = drill(machines, folder)
            print(f"{drill.__name__}: {time.monotonic() - start:.1f} s", file=sys.stderr)
    finally:
        machines.shutdown()
        (base / "told.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main()
