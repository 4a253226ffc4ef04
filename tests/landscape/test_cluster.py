"""A figure on a Ray cluster: the same bits, whatever machines come and go."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from landscape.compute.__main__ import main
from tests.landscape.conftest import Finished
from tests.tiny import call, words

ALONE = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]


@pytest.mark.slow
@pytest.mark.usefixtures("lonely_ray")
def test_machines_may_come_and_go(finished: Finished, root: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished.run.path, run)
    for part in ("grid", "paths"):
        shutil.rmtree(run / part)
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
        program = [sys.executable, "-m", "tests.landscape.cluster_drill"]
        done = subprocess.run(
            [*ALONE, *program, str(run), str(tmp_path / "told.json")],
            cwd=root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=200,
        )
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "told.json").read_text())
    assert told == {"hash": finished.run.content_hash(), "done": [6, 6, 6], "paths": 5}


@pytest.mark.slow
@pytest.mark.usefixtures("lonely_ray")
def test_the_command_makes_a_cluster_of_its_own(
    finished: Finished, root: Path, tmp_path: Path
) -> None:
    """As from a shell that knows nothing of Ray."""
    run = tmp_path / "tiny"
    shutil.copytree(finished.run.path, run)
    shutil.rmtree(run / "grid")
    with tempfile.TemporaryDirectory(
        prefix="ray-", dir="/tmp", ignore_cleanup_errors=True
    ) as short:
        known = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        command = [sys.executable, "-m", "landscape.compute", *words()]
        done = subprocess.run(
            [*ALONE, *command, "--cluster", "local", "--workers", "2", "--out", str(run), "--json"],
            cwd=root,
            env={**known, "RAY_TMPDIR": short},
            capture_output=True,
            text=True,
            timeout=200,
        )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["content_hash"] == finished.run.content_hash()


@pytest.mark.parametrize(
    "address",
    ["", "a..b", "127.0.0.1:70000", "127.0.0.1:0", "127.0.0.1:99999999999999999999", "a/b:1"],
)
def test_what_is_no_address_is_told_before_the_search(tmp_path: Path, address: str) -> None:
    run = tmp_path / "tiny"
    answer = call(main, *words(), "--out", run, "--cluster", address)
    assert answer.code == 2
    assert f"got the cluster address {address!r}, expected 'local' or HOST:PORT" in answer.error
    assert not run.exists()


def test_a_cluster_that_is_not_there_is_one_clear_line(finished: Finished, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'zarts[cluster]'")
    run = tmp_path / "tiny"
    shutil.copytree(finished.run.path, run)
    shutil.rmtree(run / "paths")
    answer = call(main, *words(), "--out", run, "--cluster", "127.0.0.1:9")
    assert answer.code == 2
    assert ":9 (Connection refused); is the cluster running" in answer.err
    assert "Traceback" not in answer.err
