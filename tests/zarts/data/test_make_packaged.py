"""The packaged images: what is in the file, and that the script makes exactly that."""

from __future__ import annotations

import gzip
import io
import zipfile
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch

from zarts.data import make_packaged
from zarts.data.loaders import load_images
from zarts.data.stream import split

FINGERPRINT = "2f8a9a418a0db3ae652b7b2303059693e418dd2c2cc03d75bb7f27d959a8d403"
TESTED = "109c90c667bffdfbf465bd430c0e8cca6486cbf9e2486de2728c753d32eee03e"
DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return {name: file.read(name) for name in file.namelist()}


def test_the_packaged_data_is_the_one_the_card_describes() -> None:
    data = load_images("packaged")
    assert data.fingerprint == FINGERPRINT
    assert data.images.shape == (8000, 1, 28, 28)
    assert data.classes == 10
    card = resources.files("zarts.data").joinpath("README.md").read_text(encoding="utf-8")
    test = load_images("packaged", part="test")
    assert (test.fingerprint, test.images.shape) == (TESTED, (2000, 1, 28, 28))
    assert test.labels.tolist() == list(range(10)) * 200
    assert (test.mean, test.std) == (data.mean, data.std)
    assert FINGERPRINT in card
    assert TESTED in card
    assert "Copyright (c) 2017 Zalando SE" in (
        resources.files("zarts.data").joinpath("LICENSE-fashion-mnist").read_text(encoding="utf-8")
    )


@pytest.mark.parametrize("subset", [None, 250])
def test_both_halves_are_balanced(subset: int | None) -> None:
    data = load_images("packaged")
    for half in split(len(data.labels), subset=subset):
        counts = torch.bincount(data.labels[half], minlength=10)
        assert counts.tolist() == [len(half) // 10] * 10


def test_no_image_is_there_twice() -> None:
    parts = [load_images("packaged", part=part).images.numpy() for part in ("train", "test")]
    images = np.concatenate(parts)
    assert len({image.tobytes() for image in images}) == len(images)


def test_the_file_is_small() -> None:
    folder = resources.files("zarts.data")
    assert len(folder.joinpath("packaged.npz").read_bytes()) < 4_000_000
    assert len(folder.joinpath("packaged_test.npz").read_bytes()) < 760_000


def test_the_choice_takes_turns_and_follows_its_rule() -> None:
    labels = np.random.default_rng(0).integers(0, 10, 500).astype(np.uint8)
    chosen = make_packaged.choose(labels, per_class=20)
    assert labels[chosen].tolist() == list(range(10)) * 20
    assert len(set(chosen.tolist())) == 200
    # The rule is a hash of the index, so these never change, whatever library made them.
    assert make_packaged.choose(np.arange(60, dtype=np.uint8) % 10, 2).tolist() == RULE


RULE = [20, 21, 52, 33, 44, 15, 46, 57, 18, 9, 50, 31, 2, 23, 4, 25, 36, 7, 8, 29]


def test_the_archive_has_no_time_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.arange(2 * 784, dtype=np.uint8).reshape(2, 1, 28, 28)
    labels = np.array([3, 4], dtype=np.uint8)
    first = make_packaged.archive(images, labels)
    monkeypatch.setattr("time.time", lambda: 2e9)
    assert make_packaged.archive(images, labels) == first
    with np.load(io.BytesIO(first), allow_pickle=False) as arrays:
        assert np.array_equal(arrays["images"], images)
        assert np.array_equal(arrays["labels"], labels)


needs_debian = pytest.mark.skipif(
    not DEBIAN.is_dir(), reason="needs Debian's package dataset-fashion-mnist"
)


@needs_debian
@pytest.mark.parametrize(("part", "per_class"), [("train", 800), ("test", 200)])
def test_the_packaged_images_are_the_chosen_ones(part: str, per_class: int) -> None:
    images, labels = make_packaged.read_source(DEBIAN, part)
    chosen = make_packaged.choose(labels, per_class)
    data = load_images("packaged", part=part)
    assert np.array_equal(data.images.numpy(), images[chosen])
    assert np.array_equal(data.labels.numpy(), labels[chosen])


@needs_debian
@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "file", "count"),
    [("train", "packaged.npz", 8000), ("test", "packaged_test.npz", 2000)],
)
def test_the_script_makes_the_packaged_file(
    part: str, file: str, count: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "again.npz"
    arguments = ["--source", str(DEBIAN), "--part", part, "--out", str(out)]
    assert make_packaged.main(arguments) == 0
    assert f"{count} images" in capsys.readouterr().out
    # Unpacked, to the byte: how LZMA packs may change with its version, what is packed may not.
    shipped = resources.files("zarts.data").joinpath(file).read_bytes()
    assert members(out.read_bytes()) == members(shipped)


def test_another_source_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--source", str(tmp_path), "--out", str(tmp_path / "out.npz")]
    assert make_packaged.main(arguments) == 2
    assert "train-images-idx3-ubyte.gz" in capsys.readouterr().err
    content = gzip.compress(bytes(16 + 784))
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(content)
    assert make_packaged.main(arguments) == 2
    assert "the published file has c59f468a" in capsys.readouterr().err
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(content[:-9])
    assert make_packaged.main(arguments) == 2
    assert not (tmp_path / "out.npz").exists()
