"""Purity, coverage and separation of the batch streams."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from zarts.bilevel import rng
from zarts.data.augment import NONE, Augmentation
from zarts.data.dataset import Dataset, from_tensors
from zarts.data.stream import Batch, Stream, split


def numbered(n: int, classes: int = 5) -> Dataset:
    """Images of 1x3x4 that carry their index in their first two pixels, classes taking turns."""
    images = torch.zeros(n, 1, 3, 4, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.arange(n) // 256
    images[:, 0, 0, 1] = torch.arange(n) % 256
    labels = torch.arange(n) % classes
    return from_tensors("numbered", images, labels, classes, ((0.0,), (1.0,)))


def indices_in(batch: Batch) -> list[int]:
    pixels = (batch.images[:, 0, 0, :2].double() * 255).round().long()
    return (pixels[:, 0] * 256 + pixels[:, 1]).tolist()


def same(one: Batch, other: Batch) -> bool:
    return (
        torch.equal(one.images, other.images)
        and torch.equal(one.labels, other.labels)
        and one.chance.key == other.chance.key
    )


def test_a_batch_is_the_same_whatever_was_asked_before() -> None:
    data, indices = numbered(40), torch.arange(3, 33)
    expected = [Stream(data, indices, 7, 5, "train").batch(k) for k in range(30)]
    stream = Stream(data, indices, 7, 5, "train")
    other = Stream(data, indices, 7, 6, "train")
    order = [*range(30), *range(30)]
    random.Random(0).shuffle(order)
    for k in order:
        torch.rand(3)  # the global generator must not matter, nor other streams
        other.batch(k)
        assert same(stream.batch(k), expected[k])
    assert not any(same(one, other) for one, other in pairwise(expected))


def test_a_written_batch_does_not_reach_the_next_reader() -> None:
    stream = Stream(numbered(20), torch.arange(20), 10, 0, "train")
    first = stream.batch(0)
    kept = first.images.clone()
    first.images.zero_()
    first.labels.zero_()
    again = stream.batch(0)
    assert torch.equal(again.images, kept)
    assert len(again.labels.unique()) > 1


@given(
    n=st.integers(2, 60),
    share=st.floats(0.05, 1),
    seed=st.integers(0, 2**40),
    purpose=st.sampled_from(["train", "val", "inner"]),
    epoch=st.integers(0, 1000),
)
def test_every_index_at_most_once_per_epoch_and_only_whole_batches(
    n: int, share: float, seed: int, purpose: str, epoch: int
) -> None:
    size = max(1, int(n * share))
    stream = Stream(numbered(n + 9), torch.arange(4, n + 4), size, seed, purpose, augmentation=NONE)
    per_epoch = stream.batches_per_epoch
    assert per_epoch == n // size
    batches = [stream.batch(epoch * per_epoch + position) for position in range(per_epoch)]
    assert all(len(batch.labels) == size for batch in batches)
    seen = [index for batch in batches for index in indices_in(batch)]
    assert len(set(seen)) == len(seen) == per_epoch * size
    assert set(seen) <= set(range(4, n + 4))
    if n % size == 0:
        assert set(seen) == set(range(4, n + 4))
    for batch in batches:
        assert batch.labels.tolist() == [index % 5 for index in indices_in(batch)]


def test_epochs_purposes_and_seeds_have_orders_of_their_own() -> None:
    data, indices = numbered(200), torch.arange(200)

    def epoch_of(seed: int, purpose: str, epoch: int) -> tuple[int, ...]:
        return tuple(Stream(data, indices, 200, seed, purpose).picked(epoch).tolist())

    keys = [(0, "train", 0), (0, "train", 1), (0, "inner", 0), (1, "train", 0), (0, "val", 0)]
    assert len({epoch_of(*key) for key in keys}) == len(keys)


def test_train_and_inner_streams_never_touch_the_validation_half() -> None:
    data = numbered(50)
    train, val = split(50)
    streams = {
        purpose: Stream(data, half, 8, 1, purpose, augmentation=NONE)
        for purpose, half in (("train", train), ("inner", train), ("val", val))
    }
    seen = {
        purpose: {index for k in range(12) for index in indices_in(stream.batch(k))}
        for purpose, stream in streams.items()
    }
    assert seen["train"] == seen["inner"] == set(range(25))
    assert seen["val"] == set(range(25, 50))


def test_augmentation_differs_between_samples_and_between_visits_of_one_image() -> None:
    pixels = torch.arange(1, 17, dtype=torch.uint8).reshape(1, 1, 4, 4)
    data = from_tensors("same", pixels.repeat(64, 1, 1, 1), torch.zeros(64, dtype=torch.int64), 1)
    stream = Stream(data, torch.arange(64), 64, 0, "train")
    one, other = stream.batch(0), stream.batch(1)
    assert len({tuple(image.flatten().tolist()) for image in one.images}) > 32
    assert not torch.equal(one.images, other.images)


def test_the_key_follows_seed_purpose_and_number() -> None:
    data, indices = numbered(10), torch.arange(10)
    keys = {
        Stream(data, indices, 5, seed, purpose).batch(k).chance.key
        for seed in (0, 1)
        for purpose in ("train", "inner")
        for k in range(6)
    }
    assert len(keys) == 24
    assert all(0 <= key < 2**63 for key in keys)
    for key in keys:
        rng.generator(key)
        torch.Generator().manual_seed(key)


def test_sequential_is_in_order_and_plain() -> None:
    indices = torch.tensor([7, 3, 11, 2, 9, 0, 5])
    stream = Stream(numbered(12), indices, 3, 0, "val", sequential=True)
    batches = [stream.batch(k) for k in range(stream.batches_per_epoch)]
    assert [index for batch in batches for index in indices_in(batch)] == indices[:6].tolist()
    assert torch.equal(stream.batch(3).images, batches[1].images)


@pytest.mark.parametrize("sequential", [False, True])
@pytest.mark.parametrize(("n", "sizes"), [(8, [3, 3, 2]), (7, [3, 4]), (6, [3, 3]), (4, [4])])
def test_the_images_left_over_are_a_smaller_last_batch_but_never_one_alone(
    n: int, sizes: list[int], sequential: bool
) -> None:
    stream = Stream(
        numbered(9), torch.arange(n), 3, 0, "train",
        augmentation=NONE, sequential=sequential, keep_last=True,
    )  # fmt: skip
    per_epoch = stream.batches_per_epoch
    for epoch in range(2):
        batches = [stream.batch(epoch * per_epoch + k) for k in range(per_epoch)]
        assert [len(batch.labels) for batch in batches] == sizes
        assert sorted(index for batch in batches for index in indices_in(batch)) == list(range(n))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtypes(dtype: torch.dtype) -> None:
    batch = Stream(numbered(8), torch.arange(8), 4, 0, "train", dtype=dtype).batch(0)
    assert batch.images.dtype == dtype
    assert batch.labels.dtype == torch.int64


class Copies(TorchDispatchMode):
    """Sees what is copied from the CPU to a device, and whether that is waited for."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device = device
        self.blocking: list[bool] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if str(func) == "aten._to_copy.default" and args[0].device.type == "cpu":
            assert str(kwargs["device"]) == self.device
            self.blocking.append(not kwargs.get("non_blocking"))
        return func(*args, **kwargs)


