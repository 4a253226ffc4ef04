"""What a hostile author could put behind a correct seal: one function each, and how it is refused.

Each is a known trick against programs that read HDF5 of others (Keras met most of
them). Run as a program it reads files and says how each was refused, how fast, and in what memory.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import time
import zlib
from pathlib import Path

import h5py
import numpy as np

from zarts.runs.runfile import FORMAT, RunError, read_record

HEADER_BYTES = 512


def sealed(body: bytes, version: int = FORMAT) -> bytes:
    """Any bytes behind the header of a record, as somebody who read our source can make it."""
    text = f"zarts record\nformat {version}\nsha256 {hashlib.sha256(body).hexdigest()}\n"
    return text.encode().ljust(HEADER_BYTES, b"\0") + body


def peak_megabytes() -> int:
    """The most memory that this program had; what its parent had before does not count."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) >> 10


def external_storage(file: h5py.File) -> None:
    Path("secret").write_bytes(b"secret!!")
    file.create_dataset("x", (8,), "u1", external=[(str(Path("secret").resolve()), 0, 8)])


def external_link(file: h5py.File) -> None:
    with h5py.File("other.h5", "w") as other:
        other["x"] = np.zeros(3)
    file["x"] = h5py.ExternalLink("other.h5", "/x")


def soft_link(file: h5py.File) -> None:
    file["x"] = np.zeros(3)
    file["y"] = h5py.SoftLink("/x")


def linked_group(file: h5py.File) -> None:
    with h5py.File("other.h5", "w") as other:
        other["inner/x"] = np.zeros(3)
    file["g"] = h5py.ExternalLink("other.h5", "/inner")


def dangling_link(file: h5py.File) -> None:
    file["x"] = h5py.SoftLink("/nowhere")


def virtual_dataset(file: h5py.File) -> None:
    with h5py.File("other.h5", "w") as other:
        other["x"] = np.zeros(3)
    layout = h5py.VirtualLayout((3,), "f8")
    layout[:] = h5py.VirtualSource("other.h5", "x", (3,))
    file.create_virtual_dataset("x", layout)


def huge_shape(file: h5py.File) -> None:
    file.create_dataset("x", (1 << 40,), "f4")


def never_written(file: h5py.File) -> None:
    file.create_dataset("x", (4,), "f4")


def one_block_many_times(file: h5py.File) -> None:
    file["x"] = np.zeros(1000)
    for name in "abcdef":
        file[name] = file["x"]


def gzip_bomb(file: h5py.File) -> None:
    """A gigabyte in a megabyte: reading one element inflates it all."""
    data = file.create_dataset("x", (1 << 30,), "u1", chunks=(1 << 30,), compression="gzip")
    zeros, size = bytes(1 << 20), 1 << 10
    deflate = zlib.compressobj()
    first = deflate.compress(zeros) + deflate.flush(zlib.Z_FULL_FLUSH)  # two bytes of header
    checksum = 1
    for _ in range(size):
        checksum = zlib.adler32(zeros, checksum)
    packed = first + first[2:] * (size - 1) + b"\3\0" + checksum.to_bytes(4, "big")
    data.id.write_direct_chunk((0,), packed)


