"""Keyed randomness: a stream is its name, and names are never confused."""

from __future__ import annotations

import hashlib

import pytest
import torch

from zarts.bilevel.rng import generator, key, placed


def test_a_key_is_a_constant_of_its_parts() -> None:
    # Stored runs name their streams by these numbers, so a change of the scheme must be seen.
    assert key(0, "plane") == 7126045065572447364
    assert key(0, "plane") == int(hashlib.sha256(b"(0, 'plane')").hexdigest()[:16], 16) >> 1


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((0, "a", "b"), (0, "ab")),
        ((0, "a", "bc"), (0, "ab", "c")),
        ((0, "a", "b"), (0, "b", "a")),
        ((0, "a, b"), (0, "a", "b")),
        ((0, "a', 'b"), (0, "a", "b")),
        ((0, 1), (0, "1")),
        ((0, 1, 2), (0, 12)),
        ((1, 2), (12,)),
        ((0, "a"), (1, "a")),
        ((0,), (0, "")),
        ((0, -1), (0, 1)),
    ],
)
def test_different_parts_are_different_streams(
    left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    assert key(*left) != key(*right)


def test_keys_fit_a_signed_64_bit_integer() -> None:
    keys = [key(seed, "range") for seed in range(200)]
    assert len(set(keys)) == 200
    assert all(0 <= value < 2**63 for value in keys)
    assert max(keys) > 2**62  # the top bit in use, so no bits are lost by accident


def test_the_same_name_gives_the_same_draws_whatever_was_drawn_before() -> None:
    first = torch.randn(4, generator=generator(3, "candidates", 7))
    torch.randn(100)
    torch.randn(5, generator=generator(3, "candidates", 6))
    assert torch.equal(first, torch.randn(4, generator=generator(3, "candidates", 7)))
    assert not torch.equal(first, torch.randn(4, generator=generator(3, "candidates", 6)))


def test_the_global_generator_is_not_touched() -> None:
    before = torch.get_rng_state()
    torch.randn(3, generator=generator(0, "anything"))
    assert torch.equal(before, torch.get_rng_state())


def test_generators_live_on_the_cpu() -> None:
    assert generator(0, "x").device == torch.device("cpu")


def test_masses_of_draws_are_of_the_cpu_unless_a_gpu_computes() -> None:
    source = generator(0, "noise")
    assert all(placed(source, torch.device(device)) is source for device in ("cpu", "meta"))
