"""The words, the tables and the files around the figure."""

from __future__ import annotations

import csv
import dataclasses
import io
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

from landscape.figures import figure_1, losses, to_csv, to_html, words
from landscape.record import Figure1, OptimizerPath, Status, Surface

X = np.linspace(-1.0, 1.0, 5)
Y = np.linspace(-2.0, 2.0, 3)
COLS, ROWS = np.meshgrid(X, Y)
CONFIG = {
    "space": {"name": "s3"},
    "data": {"name": "fashion"},
    "inner": {"inner_learning_rate": 0.001},
    "paths": {"space": "plane", "noise": "surface", "sizes": [1, 2]},
}
PROVENANCE = {
    "command": ["python", "-m", "landscape.compute", "--set", "a b=1"],
    "seed": 3,
    "git": {"commit": "0" * 40},
}


def surface(m: int, loss: np.ndarray) -> Surface:
    return Surface(m, X, Y, loss, np.full(loss.shape, Status.OK, np.uint8))


def path(method: str, end: float, note: str = "") -> OptimizerPath:
    t = np.linspace(0, 1, 3)
    xy = np.column_stack([-0.5 + t, t])
    return OptimizerPath(method, 10, xy, 1 - t, 1 + t * (end - 1), 0 * t, 8, 0, 80, 1.0, note)


def record(**changes: object) -> Figure1:
    surfaces = surface(0, 4 * (COLS - 0.5)), surface(10, COLS + 0 * ROWS)
    paths = path("darts-1", 0.9), path("zarts-rs", 0.5), path("zarts-gld", 0.7)
    whole = Figure1("run", surfaces, paths, 3.2, CONFIG, PROVENANCE, {"val_accuracy": 0.8})
    return dataclasses.replace(whole, **changes)


def test_takeaway_says_what_was_measured() -> None:
    said = words.takeaway(record())
    assert "the sharpness (mean slope) of the M = 10 surface is 0.25 times that of M = 0" in said
    assert "lowest at the same grid point" in said
    assert said.endswith(
        "Loss after 10 inner steps, end of a path minus its start: "
        "lowest ZARTS-RS −0.500, ZARTS-GLD −0.300; highest DARTS-1st −0.100."
    )


def test_the_change_of_a_path_has_the_error_of_its_paired_difference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(OptimizerPath, "change", property(lambda path: (-0.0312, 0.0061)))
    one = record(paths=(path("zarts-rs", 0.5),))
    assert words.takeaway(one).endswith("minus its start: ZARTS-RS −0.031 ± 0.006.")
    (row,) = words.path_rows(one)
    assert (row["change"], row["standard error"]) == (-0.0312, 0.0061)
    monkeypatch.setattr(OptimizerPath, "change", property(lambda path: (-0.0002, 0.0061)))
    assert words.takeaway(one).endswith("ZARTS-RS +0.000 ± 0.006.")  # no minus of nothing


def test_takeaway_follows_the_numbers_either_way() -> None:
    steeper = (surface(0, COLS), surface(10, -3 * COLS))
    said = words.takeaway(record(surfaces=steeper, paths=()))
    assert "is 3 times that of M = 0" in said
    assert "the minimum lies 2.00 units away (6.4 in α)" in said


def test_a_constant_surface_is_called_constant() -> None:
    flat = record(surfaces=(surface(0, COLS), surface(10, np.full((3, 5), 0.7))))
    said = words.takeaway(flat)
    assert said.startswith("On this plane the loss is constant at M = 10. ")
    row = words.surface_rows(flat)[1]
    assert row["minimum"] == 0.7
    assert np.isnan([row["x"], row["y"], row["shift"], row["rank correlation"]]).all()
    assert np.isnan([each["distance to minimum"] for each in words.path_rows(flat)]).all()
    assert len(losses(flat).layout.annotations) == 2  # the titles, and no star


def test_takeaway_of_an_unfinished_run_compares_nothing() -> None:
    begun = surface(10, np.where(COLS < 0, COLS, np.nan))
    status = np.where(COLS < 0, Status.OK, Status.PENDING).astype(np.uint8)
    begun = dataclasses.replace(begun, status=status)
    said = words.takeaway(record(surfaces=(surface(0, COLS), begun), paths=()))
    assert said == "Not finished: 21 of 30 points are computed."


def test_takeaway_of_nothing_and_of_one() -> None:
    nothing = surface(0, np.full((3, 5), np.nan)), surface(10, np.full((3, 5), np.nan))
    assert "cannot be compared" in words.takeaway(record(surfaces=nothing, paths=()))
    one = words.takeaway(record(surfaces=(surface(10, COLS**2 + ROWS**2),), paths=()))
    assert one == "Nothing to compare yet."


def test_takeaway_says_when_a_minimum_is_on_the_border() -> None:
    caution = "The minimum of M = 10 is at the border of the grid, so the true one may lie outside."
    bowl, slope = COLS**2 + ROWS**2, COLS**2 + ROWS
    said = words.takeaway(record(surfaces=(surface(0, bowl), surface(10, slope)), paths=()))
    assert said.endswith(caution)
    for inside in (bowl, np.full((3, 5), 0.5), np.full((3, 5), np.nan)):
        both = surface(0, bowl), surface(10, inside)
        assert "border" not in words.takeaway(record(surfaces=both, paths=()))


