"""One walk through the pages as a newcomer takes it, with a real server and a real Chromium."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe

from benchmarks.serving import browsing, serving
from landscape.catalogue import BUNDLED
from landscape.compute.__main__ import main
from landscape.record import Status, load
from landscape.record.counts import count
from tests.app.conftest import Make
from tests.app.watching import surfaces_stay
from tests.tiny import TINY, call, words
from zarts import SPACES, derive
from zarts.runs.runfile import Run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser
DEMO = BUNDLED / "quick-ec257f9a"
CHART = ".st-key-figure .js-plotly-plot"
QUIET = "[data-testid=stApp][data-test-script-state=notRunning]"
# What is seen of the figure: its titles, its levels, and the numbers behind its colours.
SEEN = """chart => [
  chart.layout.annotations.map(each => each.text),
  chart.data.filter(t => t.type === "contour" && t.contours.coloring !== "none").map(t => [
    t.contours.start, t.contours.end, t.contours.size, t.name]),
]"""
# What sticks out of the page to the right: there is nothing to scroll it to.
CLIPPED = """() => {
  const main = document.querySelector(".stMain");
  return main.scrollWidth > main.clientWidth + 1 ? main.scrollWidth : 0;
}"""
# Streamlit looks for its own server below the address of a page first, and finds it above.
PROBES = re.compile(r"/_stcore/(health|host-config)$")


class Walk:
    """A browser, where it is, and what it complained of."""

    def __init__(self, browser: Browser, url: str) -> None:
        self.browser, self.url = browser, url
        self.errors: list[str] = []
        self.page = self.fresh()

    def fresh(self, **options: Any) -> Page:
        """A window with no memory of what came before."""
        size = {"width": 1440, "height": 900}
        context = self.browser.new_context(**{"viewport": size, **options})
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        context.set_default_timeout(60_000)
        context.on("weberror", lambda error: self.errors.append(str(error.error)))
        context.on("console", self.heard)
        return context.new_page()

    def heard(self, line: Any) -> None:
        if line.type == "error" and not PROBES.search(line.location["url"]):
            self.errors.append(f"{line.text} {line.location}")

    def go(self, where: str = "", page: Page | None = None, **query: str) -> Page:
        page = page or self.page
        page.goto(f"{self.url}/{where}?{urlencode(query)}")
        page.wait_for_selector("h1")
        page.wait_for_selector(QUIET)
        return page


@pytest.fixture
def walk(tmp_path: Path, chromium: str) -> Any:
    (tmp_path / "runs").mkdir()
    with serving(tmp_path, tmp_path / "runs") as (url, _), browsing(chromium) as browser:
        walk = Walk(browser, url)
        yield walk
        assert not walk.errors


def test_the_landscape(walk: Walk, make: Make, tmp_path: Path) -> None:
    """From an empty folder: play, point, difference, link, files."""
    record = load(Run.open(DEMO))
    page = walk.go()
    chart = page.locator(CHART)
    page.wait_for_selector(f"{CHART} .contourlayer path")
    button = page.locator(".player button").bounding_box()
    assert button is not None
    assert button["y"] + button["height"] <= 900  # Play is in view
    surfaces_stay(page, CHART)

    page.locator(f"{CHART} .nsewdrag").nth(1).hover(position={"x": 80, "y": 80})
    page.wait_for_selector(f"{CHART} .hoverlayer .hovertext")
    page.locator(f"{CHART} .nsewdrag").nth(1).click(position={"x": 80, "y": 80})
    page.wait_for_url(re.compile(r"[?&]at="))
    (at,) = parse_qs(urlsplit(page.url).query)["at"]
    alphas = record.alphas(np.array([[float(each) for each in at.split(",")]]))
    assert alphas is not None
    cells = str(derive(SPACES["s3"], torch.from_numpy(alphas[0])))
    page.get_by_text(cells, exact=True).wait_for()

    page.get_by_text("Δ, the difference of the panels").click()
    page.wait_for_url(re.compile("delta=on"))
    page.wait_for_function(f"document.querySelector('{CHART}')?.layout.annotations.length > 2")
    page.wait_for_selector(QUIET)  # then the chart of before is gone
    first, last = record.surfaces[0], record.surfaces[-1]
    change = last.loss - first.loss
    row, col = np.unravel_index(change.argmin(), change.shape)
    title = chart.evaluate(SEEN)[0][2]
    assert f"{change.min():.4f}".replace("-", "−") in title
    assert f"({first.x[col]:.2f}, {first.y[row]:.2f})".replace("-", "−") in title
    assert ("below 0 at all points" in title) == bool((change < 0).all())

    page.get_by_role("button", name="Copy link").click()
    page.get_by_text("Link copied").first.wait_for()
    link = page.evaluate("navigator.clipboard.readText()")
    before = chart.evaluate(SEEN)
    make("newer", created="2030-01-01T00:00:00+00:00")
    other = walk.fresh()
    other.goto(link)
    other.wait_for_selector(f"{CHART} .contourlayer path")
    other.wait_for_selector(QUIET)
    assert other.locator(CHART).evaluate(SEEN) == before
    other.get_by_text(cells, exact=True).wait_for()
    assert walk.go(page=other).get_by_role("combobox", name="Run").input_value() == "newer"

    page.get_by_role("button", name="Export").click()
    with page.expect_download() as taken:
        page.get_by_role("button", name="HTML").click()
    file = tmp_path / "figure.html"
    taken.value.save_as(file)
    other.goto(file.as_uri())
    other.wait_for_selector("#figure-1 .contourlayer path")
    assert other.locator("#figure-1").evaluate(SEEN) == before
    with page.expect_download() as taken:
        page.get_by_role("button", name="NPZ").click()
    taken.value.save_as(tmp_path / "figure.npz")
    with np.load(tmp_path / "figure.npz") as arrays:
        assert any(np.array_equal(arrays[name], last.loss) for name in arrays.files)


def test_a_run_of_ones_own(walk: Walk, tmp_path: Path) -> None:
    """Cost, start, a killed server, cancel, resume; then beside the demo."""
    small = TINY | {"landscape": {"val_batches": 1, "val_batch_size": 32}}
    lines = [word for word in words(small) if word != "--set"]
    asked = {"m": "2", "grid": "11x11", "workers": "1", "methods": "darts-1"}
    query = asked | {"more": "\n".join([*lines, "search.method=darts-1"])}
    runs = tmp_path / "runs"
    port = int(walk.url.rpartition(":")[2])
    settings = {"OMP_NUM_THREADS": "1"}
    page = walk.go("compute", **query)
    page.get_by_role("button", name="Cost").click()
    page.get_by_text("Evaluations", exact=True).wait_for()
    page.get_by_role("button", name="Start").click()
    folder, job = _held(runs)  # so that it is not over before the next server is there
    page.wait_for_selector(".stMain .js-plotly-plot")
    os.kill(_listening(port), signal.SIGKILL)
    with serving(tmp_path, runs, settings, port=port):
        page = walk.go("compute", **query)
        walk.errors.clear()  # of a lost server, which was meant
        page.get_by_role("button", name="Cancel").click()
        page.get_by_text("stopping").first.wait_for()
        os.killpg(job, signal.SIGCONT)
        page.get_by_role("button", name="Resume").wait_for()
        assert count(load(Run.open(folder)).surfaces).pending
        page.get_by_role("button", name="Resume").click()
        page.get_by_text("This run is finished").wait_for(timeout=120_000)
        command = page.locator("code").first.inner_text().split()
        assert command[:3] == ["python", "-m", "landscape.compute"]
        found = Run.open(folder).content_hash()
        flags = json.loads((runs / ".jobs" / folder.name / "asked.json").read_text())
        assert flags["grid"] == "11x11"
        again = ["--preset", "quick", "--steps", "2", "--grid", "11x11", "--workers", "2"]
        again += ["--set", 'paths.methods=["darts-1"]', *words(small), "--out", tmp_path / "again"]
        assert call(main, *again, "--set", "search.method=darts-1").code == 0
        assert Run.open(tmp_path / "again").content_hash() == found

        walk.go("runs", view="Compare", a=folder.name, b=DEMO.name)
        page.get_by_text("No difference B − A").wait_for()


def _held(runs: Path) -> tuple[Path, int]:
    """The only run and its processes, stopped as soon as some of its points are on disk."""
    for _ in range(6000):
        for folder in (each.parent for each in runs.glob("[!.]*/grid")):
            if count(load(Run.open(folder)).surfaces).computed:
                job = int((runs / ".jobs" / folder.name / "process").read_text())
                os.killpg(job, signal.SIGSTOP)
                return folder, job
        time.sleep(0.01)
    raise AssertionError(f"no point came into {[each.name for each in runs.iterdir()]}")


def _listening(port: int) -> int:
    """The process that listens on a port."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            line = (place / "cmdline").read_text()
        except OSError:
            continue
        if f"--server.port\0{port}\0" in line:
            return int(place.name)
    raise AssertionError(f"nobody listens on {port}")


