"""A tiny sweep of four searches, as a file and as objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomli_w

from tests.tiny import TINY, call, tiny
from zarts.__main__ import main
from zarts.runs.runfile import Run
from zarts.settings.config import merge
from zarts.sweep.settings import Search, Sweep

EXPERIMENTS = """
[[experiment]]
name = "first"
method = "darts-1"

[[experiment]]
name = "mgs"
method = "zarts-mgs"
search = {period = 2, warmup = 1}
"""
NAMES = ("some-first-seed-0", "some-first-seed-3", "some-mgs-seed-0", "some-mgs-seed-3")
_SHARED = merge({name: TINY[name] for name in ("data", "supernet", "search")},
                {"data": {"subset": 32}})  # fmt: skip


def sweep_file(folder: Path, experiments: str = EXPERIMENTS, epochs: int = 2) -> Path:
    """The sweep as a file: two iterations per epoch of DARTS, one of MGS."""
    shared = merge(_SHARED, {"search": {"epochs": epochs}})
    file = folder / "some.toml"
    file.write_text("seeds = [0, 3]\n" + tomli_w.dumps(shared) + experiments)
    return file


def search_alone(folder: Path, name: str, epochs: int) -> None:
    """Runs one of its searches by ``python -m zarts``."""
    _, experiment, _, seed = name.split("-")
    config = folder.parents[1] / "config.toml"
    config.write_text(tomli_w.dumps(_SHARED))
    flags: list[Any] = ["--config", config, "--seed", seed, "--epochs", epochs, "-q"]
    if experiment == "mgs":
        flags += ["--method", "zarts-mgs", "--set", "search.period=2", "--set", "search.warmup=1"]
    else:
        flags += ["--method", "darts-1"]
    assert call(main, *map(str, flags), "--out", folder).code == 0


def contents(runs: Path) -> dict[str, str]:
    """The content hash of every run in a folder."""
    return {path.name: Run.open(path).content_hash() for path in sorted(runs.iterdir())}


def sweep_of(*names: str, epochs: int = 40) -> Sweep:
    """A sweep with runs of these names, the experiment's before the first dash."""
    config = tiny("darts-1", {"search": {"epochs": epochs}})
    return Sweep("s", tuple(Search(name.split("-")[0], config, Path(name)) for name in names))
