"""What a study takes, counted without its data."""

from __future__ import annotations

from dataclasses import replace

import pytest

from zarts.data.loaders import load_images
from zarts.reproduce import estimate
from zarts.reproduce.estimate import EXTENTS, retraining_passes, search_passes
from zarts.reproduce.running import cost_of
from zarts.reproduce.studies import STUDIES
from zarts.supernet.published import NAMED


def test_extents_are_those_of_the_data() -> None:
    for part, count in (("train", EXTENTS["packaged"].train), ("test", EXTENTS["packaged"].test)):
        images = load_images("packaged", part=part).images
        assert images.shape[:2] == (count, EXTENTS["packaged"].channels)


def test_more_epochs_and_values_are_more_passes() -> None:
    arm = next(arm for arm in STUDIES["table2"].arms("paper") if arm.column == "ZARTS-MGS")
    config = arm.searching(0)
    search = replace(config.search, epochs=2 * config.search.epochs, warmup=20)
    assert search_passes(replace(config, search=search)) == pytest.approx(2 * search_passes(config))
    alone = replace(config, optimizer={**config.optimizer, "samples": 1})
    assert search_passes(alone) < 0.6 * search_passes(config)
    again = arm.retraining(str(NAMED["DARTS_V2"]), 0)
    # 600 epochs of 50,000 images, three passes each, and of 10,000 to test on, at 20 cells
    macs = retraining_passes(again) / (600 * (3 * 50_000 + 10_000))
    assert again.network.cells == 20
    assert 1e8 < macs < 6e8


def test_a_plan_needs_no_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "_supernet_rate", lambda config: 1e-12)
    monkeypatch.setattr(estimate, "seconds_per_mac", lambda config, classes, shape: 3e-12)
    cost = cost_of(STUDIES["table4"].arms("paper"))
    assert (cost.all_searches, cost.all_retrainings) == (2, 2)
    assert cost.search_seconds > 0
    # 250 epochs of ImageNet at 14 x 48: about 530 million each
    assert 2e5 < cost.retraining_seconds / 2 / 2.5 < 3e5
