"""Makes packaged.npz, the part of Fashion-MNIST that ships with the package.

    python -m zarts.data.make_packaged --source DIR [--out FILE]

DIR holds train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz, as Debian's package
``dataset-fashion-mnist`` installs them. The choice of images is a rule on SHA-256 and not a draw
from a random number generator, so it depends on no library version.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import sys
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["CLASSES", "PER_CLASS", "archive", "choose", "main", "read_source"]

CLASSES = 10
PER_CLASS = 800
SEED = 0

# Each file with the SHA-256 of its unpacked content and the length of its idx header. A content
# that is known to the byte needs no parser: the shapes below are facts about it.
IMAGES = (
    "train-images-idx3-ubyte.gz",
    "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    16,
)
LABELS = (
    "train-labels-idx1-ubyte.gz",
    "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    8,
)


def read_source(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Reads the 60,000 training images and their labels.

    Args:
        folder: Where the two .gz files are.

    Returns:
        images (60000, 1, 28, 28) and labels (60000,), both uint8.

    Raises:
        OSError: If a file cannot be read.
        ValueError: If a file is not the published one.
    """
    images, labels = _verified(folder, *IMAGES), _verified(folder, *LABELS)
    return images.reshape(-1, 1, 28, 28), labels


def choose(labels: NDArray[np.uint8], per_class: int = PER_CLASS) -> NDArray[np.int64]:
    """Chooses the images to ship: of each class those whose SHA-256 of "SEED:index" is smallest.

    The classes take turns (0, 1, …, 9, 0, 1, …), so every stretch of ten images holds each class
    once, and both halves of an index-order split are balanced.

    Args:
        labels: (n,) class of every image.
        per_class: How many images of each class to take.

    Returns:
        (CLASSES * per_class,) indices into ``labels``.
    """
    columns = []
    for label in range(CLASSES):
        members = np.flatnonzero(labels == label).tolist()
        members.sort(key=lambda index: hashlib.sha256(f"{SEED}:{index}".encode()).digest())
        columns.append(members[:per_class])
    return np.array(columns, dtype=np.int64).T.reshape(-1)


def archive(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> bytes:
    """Packs the arrays as an .npz file that holds no time, user or system.

    LZMA makes it 13 % smaller than the deflate of ``numpy.savez_compressed``; ``numpy.load`` reads
    both.

    Args:
        images: (n, 1, 28, 28) uint8.
        labels: (n,) uint8.

    Returns:
        The bytes of the file. Equal arrays give equal bytes with one version of liblzma.
    """
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, array in (("images", images), ("labels", labels)):
            member = io.BytesIO()
            np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_LZMA
            info.create_system = 3  # the default names the system that runs this
            file.writestr(info, member.getvalue())
    return out.getvalue()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m zarts.data.make_packaged",
        description="Makes the packaged part of Fashion-MNIST from the published files.",
    )
    parser.add_argument("--source", type=Path, required=True, help="folder of the idx .gz files")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("packaged.npz"))
    options = parser.parse_args(arguments)
    try:
        images, labels = read_source(options.source)
        chosen = choose(labels)
        content = archive(images[chosen], labels[chosen])
        options.out.write_bytes(content)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    digest = hashlib.sha256(content).hexdigest()
    sys.stdout.write(f"{options.out}: {len(chosen)} images, {len(content)} bytes, {digest}\n")
    return 0


def _verified(folder: Path, name: str, expected: str, header: int) -> NDArray[np.uint8]:
    """Returns the unpacked content of one file after its header, or raises if it differs."""
    try:
        content = gzip.decompress((folder / name).read_bytes())
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(
            f"{folder / name} is not a whole .gz file ({error}); get it again"
        ) from error
    got = hashlib.sha256(content).hexdigest()
    if got != expected:
        raise ValueError(
            f"{folder / name}: the unpacked content has SHA-256 {got}, the published file has "
            f"{expected}; get it again, for example with `apt-get install dataset-fashion-mnist`"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=header)


if __name__ == "__main__":
    sys.exit(main())
