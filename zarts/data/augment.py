"""Per-sample augmentation of a whole batch at once, on the device where the images are.

Every image gets its own draws. (Batched transforms of common libraries apply one draw to the
whole batch, which silently weakens the augmentation.) The draws are made on the CPU and then moved,
so they are the same on every device.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["NONE", "SEARCH", "Augmentation", "Draws", "crop", "cutout", "normalise"]


@dataclass(frozen=True, eq=False)
class Draws:
    """The random parameters of one batch of n images, as CPU tensors.

    Attributes:
        shift: (n, 2) int64, the row and column of the crop's corner in the padded image, each
            0 … 2·padding.
        mirrored: (n,) bool, whether the crop is flipped left to right.
        centre: (n, 2) int64, the row and column of the cutout's centre in the image.
        luck: (n,) float32 in [0, 1): an image is cut out if it is below the probability of that;
            None: every image.
    """

    shift: Tensor
    mirrored: Tensor
    centre: Tensor
    luck: Tensor | None = None


@dataclass(frozen=True)
class Augmentation:
    """Random crop, horizontal flip and cutout.

    The defaults are those of DARTS' search, for all its data sets and for D_val too.

    Attributes:
        padding: Black pixels added on every side before a crop of the original size; 0: no crop.
        flip: Whether an image is mirrored with probability 1/2.
        cutout: Side in pixels of the square set to the mean, centred anywhere in the image and
            cut off at its border (DeVries and Taylor 2017); 0: none. DARTS retrains with 16.
    """

    padding: int = 4
    flip: bool = True
    cutout: int = 0

    def __post_init__(self) -> None:
        if self.padding < 0 or self.cutout < 0:
            raise ValueError(
                f"got padding={self.padding} and cutout={self.cutout}, expected pixels >= 0; "
                "use 0 to switch one off"
            )

    def draw(self, count: int, size: tuple[int, int], rng: torch.Generator) -> Draws:
        """Draws the parameters of ``count`` images of ``size`` (height, width).

        All kinds are drawn in a fixed order, also those that are switched off, so that switching
        one off leaves the others as they were.
        """
        height, width = size
        shift = torch.randint(2 * self.padding + 1, (count, 2), generator=rng)
        mirrored = torch.rand(count, generator=rng, dtype=torch.float64) < 0.5
        rows = torch.randint(height, (count,), generator=rng)
        columns = torch.randint(width, (count,), generator=rng)
        luck = torch.rand(count, generator=rng, dtype=torch.float32)
        return Draws(shift, mirrored & self.flip, torch.stack((rows, columns), dim=1), luck)

    def __call__(
        self,
        images: Tensor,
        mean: Tensor,
        std: Tensor,
        rng: torch.Generator,
        probability: float = 1.0,
    ) -> Tensor:
        """Augments and normalises a batch.

        The crop pads with black *before* the normalisation, and the cutout writes zeros *after* it,
        which is the order of DARTS' pipeline: a border is black, a cutout is the mean colour.

        Args:
            images: (n, c, h, w) uint8.
            mean: (c,) mean of [0, 1] pixels; its dtype and device are those of the result.
            std: (c,) standard deviation of [0, 1] pixels.
            rng: CPU generator.
            probability: That an image is cut out, where any is.

        Returns:
            (n, c, h, w) floating point images of mean about 0 and standard deviation about 1.
        """
        height, width = images.shape[2:]
        draws = self.draw(len(images), (height, width), rng)
        if self.padding or self.flip:
            images = crop(images, draws, self.padding)
        normalised = normalise(images, mean, std)
        if not self.cutout:
            return normalised
        chosen = None
        if draws.luck is not None and probability < 1:  # else a device need not be sent any
            chosen = draws.luck < probability
        return cutout(normalised, draws.centre, self.cutout, chosen)


SEARCH = Augmentation()
NONE = Augmentation(padding=0, flip=False, cutout=0)


def crop(images: Tensor, draws: Draws, padding: int) -> Tensor:
    """Pads with zeros, crops back to size and mirrors, per image.

    Args:
        images: (n, c, h, w).
        draws: Each image's corner and whether it is mirrored.
        padding: Pixels added on every side.

    Returns:
        (n, c, h, w), same dtype.
    """
    count, _, height, width = images.shape
    device = images.device
    # a GPU need not be waited for
    shift, mirrored = (x.to(device, non_blocking=True) for x in (draws.shift, draws.mirrored))
    rows = shift[:, :1] + torch.arange(height, device=device)
    columns = torch.arange(width, device=device).expand(count, width)
    # The flip comes after the crop: it reverses the columns of the crop, not of the padded image.
    columns = shift[:, 1:] + torch.where(mirrored[:, None], width - 1 - columns, columns)
    padded = functional.pad(images, (padding, padding, padding, padding))
    sample = torch.arange(count, device=device)[:, None, None]
    # Two index tensors around a slice put the channels last; they are moved back in one copy.
    picked = padded[sample, :, rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2).contiguous()


def normalise(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Returns (images / 255 − mean) / std per channel, in the dtype of ``mean``.

    Args:
        images: (n, c, h, w) uint8.
        mean: (c,) in units of [0, 1] pixels.
        std: (c,) in units of [0, 1] pixels.
    """
    scaled = images.to(mean.dtype).div_(255)
    return scaled.sub_(mean[:, None, None]).div_(std[:, None, None])


def cutout(images: Tensor, centre: Tensor, side: int, chosen: Tensor | None = None) -> Tensor:
    """Sets a square of each image to zero in all channels.

    Args:
        images: (n, c, h, w), normalised.
        centre: (n, 2) row and column; for an even side the square reaches one pixel less downwards
            and to the right.
        side: Pixels.
        chosen: (n,) bool, of which images; None: all.

    Returns:
        (n, c, h, w).
    """
    height, width = images.shape[2:]
    first = centre.to(images.device, non_blocking=True) - side // 2
    rows = torch.arange(height, device=images.device) - first[:, :1]
    columns = torch.arange(width, device=images.device) - first[:, 1:]
    inside_rows = (rows >= 0) & (rows < side)
    inside_columns = (columns >= 0) & (columns < side)
    hole = inside_rows[:, :, None] & inside_columns[:, None, :]
    if chosen is not None:
        hole = hole & chosen.to(images.device, non_blocking=True)[:, None, None]
    return images.masked_fill(hole[:, None], 0)
