"""Files with a correct seal that still are not records: refused by name before they are read."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from zarts.runfile import FORMAT, CorruptFile, ForeignFile, read_record, record


def seal(path: Path, body: bytes, version: int = FORMAT) -> Path:
    """Gives any bytes the header of a record, as somebody who read our source can."""
    text = f"zarts record\nformat {version}\nsha256 {hashlib.sha256(body).hexdigest()}\n"
    path.write_bytes(text.encode().ljust(512, b"\0") + body)
    return path


def test_a_newer_format_is_named(tmp_path):
    path = seal(tmp_path / "a.h5", b"anything at all", FORMAT + 1)
    with pytest.raises(
        ForeignFile, match=f"has format {FORMAT + 1}, this version reads up to {FORMAT}; upgrade"
    ):
        read_record(path)


def test_sealed_rubbish_is_one_clear_error(tmp_path):
    with pytest.raises(CorruptFile, match="HDF5 cannot read it"):
        read_record(seal(tmp_path / "a.h5", b"rubbish" * 300))


def test_groups_that_fan_out_are_cut_short(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "MAX_OBJECTS", 200)
    with h5py.File(tmp_path / "body", "w", libver=("v110", "v110")) as file:
        file.attrs["attributes"] = np.bytes_(b"{}")
        inner = file.create_group("inner")
        for level in range(4):
            outer = file.create_group(f"g{level}")
            for link in range(10):
                outer[f"{link}"] = inner
            inner = outer
    with pytest.raises(ForeignFile, match="too many names"):
        read_record(seal(tmp_path / "a.h5", (tmp_path / "body").read_bytes()))


# Each function writes what a hostile author could put behind a correct seal.


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
    file.create_dataset("x", data=np.zeros((1 << 24), "u1"), chunks=(1 << 24,), compression="gzip")


def compact_storage(file: h5py.File) -> None:
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.COMPACT)
    h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_INT32, h5py.h5s.create_simple((2,)), properties)


def object_dtype(file: h5py.File) -> None:
    file["x"] = np.array(["a", "b"], dtype=h5py.string_dtype())


def reference_dtype(file: h5py.File) -> None:
    file.create_dataset("x", data=file.ref, dtype=h5py.ref_dtype)


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


def odd_name(file: h5py.File) -> None:
    file["<script>"] = np.zeros(1)


def attribute_on_array(file: h5py.File) -> None:
    file["x"] = np.zeros(2)
    file["x"].attrs["y"] = 1


def second_attribute(file: h5py.File) -> None:
    file.attrs["more"] = 1


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
    soft_link: "SoftLink",
    virtual_dataset: "virtual data set",
    huge_shape: "shape",
    never_written: "shape",
    one_block_many_times: "shape",
    gzip_bomb: "compressed",
    compact_storage: "compact",
    object_dtype: "dtype",
    reference_dtype: "dtype",
    compound_dtype: "dtype",
    enum_dtype: "dtype",
    big_endian: "dtype",
    empty_dataspace: "shape",
    named_type: "neither a group nor a data set",
    cycle: "too deep",
    odd_name: "odd",
    attribute_on_array: "attributes of its own",
    second_attribute: "one attribute",
    vlen_text: "one text",
    numbers_for_text: "one text",
    list_for_object: "JSON object",
}


@pytest.mark.parametrize(
    ("build", "cause"), HOSTILE.items(), ids=lambda x: getattr(x, "__name__", None)
)
def test_hostile_constructs_are_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, build: Callable[[h5py.File], None], cause: str
):
    monkeypatch.chdir(tmp_path)
    with h5py.File("body", "w", libver=("v110", "v110")) as file:
        file.attrs["attributes"] = np.bytes_(b"{}")
        build(file)
    with pytest.raises(ForeignFile, match=rf"hostile\.h5: .*{cause}"):
        read_record(seal(tmp_path / "hostile.h5", Path("body").read_bytes()))


@pytest.mark.parametrize(
    "text", [b"{", b"\xff", b'{"a": "\\ud800"}', b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}"]
)
def test_bad_json_behind_a_seal_is_one_clear_error(tmp_path, text):
    with h5py.File(tmp_path / "body", "w", libver=("v110", "v110")) as file:
        file.attrs["attributes"] = np.bytes_(text)
    with pytest.raises(CorruptFile):
        read_record(seal(tmp_path / "a.h5", (tmp_path / "body").read_bytes()))
