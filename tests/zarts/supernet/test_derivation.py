"""Which architecture an α stands for, by each rule."""

import math

import pytest
import torch

from zarts.supernet.derivation import RULES, derive, entropy
from zarts.supernet.genotype import Genotype
from zarts.supernet.layout import EDGES
from zarts.supernet.spaces import SPACES


def test_ties_go_to_the_lowest_edge_and_operation():
    genotype = derive(SPACES["s2"], torch.zeros(56))
    expected = (("skip_connect", 0), ("skip_connect", 1)) * 4
    assert genotype == Genotype(expected, expected)


def test_none_is_never_chosen_but_weighs():
    space = SPACES["s3"]
    parts = {name: torch.zeros(14, 3) for name in ("normal", "reduce")}
    parts["normal"][:, 0] = 9.0  # none wins everywhere
    parts["normal"][2:5, 2] = torch.tensor([1.0, 3.0, 2.0])  # node 1: edges 1, 2, then 0
    parts["reduce"][0, 0] = 5.0  # so edge 0 has little left for the rest
    genotype = derive(space, space.join(parts))
    assert genotype.normal[2:4] == (("sep_conv_3x3", 1), ("sep_conv_3x3", 2))
    assert genotype.reduce[:2] == (("skip_connect", 1), ("skip_connect", 0))


@pytest.mark.parametrize("name", SPACES)
def test_derive_agrees_with_an_exhaustive_choice(name):
    space = SPACES[name]
    alpha = torch.randn(space.dim, generator=torch.Generator().manual_seed(1))
    genotype = derive(space, alpha)
    table = space.mixture(alpha)
    for group, inputs in zip(space.groups, (genotype.normal, genotype.reduce), strict=True):
        for node in range(4):
            ranked = sorted(
                (
                    (float(table[group.name][edge, column]), operation, source)
                    for edge, (target, source) in enumerate(EDGES)
                    for column, operation in enumerate(group.operations[edge])
                    if target == node and operation != "none"
                ),
                reverse=True,
            )
            first = ranked[0]
            second = next(item for item in ranked if item[2] != first[2])
            assert inputs[2 * node : 2 * node + 2] == (first[1:], second[1:])


def test_derive_refuses_nan():
    with pytest.raises(ValueError, match="NaN"):
        derive(SPACES["s2"], torch.full((56,), math.nan))


def test_entropy_and_skips():
    space = SPACES["s3"]
    assert entropy(space, torch.zeros(84)) == pytest.approx(math.log(3))
    decided = torch.tensor([0.0, 1000.0, 0.0]).repeat(28)
    assert entropy(space, decided) == 0.0
    assert derive(space, decided).skip_share == 1.0
    assert entropy(SPACES["s2"], torch.tensor([math.log(3.0), 0.0]).repeat(28)) == pytest.approx(
        0.75 * math.log(4 / 3) + 0.25 * math.log(4)
    )


def tables(space, cell):
    """α with one table of weights for both cells."""
    table = torch.tensor(cell).log()
    return space.join({"normal": table, "reduce": table})


def test_gdas_may_take_one_edge_twice():
    cell = [[0.1, 0.45, 0.45]] + [[0.6, 0.2, 0.2]] * 13  # of s3: none, skip, sep
    found = derive(SPACES["s3"], tables(SPACES["s3"], cell), "gdas")
    assert found.normal[:2] == (("skip_connect", 0), ("sep_conv_3x3", 0))
    assert derive(SPACES["s3"], tables(SPACES["s3"], cell)).normal[1][1] == 1


def test_pdarts_leaves_two_skips_the_heaviest():
    weights = [0.55 + 0.02 * edge for edge in range(14)]
    space = SPACES["s2"]
    alpha = tables(space, [[weight, 1 - weight] for weight in weights])
    assert derive(space, alpha).skip_share == 1
    found = derive(space, alpha, "pdarts")
    assert found.reduce == derive(space, alpha).reduce  # the normal cell alone is restricted
    assert found.normal[6:] == (("skip_connect", 4), ("skip_connect", 3))
    assert [name for name, _ in found.normal[:6]] == ["sep_conv_3x3"] * 6


def test_pdarts_ends_where_nothing_but_skips_is_left():
    space = SPACES["s2"]
    only = [[1.0, 0.0]] * 14
    alpha = tables(space, only).clamp(min=-1e4)
    assert derive(space, alpha, "pdarts").normal.count(("skip_connect", 0)) <= 4


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match=f"expected one of {', '.join(RULES)}"):
        derive(SPACES["s2"], torch.zeros(56), "other")
