"""The page in every state a folder of runs can be in."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import streamlit
from streamlit.testing.v1 import AppTest

import landscape.catalogue
from landscape.record import Status, Surface, save_surface
from tests.app.conftest import LOSSES, Make, X, Y, read, said
from zarts.runs.runfile import Run

pytestmark = pytest.mark.usefixtures("no_demo")


def show(root: Path, **query: str) -> AppTest:
    app = AppTest.from_file(str(root / "app" / "main.py"), default_timeout=30)
    for key, value in query.items():
        app.query_params[key] = value
    return app.run()


def figure(app: AppTest) -> dict:
    return json.loads(app.get("plotly_chart")[0].proto.spec)


def contours(app: AppTest) -> list[dict]:
    return [trace for trace in figure(app)["data"] if trace["type"] == "contour"]


def test_a_run_is_shown_with_its_numbers(root: Path, make: Make) -> None:
    make()
    app = show(root)
    assert not app.exception
    text = said(app)
    assert "times that of M = 0; the minimum lies 1.20 units away" in text
    assert "minus its start: DARTS-1st −0.150, ZARTS-MGS −0.150." in text
    assert "learning rate 0.001" in text
    assert "validation accuracy of the supernet 80.0%" in text
    assert [metric.label for metric in app.metric][1] == "Shift of the minimum"
    # The stars are at (0.5, -1) and (-0.5, the first of the two rows nearest to 0).
    assert app.metric[1].value == f"{np.hypot(1.0, 2 / 3):.2f}"
    surfaces, optimizers = (table.value for table in app.dataframe)
    assert surfaces["M"].tolist() == [0, 1, 10]
    assert optimizers["optimizer"].tolist() == ["DARTS-1st", "ZARTS-MGS"]
    assert optimizers["loss, M = 10"].tolist()[0] == pytest.approx(0.75)
    assert len(app.get("plotly_chart")) == 2
    assert len(contours(app)) == 2
    assert "#000001" not in app.get("plotly_chart")[0].proto.spec


def test_the_oldest_streamlit_that_is_allowed_has_no_grid(
    root: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(streamlit, "grid", raising=False)
    make()
    app = show(root)
    assert not app.exception
    assert len(app.metric) == 4


def test_reproduce_has_command_and_citation(root: Path, make: Make) -> None:
    make()
    text = said(show(root))
    assert "python -m landscape.compute --seed 7" in text
    assert "2110.04743" in text
    assert '"inner_learning_rate": 0.001' in text
    assert "space plane, weights frozen" in text
    assert "?run=quick-1&delta=off&base=0&m=10&scale=linear&panels=shared&view=contour" in text
    assert "figure_1(record, [0, 10]).show()" in text
    assert "@software{zarts_toolkit" in text


def test_the_url_chooses_surface_and_scale(root: Path, make: Make) -> None:
    make()
    app = show(root, m="1", scale="log")
    assert not app.exception
    assert app.metric[0].label == "Sharpness, M = 1 over M = 0"
    assert "log" in figure(app)["layout"]["coloraxis"]["colorbar"]["title"]["text"]
    app.get("segmented_control")[1].set_value("10").run()
    assert app.metric[0].label == "Sharpness, M = 10 over M = 0"


def test_only_losses_have_a_logarithmic_scale(root: Path, make: Make) -> None:
    run = make(losses={0: LOSSES[0]})
    done = np.full(LOSSES[10].shape, Status.OK, np.uint8)
    save_surface(run, Surface(10, X, Y, LOSSES[10], done, accuracy=1 - LOSSES[10] / 9))
    for quantity, scales in (("loss", 1), ("accuracy", 0)):
        app = show(root, show=quantity, scale="log")
        labels = [each.label for each in app.get("segmented_control")]
        assert labels.count("Loss scale") == scales
        assert ("(log)" in json.dumps(figure(app))) == bool(scales)


def test_a_wrong_link_falls_back_and_says_so(root: Path, make: Make) -> None:
    make()
    app = show(root, run="../../etc", m="99", scale="<b>")
    assert not app.exception
    assert [read(each) for each in app.warning] == [
        f"The link asks for the {what} “{bad}”, which is not here. Shown instead: {shown}"
        for what, bad, shown in (
            ("run", "../../etc", "quick-1"),
            ("number of inner steps M", "99", "10"),
            ("loss scale", "<b>", "linear"),
        )
    ]
    assert len(contours(app)) == 2
    assert dict(app.query_params) == {
        "run": "quick-1", "base": "0", "m": "10", "delta": "off", "scale": "linear",
        "panels": "shared", "view": "contour", "step": "last",
    }  # fmt: skip
    app.get("segmented_control")[1].set_value("1").run()
    assert len(app.warning) == 2  # chosen since
    assert not show(root).warning


def test_another_run_may_have_other_surfaces(root: Path, make: Make) -> None:
    make("ten", created="2026-03-01T00:00:00+00:00")
    make("one", losses={m: LOSSES[m] for m in (0, 1)})
    app = show(root)
    assert app.query_params["run"] == "ten"
    app.selectbox[0].set_value("one").run()
    assert not app.exception
    assert not app.warning
    assert (app.query_params["run"], app.query_params["m"]) == ("one", "1")


def test_the_newest_finished_run_opens_and_others_can_be_picked(root: Path, make: Make) -> None:
    make("old", created="2026-01-01T00:00:00+00:00")
    make("new", created="2026-03-01T00:00:00+00:00", methods=())
    empty = {m: np.full(loss.shape, np.nan) for m, loss in LOSSES.items()}
    pending = np.zeros(LOSSES[10].shape, np.uint8)
    begun = make("begun", created="2026-04-01T00:00:00+00:00", losses=empty, methods=())
    save_surface(begun, Surface(10, X, Y, empty[10], pending, 0 * LOSSES[10]))
    app = show(root)
    assert app.selectbox[0].value == "new"
    assert "No path has been computed yet" in said(app)
    app.selectbox[0].set_value("old").run()
    assert not app.exception
    assert len(app.dataframe) == 2
    assert show(root, run="old").selectbox[0].value == "old"


def test_the_bundled_run_is_there_without_any_other(root: Path, make: Make, tmp_path: Path) -> None:
    make("demo")
    shutil.move(tmp_path / "runs", landscape.catalogue.BUNDLED)
    app = show(root)
    assert app.selectbox[0].options == ["demo"]
    assert "bundled with the package" in said(app)
    assert len(contours(app)) == 2


def test_no_run_says_how_to_make_one(root: Path) -> None:
    app = show(root)
    assert not app.exception
    assert app.title[0].value == "No runs yet"
    assert "python -m landscape.compute" in app.code[0].value
    assert "minutes" not in said(app)  # the command measures how long it takes


def test_a_search_without_a_landscape_says_how_to_make_one(root: Path, make: Make) -> None:
    run = make("search", losses={}, methods=(), plane=False)
    app = show(root)  # a landscape that has come as far as its search
    assert not app.exception
    assert "has stopped" in app.warning[0].value
    run.amend({"command": ["python", "-m", "zarts"]})
    app = show(root)
    assert not app.exception
    assert "is a search and has no landscape" in app.info[0].value
    assert app.code[0].value == "python -m landscape.compute --run search"
    with run.lock():
        assert "Its search is under way" in show(root).info[0].value


def test_a_retraining_is_listed_with_what_it_is(root: Path, make: Make) -> None:
    run = make("search", losses={}, methods=(), plane=False)
    made = {"genotype": "Genotype()", "training": {"epochs": 4}}
    cells = Run.create(run.path.parent / "cells", made, {"created": "2027-01-01T00:00:00+00:00"})
    cells.write("retrain/epoch-0001", {})
    app = show(root, run="cells")
    assert not app.exception
    assert not app.error
    assert "is a retraining, which has no landscape. 1 of 4 epochs are done" in said(app)
    assert app.code[0].value.startswith("python -m zarts.retrain --config ")
    (way,) = app.get("page_link")
    assert (way.proto.page, way.proto.query_string) == ("architecture", "cells=cells")


@pytest.mark.parametrize("where", ["run.h5", "plane.h5", "grid/m10.h5", "paths/darts-1.h5"])
def test_a_corrupt_file_stays_listed_with_its_reason(root: Path, make: Make, where: str) -> None:
    run = make("broken", created="2026-03-01T00:00:00+00:00")
    file = run.path / where
    file.write_bytes(file.read_bytes()[:200])
    make("good")
    app = show(root, run="broken")
    assert not app.exception
    assert where.rpartition("/")[2] in read(app.error[0])
    assert app.code[0].value == f"python -m landscape.verify {run.path}"
    assert len(app.selectbox[0].options) == 2
    app.selectbox[0].set_value("good").run()
    assert not app.exception
    assert len(contours(app)) == 2


def test_a_run_that_vanishes_between_two_looks(root: Path, make: Make) -> None:
    gone = make("gone", created="2026-03-01T00:00:00+00:00")
    make("stays")
    app = show(root)
    assert app.selectbox[0].value == "gone"
    shutil.rmtree(gone.path)
    app.run()
    assert not app.exception
    assert app.selectbox[0].value == "stays"


@pytest.mark.parametrize("value", [np.nan, 0.7])
def test_all_nan_and_constant_surfaces(root: Path, make: Make, value: float) -> None:
    flat = {m: np.full(loss.shape, value) for m, loss in LOSSES.items()}
    make(losses=flat)
    app = show(root)
    assert not app.exception
    assert app.metric[3].value == ("–" if np.isnan(value) else "0.7000")
    assert app.metric[0].value == app.metric[1].value == "–"
    assert app.metric[3].label.startswith("Lowest" if np.isnan(value) else "Constant")
    assert ("constant at M = 0 and M = 10" in said(app)) is not np.isnan(value)


def test_a_single_surface(root: Path, make: Make) -> None:
    make(losses={10: LOSSES[10]})
    app = show(root)
    assert not app.exception
    assert len(contours(app)) == 1


def test_an_unreadable_folder_is_an_error_with_a_way_out(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a-file"
    file.write_text("not a folder")
    monkeypatch.setenv("ZARTS_RUNS", str(file))
    app = show(root)
    assert not app.exception
    assert "ZARTS_RUNS" in app.error[0].value


def test_every_export_can_be_made(root: Path, make: Make) -> None:
    make()
    app = show(root)
    labels = [button.label for button in app.get("download_button")]
    assert labels[:-1] == ["HTML", "SVG", "PDF", "PNG", "CSV", "NPZ"]
    assert labels[-1].startswith("ZIP, ")


def test_exports_without_matplotlib_say_what_to_install(
    root: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    make()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    app = show(root)
    assert not app.exception
    labels = [button.label for button in app.get("download_button")]
    assert labels[:-1] == ["HTML", "CSV", "NPZ"]
    assert "zarts[export]" in said(app)


def test_dark_pages_get_dark_figures(root: Path, make: Make) -> None:
    make()
    app = AppTest.from_file(str(root / "app" / "main.py"), default_timeout=30)
    app.context = {"theme": "dark"}
    app.run()
    assert figure(app)["layout"]["paper_bgcolor"] == "rgba(0,0,0,0)"
    assert figure(show(root))["layout"]["paper_bgcolor"] == "#ffffff"


def test_without_the_package_the_page_says_what_to_do(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "landscape" else find(name, *rest),
    )
    app = show(root)
    assert not app.exception
    assert "pip install -e ." in app.error[0].value
