"""Data sets as tensors: what they must be, their statistics and their fingerprint."""

from __future__ import annotations

import pytest
import torch

from tests.zarts.data.test_loaders import colours
from zarts.data.dataset import from_tensors, measure
from zarts.data.loaders import load_images


def test_measured_statistics_equal_the_direct_ones() -> None:
    images = torch.from_numpy(colours(2000)[:, :, :6, :5].copy())
    mean, std = measure(images)
    pixels = images.double() / 255
    torch.testing.assert_close(torch.tensor(mean).double(), pixels.mean(dim=(0, 2, 3)))
    expected = pixels.std(dim=(0, 2, 3), correction=0)
    torch.testing.assert_close(torch.tensor(std).double(), expected)


def test_the_fingerprint_sees_every_part() -> None:
    images = torch.from_numpy(colours(4))
    labels = torch.tensor([0, 1, 2, 3])
    other_image = images.clone()
    other_image[3, 2, 31, 31] += 1
    prints = [
        from_tensors("a", images, labels, 4).fingerprint,
        from_tensors("b", images, labels, 4).fingerprint,
        from_tensors("a", images, labels, 5).fingerprint,
        from_tensors("a", other_image, labels, 4).fingerprint,
        from_tensors("a", images, labels.flip(0), 4).fingerprint,
        from_tensors("a", images.reshape(4, 3, 16, 64), labels, 4).fingerprint,
    ]
    assert len(set(prints)) == len(prints)
    transposed = images.transpose(2, 3).contiguous().transpose(2, 3)  # equal, laid out otherwise
    assert from_tensors("a", transposed, labels, 4).fingerprint == prints[0]


@pytest.mark.parametrize(
    ("images", "labels", "classes", "message"),
    [
        (torch.zeros(2, 3, 4, 4), torch.tensor([0, 1]), 2, r"expected \(n, c, h, w\) of"),
        (torch.zeros(2, 4, 4, dtype=torch.uint8), torch.tensor([0, 1]), 2, r"\(n, c, h, w\)"),
        (torch.zeros(0, 1, 4, 4, dtype=torch.uint8), torch.tensor([0]), 2, "n >= 1"),
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.tensor([0]), 2, "one per image"),
        (torch.zeros(1, 1, 4, 4, dtype=torch.uint8), torch.tensor([0.0]), 2, "torch.int64"),
        (torch.zeros(1, 1, 4, 4, dtype=torch.uint8), torch.tensor([2]), 2, "expected 0 to 1"),
        (torch.zeros(1, 1, 4, 4, dtype=torch.uint8), torch.tensor([-1]), 2, "from -1"),
        (torch.zeros(1, 1, 4, 4, dtype=torch.uint8), torch.tensor([0]), 2, "all equal"),
    ],
)
def test_refuses_tensors_that_do_not_fit(
    images: torch.Tensor, labels: torch.Tensor, classes: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        from_tensors("made by hand", images, labels, classes)


def test_a_data_set_moves_only_if_it_must() -> None:
    data = load_images("packaged")
    assert data.to("cpu") is data
    moved = data.to("meta")
    assert moved.images.device.type == moved.labels.device.type == "meta"
    assert moved.fingerprint == data.fingerprint
