"""One record: an HDF5 file that is written whole, sealed by a checksum and read whole.

HDF5 updated in place does not survive a power cut, and libhdf5 is not a safe parser of damaged
bytes. So the file is built in memory and put in place by one rename, and a reader checks the seal
before libhdf5 sees a byte.

A file is 512 bytes of header (magic, format, SHA-256 of all that follows; HDF5 calls this a user
block, so other tools open the file as usual) and then plain HDF5: arrays as contiguous, unfiltered
data sets, attributes as one JSON text. Nothing is compressed: raw weights and losses hardly shrink,
and a decompressor is where bombs live.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt

from zarts.runs.runfile.disk import CorruptFile, ForeignFile, RunError, commit, load, one_line

__all__ = [
    "FORMAT",
    "JSON",
    "Array",
    "Record",
    "canonical",
    "hash_arrays",
    "most_bytes",
    "read_record",
    "seal",
    "write_record",
]

JSON: TypeAlias = "str | int | float | bool | Sequence[JSON] | Mapping[str, JSON] | None"
Array: TypeAlias = npt.NDArray[Any]

FORMAT = 1
MAX_BYTES = 1 << 29  # of one file; the arrays inside cannot be larger, as nothing is compressed
MAX_TEXT = 1 << 20  # bytes of the JSON text of the attributes
MAX_OBJECTS = 10_000  # groups and arrays of one file; the paper's checkpoint has a thousand
MAX_DEPTH = 8  # components of an array's name
MAX_NESTED = 9  # objects and lists of the attributes in each other: of settings in run.h5, 8
DTYPES = ("<f4", "<f8", "<i4", "<i8", "|u1", "<u4")

# Surfaces of 2001 x 2001 points take 68 MB, paths of 10,000 steps 0.4.
_MOST_BYTES = {"run": 4 << 20, "grid": 72 << 20, "paths": 2 << 20}
_MAGIC = b"zarts record\n"
_HEADER_BYTES = 512  # the smallest user block HDF5 looks behind
_HEADER = re.compile(rb"format (\d{1,9})\nsha256 [0-9a-f]{64}\n\0*")
_ARRAY_NAME = re.compile(rf"[A-Za-z0-9._-]{{1,120}}(/[A-Za-z0-9._-]{{1,120}}){{0,{MAX_DEPTH - 1}}}")
# All that h5py was seen to raise on mutated files.
_H5PY_ERRORS = (
    OSError, LookupError, RuntimeError, ValueError, TypeError, MemoryError, ArithmeticError,
    AttributeError, SystemError,
)  # fmt: skip


@dataclass(frozen=True)
class Record:
    """Named arrays and JSON attributes.

    Attributes:
        arrays: By name; a name may have components, ``"weights/stem"``.
        attributes: Labels and provenance, of JSON types.
    """

    arrays: dict[str, Array]
    attributes: dict[str, JSON]

    def whole(self, name: str) -> int:
        """An attribute that is a whole number.

        Raises:
            ValueError: If it is missing or something else.
        """
        value = self.attributes.get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"{name} is {value!r:.40}, expected a whole number")
        return value


def most_bytes(name: str) -> int:
    """The largest file of a record, by its name: what is drawn has a size that can be drawn."""
    return _MOST_BYTES.get(name.partition("/")[0], MAX_BYTES)


def seal(path: Path) -> str:
    """What tells one content of a record from another: its size and the checksum at its head.

    Raises:
        RunError: If the file is gone or cannot be read.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
        try:
            head = hashlib.sha256(os.read(descriptor, _HEADER_BYTES)).hexdigest()
            return f"{head} {os.fstat(descriptor).st_size}"
        finally:
            os.close(descriptor)
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({one_line(error)})") from None


def write_record(
    path: Path, arrays: Mapping[str, npt.ArrayLike], attributes: Mapping[str, JSON] | None = None
) -> None:
    """Puts a record in place: durable and verified afterwards, or the old file is untouched.

    Equal content gives equal bytes.

    Args:
        path: The file; its folder exists.
        arrays: Arrays of a type in ``DTYPES``, of any shape; booleans are stored as ``u1``.
        attributes: A JSON object of at most ``MAX_TEXT`` bytes.

    Raises:
        ValueError: If a name or a type of the content is not one that can be stored.
        RunError: If the file cannot be written, or does not read back as the same content.
    """
    record = Record(
        {name: _plain(name, arrays[name]) for name in sorted(arrays)},
        json.loads(canonical(dict(attributes or {}))),
    )
    try:
        data = _encode(record)
    except _H5PY_ERRORS as error:
        raise RunError(f"{path}: HDF5 cannot hold these arrays ({one_line(error)})") from error
    if len(data) > MAX_BYTES:
        raise RunError(f"{path}: would be {len(data)} bytes, at most {MAX_BYTES} fit; split it")
    stored = _decode(path, data)
    if _digest(stored) != _digest(record):
        raise RunError(f"{path}: HDF5 changed the content while storing it; nothing was written")
    commit(path, data)