def test_settings_are_found_where_the_run_keeps_them() -> None:
    assert words.setting(record(), "space") == "s3"  # not that of the paths
    assert words.setting(record(), "seed") == "3"
    assert words.setting(record(), "inner_learning_rate") == "0.001"
    assert words.setting(record(), "nowhere") == ""
    facts = words.setting(record(facts={"seed": 5}), "seed")
    assert facts == "5"


def test_caption_and_command() -> None:
    said = words.caption(record())
    for part in (
        "learning rate 0.001",
        "space s3",
        "seed 3",
        "grid 3×5",
    ):
        assert part in said
    assert "noise" not in said
    assert words.path_settings(record()) == "space plane, noise surface, sizes (1, 2)"
    assert "supernet 80.0%" in said
    assert "L_val" not in said  # a run that does not say on how many images
    facts = {"val_images": 256}
    assert "L_val on 256 images" in words.caption(record(facts=facts))
    released = {"paths": {"step": "paper", "updates": 10}}
    assert "3e-4) 10 DARTS steps are too short" in words.path_settings(record(config=released))
    assert words.command(record()) == "python -m landscape.compute --set 'a b=1'"


def test_rows() -> None:
    first, last = words.surface_rows(record())
    assert (first["M"], last["M"]) == (0, 10)
    assert last["ratio"] == pytest.approx(0.25)
    assert last["rank correlation"] == pytest.approx(1)
    rows = words.path_rows(record())
    assert [row["optimizer"] for row in rows] == ["DARTS-1st", "ZARTS-RS", "ZARTS-GLD"]
    assert rows[1]["loss, M = 10"] == pytest.approx(0.0)  # its own loss: it descends M = 10
    assert rows[1]["loss, M = 0"] == pytest.approx(0.0)  # read off the surface at x = 0.5
    assert "note" not in rows[0]
    noted = words.path_rows(record(paths=(path("zarts-rs", 0.5, "stopped"),)))
    assert noted[0]["note"] == "stopped"


def test_csv_holds_every_number() -> None:
    table = list(csv.DictReader(io.StringIO(to_csv(record()))))
    points = [row for row in table if row["name"] == "M=10"]
    assert len(points) == 15
    assert [float(row["loss"]) for row in points] == record().surfaces[1].loss.ravel().tolist()
    assert float(points[1]["x"]) == X[1]
    assert float(points[5]["y"]) == Y[1]
    steps = [row for row in table if row["name"] == "zarts-rs"]
    assert [float(row["target_loss"]) for row in steps] == record().paths[1].target_loss.tolist()


@pytest.mark.parametrize("note", ["=1+1", "+1", "-1", "@cmd", "\tx", "\r=x"])
def test_csv_cells_are_no_formulas(note: str) -> None:
    text = to_csv(record(paths=(path(note, 0.5, note),)))
    (row, *_) = [row for row in csv.DictReader(io.StringIO(text)) if row["kind"] == "path"]
    assert row["name"] == row["note"] == f"'{note}"
    assert row["status"] == ""


def test_html_is_one_file_with_everything() -> None:
    page = to_html(figure_1(record()), record())
    assert page == to_html(figure_1(record()), record())
    assert "plotly.js v" in page
    assert not [part for part in page.split("<script")[1:] if " src=" in part.split(">")[0]]
    assert "landscape.compute --set &#x27;a b=1&#x27;" in page
    assert "is 0.25 times that of M = 0" in page
    assert "noise surface, sizes (1, 2)" in page
    assert "@software{zarts_toolkit" in page
    for word in ("DARTS-1st", "rank correlation", "val_accuracy"):
        assert word in page


def test_html_escapes_what_files_say() -> None:
    evil = "</title></script><script>alert(1)</script>"
    strange = record(name=evil, paths=(path("zarts-rs", 0.5, evil),), config={"paths": {"a": evil}})
    page = to_html(figure_1(strange), strange)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_the_software_is_cited_as_the_citation_file_has_it(root: pathlib.OptimizerPath) -> None:
    text = (root / "CITATION.cff").read_text(encoding="utf-8").partition("preferred-")[0]
    cited = dict(re.findall(r'(\w+): "?(.+?)"?$', text, re.MULTILINE))
    entry = words.BIBTEX.partition("@software")[2].replace("{", "").replace("}", "")
    assert dict(re.findall(r"(\w+) += (.+),", entry)) == {
        "title": cited["title"],
        "author": cited["name"],
        "version": cited["version"],
        "license": cited["license"],
    }


def test_the_python_of_a_figure_draws_it(root: pathlib.OptimizerPath) -> None:
    folder = root / "tests" / "stored" / "quick-b3c0a96a"
    code = words.python(str(folder), [0, 2], log=True)
    assert code.endswith("figure_1(record, [0, 2], log=True).show()")
    code = code.replace(".show()", "") + "\nprint(record.name)"
    command = [sys.executable, "-c", code]
    drawn = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert drawn.stdout.strip() == folder.name


def test_html_without_paths() -> None:
    assert "None yet." in to_html(figure_1(record(paths=())), record(paths=()))
