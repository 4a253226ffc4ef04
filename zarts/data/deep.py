"""Pixels of more than eight bits, of which Pillow reads those of colours only in part."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from zarts.data.dataset import DamagedData

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["deep"]

COLOURS = {2: "RGB", 6: "RGBA"}  # by PNG's numbers
BITS, PLANES = 258, 284  # by TIFF's: bits of each channel; 1 if all of a pixel lie together


def deep(path: Path, picture: Image) -> NDArray[np.float64] | None:
    """The pixels of an image of more than eight bits, (h, w) or (h, w, 3); None for others.

    Raises:
        DamagedData: If they are no whole numbers from 0 on, or Pillow has no way to all their bits.
    """
    if picture.mode == "F":
        raise DamagedData(f"{path} has pixels that are no whole numbers; save it with 8 or 16 bits")
    if picture.mode.startswith("I"):
        pixels = np.asarray(picture).astype(np.float64)
        if pixels.min() < 0:
            raise DamagedData(f"{path} has pixels below 0; shift them to 0 or more")
        return pixels
    if picture.format == "TIFF":
        return _deep_tiff(path, picture)
    if picture.format != "PNG" or picture.mode not in ("RGB", "RGBA"):
        return None
    with path.open("rb") as file:
        header = file.read(26)  # the last two bytes: bits per channel, and what the channels are
    return _deep_png(path, header[25]) if header[24] == 16 else None


def _deep_png(path: Path, kind: int) -> NDArray[np.float64]:
    """The pixels (h, w, 3) of a PNG of 16 bits per channel.

    All four bytes of grey and alpha are read as if they were four channels.
    """
    if kind == 4:
        bytes_of = _decoded(path, "RGBA").astype(np.float64)
        return np.repeat(bytes_of[..., :1] * 256 + bytes_of[..., 1:2], 3, axis=2)
    return _deep_colour(path, COLOURS[kind], "BL")


def _deep_tiff(path: Path, picture: Image) -> NDArray[np.float64] | None:
    """The pixels (h, w, 3) of a TIFF of 16 bits per channel; None for others."""
    tags = cast(Any, picture).tag_v2
    if max(tags.get(BITS, (1,))) <= 8:
        return None
    channels, _, order = cast(Any, picture).tile[0][3][0].partition(";16")
    apart = tags.get(PLANES, 1) != 1
    if apart or channels not in ("RGB", "RGBX", "RGBA"):
        how = "one channel after the other" if apart else f"as {channels}"
        raise DamagedData(
            f"{path} has colours of 16 bits {how}, expected pixels of RGB, or of RGBA whose "
            "colours are not multiplied by alpha; save it as PNG with 16 bits"
        )
    little = order == "L" or (order == "N" and sys.byteorder == "little")
    return _deep_colour(path, channels, "LB" if little else "BL")


def _deep_colour(path: Path, channels: str, orders: str) -> NDArray[np.float64]:
    """The pixels (h, w, 3) where Pillow reads the upper eight of 16 bits per channel.

    It takes the lower ones where it is told that the bytes lie in the other order: ``orders`` are
    the true one and the other.
    """
    upper, lower = (_decoded(path, f"{channels};16{order}")[..., :3] for order in orders)
    return upper.astype(np.float64) * 256 + lower


def _decoded(path: Path, layout: str) -> NDArray[np.uint8]:
    """The channels (h, w, c) of an image whose bytes lie as Pillow's raw mode ``layout`` says."""
    from PIL import Image

    with Image.open(path) as picture:
        tiles = cast(Any, picture).tile
        for place, (*where, how) in enumerate(tiles):
            changed = layout if isinstance(how, str) else (layout, *how[1:])
            make = getattr(type(tiles[place]), "_make", tuple)  # no tuple since Pillow 11
            tiles[place] = make((*where, changed))
        return np.asarray(picture)
