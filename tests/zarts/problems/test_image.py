"""Images as a bilevel problem: who sees which batches."""

from __future__ import annotations

import gc
import itertools
import weakref
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from zarts.bilevel.chance import Strengths
from zarts.bilevel.inner import SGD
from zarts.bilevel.rng import generator
from zarts.data.dataset import Dataset, from_tensors
from zarts.data.stream import Batch, Stream, split
from zarts.problems.image import ImageFeed, cosine, with_rate

IMAGES, TRAIN = 40, 20  # D_train is images 0..19, D_val 20..39
RULE = SGD(0.1, momentum=0.9, weight_decay=3e-4, clip=5.0)


def dataset(classes: int = IMAGES, side: int = 8) -> Dataset:
    """Noise. With as many classes as images, a label tells which image it is."""
    rng = generator(0, "images")
    images = torch.randint(0, 256, (IMAGES, 1, side, side), generator=rng, dtype=torch.uint8)
    return from_tensors("noise", images, torch.arange(IMAGES) % classes, classes)


def make_feed(
    *,
    period: int = 2,
    stride: int = 10,
    val_batches: int = 1,
    upcoming: bool = False,
    data: Dataset | None = None,
) -> ImageFeed:
    """S = 5 outer batches of 4 per epoch, inner batches of 3, validation batches of 5."""
    data = dataset() if data is None else data
    train, val = split(IMAGES)
    return ImageFeed(
        train=Stream(data, train, 4, 1, "train", dtype=torch.float64),
        inner=None if upcoming else Stream(data, train, 3, 1, "inner", dtype=torch.float64),
        val=Stream(data, val, 5, 1, "val", dtype=torch.float64),
        outer=lambda epoch: replace(RULE, learning_rate=0.1 / (1 + epoch)),
        inner_rule=with_rate(0.0, None),
        period=period,
        val_batches_per_iteration=val_batches,
        stride=stride,
    )


def keys(batches: Sequence[Batch]) -> list[int]:
    """The key of a batch names its stream and its number."""
    return [batch.chance.key for batch in batches]


def seen(batches: Sequence[Batch]) -> list[int]:
    """Which images are in them."""
    return [int(label) for batch in batches for label in batch.labels]


# --- outer batches ------------------------------------------------------------------------------


@pytest.mark.parametrize(("period", "sizes"), [
    (1, [1, 1, 1, 1, 1]), (2, [2, 2, 1]), (3, [3, 2]), (4, [4, 1]), (5, [5]), (7, [5]),
])  # fmt: skip
def test_windows_tile_the_epochs_and_never_cross_their_ends(period: int, sizes: list[int]) -> None:
    feed = make_feed(period=period)
    assert feed.iterations_per_epoch == len(sizes)
    windows = [feed.train_batches(iteration) for iteration in range(3 * len(sizes))]
    assert [len(window) for window in windows] == 3 * sizes
    flat = [key for window in windows for key in keys(window)]
    assert flat == keys([feed.train.batch(k) for k in range(15)])
    for epoch in range(3):
        window = windows[epoch * len(sizes) : (epoch + 1) * len(sizes)]
        images = seen([batch for batches in window for batch in batches])
        assert sorted(images) == list(range(TRAIN)), "an epoch visits every training image once"


def test_rates_change_between_epochs_only() -> None:
    feed = make_feed(period=2)  # three iterations per epoch
    rates = [feed.outer_sgd(iteration).learning_rate for iteration in range(6)]
    assert rates == [0.1, 0.1, 0.1, 0.05, 0.05, 0.05]
    assert [feed.epoch(iteration) for iteration in range(7)] == [0, 0, 0, 1, 1, 1, 2]


def test_inner_rule_follows_the_outer_one() -> None:
    feed = make_feed(period=2)
    assert feed.inner_sgd(4) == replace(feed.outer_sgd(4), clip=None)
    fixed = replace(feed, inner_rule=with_rate(0.02, 1.0))
    assert fixed.inner_sgd(4) == replace(feed.outer_sgd(4), clip=1.0, learning_rate=0.02)


def test_cosine() -> None:
    values = [cosine(0.025, 0.001, epoch, 50) for epoch in range(51)]
    assert values[0] == 0.025
    assert values[25] == pytest.approx(0.013)
    assert values[50] == pytest.approx(0.001)
    assert all(later < earlier for earlier, later in itertools.pairwise(values))


# --- inner and validation batches ---------------------------------------------------------------


def test_inner_batches_are_training_images_and_the_others_validation_images() -> None:
    feed = make_feed(val_batches=4)
    inner = [image for t in range(12) for image in seen(feed.inner_batches(t, 10))]
    val = [image for t in range(12) for image in seen(feed.val_batches(t))]
    assert set(inner) == set(range(TRAIN))
    assert set(val) == set(range(TRAIN, IMAGES))


