"""How fast the page answers and how large its server grows, with a real server and a real Chromium.

Run as ``python -m benchmarks.app``. Prints ``name value target``: limits over what was measured, so
that 1 and more is within the limit.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from benchmarks.figure_1 import memory
from benchmarks.serving import ROOT, browsing, serving, visiting
from benchmarks.timing import show
from landscape.catalogue import BUNDLED
from landscape.figures import figure_1
from landscape.record import OptimizerPath, Status, Surface, load, save_path, save_surface
from zarts.runs.runfile import Run

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

CONTOUR = ".st-key-figure .contourlayer path"
DRAWN = "document.querySelector('.st-key-figure .js-plotly-plot')?._fullData?.[0]?.x?.length"
CHOICES = [("demo", 9), ("points-401", 201)]  # runs, and the points a side that a screen shows
BARE = """import plotly.graph_objects as go
import streamlit as st

st.title("bare")
st.plotly_chart(go.Figure(go.Contour(z=[[1, 2], [3, 4]])), key="figure")
"""  # the least that Streamlit takes for a contour
METHODS = ("darts-1", "darts-2", "zarts-rs", "zarts-mgs", "zarts-gld")


def made(folder: Path, points: int) -> Run:
    """A finished run of so many points a side, with five paths of ten steps."""
    run = Run.create(folder, {"name": folder.name, "space": "s3"}, {"created": "2026-01-01"})
    run.write("plane", {"scale": np.array(3.2)})
    axis = np.linspace(-1.0, 1.0, points)
    cols, rows = np.meshgrid(axis, axis)
    done = np.full(cols.shape, Status.OK, np.uint8)
    for m, width in ((0, 0.2), (10, 0.6)):
        loss = 0.4 + np.hypot(cols - width, rows) ** 2 / width + 0.02 * np.sin(9 * cols * rows)
        save_surface(run, Surface(m, axis, axis, loss, done))
    t = np.arange(11.0)
    for place, method in enumerate(METHODS):
        xy = np.column_stack([-0.5 + 0.07 * t, 0.6 - (0.02 + 0.01 * place) * t])
        path = OptimizerPath(method, 10, xy, 1 - t / 20, 1 - t / 20, 0 * t, 8, 3, 80, 1.5)
        save_path(run, path)
    return run


def clocked(act: Callable[[], object]) -> float:
    """Seconds that something takes."""
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def within(name: str, limit: float, value: float) -> None:
    """Prints what was measured, and the limit over it."""
    show(f"app_{name}", value)
    show(f"app_{name}_to_spare", limit / value, 1)


def opened(runs: Path, page: str = "") -> AppTest:
    """A page without a browser, not run yet."""
    os.environ["ZARTS_RUNS"] = str(runs)
    app = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=60)
    if page:
        app._page_hash = calc_hash(page)  # the public way would run home first
    return app


def rerun(runs: Path) -> float:
    """Seconds of the server for a change of one widget, all caches warm: median of nine."""
    app = opened(runs)
    app.run()
    taken = []
    for turn in range(12):
        app.get("segmented_control")[2].set_value(("linear", "log")[turn % 2])
        taken.append(clocked(app.run))
        if app.exception:
            raise RuntimeError(str(app.exception))
    return statistics.median(taken[3:])


def visit(browser: BrowserContext, url: str) -> float:
    """Seconds until a contour is there, in a new tab."""
    page = browser.new_page()
    try:
        start = time.perf_counter()
        page.goto(url)
        page.wait_for_selector(CONTOUR, timeout=60_000)
        return time.perf_counter() - start
    finally:
        page.close()


def chosen(page: Page, run: str, points: int) -> float:
    """Seconds until the contour of another run is there, in an open page."""
    box = page.get_by_role("combobox").first
    box.click()
    box.fill(run)
    page.wait_for_timeout(500)
    start = time.perf_counter()
    box.press("Enter")
    page.wait_for_function(f"{DRAWN} === {points}", timeout=60_000)
    page.wait_for_selector(CONTOUR)
    return time.perf_counter() - start


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--runs", type=int, default=1000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        runs = folder / "runs"
        shutil.copytree(next(BUNDLED.iterdir()), runs / "demo")
        wide = made(runs / "points-101", 101)
        made(runs / "points-401", 401)
        record = load(wide)
        within("figure_kilobytes", 250, len(figure_1(record, screen=True).to_json()) / 1e3)
        for name, more in (("log", {"log": True}), ("difference", {"difference": True})):
            size = len(figure_1(record, screen=True, **more).to_json())
            within(f"figure_{name}_kilobytes", 250, size / 1e3)
        within("rerun_seconds", 0.3, rerun(runs))
        with serving(folder, runs) as (url, process):
            with visiting(folder / "profile") as browser:
                page = browser.new_page()
                page.set_default_timeout(60_000)
                start = time.perf_counter()
                page.goto(f"{url}/?run=demo")
                page.get_by_role("heading", level=1).wait_for()
                within("title_seconds", 2, time.perf_counter() - start)
                page.wait_for_selector(CONTOUR)
                within("first_contour_seconds", 4, time.perf_counter() - start)
                # what it loads is compiled anew in the second visit, and kept from then on
                visits = [visit(browser, f"{url}/?run=demo") for _ in range(4)]
                within("later_contour_seconds", 4, statistics.median(visits[1:]))
                large = [visit(browser, f"{url}/?run=points-401") for _ in range(3)]
                within("points_401_by_link_seconds", 3, statistics.median(large))
                large = [chosen(page, name, points) for name, points in 3 * CHOICES][1::2]
                within("points_401_chosen_seconds", 3, statistics.median(large))
            with browsing() as strangers:
                tabs = [strangers.new_page() for _ in range(args.sessions)]
                for tab in tabs:
                    tab.goto(f"{url}/?run=demo")
                    tab.wait_for_selector(CONTOUR, timeout=60_000)
                within(f"megabytes_of_{args.sessions}_sessions", 400, memory(process.pid))
        (folder / "bare" / "app").mkdir(parents=True)
        (folder / "bare" / "app" / "main.py").write_text(BARE)
        with (
            serving(folder, runs, root=folder / "bare") as (url, _),
            visiting(folder / "other profile") as browser,
        ):
            visits = [visit(browser, url) for _ in range(5)]
            # the second: without what the server imports
            show("app_bare_first_contour_seconds", visits[1])
            show("app_bare_later_contour_seconds", statistics.median(visits[2:]))
        for place in range(args.runs):
            shutil.copytree(wide.path, folder / "many" / f"run-{place:04d}")
        many = opened(folder / "many", "runs")
        for name in ("first", "again"):
            within(f"{args.runs}_runs_{name}_seconds", 1, clocked(many.run))


if __name__ == "__main__":
    main()