def plugin_filter(file: h5py.File) -> None:
    """A filter that HDF5 would load a library for."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((2,))
    properties.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, ())
    h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_INT32, h5py.h5s.create_simple((2,)), properties)


def compact_storage(file: h5py.File) -> None:
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.COMPACT)
    h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_INT32, h5py.h5s.create_simple((2,)), properties)


def object_dtype(file: h5py.File) -> None:
    file["x"] = np.array(["a", "b"], dtype=h5py.string_dtype())


def reference_dtype(file: h5py.File) -> None:
    file.create_dataset("x", data=file.ref, dtype=h5py.ref_dtype)


def region_dtype(file: h5py.File) -> None:
    file["x"] = np.zeros(3)
    file.create_dataset("a", data=file["x"].regionref[0:2], dtype=h5py.regionref_dtype)
    del file["x"]


def opaque_dtype(file: h5py.File) -> None:
    """Where a pickle would hide."""
    file["x"] = np.frombuffer(b"cos\nsystem\n", "V11")


def compound_dtype(file: h5py.File) -> None:
    file["x"] = np.zeros(2, [("a", "f4"), ("b", "f4")])


def enum_dtype(file: h5py.File) -> None:
    file.create_dataset("x", data=np.ones(2, "u1"), dtype=h5py.enum_dtype({"a": 1}, "u1"))


def big_endian(file: h5py.File) -> None:
    file["x"] = np.zeros(2, ">f8")


def empty_dataspace(file: h5py.File) -> None:
    file["x"] = h5py.Empty("f4")


def named_type(file: h5py.File) -> None:
    file["x"] = np.dtype("f4")


def cycle(file: h5py.File) -> None:
    group = file.create_group("g")
    for name in "abc":
        group[name] = group


def way_to_the_root(file: h5py.File) -> None:
    file.create_group("g")["a"] = file["/"]


def fan_out(file: h5py.File) -> None:
    """A million names in a small file."""
    inner = file.create_group("inner")
    for level in range(6):
        outer = file.create_group(f"g{level}")
        for link in range(10):
            outer[f"{link}"] = inner
        inner = outer


def too_many(file: h5py.File) -> None:
    for number in range(10_000):
        file.create_group(f"{number}")


def too_deep(file: h5py.File) -> None:
    file["1/2/3/4/5/6/7/8/9"] = np.zeros(1)


def odd_name(file: h5py.File) -> None:
    file["<script>"] = np.zeros(1)


def attribute_on_array(file: h5py.File) -> None:
    file["x"] = np.zeros(2)
    file["x"].attrs["y"] = 1


def second_attribute(file: h5py.File) -> None:
    file.attrs["more"] = 1


def attribute_of_a_group(file: h5py.File) -> None:
    file.create_group("g").attrs["y"] = 1


def long_text(file: h5py.File) -> None:
    del file.attrs["attributes"]
    file.attrs["attributes"] = np.bytes_(b"{" + b" " * (1 << 20) + b"}")


def many_texts(file: h5py.File) -> None:
    del file.attrs["attributes"]
    file.attrs["attributes"] = np.full(3, b"{}")


def vlen_text(file: h5py.File) -> None:
    del file.attrs["attributes"]
    file.attrs["attributes"] = "{}"


def numbers_for_text(file: h5py.File) -> None:
    del file.attrs["attributes"]
    file.attrs["attributes"] = np.zeros(3)


def list_for_object(file: h5py.File) -> None:
    del file.attrs["attributes"]
    file.attrs["attributes"] = np.bytes_(b"[]")


HOSTILE = {
    external_storage: "external storage",
    external_link: "ExternalLink",
    linked_group: "ExternalLink",
    soft_link: "SoftLink",
    dangling_link: "SoftLink",
    virtual_dataset: "virtual data set",
    huge_shape: "a shape",
    never_written: "a shape",
    one_block_many_times: "second name",
    gzip_bomb: "compressed",
    plugin_filter: "compressed",
    compact_storage: "compact",
    object_dtype: "dtype",
    reference_dtype: "dtype",
    region_dtype: "dtype",
    opaque_dtype: "dtype",
    compound_dtype: "dtype",
    enum_dtype: "dtype",
    big_endian: "dtype",
    empty_dataspace: "a shape",
    named_type: "neither a group nor a data set",
    cycle: "second name",
    way_to_the_root: "second name",
    fan_out: "second name",
    too_many: "more than",
    too_deep: "too deep",
    odd_name: "odd",
    attribute_on_array: "attributes of its own",
    attribute_of_a_group: "attributes of its own",
    second_attribute: "one attribute",
    long_text: "one text",
    many_texts: "one text",
    vlen_text: "one text",
    numbers_for_text: "one text",
    list_for_object: "JSON object",
}


def build(folder: Path) -> list[Path]:
    """Writes the whole corpus into a folder, which has to be the current one."""
    files = []
    for put in HOSTILE:
        body = folder / "body"
        with h5py.File(body, "w", libver=("v110", "v110")) as file:
            file.attrs["attributes"] = np.bytes_(b"{}")
            put(file)
        files.append(folder / f"{put.__name__}.h5")
        files[-1].write_bytes(sealed(body.read_bytes()))
    return files


def main() -> None:
    """Arguments: the files to read."""
    told = {}
    for path in map(Path, sys.argv[1:]):
        start = time.monotonic()
        try:
            read_record(path)
        except RunError as error:
            seconds = time.monotonic() - start
            told[path.stem] = [type(error).__name__, str(error), seconds]
    print(json.dumps({"refused": told, "megabytes": peak_megabytes()}))


if __name__ == "__main__":
    main()