def read_record(path: Path, limit: int = MAX_BYTES) -> Record:
    """Reads a record, trusting nothing about the file.

    Args:
        path: The file.
        limit: Largest size accepted, bytes.

    Returns:
        The record, exactly as it was written.

    Raises:
        CorruptFile: If the checksum does not match, or HDF5 cannot make sense of the content.
        ForeignFile: If the file is not one that ``write_record`` of this format can have made.
        RunError: If the file is missing or cannot be opened.
    """
    return _decode(path, load(path, limit))


def canonical(value: JSON) -> str:
    """The one JSON text of a value: sorted keys, no spaces.

    Raises:
        ValueError: If the value is not JSON, holds text that is not Unicode, is too long or nested
            too deep.
    """
    if _nested(value, MAX_NESTED):
        raise ValueError(f"attributes are nested deeper than {MAX_NESTED}")
    try:
        text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"attributes must be JSON with text keys: {one_line(error)}") from error
    if size > MAX_TEXT:
        raise ValueError(f"attributes take {size} bytes, at most {MAX_TEXT} fit; store an array")
    return text


def _nested(value: object, levels: int) -> bool:
    """Whether there are more than so many objects and lists in each other."""
    if isinstance(value, str | int | float) or not isinstance(value, Mapping | list | tuple):
        return False  # what most values are is asked first: a thousand runs are listed at once
    inner = value.values() if isinstance(value, Mapping) else value
    return levels == 0 or any(_nested(each, levels - 1) for each in inner)


def hash_arrays(digest: hashlib._Hash, arrays: Mapping[str, Array]) -> None:
    """Feeds names, types, shapes and values, in the order of the names, to a hash."""
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(array.tobytes())


def _digest(record: Record) -> bytes:
    digest = hashlib.sha256(canonical(record.attributes).encode())
    hash_arrays(digest, record.arrays)
    return digest.digest()


def _plain(name: str, values: npt.ArrayLike) -> Array:
    if not _ARRAY_NAME.fullmatch(name) or {".", ".."} & set(name.split("/")):
        raise ValueError(
            f"array name {name!r} must be at most {MAX_DEPTH} parts joined by '/', "
            "each of letters, digits, '.', '_' and '-'"
        )
    array = np.asarray(values, order="C")
    if array.dtype == np.bool_:
        array = array.astype(np.uint8)
    if array.dtype.str not in DTYPES:
        raise ValueError(
            f"array {name!r} has dtype {array.dtype}; convert it to bool or {', '.join(DTYPES)}"
        )
    return array


def _header(body: bytes | memoryview) -> bytes:
    seal = hashlib.sha256(body).hexdigest()
    return (_MAGIC + f"format {FORMAT}\nsha256 {seal}\n".encode()).ljust(_HEADER_BYTES, b"\0")


def _encode(record: Record) -> bytes:
    # v110 puts checksums on HDF5's own metadata; "latest" would shut out older readers.
    version = ("v110", "v110")
    with h5py.File("record", "w", driver="core", backing_store=False, libver=version) as file:
        plain = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plain.set_obj_track_times(False)
        groups = {"": file["/"]}
        # what h5py's create_dataset comes to, which asks for each array what is asked here once
        for name, array in record.arrays.items():
            parent, _, last = name.rpartition("/")
            if parent not in groups:
                groups[parent] = file.require_group(parent)
            kind = h5py.h5t.py_create(array.dtype, logical=True)
            shape = h5py.h5s.create_simple(array.shape)
            block = h5py.h5d.create(groups[parent].id, last.encode(), kind, shape, dcpl=plain)
            block.write(h5py.h5s.ALL, h5py.h5s.ALL, array)
        text = canonical(record.attributes).encode()
        file.attrs.create("attributes", np.array(text, dtype=h5py.string_dtype("utf-8", len(text))))
        file.flush()
        body = bytes(file.id.get_file_image())
    return _header(body) + body


def _check_seal(path: Path, data: bytes) -> None:
    if not data.startswith(_MAGIC):
        raise ForeignFile(f"{path}: is not a file of this project, or its first bytes are damaged")
    header = _HEADER.fullmatch(data[len(_MAGIC) : _HEADER_BYTES])
    if header and int(header[1]) > FORMAT:
        raise ForeignFile(
            f"{path}: has format {int(header[1])}, this version reads up to {FORMAT}; upgrade zarts"
        )
    if data[:_HEADER_BYTES] != _header(memoryview(data)[_HEADER_BYTES:]):
        raise CorruptFile(
            f"{path}: is damaged or truncated, its checksum does not match; restore or delete it"
        )


