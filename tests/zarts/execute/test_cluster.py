"""Work on a Ray cluster: what `drill.py` found when it let machines and workers fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.zarts.execute.chores import setup, square
from zarts.execute import ATTEMPTS, ClusterError
from zarts.execute.cluster import _Hand

Found = dict[str, dict]

# The machine has an address besides the loopback one, but no line to anywhere.
NETWORK = (
    "ip link set lo up && ip address add 10.7.7.7/32 dev lo"
    " && ip route add default dev lo src 10.7.7.7"
)


@pytest.fixture(scope="module")
def found(root: Path, lonely_ray: None, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """One cluster for all drills, in a network in which it reaches nothing but itself."""
    alone = ["unshare", "--net", "sh", "-c", f'{NETWORK} && exec "$@"', "sh"]
    folder = tmp_path_factory.mktemp("drill")
    # sockets have short names, so not below the folder of the test
    with tempfile.TemporaryDirectory(
        prefix="ray-", dir="/tmp", ignore_cleanup_errors=True
    ) as short:
        environment = {
            **os.environ,
            "PYTHONPATH": str(root),
            "RAY_TMPDIR": short,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": "0123456789abcdef" * 4,
        }
        done = subprocess.run(
            [*alone, sys.executable, "-m", "tests.zarts.execute.drill", str(folder)],
            cwd=root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=200,
        )
    assert done.returncode == 0, done.stderr
    print(done.stderr)
    return {**json.loads((folder / "told.json").read_text()), "output": {"stdout": done.stdout}}


@pytest.mark.slow
def test_machines_may_come_and_go(found: Found) -> None:
    told = found["machines_come_and_go"]
    assert told["identical"]
    assert told["twice"] == told["failures"] == []
    assert told["on the lost one"] >= 5
    assert told["on the new one"] >= 5
    assert told["machines"] == 3


@pytest.mark.slow
def test_killed_workers_change_nothing(found: Found) -> None:
    told = found["workers_are_killed"]
    assert told["identical"]
    assert set(told["setups"].values()) == {1}  # not one per item
    assert set(told["setups"]) == set(told["workers"])
    assert len(told["workers"]) == 2 + 5


@pytest.mark.slow
def test_bad_points_fail_alone(found: Found) -> None:
    told = found["bad_points"]
    died = f"its worker ended {ATTEMPTS} times, last with ActorDiedError"
    assert set(told["failed"]) == {"1", "2", "3"}
    assert told["failed"]["1"][0].startswith(died)
    assert told["failed"]["3"] == [
        f"its worker ended {ATTEMPTS} times, last after more than the 0.5 s it may take",
        True,
    ]
    assert [timeout for _, timeout in told["failed"].values()].count(True) == 1
    assert told["done"] == {"(0,)": [10], "(7,)": [59], "(8,)": [74], "(9,)": [91]}


@pytest.mark.slow
def test_a_stop_ends_the_actors(found: Found) -> None:
    told = found["stops"]
    assert (told["type"], told["workers"], told["left"]) == ("TimeoutError", 2, 0)
    assert told["seconds"] < 15


@pytest.mark.slow
def test_errors_reach_the_caller_as_from_processes(found: Found) -> None:
    told = found["errors"]
    assert told["raised"]["type"] == "KeyError"
    assert "in poison" in told["raised"]["notes"][0]
    assert told["awkward"]["text"].endswith("Awkward: 5 and 6")
    assert told["setup"]["type"] == "ZeroDivisionError"
    assert "cannot pickle" in told["unsendable"]["text"]


@pytest.mark.slow
def test_progress_is_told(found: Found) -> None:
    assert found["errors"]["progress"] == [[0, False], [1, False], [14, True]]


@pytest.mark.slow
def test_the_handler_of_signals_stays(found: Found) -> None:
    assert found["errors"]["sigterm"]


@pytest.mark.slow
def test_other_versions_are_refused(found: Found) -> None:
    told = found["errors"]["versions"]
    assert told["type"] == "ClusterError"
    assert "expected Python" in told["text"]
    assert "torch 0.0.1" in told["text"]


@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_told_soon(found: Found) -> None:
    told = found["errors"]["closed"]
    assert told["type"] == "ClusterError"
    assert "nobody answers at 127.0.0.1:9, which is 10.7.7.7:9" in told["text"]  # as Ray takes it
    assert told["seconds"] < 10


@pytest.mark.slow
def test_the_token_is_all_a_caller_needs(found: Found) -> None:
    told = found["friends"]
    assert (told["code"], told["stdout"].strip()) == (0, "19"), told["stderr"]


@pytest.mark.slow
def test_a_wrong_token_is_told_soon(found: Found) -> None:
    told = found["strangers"]
    assert "does not accept the token" in told["text"]
    assert told["seconds"] < 15
    assert not told["stdout"]


@pytest.mark.slow
def test_what_is_no_cluster_is_told_soon(found: Found) -> None:
    told = found["something_else"]
    assert "is not a Ray cluster" in told["text"]
    assert told["seconds"] < 40  # Ray's own are minutes


@pytest.mark.slow
def test_a_cluster_of_our_own_leaves_nothing_and_is_quiet(found: Found) -> None:
    told = found["a_cluster_of_our_own"]
    assert told["stdout"] == ["0\n", "1\n", "6\n", "7\n"]
    assert {"gcs_server", "raylet"} < set(told["processes"])
    assert any(name.startswith("ray::_Actor") for name in told["processes"])
    assert told["left"] == 0
    assert told["listening"]
    assert all("127.0.0.1" in line for line in told["listening"])
    assert "10.7.7.7" in found["machines_come_and_go"]["address"]  # as it could have been


@pytest.mark.slow
def test_nothing_of_ray_comes_to_stdout(found: Found) -> None:
    assert not found["output"]["stdout"]


def test_a_machine_without_this_package_is_told() -> None:
    class RayError(Exception):
        pass

    class RayTaskError(RayError):
        pass

    def get(answer: object) -> None:
        raise RayTaskError("At least one argument\nModuleNotFoundError: No module named 'zarts'")

    call = SimpleNamespace(remote=lambda *given: given)
    ray = SimpleNamespace(
        get=get, exceptions=SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)
    )
    hand = _Hand[int](ray, SimpleNamespace(versions=call), (setup, square), lambda: None)
    kind, error = hand.hear()
    assert kind == "error"
    assert isinstance(error, ClusterError)
    assert "cannot load zarts: ModuleNotFoundError: No module named 'zarts'" in str(error)
