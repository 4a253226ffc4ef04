"""Several processes that train one network: real ones, joined over gloo."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.tiny import wait_for
from tests.zarts.retrain.retraining import begin, flags, small
from zarts.retrain.job import record_retraining
from zarts.retrain.ranks import ALONE, Ranks, joined, launched
from zarts.runs.runfile import Run

TWO = {"training": {"accumulate": 2, "epochs": 3}}


def launch(*words: str | Path, count: int = 2) -> list[subprocess.Popen[str]]:
    """The command in as many processes as torchrun would start."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    place = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    command = [sys.executable, "-m", "zarts.retrain", "DARTS_V1", *flags("epochs=3")]
    return [
        subprocess.Popen(
            [*command, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=dict(os.environ) | place | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(count)
    ]


def ended(processes: list[subprocess.Popen[str]]) -> tuple[list[int], str, str]:
    """Their exit codes, and what the first one said."""
    told = [process.communicate(timeout=240) for process in processes]
    return [process.returncode for process in processes], *told[0]


@pytest.mark.slow
def test_two_processes_equal_one_with_two_parts_also_after_a_stop(tmp_path: Path) -> None:
    run = begin(tmp_path / "alone", small(TWO))
    with run.lock():
        record_retraining(run, small(TWO))
    together = launch("--out", tmp_path / "two")
    wait_for((tmp_path / "two/retrain/epoch-0001.h5").exists, together[0])
    together[1].send_signal(signal.SIGTERM)  # one is asked, all stop after the same step
    codes, _, error = ended(together)
    assert codes == [3, 3], error
    codes, _, error = ended(launch("--out", tmp_path / "two", count=1))
    assert codes == [2]
    assert "accumulate: stored 2, asked 1" in error
    codes, out, error = ended(launch("--out", tmp_path / "two", "--json"))
    assert codes == [0, 0], error
    assert json.loads(out)["content_hash"] == run.content_hash()
    assert Run.open(tmp_path / "two").provenance["processes"] == 2


def test_each_process_has_its_parts_and_alone_nothing_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert [list(Ranks(rank, 2).mine(6)) for rank in (0, 1)] == [[0, 1, 2], [3, 4, 5]]
    values, network = torch.ones(2), torch.nn.Linear(1, 1)
    assert ALONE.most(3) == 3
    total = ALONE.total(values)
    assert torch.equal(total, values)
    assert total.data_ptr() != values.data_ptr()
    assert ALONE.wrap(network, unused=True) is network
    assert launched() == 1
    monkeypatch.setenv("WORLD_SIZE", "4")  # a batch system may set it without torchrun
    with joined("cpu") as (ranks, device):
        assert (ranks, device) == (ALONE, "cpu")
