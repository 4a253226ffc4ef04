"""Reads mutants of records and prints, as JSON, how each kind ended.

A program of its own, so that a crash, a hang or a flood of memory inside libhdf5 ends it and is
seen. Half of the mutants keep the seal of the original; the other half is sealed again, so that
libhdf5 itself gets to see what a hostile author could write. For the kind ``metadata`` the
checksums of HDF5 are made right too, so that its parser goes all the way.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from tests.drills.checksums import blocks, with_checksum
from tests.zarts.runs.runfile.corpus import HEADER_BYTES, peak_megabytes, sealed
from zarts.runs.runfile import Record, RunError, read_record

KINDS = ("bit", "bytes", "zeros", "swap", "insertion", "deletion", "truncation", "metadata")


def same(left: Record, right: Record) -> bool:
    """Equal to the last bit."""

    def plain(record: Record) -> object:
        arrays = {k: (a.dtype.str, a.shape, a.tobytes()) for k, a in record.arrays.items()}
        return json.dumps(record.attributes, sort_keys=True), arrays

    return plain(left) == plain(right)


def mutant(
    data: bytes, kind: str, metadata: list[tuple[int, int]], rng: np.random.Generator
) -> bytes:
    """One damaged copy."""
    if kind == "metadata":
        start, end = metadata[rng.integers(len(metadata))]
        changed = bytearray(data)
        for _ in range(rng.integers(1, 4)):
            at, length = int(rng.integers(start + 4, end)), int(rng.choice([1, 1, 2, 4, 8]))
            value = [b"\0" * 8, b"\xff" * 8, rng.bytes(8)][rng.integers(3)]
            changed[at : min(at + length, end)] = value[: min(length, end - at)]
        return with_checksum(bytes(changed), start, end)
    at, length = int(rng.integers(len(data))), int(rng.integers(1, 600))
    if kind == "bit":
        changed = bytearray(data)
        changed[at] ^= 1 << int(rng.integers(8))
        return bytes(changed)
    if kind == "bytes":
        length = int(rng.integers(1, 9)) if rng.integers(2) else length
        return data[:at] + rng.bytes(min(length, len(data) - at)) + data[at + length :]
    if kind == "zeros":
        return data[:at] + bytes(min(length, len(data) - at)) + data[at + length :]
    if kind == "swap":
        first, second = sorted(int(n) for n in rng.integers(len(data) - length, size=2))
        length = min(length, second - first)
        a, b = data[first : first + length], data[second : second + length]
        return data[:first] + b + data[first + length : second] + a + data[second + length :]
    if kind == "insertion":
        return data[:at] + rng.bytes(length) + data[at:]
    if kind == "deletion":
        return data[:at] + data[at + length :]
    return data[:at]


def main() -> None:
    """Arguments: a record, a seed, how many mutants of each kind and seal, a folder."""
    path, seed, count, folder = sys.argv[1:]
    original, data = read_record(Path(path)), Path(path).read_bytes()
    rng, told, metadata = np.random.default_rng(int(seed)), Counter[str](), blocks(data)
    target = Path(folder) / f"mutant-{seed}.h5"
    for kind in KINDS:
        for number in range(2 * int(count)):
            fits = number % 2 == 1
            changed = mutant(data, kind, metadata, rng)
            if fits:
                changed = sealed(changed[HEADER_BYTES:])
            target.write_bytes(changed)
            told["seen"] += 1
            if changed == data:
                assert same(read_record(target), original)
                told["unchanged"] += 1
                continue
            try:
                record = read_record(target)
            except RunError as error:
                told[f"{'sealed' if fits else 'broken'}: {type(error).__name__}"] += 1
            else:
                # who can seal can lie about values, but not about what a record is
                assert fits, f"{kind} was not noticed: {target}"
                assert all(type(array) is np.ndarray for array in record.arrays.values())
                told[f"sealed: {'same' if same(record, original) else 'other'} content"] += 1
    told["megabytes"] = peak_megabytes()
    print(json.dumps(told))


if __name__ == "__main__":
    main()
