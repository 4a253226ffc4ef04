"""What each table consists of, in the numbers of searches and retrainings of the paper."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from zarts.reproduce.entries import random_cells
from zarts.reproduce.estimate import search_passes
from zarts.reproduce.published import QUOTED
from zarts.reproduce.studies import PRESETS, STUDIES, Arm
from zarts.supernet.layout import EDGES
from zarts.supernet.spaces import SPACES

COUNTS = {  # of the paper: searches, retrainings at most
    "fig2": (2, 16),
    "table2": (144, 144),
    "table3": (8, 8),
    "table4": (2, 2),
    "table5": (12, 12),
}


def searches(arms: Sequence[Arm]) -> set[str]:
    return {
        arm.searching(seed).hash() for arm in arms if arm.method != "random" for seed in arm.seeds
    }


@pytest.mark.parametrize("study", COUNTS)
def test_the_paper_is_whole(study: str) -> None:
    arms = STUDIES[study].arms("paper")
    retrainings = sum(len(arm.seeds) * max(1, len(arm.epochs)) for arm in arms)
    assert (len(searches(arms)), retrainings) == COUNTS[study]
    places = {(arm.row, arm.column) for arm in arms}
    quoted = {place for place in QUOTED[study] if "ROME" not in QUOTED[study][place]}
    if study != "table2":
        assert quoted <= places


def test_table_4_retrains_the_cells_of_table_3() -> None:
    for preset in PRESETS:
        three, four = (searches(STUDIES[name].arms(preset)) for name in ("table3", "table4"))
        assert four < three


@pytest.mark.parametrize("study", [*COUNTS, "collapse"])
def test_quick_does_no_more_than_standard(study: str) -> None:
    quick, standard = (STUDIES[study].arms(preset) for preset in ("quick", "standard"))
    assert [arm.name for arm in quick] == [arm.name for arm in standard]
    for less, more in zip(quick, standard, strict=True):
        assert less.seeds == more.seeds
        assert search_passes(less.searching(0)) <= search_passes(more.searching(0))
        few, many = (arm.retraining("", 0).training.epochs for arm in (less, more))
        assert few <= many
    small = {"fig2", "table2", "collapse"}  # those that take longer than 20 minutes
    assert (searches(quick) != searches(standard)) == (study in small)


@pytest.mark.parametrize("preset", ["quick", "standard"])
def test_what_is_retrained_sees_no_image_of_a_search(preset: str) -> None:
    arms = STUDIES["collapse"].arms(preset)
    assert len(searches(arms)) == 2 * 4 * 5
    for arm in arms:
        search, retraining = arm.searching(0), arm.retraining("", 0)
        half = 8000 // 2  # D_val begins here
        used = [*range(search.data.subset), *range(half, half + search.data.subset)]
        first, count = retraining.data.first, retraining.data.count
        assert not set(used) & set(range(first, first + count))
        assert retraining.data.downscale == 2  # 14×14


def test_random_cells_are_of_their_space_and_differ() -> None:
    found = {str(random_cells("s1", seed)) for seed in range(20)}
    assert len(found) == 20
    cells = random_cells("s1", 3)
    assert cells == random_cells("s1", 3)
    for group, inputs in zip(SPACES["s1"].groups, (cells.normal, cells.reduce), strict=True):
        for position, (operation, source) in enumerate(inputs):
            edge = EDGES.index((position // 2, source))
            assert operation in group.operations[edge]
        pairs = [set(inputs[2 * node : 2 * node + 2]) for node in range(4)]
        assert all(len({source for _, source in pair}) == 2 for pair in pairs)
