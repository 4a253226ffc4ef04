"""A figure on two machines of a Ray cluster, one of which is lost while another joins: prints JSON.

A program of its own, so that the test can give it a network of its own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from ray.cluster_utils import Cluster

from landscape.compute.pipeline import compute
from landscape.record import load
from zarts.runs.runfile import Run
from zarts.settings.config import Config


def main() -> None:
    run = Run.open(Path(sys.argv[1]))
    machines = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0,
            "include_dashboard": False,
            "object_store_memory": 100 * 2**20,
        },
    )
    lost, joined = machines.add_node(num_cpus=1), []
    machines.add_node(num_cpus=1)
    done = 0

    def begin(phase: str, total: int, before: int) -> Callable[[int, str], None]:
        def tell(count: int, note: str) -> None:
            nonlocal done
            done += 1
            if done == 4:
                machines.remove_node(lost, allow_graceful=False)
            if done == 7:
                joined.append(machines.add_node(num_cpus=1, wait=False))

        return tell

    with run.lock():
        figure = compute(
            run,
            Config.from_table(run.config),
            workers=None,
            cluster=machines.address,
            report=begin,
        )
    assert len(joined) == 1
    told = {
        "hash": run.content_hash(),
        "done": [surface.done for surface in figure.surfaces],
        "paths": len(load(run).paths),
    }
    machines.shutdown()
    Path(sys.argv[2]).write_text(json.dumps(told))


if __name__ == "__main__":
    main()
