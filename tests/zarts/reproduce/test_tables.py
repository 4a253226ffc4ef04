"""Tables of what is there: whole, partial, paired."""

from __future__ import annotations

from dataclasses import replace

import pytest

from zarts.reproduce.entries import Entry, Searched
from zarts.reproduce.studies import STUDIES
from zarts.reproduce.tables import as_json, interval, markdown, over_epochs, paired, rows_of
from zarts.retrain.results import Result
from zarts.supernet.published import NAMED


def entries(study: str, accuracy: dict[str, list[float]]) -> list[Entry]:
    found = []
    for arm in STUDIES[study].arms("quick"):
        for seed, value in zip(arm.seeds, accuracy.get(arm.column, []), strict=False):
            searched = Searched(NAMED["DARTS_V2"], {}, 60.0, {}, {})
            retrained = Result(value, 0.5, value + 0.01, 3, 1000, 30.0)
            found.append(Entry(arm, seed, None, searched, retrained if value else None))
    return found


def test_a_row_says_how_many_of_how_many_and_what_is_quoted() -> None:
    found = entries("table5", {"GZAS": [0.9, 0.0], "P-ZARTS": [0.8, 0.82]})
    rows = {row[1]: row for row in rows_of("table5", found)[1:]}
    assert rows["GZAS"][2:5] == ["1 of 2", "10.00", "10.00"]
    assert rows["P-ZARTS"][2:7] == ["2 of 2", "18.00", "19.00 ± 1.41", "18.00", "1,000"]
    assert rows["MergeZARTS"][-1].startswith("2.19")  # quoted, though nothing of ours is there
    lines = markdown(rows_of("table5", found)).splitlines()
    assert len({len(line) for line in lines}) == 1


def test_collapse_is_judged_by_paired_differences() -> None:
    found = entries("collapse", {"DARTS-1st": [0.7, 0.71, 0.72], "ZARTS-MGS": [0.8, 0.8, 0.83],
                                 "MGS at M = 0": [0.81, 0.85, 0.84],
                                 "random walk": [0.8, 0.71, 0.6]})  # fmt: skip
    rows = {tuple(row[:3]): row[3:] for row in paired(found)[1:]}
    assert rows["S2", "ZARTS-MGS", "DARTS-1st"] == ["3", "+10.00", "+7.52 to +12.48", "better"]
    assert rows["S2", "random walk", "DARTS-1st"][-1] == "undecided"
    assert rows["S3", "ZARTS-MGS", "MGS at M = 0"][1:] == ["-2.33", "-8.07 to +3.40", "undecided"]
    # over both spaces: the same three differences twice, Student's t with five degrees of freedom
    assert rows["S2 + S3", "ZARTS-MGS", "DARTS-1st"][:2] == ["6", "+10.00"]
    assert rows["S2 + S3", "ZARTS-MGS", "MGS at M = 0"][-1] == "worse"
    (alone,) = {row[0] for row in paired([one for one in found if one.arm.row == "S3"])[1:]}
    assert alone == "S3"


def test_the_interval_is_students() -> None:
    center, half = interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert center == 3
    assert half == pytest.approx(2.776 * 2.5**0.5 / 5**0.5)
    with pytest.raises(ValueError, match="two or more"):
        interval([1.0])


def test_json_has_what_fig_2_is_drawn_of() -> None:
    (entry, *_) = entries("table5", {"GZAS": [0.9]})
    cells = {4: NAMED["DARTS_V1"]}
    searched = replace(
        entry.searched, by_epoch=cells, diagnostics={4: {"ess": 2.0}}, conditions={4: 9.0}
    )  # type: ignore[type-var]
    entry = replace(entry, epoch=4, searched=searched)
    (facts,) = as_json([entry])
    assert over_epochs([entry])[1][1:] == ["GZAS", "4", "10.00", "1,000", "6", "9.0", "2.00", "–"]
    assert {"column", "method", "epoch", "skips", "ess", "test_error", "parameters"} <= set(facts)
    assert facts["condition_number"] == 9.0
    assert facts["skips"] == round(16 * NAMED["DARTS_V1"].skip_share)