def test_a_device_is_not_waited_for_to_make_a_batch() -> None:
    augmentation = Augmentation(cutout=2)
    stream = Stream(
        numbered(30), torch.arange(30), 10, 0, "train", augmentation=augmentation, device="meta"
    )
    stream.batch(0)  # mean and deviation are sent once
    with Copies("meta") as seen:
        assert stream.batch(1).images.device.type == "meta"
    assert len(seen.blocking) == 5  # of images and labels which, corner, mirrored, hole
    assert not any(seen.blocking)


def test_streams_share_the_images_of_one_data_set() -> None:
    data = numbered(10)
    one, other = (Stream(data, torch.arange(10), 5, 0, purpose) for purpose in ("a", "b"))
    assert one.dataset is other.dataset is data


def test_split_by_index_order() -> None:
    train, val = split(73_257)
    assert (len(train), len(val)) == (36_628, 36_629)
    assert torch.equal(torch.cat((train, val)), torch.arange(73_257))
    train, val = split(50_000)
    assert (int(train[-1]), int(val[0])) == (24_999, 25_000)
    train, val = split(100, 0.3, subset=20)
    assert torch.equal(train, torch.arange(20))
    assert torch.equal(val, torch.arange(30, 50))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((100, 0.0), r"portion=0\.0, expected a share in \(0, 1\)"),
        ((100, 1.0), r"portion=1\.0"),
        ((100, float("nan")), "portion=nan"),
        ((1, 0.5), "leave one part empty"),
        ((100, 0.5, 51), "subset=51, expected 1 to 50"),
        ((100, 0.5, 0), "subset=0, expected 1 to 50"),
    ],
)
def test_split_refuses(arguments: tuple[int, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        split(*arguments)


def test_stream_refuses_and_says_the_cure() -> None:
    data, indices = numbered(10), torch.arange(10)
    with pytest.raises(
        ValueError, match=r"batch_size=11 for 10 images of purpose 'val'.*lower the"
    ):
        Stream(data, indices, 11, 0, "val")
    with pytest.raises(ValueError, match="batch_size=0"):
        Stream(data, indices, 0, 0, "val")
    with pytest.raises(ValueError, match="indices from 0 to 10, but numbered has images 0 to 9"):
        Stream(data, torch.arange(11), 5, 0, "val")
    with pytest.raises(ValueError, match="indices from -1"):
        Stream(data, indices - 1, 5, 0, "val")
    with pytest.raises(ValueError, match="expected a non-empty 1-D int64"):
        Stream(data, indices.float(), 5, 0, "val")
    with pytest.raises(ValueError, match="expected a non-empty 1-D int64"):
        Stream(data, indices[:0], 5, 0, "val")
    with pytest.raises(ValueError, match=r"got torch\.int32, expected torch\.float32"):
        Stream(data, indices, 5, 0, "val", dtype=torch.int32)
    with pytest.raises(ValueError, match="expected k >= 0"):
        Stream(data, indices, 5, 0, "val").batch(-1)
