"""Images that stream from their files for training and testing, decoded by processes of their own.

They are never in memory together. What is cut out of a picture is keyed by (epoch, image), so it
depends neither on the process that decodes it nor on what was read before.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as Items

from zarts.bilevel import rng
from zarts.data.dataset import DamagedData
from zarts.data.folders import Pictures

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Cutter", "read_batches"]

AREA, RATIO, ATTEMPTS = (0.08, 1.0), (3 / 4, 4 / 3), 10  # of torchvision's RandomResizedCrop
JITTER, HUE = 0.4, 0.2  # brightness, contrast and saturation; hue (P-DARTS, PC-DARTS)
MARGIN = 256 / 224  # a picture is brought to this many times the size, then its centre is cut out
WORKERS = min(8, os.cpu_count() or 1)
Place = tuple[int, int]  # epoch, index of an image


@dataclass(frozen=True)
class Cutter:
    """What becomes of a picture.

    Attributes:
        size: Height and width of the result.
        seed: Of the run; None: the centre, as in tests, instead of a random part.
    """

    size: tuple[int, int]
    seed: int | None = None

    def __call__(self, picture: Image, place: Place) -> Tensor:
        """An image (c, height, width) uint8."""
        if self.seed is None:
            return _pixels(self._centre(picture))
        from torchvision.transforms import functional

        source = rng.generator(self.seed, "cut", *place)
        top, left, height, width = random_part(picture.height, picture.width, source)
        found = functional.resized_crop(picture, top, left, height, width, list(self.size))
        if float(torch.rand((), generator=source)) < 0.5:
            found = functional.hflip(found)
        return _pixels(_jittered(found, source))

    def _centre(self, picture: Image) -> Image:
        from torchvision.transforms import functional

        rows, columns = (round(MARGIN * side) for side in self.size)
        factor = max(rows / picture.height, columns / picture.width)
        sides = [max(1, round(factor * side)) for side in (picture.height, picture.width)]
        scaled = functional.resize(picture, sides)
        centre: Image = functional.center_crop(scaled, list(self.size))
        return centre


def random_part(height: int, width: int, source: torch.Generator) -> tuple[int, int, int, int]:
    """Top, left, height and width of a random part of a picture.

    Source: torchvision's ``RandomResizedCrop``, which draws from the global generator.
    """
    for area, ratio, row, column in torch.rand((ATTEMPTS, 4), generator=source).tolist():
        target = height * width * (AREA[0] + (AREA[1] - AREA[0]) * area)
        low, high = map(math.log, RATIO)
        aspect = math.exp(low + (high - low) * ratio)
        rows, columns = round(math.sqrt(target / aspect)), round(math.sqrt(target * aspect))
        if 0 < rows <= height and 0 < columns <= width:
            return (
                int(row * (height - rows + 1)), int(column * (width - columns + 1)), rows, columns,
            )  # fmt: skip
    aspect = min(max(width / height, RATIO[0]), RATIO[1])  # as much of the centre as fits
    rows, columns = min(height, round(width / aspect)), min(width, round(height * aspect))
    return (height - rows) // 2, (width - columns) // 2, rows, columns


def _jittered(picture: Image, source: torch.Generator) -> Image:
    """Brightness, contrast, saturation and hue changed by random factors, in random order."""
    from torchvision.transforms import functional

    changes = (
        functional.adjust_brightness, functional.adjust_contrast, functional.adjust_saturation,
        functional.adjust_hue,
    )  # fmt: skip
    order = torch.randperm(len(changes), generator=source).tolist()
    draws = (2 * torch.rand(len(changes), generator=source) - 1).tolist()
    for change in order:
        draw = draws[change]
        factor = HUE * draw if changes[change] is functional.adjust_hue else 1 + JITTER * draw
        picture = changes[change](picture, factor)
    return picture


def _pixels(picture: Image) -> Tensor:
    from torchvision.transforms import functional

    found: Tensor = functional.pil_to_tensor(picture)
    return found


class _Decoded(Items[Tensor | DamagedData]):
    def __init__(self, pictures: Pictures, cutter: Cutter) -> None:
        self._pictures, self._cutter = pictures, cutter

    def __getitem__(self, place: Place) -> Tensor | DamagedData:
        try:
            return self._pictures.cut(place[1], lambda picture: self._cutter(picture, place))
        except DamagedData as error:  # raised in another process it would be a page of text
            return error


def _stacked(items: list[Tensor | DamagedData]) -> Tensor | DamagedData:
    images = [item for item in items if isinstance(item, Tensor)]
    bad = [item for item in items if isinstance(item, DamagedData)]
    return bad[0] if bad else torch.stack(images)


def read_batches(
    pictures: Pictures,
    cutter: Cutter,
    batches: Sequence[Sequence[Place]],
    *,
    workers: int | None = None,
    pin: bool = False,
) -> Iterator[Tensor]:
    """Decodes batches of images (n, c, h, w) uint8, in their order.

    Args:
        pictures: The files.
        cutter: What becomes of each.
        batches: (epoch, index) of the images of each batch.
        workers: Processes that decode; None: ``WORKERS``, one per core, at most eight; 0: this one.
        pin: Whether the batches go to a GPU.

    Raises:
        DamagedData: If a file is no image.
    """
    workers = WORKERS if workers is None else workers
    loader: DataLoader[Tensor | DamagedData] = DataLoader(
        _Decoded(pictures, cutter),
        batch_sampler=batches,  # type: ignore[arg-type]  # places instead of numbers
        num_workers=min(workers, len(batches)),
        pin_memory=pin,
        collate_fn=_stacked,
        generator=torch.Generator(),  # else it draws from the global one
    )
    for batch in loader:
        if isinstance(batch, DamagedData):
            raise batch
        yield batch
