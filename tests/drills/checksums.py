"""The checksums inside an HDF5 file, so that a mutant can carry correct ones.

HDF5 since 1.8 ends each superblock and object header with Bob Jenkins' ``lookup3`` of it (public
domain, 2006; "HDF5 File Format Specification", III and IV.A). Without correct ones the parser
stops before it looks at what was changed.
"""

from __future__ import annotations

import struct
from itertools import pairwise

WORD = 0xFFFFFFFF


def lookup3(data: bytes) -> int:
    """The 32-bit hash ``hashlittle(data, initval=0)``."""
    a = b = c = (0xDEADBEEF + len(data)) & WORD
    if not data:
        return c
    whole = (len(data) - 1) // 12 * 12
    padded = data.ljust(whole + 12, b"\0")
    for at in range(0, whole, 12):
        x, y, z = struct.unpack_from("<3I", padded, at)
        a, b, c = (a + x) & WORD, (b + y) & WORD, (c + z) & WORD
        a = (a - c) & WORD ^ _turn(c, 4)
        c = (c + b) & WORD
        b = (b - a) & WORD ^ _turn(a, 6)
        a = (a + c) & WORD
        c = (c - b) & WORD ^ _turn(b, 8)
        b = (b + a) & WORD
        a = (a - c) & WORD ^ _turn(c, 16)
        c = (c + b) & WORD
        b = (b - a) & WORD ^ _turn(a, 19)
        a = (a + c) & WORD
        c = (c - b) & WORD ^ _turn(b, 4)
        b = (b + a) & WORD
    x, y, z = struct.unpack_from("<3I", padded, whole)
    a, b, c = (a + x) & WORD, (b + y) & WORD, (c + z) & WORD
    c = ((c ^ b) - _turn(b, 14)) & WORD
    a = ((a ^ c) - _turn(c, 11)) & WORD
    b = ((b ^ a) - _turn(a, 25)) & WORD
    c = ((c ^ b) - _turn(b, 16)) & WORD
    a = ((a ^ c) - _turn(c, 4)) & WORD
    b = ((b ^ a) - _turn(a, 14)) & WORD
    return ((c ^ b) - _turn(b, 24)) & WORD


def _turn(value: int, bits: int) -> int:
    return (value << bits | value >> 32 - bits) & WORD


def blocks(data: bytes) -> list[tuple[int, int]]:
    """Start and end of every block that is followed by its checksum."""
    starts = [at for magic in (b"\x89HDF", b"OHDR", b"OCHK") for at in _all(data, magic)]
    found = []
    for start, limit in pairwise([*sorted(starts), len(data)]):
        for end in range(start + 8, min(limit, start + 2048) - 3):
            if data[end : end + 4] == struct.pack("<I", lookup3(data[start:end])):
                found.append((start, end))
                break
    return found


def _all(data: bytes, magic: bytes) -> list[int]:
    found, at = [], data.find(magic)
    while at >= 0:
        found.append(at)
        at = data.find(magic, at + 1)
    return found


def with_checksum(data: bytes, start: int, end: int) -> bytes:
    """The same bytes with the checksum of one block made right."""
    return data[:end] + struct.pack("<I", lookup3(data[start:end])) + data[end + 4 :]
