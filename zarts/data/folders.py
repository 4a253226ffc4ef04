"""Folders of images, one sub-folder per class: what is in them, and their pixels as bytes.

Bytes are what everything else works on. Images of more than eight bits a pixel are brought to them
by one scale for the whole folder, so that they keep their brightness among each other.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import Tensor

from zarts.data.dataset import (
    DamagedData,
    Dataset,
    MissingData,
    Statistics,
    from_tensors,
    measure,
)
from zarts.data.deep import deep

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Streamed", "read_folder"]

T = TypeVar("T")

CURE = "put one sub-folder of images per class there"
# those of torchvision's ImageFolder; the second kind has at most eight bits a pixel
DEEP = (".png", ".ppm", ".pgm", ".tif", ".tiff")
FLAT = (".jpg", ".jpeg", ".bmp", ".webp")
_PARTS = {"train", "training", "val", "valid", "validation", "test"}
_THREADS = min(8, os.cpu_count() or 1)  # decoding frees the interpreter's lock
_CHUNK = 256  # images that are decoded before they are counted


@dataclass(frozen=True)
class Pictures:
    """The files of a folder and how each becomes a tensor.

    Attributes:
        paths: One per image.
        size: Height and width of the result: the image is scaled to cover it, then the centre is
            cut out.
        channels: 3, or 1 for grey.
        largest: What white is in images of more than eight bits; 255 if there are none.
    """

    paths: tuple[Path, ...]
    size: tuple[int, int]
    channels: int
    largest: int = 255

    def read(self, index: int) -> tuple[Tensor, tuple[int, int, int]]:
        """An image (channels, height, width) uint8, and its shape in the file.

        Raises:
            DamagedData: If the file is no image, or has pixels that cannot be brought to bytes.
        """
        return _opened(self.paths[index], self._read)

    def cut(self, index: int, how: Callable[[Image], T]) -> T:
        """What a function makes of an image as it is in its file, but for colours and bits.

        Raises:
            DamagedData: As ``read``.
        """
        return _opened(self.paths[index], lambda path, picture: how(self._bytes(path, picture)))

    def _bytes(self, path: Path, picture: Image) -> Image:
        from PIL import Image

        pixels = deep(path, picture)
        if pixels is not None:
            scaled = np.rint(pixels.clip(max=self.largest) * (255 / self.largest)).astype(np.uint8)
            picture = Image.fromarray(scaled)
        return picture.convert("RGB" if self.channels == 3 else "L")

    def _read(self, path: Path, picture: Image) -> tuple[Tensor, tuple[int, int, int]]:
        from torchvision.transforms import functional

        width, height = picture.size
        shape = (len(picture.getbands()), height, width)
        picture = self._bytes(path, picture)
        rows, columns = self.size
        if width * rows >= height * columns:
            scaled_size = [rows, int(rows * width / height)]
        else:
            scaled_size = [int(columns * height / width), columns]
        picture = functional.resize(picture, scaled_size)
        return functional.pil_to_tensor(functional.center_crop(picture, [rows, columns])), shape

    def read_all(self, indices: range | list[int]) -> Iterator[tuple[Tensor, tuple[int, int, int]]]:
        """The images at some indices, in their order; several are decoded at a time."""
        with ThreadPoolExecutor(_THREADS) as pool:
            yield from pool.map(self.read, indices)


@dataclass(frozen=True, eq=False)
class Streamed(Dataset):
    """A data set whose images stay in their files: ``images`` has a shape, but no pixels.

    Its fingerprint is that of the names and lengths of its files, as nothing reads them all.

    Attributes:
        pictures: Where the images are.
    """

    pictures: Pictures | None = None

    def pick(self, indices: Tensor) -> Tensor:
        """Decodes the images (n, c, h, w) uint8 at indices (n,), to where the labels are."""
        assert self.pictures is not None
        found = self.pictures.read_all(indices.tolist())
        return torch.stack([image for image, _ in found]).to(self.labels.device, non_blocking=True)

    def to(self, device: torch.device | str) -> Dataset:
        """Moves the labels; batches follow them."""
        labels = self.labels.to(device)
        return self if labels is self.labels else replace(self, labels=labels)


def read_folder(
    name: str,
    folder: Path,
    size: tuple[int, int],
    *,
    channels: int = 3,
    stream: bool = False,
    statistics: Statistics | None = None,
    train: Path | None = None,
) -> Dataset:
    """Reads a folder of images; the classes take turns, as far as they have images.

    Args:
        name: Of the data set.
        folder: Has one sub-folder per class. Hidden names and ``__MACOSX`` are passed over.
        size: Height and width to which images are scaled and cut.
        channels: 3, or 1 for grey.
        stream: Leave the images in their files and decode them batch by batch.
        statistics: Mean and standard deviation per channel; None: those of the images.
        train: For images to test on: the folder of the training images, whose classes, and whose
            white and statistics if these are measured, hold here too.

    Raises:
        MissingData: If there are no two classes, or those of ``train``, or one has no image.
        MemoryError: If the images do not fit in this machine's memory.
        DamagedData: If a file is not an image.
    """
    classes, largest = _classes(name, folder), 0
    if train is not None:
        _check_classes(name, folder, classes, _classes(name, train))
        if statistics is None:
            like = read_folder(name, train, size, channels=channels, stream=True)
            statistics, largest = (like.mean, like.std), like.largest
    samples = _take_turns([_images(name, folder / each) for each in classes])
    paths = tuple(path for path, _ in samples)
    labels = torch.tensor([label for _, label in samples])
    pictures = Pictures(paths, size, channels, largest or _largest(paths))
    shape = (len(paths), channels, *size)
    if stream:
        digest = hashlib.sha256(repr((name, shape, len(classes), pictures.largest)).encode())
        for path, label in samples:
            entry = (path.relative_to(folder).as_posix(), label, path.stat().st_size)
            digest.update(repr(entry).encode())
        mean, std = statistics or measure(_chunks(pictures))
        nothing = torch.empty(shape, dtype=torch.uint8, device="meta")
        dataset: Dataset = Streamed(
            name, nothing, labels, len(classes), mean, std, digest.hexdigest(), pictures=pictures
        )
        return replace(dataset, names=tuple(classes), largest=pictures.largest)
    _check_memory(name, shape)
    images = torch.empty(shape, dtype=torch.uint8)
    shapes = []
    for index, (image, found) in enumerate(pictures.read_all(range(len(paths)))):
        images[index] = image
        shapes.append(found)
    dataset = from_tensors(name, images, labels, len(classes), statistics)
    return replace(dataset, names=tuple(classes), largest=pictures.largest, source=_extent(shapes))


def _classes(name: str, folder: Path) -> list[str]:
    found = [entry.name for entry in folder.iterdir() if entry.is_dir() and _counts(entry.name)]
    if found and _PARTS.issuperset(found):  # one folder too high: they would be the classes
        raise MissingData(
            f"{name}: got {', '.join(sorted(found))} in {folder}, which are parts of a data set "
            f"and no classes; set ZARTS_DATA to the one to train on, such as {folder / 'train'}; "
            "the folder 'test' beside it is for retrained networks"
        )
    if len(found) > 1:
        return sorted(found)
    there = f"one class, {found[0]!r}," if found else "no sub-folders named after classes"
    raise MissingData(f"{name}: got {there} in {folder}, expected two or more; {CURE}")


def _check_classes(name: str, folder: Path, found: list[str], expected: list[str]) -> None:
    """Raises MissingData unless the classes to test on are those that were trained on."""
    for what, some, others in (
        ("lacks the classes", expected, found),
        ("has the unknown classes", found, expected),
    ):
        if wrong := sorted(set(some) - set(others)):
            more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
            raise MissingData(
                f"{name}: {folder} {what} {', '.join(wrong[:5])}{more}, expected the "
                f"{len(expected)} of the training images; put one sub-folder per class there"
            )


def _counts(name: str) -> bool:
    """Whether a name is no by-product: ``.ipynb_checkpoints``, ``._a.png``, ``__MACOSX``."""
    return not name.startswith(".") and name != "__MACOSX"


def _images(name: str, folder: Path) -> list[Path]:
    """All images of a class, also in folders below, in the order of torchvision's ImageFolder."""
    found = [
        Path(place, file)
        for place, _, files in sorted(os.walk(folder, followlinks=True))
        if all(map(_counts, Path(place).relative_to(folder).parts))
        for file in sorted(files)
        if _counts(file) and file.lower().endswith((*DEEP, *FLAT))
    ]
    if not found:
        raise MissingData(
            f"{name}: got no images in {folder}, expected some of {', '.join((*FLAT, *DEEP))}; put "
            "some there, or remove it if it is no class"
        )
    return found