def test_fewer_inner_steps_see_the_first_batches_of_more() -> None:
    feed = make_feed()
    for iteration in range(3):
        ten = feed.inner_batches(iteration, 10)
        assert keys(feed.inner_batches(iteration, 1)) == keys(ten)[:1]
        assert keys(feed.inner_batches(iteration, 4)) == keys(ten)[:4]
        assert list(feed.inner_batches(iteration, 0)) == []


def test_no_inner_batch_comes_twice_in_two_iterations() -> None:
    feed = make_feed()
    found = [key for iteration in range(6) for key in keys(feed.inner_batches(iteration, 10))]
    assert len(set(found)) == len(found) == 60


def test_the_next_batches_are_those_of_the_coming_outer_steps() -> None:
    feed = make_feed(period=2, upcoming=True)
    for iteration in range(7):
        coming = [batch for later in range(3) for batch in feed.train_batches(iteration + later)]
        # also at the end of an epoch, where the window of the iteration itself is shorter
        for steps in (1, 2, 3, 4):
            assert keys(feed.inner_batches(iteration, steps)) == keys(coming)[:steps]


@pytest.mark.parametrize("count", [1, 3])
def test_validation_batches_per_iteration(count: int) -> None:
    feed = make_feed(val_batches=count)
    batches = [feed.val_batches(iteration) for iteration in range(4)]
    assert [len(group) for group in batches] == [count] * 4
    flat = [key for group in batches for key in keys(group)]
    assert flat == keys([feed.val.batch(k) for k in range(4 * count)])


@pytest.mark.parametrize("upcoming", [False, True])
def test_keeping_batches_does_not_change_them(upcoming: bool) -> None:
    """Whatever was asked before, a batch is what a feed that was never asked gives."""
    kept = make_feed(upcoming=upcoming, stride=4, val_batches=2)
    order = [(0, 4), (0, 1), (1, 4), (0, 4), (3, 2), (3, 6), (3, 1), (2, 4), (1, 0), (2, 3)]
    for iteration, steps in order:
        fresh = make_feed(upcoming=upcoming, stride=4, val_batches=2)
        for mine, other in (
            (kept.inner_batches(iteration, steps), fresh.inner_batches(iteration, steps)),
            (kept.val_batches(iteration), fresh.val_batches(iteration)),
            (kept.train_batches(iteration), fresh.train_batches(iteration)),
        ):
            assert keys(mine) == keys(other)
            assert all(torch.equal(a.images, b.images) for a, b in zip(mine, other, strict=True))
            assert all(torch.equal(a.labels, b.labels) for a, b in zip(mine, other, strict=True))


def test_a_batch_is_made_once_per_iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[str, int]] = []
    original = Stream.batch

    def counted(self: Stream, k: int, cutout: float) -> Batch:
        made.append((self.purpose, k))
        return original(self, k, cutout)

    monkeypatch.setattr(Stream, "batch", counted)
    feed = make_feed(stride=4, val_batches=2)
    for iteration in range(2):
        for steps in (4, 1, 4, 0, 4):  # surfaces of different M take turns
            feed.inner_batches(iteration, steps)
            feed.val_batches(iteration)
    assert len(made) == len(set(made)) == 2 * (4 + 2)


def test_batches_of_an_earlier_iteration_are_let_go() -> None:
    feed = make_feed(stride=4, val_batches=2)
    first = [weakref.ref(b) for b in (*feed.inner_batches(0, 4), *feed.val_batches(0))]
    assert all(reference() is not None for reference in first)
    feed.inner_batches(1, 4)
    feed.val_batches(1)
    gc.collect()
    assert all(reference() is None for reference in first)


def test_a_replaced_stream_is_not_answered_from_what_was_kept() -> None:
    feed = make_feed()
    feed.inner_batches(0, 2)
    assert feed.inner is not None
    other = replace(feed, inner=replace(feed.inner, purpose="fresh"))
    assert set(keys(other.inner_batches(0, 2))).isdisjoint(keys(feed.inner_batches(0, 2)))


def test_all_batches_of_an_epoch_draw_with_its_strengths() -> None:
    """Also one that was made in the epoch before, as DARTS-2nd does with the coming batches."""
    strengths = [Strengths(temperature=10), Strengths(temperature=5, drop_path=0.1)]
    feed = replace(make_feed(upcoming=True), strengths=strengths.__getitem__)
    size = feed.iterations_per_epoch
    feed.inner_batches(size - 1, 3)
    for iteration, drawn in ((size - 1, strengths[0]), (size, strengths[1])):
        batches = [*feed.train_batches(iteration), *feed.inner_batches(iteration, 3)]
        batches += feed.val_batches(iteration)
        chances = [batch.chance for batch in batches]
        assert chances == [drawn.chance(chance.key) for chance in chances]
