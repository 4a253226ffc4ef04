"""Images of one's own as arrays: in a file FILE.npz, or given a name by ``register_dataset``.

Workers on other machines have neither, so they are sent the arrays.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from zarts.data.dataset import DamagedData, Dataset, MissingData, from_tensors

__all__ = [
    "Sent",
    "is_own",
    "own_dataset",
    "own_sides",
    "receive",
    "register_dataset",
    "registered",
    "sent",
    "version",
]

SUFFIX = ".npz"
MOST_CHANNELS = 4
BROKEN = (zipfile.BadZipFile, zlib.error)
Sent = Mapping[str, tuple[NDArray[Any], ...]]  # x and y by name, and those to test on if any

_registered: dict[str, dict[str, Dataset]] = {}  # by name, then by part


def register_dataset(
    name: str,
    x: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    *,
    x_test: ArrayLike | Tensor | None = None,
    y_test: ArrayLike | Tensor | None = None,
) -> None:
    """Gives images of one's own a name for ``data.name``, in this process and in its workers.

    A run keeps the name and a fingerprint of the arrays: to go on with it in another process,
    register them again. Arrays that are changed afterwards change nothing here.

    Example:
        >>> x = np.random.default_rng(0).integers(0, 256, (40, 2, 8, 8), dtype=np.uint8)
        >>> register_dataset("mine", x, np.arange(40) % 4)
        >>> from zarts import Config
        >>> config = Config.from_table({"data": {"name": "mine", "split": "stratified"}})

    Args:
        name: Any name that no data set of ``zarts.data.loaders`` has; an earlier one is replaced.
        x: Images (n, c, h, w), c from 1 to 4, or (n, h, w), uint8.
        y: Their classes (n,), whole numbers from 0; each class has an image. Where they are sorted,
            set ``data.split`` to ``stratified``, or D_train and D_val have different classes.
        x_test: Images to test retrained networks on, like ``x``.
        y_test: Their classes, some of those in ``y``.

    Raises:
        ValueError: If the name or the arrays cannot be used.
    """
    from zarts.data.loaders import NAMES

    if name in NAMES or name.endswith(SUFFIX) or not name.strip():
        raise ValueError(
            f"got the name {name!r}, expected one that is none of {', '.join(NAMES)} and does not "
            f"end with {SUFFIX}"
        )
    if (x_test is None) != (y_test is None):
        raise ValueError(f"{name}: got one of x_test and y_test, expected both or none")
    test = [] if x_test is None or y_test is None else [np.array(_array(x_test)), _array(y_test)]
    _registered[name] = _parts(name, np.array(_array(x)), _array(y), *test)


def registered() -> list[str]:
    """The names that were registered in this process."""
    return [name for name in _registered if not name.endswith(SUFFIX)]


def is_own(name: str) -> bool:
    """Whether a name is that of arrays: of a file of them, or registered."""
    return name.endswith(SUFFIX) or name in _registered


def version(name: str) -> Hashable:
    """What differs between arrays that had the same name at different times."""
    path = _file(name)
    if path is not None:
        return path.stat().st_mtime_ns, path.stat().st_size
    return tuple(each.fingerprint for each in _registered.get(name, {}).values())


def own_dataset(name: str, root: str | Path | None = None, part: str = "train") -> Dataset:
    """The arrays of a name.

    Args:
        name: Registered, or a file as seen from the current folder or, if it is not there, from
            ``root``.
        root: Folder of the data sets; default: the environment variable ``ZARTS_DATA``.
        part: ``train``, or ``test``: normalised with the statistics of the former.

    Raises:
        MissingData: If the file is not there, or has no images to test on.
        DamagedData: If it is no such file, or its arrays cannot be used.
    """
    found = _own(name, root)
    if part not in found:
        written = name if name.endswith(SUFFIX) else f"what {name!r} was registered with"
        raise MissingData(
            f"got no x_test and y_test in {written}, expected images to test on and their classes; "
            "give both to numpy.savez or register_dataset, beside x and y"
        )
    return found[part]


def _own(name: str, root: str | Path | None = None) -> dict[str, Dataset]:
    """The parts of a name that are there."""
    if name in _registered and _file(name, root) is None:
        return _registered[name]
    path = _found(name, root)
    try:
        with zipfile.ZipFile(path):  # else numpy takes it for a single array, or for a pickle
            pass
        with np.load(path, allow_pickle=False) as arrays:
            there = arrays.files
            test = [key for key in ("x_test", "y_test") if key in there]
            x, y, *more = (
                arrays[key] if key in there else np.empty(0)
                for key in ("x", "y", *(test if len(test) == 2 else ()))
            )
    except (OSError, EOFError, ValueError, NotImplementedError, *BROKEN) as error:
        raise DamagedData(
            f"{path} is no file of plain arrays ({error}); write it with numpy.savez"
        ) from error
    if not {"x", "y"} <= set(there):
        raise DamagedData(f"{path}: got the arrays {', '.join(there)}, expected x and y")
    try:
        return _parts(path.name, x, y, *more)
    except ValueError as error:
        raise DamagedData(f"{path}: {str(error).removeprefix(f'{path.name}: ')}") from error


def own_sides(name: str) -> tuple[int, int]:
    """Height and width of the images of a name; of a file its head alone is read.

    Raises:
        MissingData: If the file is not there.
        DamagedData: If it is no file of such arrays.
    """
    if name in _registered and _file(name) is None:
        height, width = _registered[name]["train"].images.shape[2:]
        return height, width
    path = _found(name)
    try:
        with zipfile.ZipFile(path) as archive, archive.open("x.npy") as file:
            head = np.lib.format
            read = {(1, 0): head.read_array_header_1_0, (2, 0): head.read_array_header_2_0}
            shape, _, _ = read[head.read_magic(file)](file)
        _, _, *_ = shape
        return shape[-2], shape[-1]
    except (OSError, EOFError, ValueError, LookupError, NotImplementedError, *BROKEN) as error:
        raise DamagedData(f"{path} is no file of arrays x and y ({error})") from error


def sent(names: Iterable[str]) -> Sent:
    """The arrays among some data sets, for processes that may not have them."""
    own = {name for name in names if name in _registered or _file(name) is not None}
    return {
        name: tuple(
            array.numpy() for part in _own(name).values() for array in (part.images, part.labels)
        )
        for name in sorted(own)
    }


def receive(arrays: Sent) -> None:
    """Takes arrays that another process sent, but for those that are here anyway."""
    for name, parts in arrays.items():
        if name not in _registered and _file(name) is None:
            _registered[name] = _parts(Path(name).name, *map(np.array, parts))


def _file(name: str, root: str | Path | None = None) -> Path | None:
    if not name.endswith(SUFFIX):
        return None
    root = root or os.environ.get("ZARTS_DATA")
    path = Path(name).expanduser()
    places = [path, *([Path(root).expanduser() / path] if root else [])]
    return next((place for place in places if place.is_file()), None)


def _found(name: str, root: str | Path | None = None) -> Path:
    """The file of a name; raises MissingData if it is not there."""
    path = _file(name, root)
    if path is None:
        raise MissingData(
            f"got no file {name}, expected one with arrays x and y in the current folder or in "
            "that of ZARTS_DATA; write it with numpy.savez(FILE, x=images, y=labels)"
        )
    return path


def _array(values: ArrayLike | Tensor) -> NDArray[Any]:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _parts(name: str, x: NDArray[Any], y: NDArray[Any], *test: NDArray[Any]) -> dict[str, Dataset]:
    """Images and classes as data sets, whose fingerprints are those of their content alone."""
    tensors = _tensors(name, x, y)
    found = np.unique(y)
    if len(found) < 2 or found[0] != 0 or found[-1] != len(found) - 1:
        some = ", ".join(map(str, found[:10])) + (", ..." if len(found) > 10 else "")
        raise ValueError(
            f"{name}: got the classes {some} in y, expected 0, 1, ... without a gap, two or more; "
            "number them with numpy.unique(y, return_inverse=True)[1]"
        )
    try:
        train = replace(from_tensors("arrays", *tensors, len(found)), name=name)
        if not test:
            return {"train": train}
        x_test, y_test = test
        tensors = _tensors(name, x_test, y_test, tail="_test")
        shapes = [tuple(images.shape[1:]) for images in (tensors[0], train.images)]
        if shapes[0] != shapes[1]:
            raise ValueError(f"got images of {shapes[0]} in x_test, expected {shapes[1]} as in x")
        like = (train.mean, train.std)
        tested = from_tensors("arrays", *tensors, len(found), like)
    except ValueError as error:  # a channel without any contrast, say
        raise ValueError(f"{name}: {str(error).removeprefix('arrays: ')}") from None
    return {"train": train, "test": replace(tested, name=name)}


def _tensors(
    name: str, x: NDArray[Any], y: NDArray[Any], *, tail: str = ""
) -> tuple[Tensor, Tensor]:
    if x.dtype != np.uint8:
        raise ValueError(
            f"{name}: got x{tail} of {x.dtype}, expected uint8: brightness from 0 to 255; of "
            "numbers from 0 to 1 it is (255 * x).round().astype('uint8'), of whole numbers that "
            "are from 0 to 255 x.astype('uint8'), of 16 bits (x // 257).astype('uint8')"
        )
    images = x[:, None] if x.ndim == 3 else x
    if images.ndim != 4 or not 1 <= images.shape[1] <= MOST_CHANNELS or not images.size:
        last = x.ndim == 4 and 1 <= x.shape[3] <= MOST_CHANNELS
        cure = "; put the channels first with x.transpose(0, 3, 1, 2)" if last else ""
        raise ValueError(
            f"{name}: got x{tail} of shape {x.shape}, expected (n, c, h, w) with 1 to "
            f"{MOST_CHANNELS} channels c, or (n, h, w){cure}"
        )
    if y.shape != (len(x),) or y.dtype.kind not in "iu":
        cure = "" if y.shape != (len(x),) else "; numpy.unique(y, return_inverse=True)[1] has them"
        raise ValueError(
            f"{name}: got y{tail} of shape {y.shape} and {y.dtype}, expected ({len(x)},) of whole "
            f"numbers, the class of each image of x{tail}{cure}"
        )
    return torch.from_numpy(np.ascontiguousarray(images)), torch.from_numpy(y.astype(np.int64))
