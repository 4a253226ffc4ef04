"""What autograd keeps of a step, estimated from small ones: as a step keeps, without a compiler."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.tiny import words
from zarts import Config, preset
from zarts.bilevel.chance import Chance
from zarts.problems.memory import bytes_kept, memory_needed
from zarts.problems.parts import network_of
from zarts.settings.config import merge


@pytest.mark.parametrize("network", ["fast", "plain", "merged", "sampled"])
@pytest.mark.parametrize(
    ("stem", "channels", "image"),
    [("cifar", 8, (1, 9, 9)), ("cifar", 20, (3, 28, 28)), ("imagenet", 16, (3, 160, 192))],
)
def test_the_estimate_is_what_a_step_keeps(
    network: str, stem: str, channels: int, image: tuple[int, int, int]
) -> None:
    chosen = {"space": "s5", "network": network, "stem": stem, "channels": channels, "lanes": 1}
    table = {"supernet": chosen, "data": {"batch_size": 8}, "search": {"inner_batch_size": 8}}
    config = Config.from_table(merge(preset("quick", "darts-1"), table))
    built = network_of(config, 10, image[0])
    weights = {name: torch.zeros(size).requires_grad_() for name, size in built.shapes().items()}
    alpha = getattr(built, "heaviest", lambda: torch.zeros(built.space.dim))().float()
    kept = bytes_kept(lambda: built(weights, alpha, torch.zeros(8, *image), Chance(0)))
    own = 5 * 4 * sum(weight.numel() for weight in weights.values())
    assert memory_needed(config, 10, image) == pytest.approx(kept + own, rel=0.06)


OWN = """from zarts import PlainSupernet

class Fixed(PlainSupernet):
    @classmethod
    def build(cls, space, classes, image_channels, settings):
        return super().build(space, classes, image_channels, {**settings, "channels": 4})
"""


def test_a_network_of_ones_own_may_have_its_own_channels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("fixednet.py").write_text(OWN)

    def needed(network: str, channels: int) -> int:
        chosen = {"network": network, "channels": channels, "lanes": 1}
        table = merge(preset("quick", "darts-1"), {"supernet": chosen})
        return memory_needed(Config.from_table(table), 10, (1, 9, 9))

    assert needed("fixednet:Fixed", 64) == needed("plain", 4)


@pytest.mark.parametrize("module", ["zarts", "landscape.compute"])
def test_a_plan_imports_no_compiler(module: str) -> None:
    command = [sys.executable, "-X", "importtime", "-m", module, "--dry-run", *words()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr[-2000:]
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "torch" in imported
    assert not imported & {"sympy", "torch._dynamo"}
