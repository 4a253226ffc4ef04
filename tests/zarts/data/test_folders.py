"""Folders of images: which files count, every pixel in its brightness, and both halves whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from zarts import cli
from zarts.data.dataset import DamagedData, MissingData
from zarts.data.loaders import load_images
from zarts.data.stream import Stream, split, stratified
from zarts.problems.parts import data_facts, data_lines, dataset_of, halves_of, load_dataset
from zarts.settings.config import Config, ConfigError


@pytest.fixture(autouse=True)
def no_folder_of_another_test() -> None:
    dataset_of.cache_clear()


def write(path: Path, pixels: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def make(root: Path, counts: tuple[int, ...] = (3, 3), shape: tuple[int, ...] = (6, 8)) -> Path:
    """Classes c0, c1, ... of so many grey images, each of another brightness."""
    for label, count in enumerate(counts):
        for number in range(count):
            pixels = np.full(shape, 40 * label + number, dtype=np.uint8)
            write(root / f"c{label}" / f"{number:03d}.png", pixels)
    return root


def config_of(**data: Any) -> Config:
    return Config.from_table({"data": {"name": "folder", "batch_size": 2, **data}})


def test_by_products_are_neither_classes_nor_images(tmp_path: Path) -> None:
    expected = load_images("folder", make(tmp_path))
    write(tmp_path / ".ipynb_checkpoints" / "a.png", np.ones((6, 8), dtype=np.uint8))
    write(tmp_path / "c0" / ".ipynb_checkpoints" / "a.png", np.ones((6, 8), dtype=np.uint8))
    for name in ("__MACOSX/c0/._000.png", "c1/._000.png", "c1/Thumbs.db", "README.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"no image")
    assert load_images("folder", tmp_path).fingerprint == expected.fingerprint
    assert expected.names == ("c0", "c1")


def test_the_folder_at_fault_is_named(tmp_path: Path) -> None:
    (make(tmp_path) / "nothing_yet").mkdir()
    (tmp_path / "nothing_yet" / "._a.png").touch()
    with pytest.raises(MissingData, match=r"no images in .*nothing_yet.*remove it if it is no cl"):
        load_images("folder", tmp_path)
    with pytest.raises(MissingData, match=r"got one class, 'c0', .*expected two or more"):
        load_images("folder", make(tmp_path / "one", (3,)))
    make(tmp_path / "own" / "train")
    with pytest.raises(MissingData, match=r"no .*own.test, expected the images to test on there"):
        load_images("folder", tmp_path / "own" / "train", part="test")
    make(tmp_path / "own" / "val")
    with pytest.raises(MissingData, match=r"got train, val in .*own, .*ZARTS_DATA .*own.train;"):
        load_images("folder", tmp_path / "own")
    with pytest.raises(ValueError, match="for a folder of images set ZARTS_DATA to it"):
        load_images(str(tmp_path / "own"))


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", "half"])
def test_the_file_at_fault_is_named(content: bytes | str, tmp_path: Path) -> None:
    path = make(tmp_path, shape=(60, 80, 3)) / "c1" / "001.png"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if isinstance(content, str) else content)
    with pytest.raises(DamagedData, match=r"c1.001\.png is not a readable image"):
        load_images("folder", tmp_path)


@pytest.mark.parametrize(
    ("brightest", "largest"), [(250, 255), (256, 511), (3000, 4095), (40000, 65535)]
)
@pytest.mark.parametrize("kind", ["png", "tif"])
def test_deep_images_keep_their_brightness(
    kind: str, brightest: int, largest: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One scale for the folder: a dark image stays dark beside a bright one."""
    for label, value in enumerate((brightest // 10, brightest)):
        write(tmp_path / f"c{label}" / f"a.{kind}", np.full((32, 32), value, dtype=np.uint16))
    write(tmp_path / "c0" / "plain.png", np.full((32, 32), 77, dtype=np.uint8))
    data = load_images("folder", tmp_path)
    assert data.largest == largest
    expected = [brightest // 10 * 255 / largest, brightest * 255 / largest, 77]
    assert data.images.double().mean((1, 2, 3)).tolist() == pytest.approx(expected, abs=0.5)
    monkeypatch.setenv("ZARTS_DATA", str(tmp_path))
    facts = data_facts(config_of())
    assert facts.get("largest", 255) == largest
    assert (f"white is {largest:,}" in data_lines("folder", facts)[0]) == (largest > 255)


def test_size_and_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZARTS_DATA", str(make(tmp_path, shape=(96, 128))))
    wide = np.zeros((96, 128), dtype=np.uint8)
    wide[:, :64] = 200
    write(tmp_path / "c0" / "000.png", wide)
    shapes = {
        (0, 0): (3, 32, 32), (16, 1): (1, 16, 16), ("24x32", 0): (3, 24, 32), ("8x4", 3): (3, 8, 4),
    }  # fmt: skip
    for (size, channels), shape in shapes.items():
        data = load_dataset(config_of(size=size, channels=channels))
        assert tuple(data.images.shape[1:]) == shape
        left, right = data.images[0, 0].float().chunk(2, dim=1)
        assert left.mean() > 180
        assert right.mean() < 20
    facts = data_facts(config_of())
    assert facts["pixels"] == "1×96×128 → 3×32×32"
    line, classes = data_lines("folder", facts)
    assert line.endswith("(real images, 6), 2 classes, 1×96×128 → 3×32×32")
    assert classes == "classes    c0 2 + 1, c1 1 + 2 (D_train + D_val)"
    for size in ("x4", "0x4", 2.5, -1, "4x4x4"):
        with pytest.raises(ConfigError, match=r"data\.size is .*96x128"):
            config_of(size=size)
    with pytest.raises(ConfigError, match=r"data\.channels is 2, expected 1 or 3"):
        config_of(channels=2)
    with pytest.raises(ConfigError, match=r"leave out data\.size"):
        load_dataset(Config.from_table({"data": {"size": 16}}))


# --- both halves ----------------------------------------------------------------------------------


@pytest.mark.parametrize("portion", [0.1, 0.5, 0.8])
def test_a_rare_class_is_in_both_halves(portion: float) -> None:
    labels = torch.tensor([label for rank in range(150) for label, n in enumerate((150, 60, 20))
                           if rank < n])  # fmt: skip
    train, val = stratified(labels, portion)
    both = torch.cat((train, val)).sort().values
    assert torch.equal(both, torch.arange(230))
    assert labels[train].bincount().tolist() == [int(n * portion) for n in (150, 60, 20)]
    # the first images of a half hold each class in its proportion
    assert labels[val[: len(val) // 2]].bincount().tolist() == pytest.approx(
        [n * (1 - portion) / 2 for n in (150, 60, 20)], abs=1
    )
    assert not labels[split(230, 0.8)[1]].bincount(minlength=3)[1:].any()  # by order it has neither


def test_classes_that_cannot_be_in_both_halves_are_refused() -> None:
    labels = torch.tensor([0, 1, 0, 0, 1])
    train, val = stratified(labels, 0.9)
    assert sorted(labels[val].tolist()) == [0, 1]
    with pytest.raises(ValueError, match="class 'crack' has one image"):
        stratified(labels[:4], 0.5, names=["ok", "crack"])
    with pytest.raises(ValueError, match="do not hold every class"):
        stratified(labels, 0.5, subset=1)
    with pytest.raises(ValueError, match="subset=9, expected 1 to 2"):
        stratified(labels, 0.5, subset=9)
    assert len(train) == 3


def test_new_runs_over_folders_are_stratified_and_old_ones_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import argparse

    parser = argparse.ArgumentParser()
    cli.add_variant(parser)
    cli.add_options(parser, default_preset="quick")

    def resolved(*words: str, **base: Any) -> Config:
        return cli.resolve(parser.parse_args(words), "darts-1", {}, **base)

    folder = ("--set", "data.name=folder", "--set", "data.downscale=1")
    assert resolved(*folder).data.split == "stratified"
    assert resolved(*folder, "--set", "data.split=order").data.split == "order"
    assert resolved().data.split == resolved("--set", "data.name=cifar10").data.split == "order"
    old = Config.from_table({"data": {"name": "folder"}}).to_table(whole=True)
    assert resolved(base=old).data.split == "order"
    assert resolved("--set", "data.name=imagenet").data.storage == "stream"
    monkeypatch.setenv("ZARTS_DATA", str(make(tmp_path, (9, 2))))
    by_order = resolved(*folder, "--set", "data.split=order")
    assert data_facts(by_order)["classes"] == {"c0": [3, 6], "c1": [2, 0]}
    assert data_lines("folder", data_facts(by_order))[-1] == "warning    D_val has no image of c1"
    assert data_facts(resolved(*folder))["classes"] == {"c0": [4, 5], "c1": [1, 1]}


# --- images that stay in their files -------------------------------------------------------------


@pytest.mark.parametrize("name", ["folder", "imagenet"])
def test_streamed_images_are_those_in_memory(name: str, tmp_path: Path) -> None:
    make(tmp_path / "imagenet" / "train" if name == "imagenet" else tmp_path, (5, 4))
    kept, streamed = (load_images(name, tmp_path, 16, stream=stream) for stream in (False, True))
    assert (streamed.mean, streamed.std) == (kept.mean, kept.std)
    assert streamed.images.shape == kept.images.shape
    assert streamed.images.device.type == "meta"  # no pixel is in memory
    one, other = (Stream(data, torch.arange(9), 4, 0, "train") for data in (kept, streamed))
    for k in (3, 0, 1):
        assert torch.equal(one.batch(k).images, other.batch(k).images)
        assert torch.equal(one.batch(k).labels, other.batch(k).labels)
    again = load_images(name, tmp_path, 16, stream=True)
    assert again.fingerprint == streamed.fingerprint != kept.fingerprint
    (next(tmp_path.rglob("c1")) / "003.png").unlink()
    assert load_images(name, tmp_path, 16, stream=True).fingerprint != streamed.fingerprint


def test_a_share_is_drawn_once_for_all_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZARTS_DATA", str(make(tmp_path, (40, 40))))
    halves = [halves_of(config, load_dataset(config)) for config in (
        config_of(share=0.25), Config.from_table(
            {"seed": 5, "data": {"name": "folder", "share": 0.25}}))]  # fmt: skip
    train, val = halves[0]
    assert (len(train), len(val)) == (10, 10)
    assert len({*train.tolist(), *val.tolist()}) == 20
    assert sorted(train.tolist()) != train.tolist(), "at random"
    assert all(torch.equal(a, b) for a, b in zip(*halves, strict=True))
    for share in (0, 1.5):
        with pytest.raises(ConfigError, match=r"data\.share"):
            config_of(share=share)
    with pytest.raises(ConfigError, match="choose a larger share"):
        halves_of(config_of(share=0.01), load_dataset(config_of()))
