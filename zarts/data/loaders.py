"""Data sets as tensors: the packaged one, and torchvision's from a folder that holds them already.

Nothing is downloaded and nothing is substituted: a data set that is not there is an error that says
how to get it. A search splits the training images into D_train and D_val and reads no others; the
test images are for networks that are retrained.
"""

from __future__ import annotations

import difflib
import gzip
import hashlib
import os
import warnings
import zlib
from collections.abc import Callable
from functools import partial
from importlib import resources
from pathlib import Path

import numpy as np
import torch

from zarts.data.arrays import is_own, own_dataset, own_sides, registered
from zarts.data.dataset import DamagedData, Dataset, MissingData, Statistics, from_tensors
from zarts.data.folders import CURE, read_folder
from zarts.data.make_packaged import PARTS
from zarts.data.names import FIXED, NAMES, SIZES

__all__ = [
    "NAMES",
    "SIZES",
    "DamagedData",
    "Dataset",
    "MissingData",
    "load_images",
    "side_lengths",
]

# Mean and standard deviation per channel of [0, 1] pixels. CIFAR-10, CIFAR-100 and SVHN: as in
# quark0/darts and automl/RobustDARTS; Fashion-MNIST: of its 60,000 training images; ImageNet:
# the values of torchvision's reference training.
STATISTICS: dict[str, Statistics] = {
    "cifar10": ((0.49139968, 0.48215827, 0.44653124), (0.24703233, 0.24348505, 0.26158768)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    "svhn": ((0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)),
    "fashion-mnist": ((0.2860,), (0.3530,)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
# Of both files: name, SHA-256 of the content, length of the header.
FASHION = {part: (source.images, source.labels) for part, source in PARTS.items()}


def load_images(
    name: str,
    root: str | Path | None = None,
    size: int | tuple[int, int] | None = None,
    *,
    channels: int | None = None,
    stream: bool = False,
    part: str = "train",
) -> Dataset:
    """Loads the training images of a data set, or its test images.

    ================= ============================================== ==================== =======
    name              files below root                               images               test
    ================= ============================================== ==================== =======
    ``packaged``      none, it ships with the package                8,000 of 1×28×28     2,000
    ``cifar10``       ``cifar-10-batches-py/``                       50,000 of 3×32×32    10,000
    ``cifar100``      ``cifar-100-python/``                          50,000 of 3×32×32    10,000
    ``svhn``          ``{train,test}_32x32.mat`` (no extra images)   73,257 of 3×32×32    26,032
    ``fashion-mnist`` ``FashionMNIST/raw/{train,t10k}-*-ubyte``, .gz 60,000 of 1×28×28    10,000
    ``imagenet``      ``imagenet/{train,val}/CLASS/*``               3×size×size, 224     50,000
    ``folder``        ``CLASS/*``; to test ``../test/CLASS/*``       3×size×size, 32
    FILE.npz          ``x``, ``y``, ``x_test``, ``y_test``           as they are
    ================= ============================================== ==================== =======

    Test images are normalised with the statistics of the training images.

    Example:
        >>> from zarts import load_images
        >>> dataset = load_images("packaged")
        >>> dataset.images.shape, dataset.classes
        (torch.Size([8000, 1, 28, 28]), 10)

    Args:
        name: One of ``NAMES``, a file of arrays, or a name that ``register_dataset`` gave.
        root: Folder of the data sets; default: the environment variable ``ZARTS_DATA``.
        size: Side in pixels, or height and width, for ``imagenet`` and ``folder`` only: images are
            scaled until they just cover it and the centre is cut out.
        channels: 3, or 1 for grey; None: 3. For ``imagenet`` and ``folder`` only.
        stream: Leave the images of ``imagenet`` or ``folder`` in their files until they are needed.
        part: ``train`` or ``test``.

    Returns:
        The data set, on the CPU.

    Raises:
        MissingData: If it is not below ``root``, or is no folder of two or more classes, or has no
            test images, or these lack a class.
        MemoryError: If the images of a folder do not fit in this machine's memory.
        DamagedData: If a file is not the published one, or not an image.
        ValueError: If the name is unknown, or what is for folders is asked of another data set.
    """
    if part not in PARTS:
        raise ValueError(f"got part {part!r}, expected one of {', '.join(PARTS)}")
    height, width = (0, 0) if is_own(name) else side_lengths(name, size)
    if name not in SIZES and (size is not None or channels is not None or stream):
        raise ValueError(
            f"got size={size}, channels={channels} and stream={stream} for {name}, which has one "
            f"form; leave out data.size, data.channels and data.storage, which are for "
            f"{' and '.join(SIZES)}"
        )
    if name in SIZES and (min(height, width) < 1 or channels not in (None, 1, 3)):
        raise ValueError(
            f"got size={size} and channels={channels} for {name}, expected sides of 1 or more "
            "pixels, and 1 or 3 channels"
        )
    if is_own(name):
        return own_dataset(name, root, part)
    if name == "packaged":
        return _packaged(part)
    root = root or os.environ.get("ZARTS_DATA")
    if not root:
        raise MissingData(
            f"{name} is read from a folder and none was named; set ZARTS_DATA to the folder of "
            "your data sets or pass root=, or use the data set 'packaged', which needs none"
        )
    root = Path(root).expanduser()
    if name not in SIZES:
        return READERS[name](root, part)
    train = root / "imagenet" / "train" if name == "imagenet" else root
    test = train.resolve().parent / ("val" if name == "imagenet" else "test")
    folder = train if part == "train" else test
    _require(name, [train], CURE)
    if not folder.exists():
        raise MissingData(
            f"{name}: got no {folder}, expected the images to test on there; {CURE}, with the "
            "names of the classes to train on, or retrain with data.test=rest and data.count=N"
        )
    return read_folder(
        name,
        folder,
        (height, width),
        channels=channels or 3,
        stream=stream,
        statistics=STATISTICS.get(name) if channels != 1 else None,
        train=None if part == "train" else train,
    )


def side_lengths(name: str, size: int | tuple[int, int] | None = None) -> tuple[int, int]:
    """Height and width of the images of a data set, known without loading any.

    Args:
        name: As in ``load_images``; of a file of arrays the head is read.
        size: As in ``load_images``; it is for ``imagenet`` and ``folder``.

    Raises:
        MissingData: If it is a file of arrays that is not there.
        DamagedData: If it is no such file.
        ValueError: If the name is unknown.
    """
    if is_own(name):
        return own_sides(name)
    if name not in NAMES:
        known = (*NAMES, *registered())
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        if Path(name).expanduser().is_dir():
            hint = "for a folder of images set ZARTS_DATA to it and data.name to folder; "
        raise ValueError(
            f"unknown data set {name!r}; {hint}choose one of {', '.join(known)}, or FILE.npz, or "
            "give arrays this name with zarts.register_dataset"
        )
    side = FIXED.get(name) or (SIZES[name] if size is None else size)
    return (side, side) if isinstance(side, int) else side


def _packaged(part: str) -> Dataset:
    with (
        resources.files("zarts.data").joinpath(PARTS[part].packaged).open("rb") as file,
        np.load(file, allow_pickle=False) as arrays,
    ):
        images = torch.from_numpy(arrays["images"])
        labels = torch.from_numpy(arrays["labels"].astype(np.int64))
    return from_tensors("packaged", images, labels, 10, STATISTICS["fashion-mnist"])


def _cifar(name: str, root: Path, part: str) -> Dataset:
    """Reads the pickled batches of CIFAR, which torchvision does only after checking their MD5."""
    from torchvision.datasets import CIFAR10, CIFAR100

    source, classes = (CIFAR10, 10) if name == "cifar10" else (CIFAR100, 100)
    folder = root / source.base_folder
    published = dict([*source.train_list, *source.test_list])
    published[source.meta["filename"]] = source.meta["md5"]
    _require(name, [folder / file for file in published], _download(source.__name__, root))
    with warnings.catch_warnings():
        # The published files describe their dtype in a way that numpy 2.4.0 to 2.4.4 deprecate.
        warnings.filterwarnings("ignore", message=r"dtype\(\): align should be passed")
        try:
            data = source(root, train=part == "train")
        except RuntimeError as error:  # torchvision's word for a file with another checksum
            raise DamagedData(_difference(folder, published)) from error
    images = torch.from_numpy(np.ascontiguousarray(data.data.transpose(0, 3, 1, 2)))
    return from_tensors(name, images, torch.tensor(data.targets), classes, STATISTICS[name])


def _svhn(root: Path, part: str) -> Dataset:
    """Reads a split, that of training without the extra images (RobustDARTS).

    Raises:
        ModuleNotFoundError: If scipy, which torchvision needs for .mat files, is not installed.
        DamagedData: If the file is not the published one.
    """
    from torchvision.datasets import SVHN

    _, file, checksum = SVHN.split_list[part]
    _require("svhn", [root / file], _download("SVHN", root))
    try:
        data = SVHN(root, split=part)
    except RuntimeError as error:
        raise DamagedData(_difference(root, {file: checksum})) from error
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "svhn is a .mat file, which torchvision reads with scipy; run `pip install scipy`"
        ) from error
    images = torch.from_numpy(np.ascontiguousarray(data.data))
    return from_tensors("svhn", images, torch.from_numpy(data.labels), 10, STATISTICS["svhn"])


def _fashion_mnist(root: Path, part: str) -> Dataset:
    """Reads the idx files, as published (.gz) or unpacked as torchvision leaves them."""
    folder, cure = root / "FashionMNIST" / "raw", _download("FashionMNIST", root)
    arrays = []
    for packed, sha256, header in FASHION[part]:
        path = folder / packed.removesuffix(".gz")
        if not path.exists() and (folder / packed).exists():
            path = folder / packed
        _require("fashion-mnist", [path], cure)
        content = path.read_bytes()
        try:
            content = gzip.decompress(content) if path.suffix == ".gz" else content
            same = hashlib.sha256(content).hexdigest() == sha256
        except (OSError, EOFError, zlib.error):  # a .gz file that ends early, or is none
            same = False
        if not same:
            raise DamagedData(
                f"{path} has another SHA-256 than the published file; delete it and {cure}"
            )
        # a content that is known to the byte needs no parser
        arrays.append(np.frombuffer(bytearray(content), dtype=np.uint8, offset=header))
    images, labels = map(torch.from_numpy, arrays)
    name = "fashion-mnist"
    return from_tensors(name, images.view(-1, 1, 28, 28), labels.long(), 10, STATISTICS[name])


def _download(source: str, root: Path) -> str:
    """Returns the command that downloads a data set of torchvision into ``root``."""
    call = f"from torchvision.datasets import {source}; {source}({str(root)!r}, download=True)"
    return f'run `python -c "{call}"`'


def _require(name: str, paths: list[Path], cure: str) -> None:
    """Raises MissingData with ``cure`` unless all paths exist."""
    for path in paths:
        if not path.exists():
            raise MissingData(
                f"{name}: got no {path}, expected it there; to get it {cure}, or set ZARTS_DATA to "
                "the folder that has it, or use the data set 'packaged'"
            )


def _difference(folder: Path, published: dict[str, str]) -> str:
    """Says which files of a folder differ from the published ones, whose MD5 are given."""
    from torchvision.datasets.utils import check_integrity

    wrong = [file for file, md5 in published.items() if not check_integrity(folder / file, md5)]
    return (
        f"{folder}: {', '.join(wrong)} has another MD5 than the published file and was not opened; "
        "delete it and download the data set again"
    )


READERS: dict[str, Callable[[Path, str], Dataset]] = {
    "cifar10": partial(_cifar, "cifar10"),
    "cifar100": partial(_cifar, "cifar100"),
    "svhn": _svhn,
    "fashion-mnist": _fashion_mnist,
}
