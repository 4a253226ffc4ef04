"""The discrete network: its parameters, its draws, and its cells against those of the supernet."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from zarts.bilevel.alpha import Group, Space
from zarts.bilevel.chance import Chance
from zarts.bilevel.rng import generator
from zarts.retrain.network import Auxiliary, CellNetwork, Halved, start
from zarts.supernet.genotype import Genotype, parameters
from zarts.supernet.layout import EDGES
from zarts.supernet.plain import PlainSupernet
from zarts.supernet.published import NAMED

SKIPS, SEPARABLE, NOISE = (
    Genotype(cell, cell)
    for name in ("skip_connect", "sep_conv_3x3", "noise")
    for cell in [tuple((name, place % 2) for place in range(8))]
)


def small(genotype: Genotype, **sizes: object) -> CellNetwork:
    network = CellNetwork(genotype, **({"channels": 4, "count": 3} | sizes))  # type: ignore[arg-type]
    start(network, generator(0, "test"))
    return network


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize(
    "sizes",
    [
        {"channels": 36, "count": 20, "classes": 10, "stem": "cifar"},
        {"channels": 16, "count": 8, "classes": 100, "stem": "cifar"},
        {"channels": 48, "count": 14, "classes": 1000, "stem": "imagenet"},
    ],
)
@pytest.mark.parametrize("auxiliary", [False, True])
def test_it_has_as_many_parameters_as_are_counted(
    name: str, sizes: dict[str, int], auxiliary: bool
) -> None:
    with torch.device("meta"):
        network = CellNetwork(NAMED[name], **sizes, auxiliary=auxiliary)  # type: ignore[arg-type]
    counted = parameters(NAMED[name], **sizes, auxiliary=auxiliary)  # type: ignore[arg-type]
    assert sum(weight.numel() for weight in network.parameters()) == counted


MIXED = (
    ("sep_conv_3x3", 1), ("dil_conv_5x5", 0), ("skip_connect", 0), ("sep_conv_5x5", 2),
    ("dil_conv_3x3", 1), ("skip_connect", 3), ("skip_connect", 1), ("sep_conv_3x3", 4),
)  # fmt: skip


@pytest.mark.parametrize("stem", ["cifar", "imagenet"])
def test_its_cells_are_those_of_the_supernet(stem: str) -> None:
    """The supernet that offers nothing, or what the genotype has, with the same weights."""
    places = {EDGES.index((place // 2, source)): place for place, (_, source) in enumerate(MIXED)}
    edges = tuple(
        ("none", MIXED[places[edge]][0] if edge in places else "skip_connect") for edge in range(14)
    )
    space = Space("one", (Group("normal", edges), Group("reduce", edges)))
    supernet = PlainSupernet(space, 4, 3, classes=7, stem=stem)
    chosen = torch.tensor([[-1e4, 1e4] if edge in places else [1e4, -1e4] for edge in range(14)])
    network = small(Genotype(MIXED, MIXED), classes=7, stem=stem).double()
    drawn = supernet.init(generator(0, "weights"), torch.float64)
    apart, taken = supernet.apart(drawn), [drawn["head.weight"], drawn["head.bias"]]
    taken += [weight for name, weight in drawn.items() if name.endswith("convolution")]
    for index in range(len(network.cells)):
        taken += [apart[f"cells.{index}.input.{source}"] for source in (0, 1)]
        for edge, place in places.items():
            start_of = f"cells.{index}.edge.{edge}.{MIXED[place][0]}."
            taken += [weight for name, weight in apart.items() if name.startswith(start_of)]
    kernels = [network.head.weight, network.head.bias]
    kernels += [module.weight for module in network.stem.modules() if hasattr(module, "stride")]
    for cell in network.cells:
        kernels += [_kernels(part) for part in cell.preprocess]
        kernels += [each for place in places.values() for each in _parts(cell.operations[place])]
    with torch.no_grad():
        for ours, theirs in zip(kernels, taken, strict=True):
            pieces = theirs.chunk(2) if isinstance(ours, tuple) else (theirs,)
            for one, piece in zip(
                ours if isinstance(ours, tuple) else (ours,), pieces, strict=True
            ):
                one.copy_(piece)
        images = torch.randn(4, 3, 17, 22, dtype=torch.float64)
        wanted = supernet(drawn, chosen.repeat(2, 1).flatten().double(), images, Chance(0))
        torch.testing.assert_close(network(images).logits, wanted, rtol=1e-11, atol=1e-11)


def _kernels(part: nn.Module) -> torch.Tensor | tuple[torch.Tensor, ...]:
    """The kernel of a preprocessing, or the two of a reduction."""
    found = tuple(module.weight for module in part.modules() if isinstance(module, nn.Conv2d))
    return found if len(found) > 1 else found[0]


def _parts(part: nn.Module) -> list[torch.Tensor | tuple[torch.Tensor, ...]]:
    """The kernels of an operation, in the order of the supernet's."""
    if isinstance(part, Halved):
        return [_kernels(part)]
    return [module.weight for module in part.modules() if isinstance(module, nn.Conv2d)]