def _decode(path: Path, data: bytes) -> Record:
    _check_seal(path, data)
    try:
        with h5py.File(h5py.h5f.open_file_image(data)) as file:
            room = len(data)
            arrays: dict[str, Array] = {}
            for name, dataset in _datasets(path, file):
                array = _empty(path, name, dataset, room)
                room -= array.nbytes
                if array.size:
                    dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, array)
                arrays[name] = array
            return Record(dict(sorted(arrays.items())), _attributes(path, file))
    except _H5PY_ERRORS as error:
        raise CorruptFile(f"{path}: HDF5 cannot read it ({one_line(error)})") from error


def _datasets(path: Path, file: h5py.File) -> Iterator[tuple[str, h5py.h5d.DatasetID]]:
    """Yields every data set; a link is looked at before it is followed, and must be the only one.

    By HDF5's own calls: h5py's objects for each array take twice the time of all else.

    Raises:
        ForeignFile: If a name, a link or an object is not one that we write.
    """
    groups, addresses = [("", file["/"].id)], {h5py.h5o.get_info(file.id).addr}
    while groups:
        prefix, group = groups.pop()
        if len(addresses) + len(group) > MAX_OBJECTS:
            raise ForeignFile(f"{path}: has more than {MAX_OBJECTS} groups and arrays")
        for key in group:
            name = prefix + key.decode(errors="replace")
            if not _ARRAY_NAME.fullmatch(name):
                raise ForeignFile(f"{path}: has an odd or too deep name ({name!r:.80})")
            link = group.links.get_info(key)
            if link.type != h5py.h5l.TYPE_HARD:
                kind = "SoftLink" if link.type == h5py.h5l.TYPE_SOFT else "ExternalLink"
                raise ForeignFile(f"{path}: {name} is a {kind}; links are not followed")
            if link.u in addresses:
                raise ForeignFile(f"{path}: {name} is a second name of another object")
            addresses.add(link.u)
            item = h5py.h5o.open(group, key)
            if h5py.h5a.get_num_attrs(item):
                raise ForeignFile(f"{path}: {name} has attributes of its own")
            if isinstance(item, h5py.h5g.GroupID):
                groups.append((name + "/", item))
            elif isinstance(item, h5py.h5d.DatasetID):
                yield name, item
            else:
                raise ForeignFile(f"{path}: {name} is neither a group nor a data set")


def _empty(path: Path, name: str, dataset: h5py.h5d.DatasetID, room: int) -> Array:
    """Room for a data set; all but a plain block inside this file is refused before it is read."""
    properties = dataset.get_create_plist()
    layout, shape, dtype = properties.get_layout(), dataset.shape, dataset.dtype
    size = math.prod(shape or ()) * dtype.itemsize
    cause = ""
    if properties.get_external_count():
        cause = "external storage"
    elif layout == h5py.h5d.VIRTUAL:
        cause = "a virtual data set"
    elif layout != h5py.h5d.CONTIGUOUS:  # only a chunked layout can have filters
        cause = "chunked, compressed or compact storage"
    elif dtype.str not in DTYPES or dtype.metadata:
        cause = f"dtype {dtype!s:.40}"
    elif shape is None or dataset.get_storage_size() != size or size > room:
        cause = f"a shape ({shape}) that its stored bytes do not fill"
    if cause:
        raise ForeignFile(f"{path}: {name} has {cause}, which this project never writes")
    return np.empty(shape, dtype)


def _attributes(path: Path, file: h5py.File) -> dict[str, JSON]:
    if list(file.attrs) != ["attributes"]:
        raise ForeignFile(f"{path}: must have the one attribute 'attributes'")
    text = file.attrs.get_id("attributes")
    if text.dtype.kind != "S" or text.shape != () or text.dtype.itemsize > MAX_TEXT:
        raise ForeignFile(f"{path}: 'attributes' must be one text of at most {MAX_TEXT} bytes")
    value = json.loads(bytes(file.attrs["attributes"]).decode())
    if not isinstance(value, dict):
        raise ForeignFile(f"{path}: 'attributes' must be a JSON object")
    if _nested(value, MAX_NESTED):
        raise ForeignFile(f"{path}: 'attributes' are nested deeper than {MAX_NESTED}")
    canonical(value)  # JSON escapes can spell text that is not Unicode; refuse it here
    return value
