"""What networks cost, against published numbers, PyTorch's counter and built networks."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from zarts.bilevel.chance import Chance
from zarts.genotype.cost import NETWORKS, Cost, NetworkSize, cost, network_size
from zarts.retrain.network import CellNetwork
from zarts.supernet.genotype import Genotype
from zarts.supernet.plain import PlainSupernet
from zarts.supernet.published import NAMED
from zarts.supernet.spaces import SPACES

# Millions of macs and of thop_legacy: of 20x36 and on ImageNet. The parameters, which are counted
# elsewhere, are in tests/zarts/supernet/test_genotype.py.
GOLDEN = {
    "DARTS_V1": ("500.99", "518.35", "505.86", "519.15"),
    "DARTS_V2": ("528.36", "546.88", "529.91", "543.99"),
    "PDARTS": ("532.17", "550.53", "542.82", "557.12"),
    "PC_DARTS_cifar": ("556.67", "575.53", "571.14", "585.95"),
}


def of(name: str, network: str) -> Cost:
    return cost(NAMED[name], **asdict(network_size(network)))


def millions(*counts: int) -> tuple[str, ...]:
    return tuple(f"{count / 1e6:.2f}" for count in counts)


@pytest.mark.parametrize("name", GOLDEN)
def test_the_published_numbers(name: str) -> None:
    large, imagenet = of(name, "20x36"), of(name, "imagenet")
    found = millions(large.macs, large.thop_legacy, imagenet.macs, imagenet.thop_legacy)
    assert found == GOLDEN[name]


def test_the_published_numbers_of_smaller_networks() -> None:
    small, middle = of("DARTS_V2", "8x16"), of("DARTS_V2", "20x16")
    assert millions(small.macs, small.thop_legacy) == ("43.44", "46.52")
    assert millions(middle.macs, middle.thop_legacy) == ("114.57", "122.80")


def test_the_parameters_of_supernets() -> None:
    assert PlainSupernet(SPACES["s5"], cells=5).parameters == 1_275_834  # P-DARTS' first stage
    imagenet = PlainSupernet(SPACES["s6"], classes=1000, stem="imagenet")
    assert imagenet.parameters == 2_185_872


@pytest.mark.slow
@pytest.mark.parametrize(("name", "expected"), [("s1", "68.43"), ("s6", "300.26")])
def test_the_macs_of_supernets(name: str, expected: str) -> None:
    network = PlainSupernet(SPACES[name])
    weights = {key: torch.empty(size, device="meta") for key, size in network.shapes().items()}
    with FlopCounterMode(display=False) as counter:
        images = torch.empty(1, 3, 32, 32, device="meta")
        network(weights, torch.zeros(network.space.dim, device="meta"), images, Chance(0))
    assert millions(counter.get_total_flops() // 2) == (expected,)


class Elements(TorchDispatchMode):
    """Counts the numbers that ReLUs and BatchNorms give."""

    def __init__(self) -> None:
        super().__init__()
        self.rectified = self.normalised = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        found = function(*args, **(kwargs or {}))
        name = function.overloadpacket.__name__
        if name.strip("_") == "relu":
            self.rectified += found.numel()
        if "batch_norm" in name:
            self.normalised += found[0].numel()
        return found


ODD = (("noise", 1), ("dil_conv_5x5", 0), ("skip_connect", 0), ("skip_connect", 2)) * 2
SIZES = {
    "8x16": NETWORKS["8x16"],
    "odd": NetworkSize(4, 5, 7, "cifar", (1, 9, 14)),
    "one cell": NetworkSize(2, 1, 3, "cifar", (2, 5, 5)),
    "imagenet": NetworkSize(6, 4, 11, "imagenet", (3, 75, 64)),
}


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize(
    "genotype",
    [NAMED["PDARTS"], NAMED["GDAS_V1"], Genotype(ODD, ODD, (3, 5))],
    ids=["PDARTS", "GDAS_V1", "odd"],
)
def test_they_are_those_of_a_built_network(genotype: Genotype, size: NetworkSize) -> None:
    sizes = {"channels": size.channels, "count": size.count, "classes": size.classes}
    found = cost(genotype, **asdict(size))
    with torch.device("meta"):
        plain, auxiliary = (
            CellNetwork(
                genotype, **sizes, stem=size.stem, image_channels=size.image[0], auxiliary=with_head
            ).eval()
            for with_head in (False, True)
        )
        images = torch.empty(1, *size.image)

    def counted(network: nn.Module) -> int:
        return sum(parameter.numel() for parameter in network.parameters())

    assert found.parameters == counted(plain)
    assert found.with_auxiliary == counted(auxiliary)
    with FlopCounterMode(display=False) as counter, Elements() as elements:
        plain(images)
    assert found.macs == counter.get_total_flops() / 2
    assert found.thop_legacy - found.macs == 2 * elements.normalised + elements.rectified
    assert elements.rectified > 0


@pytest.mark.parametrize(
    ("text", "classes", "message"),
    [
        ("20", None, "got network '20', expected one of 20x36, .*CELLSxCHANNELS"),
        ("cifar", None, "got network 'cifar'"),
        ("8x-16", None, "got network '8x-16'"),
        ("8x15", None, "got 15 channels, expected an even number"),
        ("0x16", None, "got 0 cells"),
        ("8x16", 0, "got 0 classes, expected at least 1"),
    ],
)
def test_sizes_that_are_none(text: str, classes: int | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network_size(text, classes)
    with pytest.raises(ValueError, match="got an image of"):
        cost(NAMED["PDARTS"], image=(3, 0, 32))


def test_sizes_by_name_and_freely() -> None:
    assert network_size("imagenet").classes == 1000
    assert network_size("imagenet", 10).image == (3, 224, 224)
    assert network_size("14x48", 100) == NetworkSize(48, 14, 100)