def _take_turns(members: list[list[Path]]) -> list[tuple[Path, int]]:
    """(path, class) of all images, by their rank within the class, then by class."""
    ranked = [
        (rank, label, path)
        for label, paths in enumerate(members)
        for rank, path in enumerate(paths)
    ]
    return [(path, label) for _, label, path in sorted(ranked, key=lambda one: one[:2])]


def _opened(path: Path, use: Callable[[Path, Image], T]) -> T:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return use(path, picture)
    except DamagedData:
        raise
    except (  # what PIL raises for files that are none, or not whole
        OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, RuntimeError,
        struct.error, Image.DecompressionBombError,
    ) as error:  # fmt: skip
        raise DamagedData(f"{path} is not a readable image ({error}); remove it") from error


def _largest(paths: tuple[Path, ...]) -> int:
    """What white is in images of more than eight bits: the largest value found, as 2^k − 1."""

    def most(path: Path, picture: Image) -> int:
        pixels = deep(path, picture)
        return 0 if pixels is None else int(pixels.max())

    def of(path: Path) -> int:
        return _opened(path, most)

    maybe = [path for path in paths if path.suffix.lower() in DEEP]
    with ThreadPoolExecutor(_THREADS) as pool:
        found = max(pool.map(of, maybe), default=0)
    return max(255, (1 << found.bit_length()) - 1)


def _chunks(pictures: Pictures) -> Iterator[Tensor]:
    for start in range(0, len(pictures.paths), _CHUNK):
        some = range(start, min(start + _CHUNK, len(pictures.paths)))
        yield torch.stack([image for image, _ in pictures.read_all(some)])


def _extent(shapes: list[tuple[int, int, int]]) -> str:
    """Shapes for people: ``1×96×128``, or ``3×40–69×41–89`` where they differ."""
    ends = [(min(axis), max(axis)) for axis in zip(*shapes, strict=True)]
    return "×".join(str(low) if low == high else f"{low}–{high}" for low, high in ends)


def _check_memory(name: str, shape: tuple[int, int, int, int]) -> None:
    if not hasattr(os, "sysconf"):  # Windows
        return
    count, channels, height, width = shape
    needed = count * channels * height * width
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > memory:
        fitting = int((memory / (2 * channels * count)) ** 0.5)
        raise MemoryError(
            f"{name}: {count} images of {height}x{width} need {needed / 2**30:.1f} GiB and this "
            f"machine has {memory / 2**30:.1f} GiB; set data.storage = stream, or data.size to at "
            f"most {fitting}"
        )
