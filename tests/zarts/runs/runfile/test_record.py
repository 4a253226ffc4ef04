"""Records: what goes in comes out, and nothing else is ever taken for a record."""

import json
import os
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from zarts.runs.runfile import (
    CorruptFile,
    ForeignFile,
    Record,
    RunError,
    read_record,
    record,
    write_record,
)

DTYPES = ["f4", "f8", "i4", "i8", "u1", "u4"]
SHAPES = [(), (0,), (0, 4), (3,), (3, 5), (2, 1, 3)]


def same(left: Record, right: Record) -> bool:
    """Equal to the last bit: -0.0 is not 0.0, and a NaN equals itself."""

    def comparable(record: Record) -> object:
        arrays = {k: (a.dtype, a.shape, a.tobytes()) for k, a in record.arrays.items()}
        return json.dumps(record.attributes, sort_keys=True), arrays

    return comparable(left) == comparable(right)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_round_trip(tmp_path, dtype, shape):
    values = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    write_record(tmp_path / "a.h5", {"x": values}, {})
    read = read_record(tmp_path / "a.h5").arrays["x"]
    assert (read.dtype, read.shape) == (values.dtype, shape)
    assert read.tobytes() == values.tobytes()


def test_round_trip_of_special_values(tmp_path):
    special = np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324])
    table = np.arange(15.0).reshape(3, 5)
    arrays = {"special": special, "deep/er/name.1": table.T, "mask": np.array([True, False])}
    attributes = {"α": ["é", None, True, 0.1, 10**20], "loss": float("nan"), "nested": {"b": {}}}
    write_record(tmp_path / "a.h5", arrays, attributes)
    stored = read_record(tmp_path / "a.h5")
    expected = {**arrays, "deep/er/name.1": table.T.copy(), "mask": np.array([1, 0], "u1")}
    assert same(stored, Record(expected, attributes))
    assert list(stored.arrays) == ["deep/er/name.1", "mask", "special"]


def test_equal_content_gives_equal_bytes(tmp_path):
    a, b = np.arange(6).reshape(2, 3), np.linspace(0, 1, 5000)
    write_record(tmp_path / "a.h5", {"g/a": a, "b": b}, {"x": 1, "y": [2]})
    time.sleep(1.01)  # HDF5 would store times in whole seconds
    write_record(tmp_path / "b.h5", {"b": b, "g/a": a}, {"y": (2,), "x": 1})
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_other_tools_can_open_a_record(tmp_path):
    write_record(tmp_path / "a.h5", {"grid/loss": np.arange(6.0).reshape(2, 3)}, {"steps": 10})
    with h5py.File(tmp_path / "a.h5", "r") as file:
        assert file["grid/loss"][1, 2] == 5
        assert json.loads(file.attrs["attributes"]) == {"steps": 10}


@pytest.mark.parametrize(
    "name", ["", "/a", "a/", "a//b", "../a", "a b", "a\0", "é", "/".join("abcdefghi")]
)
def test_bad_array_names_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match="array name"):
        write_record(tmp_path / "a.h5", {name: np.zeros(1)}, {})


@pytest.mark.parametrize(
    "values", [np.zeros(1, "f2"), np.zeros(1, "c8"), "text", [None], np.zeros(1, ">f8")]
)
def test_bad_dtypes_are_refused(tmp_path, values):
    with pytest.raises(ValueError, match="convert it to bool or <f4"):
        write_record(tmp_path / "a.h5", {"x": values}, {})


@pytest.mark.parametrize("value", [{1, 2}, "\ud800", "x" * (1 << 20), np.float32(1), {(1,): 2}])
def test_bad_attributes_are_refused(tmp_path, value):
    with pytest.raises(ValueError, match="attributes"):
        write_record(tmp_path / "a.h5", {}, {"x": value})