def test_what_is_broken_names_the_next_command(walk: Walk, make: Make, search: Make) -> None:
    make("stopped", status=Status.PENDING)
    (make("damaged").path / "grid" / "m10.h5").write_bytes(b"nothing")
    search("found")
    for name, command in (
        ("damaged", "python -m landscape.verify"),
        ("stopped", "python -m landscape.compute --config"),
        ("found", "python -m landscape.compute --run found"),
    ):
        page = walk.go(run=name)
        page.locator("code").filter(has_text=command).first.wait_for()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_narrow_and_for_all(walk: Walk, theme: str) -> None:
    """At 640 pixels nothing is clipped; what hinders people is not there."""
    narrow = {"width": 640, "height": 900} if theme == "dark" else {"width": 1440, "height": 900}
    first = walk.fresh(viewport=narrow, color_scheme=theme)
    names = ("", "runs", "compute", "search", "architecture", "learn")
    pages = {name: first.context.new_page() for name in names}
    for name, page in pages.items():  # side by side: most of it is waiting
        page.goto(f"{walk.url}/{name}", wait_until="commit")
    for page in pages.values():
        page.wait_for_selector("h1")
        page.wait_for_selector(QUIET)
    first.wait_for_timeout(1500)
    for name, page in pages.items():
        assert not page.evaluate(CLIPPED), name
        found = Axe().run(page).response["violations"]
        serious = [each for each in found if each["impact"] in ("serious", "critical")]
        assert not serious, (name, [(each["id"], each["nodes"][:2]) for each in serious])
