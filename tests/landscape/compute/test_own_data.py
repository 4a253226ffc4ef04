"""Fig. 1 of images of one's own: any number of channels, any worker, and the same images again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from landscape import compute_run, load
from tests.landscape.verifying import verdict
from tests.tiny import tiny
from zarts import Config, register_dataset
from zarts.runs.runfile import Run
from zarts.settings.config import ConfigError

OWN = {
    "data": {"name": "mine", "downscale": 1, "subset": 0, "split": "stratified", "cutout": 2},
    "paths": {"methods": ["zarts-rs"]},
}


def images(channels: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    rng, labels = np.random.default_rng(seed), np.sort(np.arange(90) % 3)
    x = rng.integers(0, 120, (90, channels, 7, 6), dtype=np.uint8)
    x[np.arange(90), 0, labels * 2] = 255
    return x, labels


def config(**search: int) -> Config:
    return tiny("darts-1", OWN, {"search": {"epochs": 1, **search}})


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_all_channels_run(channels: int, tmp_path: Path) -> None:
    register_dataset("mine", *images(channels))
    record = compute_run(config().to_table(), tmp_path / "run")  # as preset() gives it
    assert all(surface.done == 6 for surface in record.surfaces)
    assert record.provenance["data"]["classes"] == {"0": [15, 15], "1": [15, 15], "2": [15, 15]}  # type: ignore[index,call-overload]
    arrays = Run.open(tmp_path / "run").read("snapshot/epoch-0001").arrays
    assert any(array.shape[1:] == (channels, 3, 3) for array in arrays.values())


def test_workers_get_the_arrays_and_a_run_goes_on_with_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = images(2)
    register_dataset("mine", x, y)
    for workers in (1, 2):
        compute_run(config(), tmp_path / f"with-{workers}", workers=workers)
    one, two = (Run.open(tmp_path / f"with-{workers}") for workers in (1, 2))
    assert one.content_hash() == two.content_hash()
    (two.path / "grid" / "m00.h5").unlink()
    register_dataset("mine", *images(2, seed=1))
    for run in (two, one):  # one is finished
        with pytest.raises(ConfigError, match=r"mine has fingerprint .* or begin a new run"):
            compute_run(config(), run.path)
    monkeypatch.setattr("zarts.data.arrays._registered", {})
    said = verdict(one.path)
    assert (said.code, said.of("data"), said.failed) == (2, ["unchecked"], set())
    assert "zarts.register_dataset" in said.why("data")
    np.savez(tmp_path / "mine.npz", x=x, y=y)
    monkeypatch.setenv("ZARTS_DATA", str(tmp_path))
    table = config().to_table()
    filed = Config.from_table(table | {"data": table["data"] | {"name": "mine.npz"}})
    same = compute_run(filed, tmp_path / "filed", workers=2)
    for surface, stored in zip(same.surfaces, load(one).surfaces, strict=True):
        assert np.array_equal(surface.loss, stored.loss)