def test_an_array_cannot_be_a_folder_too(tmp_path):
    with pytest.raises(RunError, match=r"a\.h5: HDF5 cannot hold"):
        write_record(tmp_path / "a.h5", {"x": np.zeros(1), "x/y": np.zeros(1)}, {})
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small(tmp_path: Path) -> Path:
    arrays = {"loss": np.linspace(0, 1, 12).reshape(3, 4), "g/status": np.ones(3, "u1")}
    write_record(tmp_path / "small.h5", arrays, {"steps": 10})
    return tmp_path / "small.h5"


def test_truncation_at_every_offset_is_noticed(small):
    length = small.stat().st_size
    with small.open("ab") as file:
        file.write(b"\0")
    for size in range(length + 1, -1, -1):
        os.truncate(small, size)
        if size != length:
            with pytest.raises(RunError, match=r"small\.h5"):
                read_record(small)


def test_a_flip_in_any_byte_is_noticed(small):
    data = small.read_bytes()
    bits = np.random.default_rng(0).integers(8, size=len(data))
    with small.open("r+b", buffering=0) as file:
        for offset, bit in enumerate(bits):
            os.pwrite(file.fileno(), bytes([data[offset] ^ 1 << bit]), offset)
            with pytest.raises((CorruptFile, ForeignFile)):
                read_record(small)
            os.pwrite(file.fileno(), data[offset : offset + 1], offset)
    assert read_record(small).attributes == {"steps": 10}


def test_many_random_changes_are_noticed(small):
    data, expected = small.read_bytes(), read_record(small)
    rng = np.random.default_rng(1)
    for _ in range(500):
        start, length = int(rng.integers(len(data))), int(rng.integers(1, 600))
        patch = rng.bytes(length) if rng.random() < 0.5 else bytes(length)
        changed = data[:start] + patch[: len(data) - start] + data[start + length :]
        with small.open("r+b") as file:
            file.write(changed)
        if changed == data:
            assert same(read_record(small), expected)
        else:
            with pytest.raises((CorruptFile, ForeignFile)):
                read_record(small)


def test_missing_file(tmp_path):
    with pytest.raises(RunError, match=r"none\.h5: cannot be opened"):
        read_record(tmp_path / "none.h5")


def test_what_is_not_a_regular_file_is_refused_at_once(tmp_path, small):
    (tmp_path / "link").symlink_to(small)
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "link", tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(ForeignFile, match=r"symbolic link|regular file"):
            read_record(path)


def test_a_huge_file_is_refused_unread(tmp_path):
    with (tmp_path / "huge.h5").open("wb") as file:
        file.truncate(1 << 40)  # sparse: takes no space
    with pytest.raises(ForeignFile, match="the limit is"):
        read_record(tmp_path / "huge.h5")


def test_foreign_content_is_refused(tmp_path):
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["loss"] = np.zeros(3)
    (tmp_path / "empty.h5").touch()
    (tmp_path / "text.h5").write_text("step,loss\n1,0.5\n" * 100)
    for name in ("foreign", "empty", "text"):
        with pytest.raises(ForeignFile, match=rf"{name}\.h5: is not a file of this project"):
            read_record(tmp_path / f"{name}.h5")


def test_what_hdf5_stored_is_compared_before_it_is_committed(tmp_path, monkeypatch):
    encode = record._encode

    def rot(content: Record) -> bytes:
        return encode(Record({"x": content.arrays["x"] + 1}, content.attributes))

    monkeypatch.setattr(record, "_encode", rot)
    with pytest.raises(RunError, match="HDF5 changed the content"):
        write_record(tmp_path / "a.h5", {"x": np.zeros(3)}, {})
    assert list(tmp_path.iterdir()) == []


def test_a_whole_number_is_one() -> None:
    assert Record({}, {"epoch": 3}).whole("epoch") == 3
    for value in (True, 3.0, "3", None):
        with pytest.raises(ValueError, match=f"^epoch is {value!r}, expected a whole number$"):
            Record({}, {"epoch": value}).whole("epoch")
    with pytest.raises(ValueError, match=r"^iteration is None"):
        Record({}, {"epoch": 3}).whole("iteration")
