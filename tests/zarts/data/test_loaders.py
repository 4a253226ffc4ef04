"""Loading small folders in each data set's own format, and everything that can be wrong there."""

from __future__ import annotations

import gzip
import hashlib
import pickle
import struct
import subprocess
import sys
import warnings
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision import datasets

from zarts.data.dataset import measure
from zarts.data.loaders import (
    FASHION,
    NAMES,
    STATISTICS,
    DamagedData,
    MissingData,
    load_images,
    side_lengths,
)

IDX = ("images-idx3", "labels-idx1")


def colours(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """(count, 3, 32, 32) random pixels."""
    return np.random.default_rng(seed).integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)


class OldArray:
    """Warns when it is unpickled, as numpy 2.4.0 to 2.4.4 do at the published CIFAR files."""

    def __reduce__(self) -> tuple[object, ...]:
        return warnings.warn, ("dtype(): align should be passed as Python or NumPy boolean",)


def write_pickle(path: Path, content: object) -> str:
    """Writes a pickle of the publisher's protocol and returns its MD5."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=2))
    return hashlib.md5(path.read_bytes()).hexdigest()


def write_cifar(
    root: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> dict[str, tuple[NDArray[np.uint8], list[int]]]:
    """Writes a small CIFAR folder and lets torchvision take its checksums for the published."""
    source = datasets.CIFAR10 if name == "cifar10" else datasets.CIFAR100
    key = "labels" if name == "cifar10" else "fine_labels"
    folder = root / source.base_folder
    found, tables = {}, {}
    for table in ("train_list", "test_list"):
        entries, images, labels = [], [], []
        for number, (file, _) in enumerate(getattr(source, table)):
            part = colours(4, seed=len(found) + 10 * number)
            answers = [(number + 3 * i) % 10 for i in range(4)]
            entry = {"data": part.reshape(4, -1), key: answers, "batch_label": OldArray()}
            entries.append([file, write_pickle(folder / file, entry)])
            images.append(part)
            labels += answers
        tables[table] = entries
        found[table.removesuffix("_list")] = np.concatenate(images), labels
    meta = {source.meta["key"]: [f"class {i}" for i in range(10)]}
    meta_md5 = write_pickle(folder / source.meta["filename"], meta)
    for table, entries in tables.items():
        monkeypatch.setattr(source, table, entries)
    monkeypatch.setattr(source, "meta", {**source.meta, "md5": meta_md5})
    return found


def write_idx(path: Path, array: NDArray[np.uint8]) -> tuple[str, str, int]:
    """Writes an idx file; returns what the loader knows of a published one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + array.tobytes())
    return f"{path.name}.gz", hashlib.sha256(path.read_bytes()).hexdigest(), len(header)


def write_pictures(root: Path) -> None:
    """Two classes of one colour each, 3 and 1 pictures, of several sizes and modes."""
    for name, colour, sizes in (
        ("blue", (0, 10, 255), [(40, 20), (16, 16), (20, 50)]),
        ("red", (255, 0, 0), [(8, 9)]),
    ):
        (root / name).mkdir(parents=True)
        for number, size in enumerate(sizes):
            Image.new("RGB", size, colour).save(root / name / f"{number}.png")


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part, (images, labels) in write_cifar(tmp_path, name, monkeypatch).items():
        data = load_images(name, tmp_path, part=part)
        assert torch.equal(data.images, torch.from_numpy(images))
        assert data.labels.tolist() == labels
        assert data.classes == (10 if name == "cifar10" else 100)
        assert data.images.shape[2:] == side_lengths(name)
        assert (data.mean, data.std) == STATISTICS[name]


