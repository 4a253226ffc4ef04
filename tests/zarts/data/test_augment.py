"""The vectorised augmentation against the same thing written per sample and per pixel."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from zarts.bilevel.rng import generator
from zarts.data.augment import NONE, Augmentation, Draws, crop, cutout, normalise

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


def images_of(count: int, channels: int, height: int, width: int, seed: int = 0) -> Tensor:
    shape = (count, channels, height, width)
    rng = generator(seed, "test-images")
    return torch.randint(1, 256, shape, generator=rng, dtype=torch.uint8)  # black is padding only


def slow_pixel(image: Tensor, row: int, column: int, padding: int) -> Tensor:
    """The pixel of the padded image, (c,): black outside of the image."""
    row, column = row - padding, column - padding
    inside = 0 <= row < image.shape[1] and 0 <= column < image.shape[2]
    return image[:, row, column] if inside else torch.zeros(image.shape[0], dtype=image.dtype)


def slow(images: Tensor, draws: Draws, augmentation: Augmentation, dtype: torch.dtype) -> Tensor:
    """Crop, mirror, normalise and cut out, one pixel of one image after the other."""
    result = torch.empty(images.shape, dtype=dtype)
    mean, std = (torch.tensor(values[: images.shape[1]], dtype=dtype) for values in (MEAN, STD))
    height, width = images.shape[2:]
    reach = augmentation.cutout // 2
    for i, image in enumerate(images):
        top, left = draws.shift[i].tolist()
        middle_row, middle_column = draws.centre[i].tolist()
        for row in range(height):
            for column in range(width):
                source = width - 1 - column if draws.mirrored[i] else column
                pixel = slow_pixel(image, top + row, left + source, augmentation.padding)
                value = (pixel.to(dtype) / 255 - mean) / std
                first_row, first_column = middle_row - reach, middle_column - reach
                if (
                    first_row <= row < first_row + augmentation.cutout
                    and first_column <= column < first_column + augmentation.cutout
                ):
                    value = torch.zeros_like(value)
                result[i, :, row, column] = value
    return result


@given(
    count=st.integers(1, 4),
    channels=st.integers(1, 3),
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    padding=st.integers(0, 3),
    flip=st.booleans(),
    side=st.integers(0, 5),
    seed=st.integers(0, 2**31),
    double=st.booleans(),
)
def test_equals_the_slow_reference_to_the_last_bit(
    count: int,
    channels: int,
    height: int,
    width: int,
    padding: int,
    flip: bool,
    side: int,
    seed: int,
    double: bool,
) -> None:
    dtype = torch.float64 if double else torch.float32
    augmentation = Augmentation(padding, flip, side)
    images = images_of(count, channels, height, width, seed)
    mean, std = (torch.tensor(values[:channels], dtype=dtype) for values in (MEAN, STD))
    got = augmentation(images, mean, std, generator(seed, "draws"))
    draws = augmentation.draw(count, (height, width), generator(seed, "draws"))
    assert got.dtype == dtype
    assert got.is_contiguous()
    assert torch.equal(got, slow(images, draws, augmentation, dtype))


def test_a_known_crop_of_a_known_image() -> None:
    image = torch.arange(1, 7, dtype=torch.uint8).reshape(1, 1, 2, 3)
    unchanged = torch.tensor([[1, 1]])
    nothing = torch.zeros(1, 2, dtype=torch.int64)
    straight, mirrored = torch.tensor([False]), torch.tensor([True])
    assert torch.equal(crop(image, Draws(unchanged, straight, nothing), 1), image)
    flipped = crop(image, Draws(unchanged, mirrored, nothing), 1)
    assert flipped.tolist() == [[[[3, 2, 1], [6, 5, 4]]]]
    corner = crop(image, Draws(torch.tensor([[0, 2]]), straight, nothing), 1)
    assert corner.tolist() == [[[[0, 0, 0], [2, 3, 0]]]]
    corner_flipped = crop(image, Draws(torch.tensor([[0, 2]]), mirrored, nothing), 1)
    assert corner_flipped.tolist() == [[[[0, 0, 0], [0, 3, 2]]]]


def test_the_border_is_black_before_and_the_cutout_is_zero_after_normalisation() -> None:
    image = torch.full((1, 1, 4, 4), 255, dtype=torch.uint8)
    mean, std = torch.tensor([0.25]), torch.tensor([0.5])
    draws = Draws(torch.tensor([[0, 0]]), torch.tensor([False]), torch.tensor([[3, 3]]))
    out = cutout(normalise(crop(image, draws, 1), mean, std), draws.centre, 2)
    assert out[0, 0].tolist() == [
        [-0.5, -0.5, -0.5, -0.5],
        [-0.5, 1.5, 1.5, 1.5],
        [-0.5, 1.5, 0.0, 0.0],
        [-0.5, 1.5, 0.0, 0.0],
    ]


def test_agrees_with_torchvision_on_one_image() -> None:
    from torchvision.transforms import functional

    images = images_of(1, 3, 32, 32)
    augmentation = Augmentation()
    for seed in range(6):
        draws = augmentation.draw(1, (32, 32), generator(seed))
        top, left = draws.shift[0].tolist()
        expected = functional.crop(functional.pad(images[0], [4]), top, left, 32, 32)
        expected = functional.hflip(expected) if draws.mirrored[0] else expected
        expected = functional.normalize(expected.float() / 255, list(MEAN), list(STD))
        mean, std = torch.tensor(MEAN), torch.tensor(STD)
        assert torch.equal(augmentation(images, mean, std, generator(seed))[0], expected)


def test_every_sample_has_its_own_draws_of_the_right_distribution() -> None:
    draws = Augmentation(padding=4, cutout=8).draw(20_000, (28, 30), generator(0))
    joint = draws.shift[:, 0] * 9 + draws.shift[:, 1]
    counts = torch.bincount(joint, minlength=81).double()
    assert len(counts) == 81
    # Binomial: mean 247, standard deviation 15.6; 5 of them for 81 cells.
    assert (counts - 20_000 / 81).abs().max() < 5 * 15.6
    assert abs(draws.mirrored.double().mean().item() - 0.5) < 5 * 0.5 / 20_000**0.5
    assert draws.centre.amin(dim=0).tolist() == [0, 0]
    assert draws.centre.amax(dim=0).tolist() == [27, 29]


def test_switching_one_kind_off_leaves_the_others_as_they_were() -> None:
    every = Augmentation(4, flip=True, cutout=16).draw(50, (28, 28), generator(3))
    straight = Augmentation(4, flip=False, cutout=0).draw(50, (28, 28), generator(3))
    assert torch.equal(every.shift, straight.shift)
    assert torch.equal(every.centre, straight.centre)
    assert every.mirrored.any()
    assert not straight.mirrored.any()


def test_none_only_normalises_and_inputs_stay_as_they_were() -> None:
    images = images_of(3, 3, 5, 4)
    before = images.clone()
    mean, std = torch.tensor(MEAN, dtype=torch.float64), torch.tensor(STD, dtype=torch.float64)
    plain = NONE(images, mean, std, generator(0))
    assert torch.equal(plain, (images.double() / 255 - mean[:, None, None]) / std[:, None, None])
    Augmentation(cutout=2)(images, mean, std, generator(0))
    assert torch.equal(images, before)


@pytest.mark.parametrize("wrong", [{"padding": -1}, {"cutout": -2}])
def test_refuses_negative_pixels(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected pixels >= 0"):
        Augmentation(**wrong)
