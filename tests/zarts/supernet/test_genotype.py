"""Text and sizes of discrete architectures."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zarts.supernet.genotype import Genotype, parameters, parse
from zarts.supernet.published import NAMED
from zarts.supernet.spaces import SPACES

DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), "
    "('dil_conv_3x3', 2)], normal_concat=range(2, 6), reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=range(2, 6))"
)


def test_text_is_that_of_the_field():
    assert str(NAMED["DARTS_V2"]) == DARTS_V2
    assert parse(DARTS_V2) == NAMED["DARTS_V2"]
    assert NAMED["DARTS_V2"].skip_share == 5 / 16


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(SPACES["s6"].groups[0].operations[0]), st.integers(0, 1)),
        min_size=16,
        max_size=16,
    ),
    st.sampled_from([(2, 3, 4, 5), (3, 5), (5,), (4, 5)]),
)
def test_text_round_trips(inputs, concat):
    genotype = Genotype(tuple(inputs[:8]), tuple(inputs[8:]), concat)
    assert parse(str(genotype)) == genotype
    assert str(parse(str(genotype))) == str(genotype)


PAIR = re.compile(r"(\('\w+', \d)\), (\('\w+', \d)\)")


@pytest.mark.parametrize(
    "text",
    [
        "MINE_V3 = " + DARTS_V2,
        "# found on 3 May (it's good)\nMINE = " + DARTS_V2 + "  # the best\nimport os\n",
        "2021-06-27 13:25:46,379 genotype = " + DARTS_V2,
        f"06/27 01:25:46 PM epoch 3 genotypes.{DARTS_V2}\n06/27 epoch 4 {DARTS_V2}",
        DARTS_V2.replace("), (", "),\n    (").replace("'", '"'),
        re.sub(r"(', \d)\)", r"\1, np.float64(0.13))", DARTS_V2),
        PAIR.sub(r"[\1), \2)]", DARTS_V2),
        PAIR.sub(r"(\1, 0.1), \2, 0.2))", DARTS_V2),
        DARTS_V2[:-1] + ", connectN=None, connects=None)",
        re.sub(r"\w+=", "", DARTS_V2).replace("range(2, 6)", "[2, 3, 4, 5]"),
    ],
)
def test_the_genotype_is_found_in_whatever_people_copy(text):
    assert parse(text) == NAMED["DARTS_V2"]


def test_several_genotypes_are_not_guessed_from():
    with pytest.raises(ValueError, match="got 2 different genotypes, expected one"):
        parse(f"{DARTS_V2}\n{NAMED['DARTS_V1']}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Genotype(",
        "DARTS_V2",
        "__import__('os').getcwd()",
        "Genotype(normal=__import__('os'), normal_concat=range(2, 6), reduce=[], reduce_concat=[])",
        DARTS_V2.replace("range(2, 6)", "range(2, 10**9)"),
        DARTS_V2.replace("range(2, 6)", "range(2, 99999999999)"),
        DARTS_V2.replace("normal_concat=range(2, 6), ", ""),
        DARTS_V2.replace("normal_concat=range(2, 6)", "normal_concat=range(3, 6)"),
        DARTS_V2.replace("('dil_conv_3x3', 2)", "('dil_conv_3x3', 'x')"),
        DARTS_V2.replace("('dil_conv_3x3', 2)", "('dil_conv_3x3',)"),
        DARTS_V2.replace("Genotype", "Other"),
        DARTS_V2[:-1] + ", **{})",
        "(" * 500,
    ],
)
def test_parse_refuses_what_is_no_genotype(text):
    with pytest.raises(ValueError, match=r"expected Genotype\(normal="):
        parse(text)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("'dil_conv_3x3', 2", "'conv', 2", "operation 'conv', expected one of"),
        ("'dil_conv_3x3', 2", "'dil_conv_3x3', 5", "reads source 5, expected 0 to 4"),
        ("('dil_conv_3x3', 2)", "", "7 inputs, expected 8"),
        ("'dil_conv_3x3', 2", "'none', 2", "operation 'none', expected one of noise, max_pool"),
    ],
)
def test_parse_refuses_impossible_cells(old, new, message):
    with pytest.raises(ValueError, match=message):
        parse(DARTS_V2.replace(old, new))


# CIFAR-10 20x36, with the auxiliary head, CIFAR-100 20x36, CIFAR-10 20x16, 8x16, CIFAR-100 8x16,
# ImageNet 14x48; the first of DARTS_V1 and DARTS_V2 as in public training logs.
COUNTS = {
    "DARTS_V1": (3_169_414, 3_645_840, 3_221_344, 671_034, 232_890, 256_020, 4_510_432),
    "DARTS_V2": (3_349_342, 3_825_768, 3_401_272, 710_682, 246_106, 269_236, 4_718_752),
    "PDARTS": (3_433_798, 3_910_224, 3_485_728, 737_338, 292_026, 315_156, 4_944_352),
    "PC_DARTS_cifar": (3_634_678, 4_111_104, 3_686_608, 788_218, 335_738, 358_868, 5_270_560),
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts(name):
    genotype = NAMED[name]
    assert COUNTS[name] == (
        parameters(genotype),
        parameters(genotype, auxiliary=True),
        parameters(genotype, classes=100),
        parameters(genotype, channels=16),
        parameters(genotype, channels=16, count=8),
        parameters(genotype, channels=16, count=8, classes=100),
        parameters(genotype, channels=48, count=14, classes=1000, stem="imagenet"),
    )


def test_gdas_on_imagenet_has_the_published_size():
    """GDAS publishes 5.3 M parameters for its cell, which is right at 50 channels."""
    count = parameters(NAMED["GDAS_V1"], channels=50, count=14, classes=1000, stem="imagenet")
    assert round(count / 1e6, 1) == 5.3
