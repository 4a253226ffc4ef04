"""Images that stream from their files: random parts keyed by (epoch, image), and tests' centres."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from zarts.bilevel.rng import generator
from zarts.data.dataset import DamagedData
from zarts.data.folders import Pictures
from zarts.data.streaming import Cutter, random_part, read_batches


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    rng = np.random.default_rng(0)
    paths = []
    for index in range(5):
        pixels = rng.integers(0, 256, (40 + index, 60, 3), dtype=np.uint8)
        paths.append(tmp_path / f"{index}.png")
        Image.fromarray(pixels).save(paths[-1])
    return Pictures(tuple(paths), (16, 16), 3)


def test_a_cut_depends_on_epoch_and_image_alone(pictures: Pictures) -> None:
    cutter, batches = Cutter((16, 16), seed=3), [[(0, 1), (0, 4)], [(0, 2), (1, 1)]]
    state = torch.random.get_rng_state()
    one, two = (list(read_batches(pictures, cutter, batches, workers=n)) for n in (0, 2))
    assert torch.equal(torch.stack(one), torch.stack(two))
    assert torch.equal(state, torch.random.get_rng_state())
    (other,) = read_batches(pictures, cutter, [[(1, 1), (0, 1)]], workers=0)
    assert torch.equal(other[0], one[1][1])
    assert torch.equal(other[1], one[0][0])
    assert not torch.equal(other[0], other[1])


def test_random_parts_are_those_of_torchvision() -> None:
    """Shares and shapes of both, over many draws."""
    ours = torch.tensor(
        [random_part(300, 500, generator(0, "part", draw)) for draw in range(2000)]
    ).double()
    torch.manual_seed(0)
    picture = torch.empty(3, 300, 500)
    theirs = torch.tensor(
        [
            transforms.RandomResizedCrop.get_params(picture, [0.08, 1.0], [3 / 4, 4 / 3])
            for _ in range(2000)
        ]
    ).double()
    for found in (ours, theirs):
        assert bool((found[:, 0] + found[:, 2] <= 300).all())
        assert bool((found[:, 1] + found[:, 3] <= 500).all())
    assert torch.allclose(ours.mean(0), theirs.mean(0), rtol=0.05, atol=3)
    assert torch.allclose(ours.std(0), theirs.std(0), rtol=0.08)
    assert random_part(10, 1000, generator(0, "part")) == (0, 493, 10, 13)  # the widest that fits


def test_a_test_sees_the_centre(pictures: Pictures) -> None:
    (found,) = read_batches(pictures, Cutter((16, 16)), [[(0, 0)]], workers=0)
    pipeline = transforms.Compose(
        [transforms.Resize(18), transforms.CenterCrop(16), transforms.PILToTensor()]
    )
    assert torch.equal(found[0], pipeline(Image.open(pictures.paths[0])))


def test_a_damaged_picture_is_one_line_also_from_a_process(pictures: Pictures) -> None:
    pictures.paths[2].write_bytes(b"no image")
    for workers in (0, 1):
        with pytest.raises(DamagedData, match=r"^\S+2.png is not a readable image [^\n]*$"):
            list(read_batches(pictures, Cutter((16, 16)), [[(0, 2)]], workers=workers))
