"""One pass and one batch, here and on the CPU."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from zarts import SGD, from_module
from zarts.bilevel.chance import Chance
from zarts.bilevel.rng import generator, placed
from zarts.data.augment import Augmentation
from zarts.data.dataset import from_tensors
from zarts.data.stream import Stream
from zarts.supernet.fast.network import Supernet
from zarts.supernet.plain import PlainSupernet
from zarts.supernet.spaces import SPACES


def gradients(
    net: Supernet, device: str, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    """Logits, and the gradient of a sum of them by α through that by ω: a second derivative."""
    rng = generator(0, "network")
    weights = {
        name: value.to(device).requires_grad_() for name, value in net.init(rng, dtype).items()
    }
    alpha = torch.randn(net.space.dim, generator=rng, dtype=dtype).to(device).requires_grad_()
    images = torch.randn(4, 1, 9, 8, generator=rng, dtype=dtype).to(device)
    logits = net(weights, alpha, images, Chance(0))
    slopes = torch.autograd.grad(logits.sum(), list(weights.values()), create_graph=True)
    (mixed,) = torch.autograd.grad(torch.stack([s.square().sum() for s in slopes]).sum(), alpha)
    return logits.detach().cpu(), mixed.cpu()


@pytest.mark.parametrize("kind", [Supernet, PlainSupernet])
@pytest.mark.parametrize("space", ["s1", "s6"])
def test_the_device_agrees_with_the_cpu(device: str, kind: type[Supernet], space: str) -> None:
    net = kind(SPACES[space], 4, 3, 5, 1)
    for found, expected in zip(gradients(net, device), gradients(net, "cpu"), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-9)


def test_the_device_does_not_change_the_batch(device: str) -> None:
    pixels = torch.randint(256, (30, 1, 9, 8), generator=generator(0, "p"), dtype=torch.uint8)
    data = from_tensors("drawn", pixels, torch.arange(30) % 5, 5)
    here, there = (
        Stream(data, torch.arange(30), 10, 0, "train", augmentation=Augmentation(2), device=each)
        for each in ("cpu", device)
    )
    for k in range(4):
        assert there.batch(k).images.device.type == torch.device(device).type
        torch.testing.assert_close(there.batch(k).images.cpu(), here.batch(k).images)
        assert torch.equal(there.batch(k).labels.cpu(), here.batch(k).labels)
        assert there.batch(k).chance == here.batch(k).chance


def test_noise_is_drawn_on_the_gpu_and_is_a_function_of_its_key(cuda: str) -> None:
    one, same, other = (placed(generator(0, "noise", n), torch.device(cuda)) for n in (1, 1, 2))
    assert one.device.type == "cuda"
    first, again, different = (
        torch.randn(5, generator=each, device=cuda) for each in (one, same, other)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, different)


class Mixed(torch.nn.Module):
    """Of one's own, as ``from_module`` takes it; α is no parameter."""

    def __init__(self, device: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.lines = torch.nn.ModuleList(torch.nn.Linear(6, 5) for _ in range(3))
        self.to(device)
        self.alphas = torch.zeros(3, device=device, requires_grad=True)

    def forward(self, x: Tensor) -> Tensor:
        parts = zip(self.alphas.softmax(0), self.lines, strict=True)
        return sum(share * torch.nn.functional.dropout(line(x).relu(), 0.3, self.training)
                   for share, line in parts)  # fmt: skip


def test_a_module_of_ones_own_is_pure_there(device: str) -> None:
    drawn = generator(0, "images")
    pairs = [(torch.randn(8, 6, generator=drawn), torch.arange(8) % 5) for _ in range(4)]
    values = []
    for place in (device, "cpu"):
        half = [(x.to(place), y.to(place)) for x, y in pairs]
        objective, alpha = from_module(Mixed(place), ["alphas"], half[:3], half[3:], SGD(0.1))
        assert alpha.device.type == "cpu"
        values.append(objective(alpha))
        tuned = objective.at(3)(alpha)  # dropout draws on the device
        torch.rand(7, device=place)
        assert torch.equal(objective.at(3)(alpha), tuned)
    torch.testing.assert_close(*values, rtol=1e-5, atol=1e-6)
