"""The drawings show each edge, and nothing in them lies on anything else."""

from __future__ import annotations

import re
from itertools import combinations
from xml.etree import ElementTree

import pytest

from zarts.genotype.drawing import changes, svg, text
from zarts.supernet.genotype import Genotype
from zarts.supernet.published import NAMED

ODD = (
    *(("noise", 1), ("noise", 1), ("avg_pool_3x3", 0), ("skip_connect", 2)),
    *(("max_pool_3x3", 0), ("max_pool_3x3", 2), ("dil_conv_5x5", 3), ("sep_conv_5x5", 0)),
)
DRAWN = NAMED | {f"odd {concat}": Genotype(ODD, ODD, concat) for concat in [(3, 5), (1, 4), (2,)]}
every = pytest.mark.parametrize("genotype", DRAWN.values(), ids=DRAWN)
TEXT = """
normal       c_{k-2} c_{k-1}  0   1   2   3       reduction    c_{k-2} c_{k-1}  0   1   2   3
skip_connect    ├───────│────▶┐                   avg_pool_3x3    ├───────│────▶┐
dil_conv_3x3    │       ├────▶┤                   sep_conv_5x5    │       ├────▶┤
skip_connect    ├───────│─────│──▶┐               sep_conv_3x3    ├───────│─────│──▶┐
sep_conv_3x3    │       ├─────│──▶┤               dil_conv_5x5    │       │     ├──▶┤
sep_conv_3x3    │       ╰─────│───│──▶┐           max_pool_3x3    ╰───────│─────│───│──▶┐
sep_conv_3x3    │             │   ├──▶┤           dil_conv_3x3            ├─────│───│──▶┤
sep_conv_3x3    ╰─────────────│───│───│──▶┐       dil_conv_3x3            ╰─────│───│───│──▶┐
dil_conv_5x5                  │   │   ├──▶┤       dil_conv_5x5                  │   ├───│──▶┤
                              ╰───┴───┴───┴▶ c_{k}                              ╰───┴───┴───┴▶ c_{k}
"""


def test_the_text_of_one() -> None:
    assert "\n".join(text(NAMED["PDARTS"])) == TEXT.strip()


@every
def test_the_text_shows_each_edge_in_100_columns(genotype: Genotype) -> None:
    lines = text(genotype)
    assert max(map(len, lines)) <= 100
    places = [lines[0].index(name) for name in ("c_{k-2}", "c_{k-1}", " 0 ", " 1 ", " 2 ")]
    places = [place + (3 if state < 2 else 1) for state, place in enumerate(places)]
    for row, (operation, source) in enumerate(genotype.normal):
        line = lines[row + 1][:50]
        assert line.split()[0] == operation
        assert re.search(r"[├╰]", line).start() == places[source]  # type: ignore[union-attr]
        assert (line.rstrip()[-1] in "┐") == (row % 2 == 0)
    unused = Genotype(ODD, ODD, (5,))
    assert "┘" in text(unused)[6]  # node 2, which nothing reads


Box = tuple[float, float, float, float]  # left, top, right, bottom


def inside(number: float, low: float, high: float) -> bool:
    return low < number < high


def overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@every
def test_in_the_svg_nothing_lies_on_anything_else(genotype: Genotype) -> None:
    root = ElementTree.fromstring(svg(genotype))
    space = "{http://www.w3.org/2000/svg}"
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for panel, inputs in zip(
        root.findall(f"{space}g"), (genotype.normal, genotype.reduce), strict=True
    ):
        boxes = [
            (x, y, x + float(each.attrib["width"]), y + float(each.attrib["height"]))
            for each in panel.findall(f"{space}rect")
            for x, y in [(float(each.attrib["x"]), float(each.attrib["y"]))]
        ]
        assert len(boxes) == 8 + 6 + 1  # operations, states, output
        assert not [pair for pair in combinations(boxes, 2) if overlap(*pair)]
        assert all(x >= 0 and y >= 0 and right <= width / 2 and low <= height
                   for x, y, right, low in boxes)  # fmt: skip
        labels = [each for each in panel.findall(f"{space}text") if "font-family" in each.attrib]
        assert [each.text for each in labels] == [operation for operation, _ in inputs]
        assert all(len(str(each.text)) * 7.3 < 96 for each in labels)  # of 12 px monospace
        paths = [each.attrib["d"] for each in panel.findall(f"{space}path")]
        flat = [re.fullmatch(r"M(\S+) (\S+)H(\S+)", each) for each in paths]
        steep = [re.fullmatch(r"M(\S+) (\S+)V(\S+)", each) for each in paths]
        edges = [tuple(map(float, each.groups())) for each in flat if each]
        assert len(edges) == 8
        for row, (x, y, end) in enumerate(edges):  # crosses its own label alone
            crossed = [
                box for box in boxes if inside(y, box[1], box[3]) and x < box[2] and box[0] < end
            ]
            assert crossed == [boxes[row]]
        for x, y, end in (map(float, each.groups()) for each in steep if each):
            assert not [
                box for box in boxes if inside(x, box[0], box[2]) and y < box[3] and box[1] < end
            ]


def test_the_svg_escapes_its_title() -> None:
    drawn = svg(NAMED["PDARTS"], '<script>"&')
    assert "<script>" not in drawn
    root = ElementTree.fromstring(drawn)
    assert '<script>"&' in [each.text for each in root.iter()]


def test_changes_are_edges_whatever_their_place_in_a_node() -> None:
    one = NAMED["PDARTS"]
    swapped = Genotype((one.normal[1], one.normal[0], *one.normal[2:]), one.reduce)
    assert [len(marks) for marks in changes(one, swapped)] == [0, 0]
    other = Genotype((*one.normal[:7], ("noise", 4)), ODD)
    removed, added = changes(one, other)
    assert (removed.normal, added.normal) == ({7}, {7})
    assert added.reduce == {0, 1, 2, 3, 5, 7}  # as the others are in both
    twice = Genotype((*one.normal[:6], ("noise", 4), ("noise", 4)), one.reduce)
    assert changes(twice, other)[0].normal == {7}  # one of the two is there
    for marks, genotype in ((removed, one), (added, other)):
        drawn = svg(genotype, marks=marks)
        assert drawn.count(f">{marks.sign}</text>") == 2 * len(marks)
        assert ElementTree.fromstring(drawn) is not None
    assert svg(one) == svg(one, marks=changes(one, one)[0])


def test_stacked_cells_are_twice_as_high_and_half_as_wide() -> None:
    beside, below = (
        ElementTree.fromstring(svg(NAMED["PDARTS"], stacked=stacked)).attrib
        for stacked in (False, True)
    )
    assert float(beside["width"]) == 2 * float(below["width"])
    assert float(below["height"]) == 2 * float(beside["height"])