@pytest.mark.parametrize("stem", ["cifar", "imagenet"])
def test_a_network_halves_odd_sizes_and_keeps_its_classes(stem: str) -> None:
    network = small(NAMED["PDARTS"], stem=stem, classes=7, image_channels=1, auxiliary=True)
    for sides in ((28, 28), (9, 13), (33, 7)):
        heads = network(torch.randn(2, 1, *sides), Chance(0))
        assert heads.logits.shape == heads.auxiliary.shape == (2, 7)
    assert network.eval()(torch.randn(2, 1, 9, 9)).auxiliary is None


def test_the_pool_of_the_second_head_is_the_published_one_at_its_sizes() -> None:
    for stem, side, stride in (("cifar", 8, 3), ("imagenet", 7, 2)):
        head, x = Auxiliary(6, 5, stem), torch.randn(3, 6, side, side)
        pooled = nn.functional.avg_pool2d(x.relu(), 5, stride)
        assert torch.equal(head(x), head.head(head.features(pooled).flatten(1)))


def test_the_start_is_keyed_and_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    with torch.device("meta"):
        network = CellNetwork(SEPARABLE, channels=4, count=3, auxiliary=True)
    one = network.to_empty(device="cpu")
    start(one, generator(0, "test"))
    assert torch.equal(before, torch.random.get_rng_state())
    two = small(SEPARABLE, auxiliary=True)
    pairs = zip(one.state_dict().items(), two.state_dict().items(), strict=True)
    assert all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)
    weight = one.cells[0].operations[0][1].weight  # depthwise: fan-in 9
    assert 0.8 / 3 < float(weight.detach().abs().max()) <= 1 / 3


def test_drop_path_drops_whole_images_of_operations_that_are_no_identities() -> None:
    images, chance = torch.randn(64, 3, 8, 8), Chance(5, drop_path=0.4)
    network = small(SEPARABLE, count=1)
    masks = network._masks(images, chance)
    assert set(masks) == {(0, place) for place in range(8)}
    found = torch.stack(list(masks.values())).flatten()
    assert found.unique().tolist() == pytest.approx([0.0, 1 / 0.6])
    assert float(found.mean()) == pytest.approx(1.0, abs=0.1)
    again = network._masks(images, chance)
    assert all(torch.equal(masks[edge], again[edge]) for edge in masks)
    assert not torch.equal(masks[0, 0], network._masks(images, Chance(6, drop_path=0.4))[0, 0])
    # of skips, reductions alone are dropped: those of stride 2, which read the cell's inputs
    reducing = {(1, place) for place in range(8)} | {(2, place) for place in range(8)}
    assert set(small(SKIPS)._masks(images, chance)) == reducing
    assert not network.eval()._masks(images, chance)


def test_a_dropped_operation_gives_zero_to_its_images_alone() -> None:
    images, network = torch.randn(4, 3, 8, 8), small(SEPARABLE, count=1)
    cell = network.cells[0]
    inputs = network.stem(images)
    masks = {(0, place): torch.ones(4, 1, 1, 1) for place in range(8)}
    whole = cell(*inputs, masks, Chance(0))
    for place in (0, 1):  # all that the first node has
        masks[0, place] = torch.tensor([1.0, 0.0, 1.0, 1.0]).view(4, 1, 1, 1)
    part = cell(*inputs, masks, Chance(0))
    width = whole.shape[1] // 4
    assert not part[1, :width].any()
    assert torch.equal(part[[0, 2, 3]][:, :width], whole[[0, 2, 3]][:, :width])


def test_noise_is_keyed_and_ignores_the_images() -> None:
    network = small(NOISE, count=3).eval()
    assert network.noisy
    assert not small(SKIPS).noisy
    with torch.no_grad():
        one, two, other = (
            network(torch.randn(2, 3, 8, 8), Chance(key)).logits for key in (1, 1, 2)
        )
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("name", [*NAMED, "skips", "noise", "partial"])
def test_it_knows_whether_all_parameters_have_a_gradient(name: str) -> None:
    """As processes that average gradients have to."""
    own = {"skips": SKIPS, "noise": NOISE}
    own["partial"] = Genotype(SEPARABLE.normal, SEPARABLE.reduce, concat=(2, 3))
    network = small(NAMED.get(name) or own[name])
    network(torch.randn(2, 3, 9, 9)).logits.sum().backward()
    missing = [key for key, weight in network.named_parameters() if weight.grad is None]
    assert network.whole == (not missing)


def test_a_cell_that_concatenates_its_inputs_is_refused() -> None:
    genotype = Genotype(SKIPS.normal, SKIPS.reduce, concat=(1, 2, 3))
    with pytest.raises(ValueError, match=r"concatenates the states \[1, 2, 3\], expected nodes"):
        CellNetwork(genotype)