class Bomb:
    """Leaves a mark on the disk when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("victim", ["data_batch_3", "test_batch", "batches.meta"])
def test_a_pickle_with_another_checksum_is_never_opened(
    victim: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cifar(tmp_path, "cifar10", monkeypatch)
    mark = tmp_path / "was opened"
    path = tmp_path / "cifar-10-batches-py" / victim
    write_pickle(path, Bomb(mark))
    with pytest.raises(DamagedData, match=rf"{victim} has another MD5 .* was not opened; delete"):
        load_images("cifar10", tmp_path)
    assert not mark.exists()
    pickle.loads(path.read_bytes())  # noqa: S301 - the bomb is live: what was not run would have marked
    assert mark.exists()


def test_the_checksums_are_the_published_ones(tmp_path: Path) -> None:
    for file, _ in [*datasets.CIFAR10.train_list, *datasets.CIFAR10.test_list]:
        write_pickle(tmp_path / "cifar-10-batches-py" / file, {"data": [], "labels": []})
    write_pickle(tmp_path / "cifar-10-batches-py" / "batches.meta", {"label_names": []})
    with pytest.raises(DamagedData, match="data_batch_1, data_batch_2"):
        load_images("cifar10", tmp_path)


@pytest.mark.parametrize("part", ["train", "test"])
def test_svhn(part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    io = pytest.importorskip("scipy.io")
    images = colours(5)
    labels = np.array([[1], [10], [9], [10], [2]], dtype=np.uint8)  # 10 is the digit 0
    path = tmp_path / f"{part}_32x32.mat"
    io.savemat(path, {"X": images.transpose(2, 3, 1, 0), "y": labels})
    with pytest.raises(DamagedData, match=rf"{part}_32x32\.mat has another MD5"):
        load_images("svhn", tmp_path, part=part)
    url, file, _ = datasets.SVHN.split_list[part]
    published = [url, file, hashlib.md5(path.read_bytes()).hexdigest()]
    monkeypatch.setitem(datasets.SVHN.split_list, part, published)
    data = load_images("svhn", tmp_path, part=part)
    assert torch.equal(data.images, torch.from_numpy(images))
    assert data.labels.tolist() == [1, 0, 9, 0, 2]
    assert data.images.shape[2:] == side_lengths("svhn")
    assert (data.mean, data.std) == STATISTICS["svhn"]


def test_svhn_without_scipy_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "train_32x32.mat"
    path.write_bytes(b"")
    url, file, _ = datasets.SVHN.split_list["train"]
    published = [url, file, hashlib.md5(b"").hexdigest()]
    monkeypatch.setitem(datasets.SVHN.split_list, "train", published)
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(ModuleNotFoundError, match="pip install scipy"):
        load_images("svhn", tmp_path)


@pytest.mark.parametrize(("packed", "part"), [(False, "train"), (True, "train"), (True, "test")])
def test_fashion_mnist(
    packed: bool, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = colours(6)[:, 0, :28, :28]
    labels = np.array([9, 0, 3, 3, 1, 2], dtype=np.uint8)
    prefix = FASHION[part][0][0][:5].strip("-")
    files = [tmp_path / "FashionMNIST" / "raw" / f"{prefix}-{kind}-ubyte" for kind in IDX]
    published = [
        write_idx(path, array) for path, array in zip(files, (images, labels), strict=True)
    ]
    with pytest.raises(DamagedData, match=r"images-idx3-ubyte has another SHA-256 .*delete it"):
        load_images("fashion-mnist", tmp_path, part=part)  # small as they are
    monkeypatch.setitem(FASHION, part, published)
    if packed:
        for path in files:
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
    data = load_images("fashion-mnist", tmp_path, part=part)
    assert torch.equal(data.images, torch.from_numpy(images)[:, None])
    assert data.labels.tolist() == labels.tolist()
    assert (data.mean, data.std) == ((0.2860,), (0.3530,))
    assert data.images.shape[2:] == side_lengths("fashion-mnist")
    (there,) = files[1].parent.glob("*labels*")
    whole = there.read_bytes()
    for content in (b"", whole[:-1], whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:], b"<html>"):
        there.write_bytes(content)
        with pytest.raises(DamagedData, match=rf"{there.name} has another SHA-256"):
            load_images("fashion-mnist", tmp_path, part=part)
    there.unlink()
    with pytest.raises(MissingData, match=f"{prefix}-labels-idx1-ubyte"):
        load_images("fashion-mnist", tmp_path, part=part)


def test_an_image_folder_in_which_the_classes_take_turns(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    data = load_images("folder", tmp_path, size=12)
    assert data.images.shape == (4, 3, 12, 12)
    assert data.labels.tolist() == [0, 1, 0, 0]
    assert data.classes == 2
    colour = data.images.float().mean(dim=(2, 3))
    assert colour.tolist() == [[0, 10, 255], [255, 0, 0], [0, 10, 255], [0, 10, 255]]
    assert (data.mean, data.std) == measure(data.images)


def test_imagenet_is_a_folder_with_its_own_statistics_and_size(tmp_path: Path) -> None:
    write_pictures(tmp_path / "imagenet" / "train")
    data = load_images("imagenet", tmp_path)
    assert data.images.shape == (4, 3, 224, 224)
    assert data.mean == (0.485, 0.456, 0.406)
    assert load_images("imagenet", tmp_path, size=16).images.shape == (4, 3, 16, 16)
    assert side_lengths("imagenet") == (224, 224)
    assert side_lengths("imagenet", (16, 24)) == (16, 24)
    assert side_lengths("packaged") == load_images("packaged").images.shape[2:]


def test_the_test_images_of_a_folder_are_beside_it_and_seen_as_those_of_training(
    tmp_path: Path,
) -> None:
    write_pictures(tmp_path / "train")
    with pytest.raises(MissingData, match=rf"folder: got no {tmp_path / 'test'}, expected"):
        load_images("folder", tmp_path / "train", part="test")
    for name, white in (("train/blue/deep", 1000), ("test/blue/0", 1000), ("test/red/0", 60_000)):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((9, 9), white, dtype=np.uint16)).save(path)
    train, test = (
        load_images("folder", tmp_path / "train", size=8, part=part) for part in ("train", "test")
    )
    assert (test.mean, test.std, test.largest) == (train.mean, train.std, 1023)
    assert test.images[:, 0, 0, 0].tolist() == [249, 255]  # 1000 / 1023; brighter is white
    assert (test.labels.tolist(), test.names) == ([0, 1], train.names)
    streamed = load_images("folder", tmp_path / "train", size=8, part="test", stream=True)
    assert torch.equal(streamed.pick(torch.tensor([1, 0])), test.images.flip(0))


def test_imagenet_is_tested_on_its_val_folder_which_has_every_class(tmp_path: Path) -> None:
    write_pictures(tmp_path / "imagenet" / "train")
    write_pictures(tmp_path / "imagenet" / "val")
    data = load_images("imagenet", tmp_path, size=16, part="test", stream=True)
    assert (data.mean, len(data.labels)) == ((0.485, 0.456, 0.406), 4)
    (tmp_path / "imagenet" / "train" / "grey").mkdir()
    with pytest.raises(MissingData, match=r"^.*val lacks the classes grey, expected the 3 of.*$"):
        load_images("imagenet", tmp_path, size=16, part="test")
    (tmp_path / "imagenet" / "val" / "grey").mkdir()
    with pytest.raises(MissingData, match=r"got no images in .*grey"):
        load_images("imagenet", tmp_path, size=16, part="test")
    (tmp_path / "imagenet" / "train" / "grey").rmdir()
    with pytest.raises(MissingData, match="has the unknown classes grey"):
        load_images("imagenet", tmp_path, size=16, part="test")


def test_there_are_two_parts() -> None:
    with pytest.raises(ValueError, match="got part 'val', expected one of train, test"):
        load_images("packaged", part="val")


def test_an_image_folder_with_a_broken_picture_or_none(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match="one sub-folder of images per class"):
        load_images("folder", tmp_path)
    with pytest.raises(MissingData, match="imagenet"):
        load_images("imagenet", tmp_path)
    write_pictures(tmp_path)
    (tmp_path / "red" / "1.png").write_bytes(b"not a picture")
    with pytest.raises(DamagedData, match=r"1\.png is not a readable image"):
        load_images("folder", tmp_path)


def test_an_image_folder_larger_than_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures(tmp_path)
    monkeypatch.setattr("os.sysconf", lambda name: 1000)  # 1000 pages of 1000 bytes
    assert load_images("folder", tmp_path, size=200).images.shape[-1] == 200
    with pytest.raises(MemoryError, match=r"4 images of 300x300 need .* data.size to at most 204"):
        load_images("folder", tmp_path, size=300)


def refuse(*_: object, **__: object) -> NoReturn:
    raise AssertionError("something tried to reach the network")


@pytest.mark.parametrize("name", [name for name in NAMES if name not in {"packaged", "folder"}])
def test_missing_data_is_an_error_with_the_place_and_the_cure(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.socket", refuse)
    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.delenv("ZARTS_DATA", raising=False)
    with pytest.raises(MissingData, match="set ZARTS_DATA"):
        load_images(name)
    monkeypatch.setenv("ZARTS_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError) as caught:
        load_images(name)
    message = str(caught.value)
    assert message.startswith(f"{name}: got no {tmp_path}")
    assert "to get it" in message
    assert "\n" not in message
    assert not list(tmp_path.iterdir())


def test_the_root_argument_goes_before_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures(tmp_path / "here")
    monkeypatch.setenv("ZARTS_DATA", str(tmp_path / "elsewhere"))
    assert len(load_images("folder", tmp_path / "here", size=4).labels) == 4


@pytest.mark.parametrize(
    ("name", "hint"), [("cifar-10", "cifar10"), ("fashionmnist", "fashion-mnist"), ("x", None)]
)
def test_an_unknown_name_offers_the_nearest(name: str, hint: str | None) -> None:
    with pytest.raises(ValueError, match=f"unknown data set '{name}'") as caught:
        load_images(name)
    assert (f"did you mean '{hint}'?" in str(caught.value)) == (hint is not None)
    assert "packaged, cifar10" in str(caught.value)


@pytest.mark.parametrize(("name", "size"), [("packaged", 28), ("cifar10", 16), ("folder", 0)])
def test_a_size_only_where_it_means_something(name: str, size: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"got size={size}.* for {name}"):
        load_images(name, tmp_path, size=size)


def test_the_packaged_data_needs_no_torchvision() -> None:
    code = (
        "import sys; from zarts.data.loaders import load_images; load_images('packaged'); "
        "import zarts.data.stream; sys.exit('torchvision' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-W", "error", "-c", code], check=False).returncode == 0
