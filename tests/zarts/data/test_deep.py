"""Pixels of more than eight bits: in full, or refused."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from zarts.data.dataset import DamagedData
from zarts.data.loaders import load_images


def write(path: Path, pixels: NDArray[Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.mark.parametrize(("colours", "planes"), [(2, 3), (4, 2), (6, 4)])
def test_colours_of_16_bits_are_scaled_like_grey(colours: int, planes: int, tmp_path: Path) -> None:
    """Of 12 bits in 16, the upper eight would be nearly black. Alpha is no brightness."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    values = [(3000, 1500, 600), (2000, 2000, 2000)]
    for label, rgb in enumerate(values):
        pixel = (*rgb[: 1 if planes == 2 else 3], *([60000] if planes % 2 == 0 else []))
        row = b"\0" + struct.pack(f">{planes}H", *pixel) * 32
        path = tmp_path / f"c{label}" / "a.png"
        path.parent.mkdir()
        header = struct.pack(">IIBBBBB", 32, 32, 16, colours, 0, 0, 0)
        packed = zlib.compress(row * 32)
        chunks = (chunk(b"IHDR", header), chunk(b"IDAT", packed), chunk(b"IEND", b""))
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    write(tmp_path / "c0" / "grey.png", np.full((32, 32), 4000, dtype=np.uint16))
    data = load_images("folder", tmp_path)
    assert data.largest == 4095
    first = values[0] if planes > 2 else values[0][:1] * 3
    expected = [np.rint(np.array(rgb) * 255 / 4095).tolist() for rgb in (first, values[1])]
    expected.append([249, 249, 249])
    assert data.images.double().mean((2, 3)).tolist() == expected
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DamagedData, match=r"c1.a\.png is not a readable image"):
        load_images("folder", tmp_path)


def tiff(
    path: Path, pixel: tuple[int, ...], order: str, compression: int, **tags: tuple[int, ...]
) -> None:
    """Writes 32x32 times a pixel of 16-bit channels, in strips of 16 rows, with further tags."""
    strip = struct.pack(f"{order}{len(pixel)}H", *pixel) * 32 * 16
    strip = zlib.compress(strip) if compression == 8 else strip
    known = {"256": (32,), "257": (32,), "258": (16,) * len(pixel), "259": (compression,)}
    known |= {"262": (2,), "273": (8, 8 + len(strip)), "277": (len(pixel),), "278": (16,)}
    known |= {"279": (len(strip),) * 2} | tags
    at = 8 + 2 * len(strip)
    table, longer = struct.pack(order + "H", len(known)), b""
    behind = at + 2 + 12 * len(known) + 4
    for tag, values in sorted(known.items()):
        packed = struct.pack(f"{order}{len(values)}I", *values)
        if len(packed) > 4:
            packed, longer = struct.pack(order + "I", behind + len(longer)), longer + packed
        table += struct.pack(order + "HHI", int(tag), 4, len(values)) + packed
    magic = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, at)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(magic + strip * 2 + table + bytes(4) + longer)


@pytest.mark.parametrize("compression", [1, 8])
@pytest.mark.parametrize("order", ["<", ">"])
def test_tiffs_of_16_bit_colours_are_read_in_full(
    order: str, compression: int, tmp_path: Path
) -> None:
    """Of 12 bits in 16, the upper eight would be nearly black."""
    rgb = 3000, 1500, 601
    tiff(tmp_path / "c0" / "a.tif", rgb, order, compression)
    tiff(tmp_path / "c0" / "b.tif", (*rgb[1:], rgb[0], 60000), order, compression, **{"338": (2,)})
    tiff(tmp_path / "c1" / "a.tif", (*rgb, 60000), order, compression, **{"338": (0,)})
    data = load_images("folder", tmp_path)
    assert data.largest == 4095
    expected = np.rint(np.array(rgb) * 255 / 4095).tolist()
    assert data.images.double().mean((2, 3)).tolist() == [
        expected,
        expected,
        [*expected[1:], expected[0]],
    ]
    for tags, how in (
        ({"338": (1,)}, "as RGBa,"), ({"262": (5,)}, "as CMYK,"),
        ({"284": (2,), "338": (2,)}, "one channel after the other"),
    ):  # fmt: skip
        tiff(tmp_path / "c1" / "a.tif", (*rgb, 60000), order, compression, **tags)
        with pytest.raises(DamagedData, match=f"{how}.* save it as PNG with 16 bits"):
            load_images("folder", tmp_path)


def test_pixels_that_no_scale_fits_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "c1" / "x.png", np.full((4, 4), 5, dtype=np.uint8))
    write(tmp_path / "c0" / "x.tif", np.full((4, 4), 0.5, dtype=np.float32))
    with pytest.raises(DamagedData, match=r"x\.tif has pixels that are no whole numbers"):
        load_images("folder", tmp_path)
    write(tmp_path / "c0" / "x.tif", np.full((4, 4), -5, dtype=np.int32))
    with pytest.raises(DamagedData, match=r"x\.tif has pixels below 0"):
        load_images("folder", tmp_path)
