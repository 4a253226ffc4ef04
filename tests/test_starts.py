"""What starts without torch, what computing needs, and that --help answers at once."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.test_layers import ROOT, imports, inside, modules, needs_at_start, offences, where

STARTS_WITHOUT_TORCH = (
    "landscape", "landscape.catalogue", "landscape.compute", "landscape.compute.__main__",
    "landscape.compute.jobs", "landscape.compute.schema", "landscape.draw", "landscape.figures",
    "landscape.geometry.grid", "landscape.geometry.levels", "landscape.learn", "landscape.measure",
    "landscape.merge", "landscape.point", "landscape.record", "landscape.record.asked",
    "landscape.record.schema", "landscape.runs", "landscape.verify", "landscape.verify.__main__",
    "zarts",
    "zarts.__main__", "zarts.bilevel.alpha", "zarts.bilevel.chance", "zarts.cli",
    "zarts.data.names", "zarts.facade",
    "zarts.genotype.__main__", "zarts.genotype.cost", "zarts.genotype.drawing", "zarts.guard",
    "zarts.optimizers", "zarts.retrain", "zarts.retrain.__main__", "zarts.retrain.presets",
    "zarts.retrain.results", "zarts.retrain.settings", "zarts.runs.kinds",
    "zarts.runs.archive", "zarts.runs.course", "zarts.runs.epochs", "zarts.runs.provenance",
    "zarts.runs.runfile", "zarts.runs.stored",
    "zarts.settings.config", "zarts.settings.presets", "zarts.settings.sections",
    "zarts.settings.stages", "zarts.settings.tables", "zarts.supernet.derivation",
    "zarts.supernet.genotype",
    "zarts.supernet.layout", "zarts.supernet.protocol", "zarts.supernet.published",
    "zarts.supernet.shapes", "zarts.supernet.spaces", "zarts.sweep", "zarts.sweep.__main__",
    "zarts.sweep.progress",
    "zarts.sweep.results", "zarts.sweep.settings", "zarts.text",
)  # fmt: skip


def test_computing_needs_five_packages() -> None:
    known = {"numpy", "torch", "torchvision", "h5py", "tqdm", "zarts", "landscape"}
    modules_needed = needs_at_start("landscape.compute.pipeline") | needs_at_start(
        "landscape.verify.run"
    )
    foreign = {name.partition(".")[0] for name in modules_needed} - set(sys.stdlib_module_names)
    assert "torch" in foreign
    assert foreign <= known


@pytest.mark.parametrize("module", STARTS_WITHOUT_TORCH)
def test_starts_without_torch(module: str) -> None:
    assert module in modules()
    assert not needs_at_start(module) & {"torch", "torchvision"}


def test_the_app_never_needs_torch() -> None:
    assert not offences(("app",), ("torch", "torchvision"))
    needing = [
        f"{where(module, item.line)} imports {item.target}, which imports torch"
        for module in modules()
        if inside(module, "app")
        for item in imports(module)
        if not item.typing_only and "torch" in needs_at_start(item.target)
    ]
    assert not needing, "\n".join(needing)


@pytest.mark.parametrize("module", ["zarts", "landscape.compute"])
def test_help_is_fast_and_needs_no_torch(module: str) -> None:
    command = [sys.executable, "-X", "importtime", "-m", module, "--help"]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert finished.returncode == 0, finished.stderr[-2000:]
    assert "usage" in finished.stdout.lower()
    assert not re.search(r"\|\s+torch$", finished.stderr, re.MULTILINE)
    # CPU time, in turns with NumPy's import: neither other work nor a slow machine fails this
    ratios = [
        cpu_seconds("-m", module, "--help") / cpu_seconds("-c", "import numpy") for _ in range(3)
    ]
    assert min(ratios) < 4


def cpu_seconds(*words: str) -> float:
    command = [sys.executable, *words]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=ROOT, stdout=quiet, stderr=quiet) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime
