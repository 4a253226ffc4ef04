"""The real server, from the root of the checkout, alone and in a real browser."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.serving import browsing, serving
from landscape.record import Status, Surface, save_surface
from tests.app.conftest import LOSSES, Make, X, Y
from tests.app.watching import fits
from zarts.runs.runfile import Run


@pytest.fixture
def server(make: Make, tmp_path: Path) -> Iterator[tuple[str, int]]:
    """URL and process id of a running app with three runs to show."""
    make("first", created="2026-01-01T00:00:00+00:00")
    make("second", created="2026-02-01T00:00:00+00:00")
    make("begun", status=Status.PENDING, created="2025-12-01T00:00:00+00:00")
    with serving(tmp_path, tmp_path / "runs") as (url, process):
        yield url, process.pid


def listening(pid: int) -> set[str]:
    """Addresses, as hexadecimal text, of the sockets a process listens on."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        # A file the server has closed since is not a socket it listens on.
        with contextlib.suppress(FileNotFoundError):
            if match := re.fullmatch(r"socket:\[(\d+)\]", link.readlink().name):
                inodes.add(match[1])
    lines = [
        line.split()
        for table in ("tcp", "tcp6")
        if (file := Path(f"/proc/{pid}/net/{table}")).exists()
        for line in file.read_text().splitlines()[1:]
    ]
    return {line[1].split(":")[0] for line in lines if line[3] == "0A" and line[9] in inodes}


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads the sockets from /proc")
@pytest.mark.browser
def test_the_page_in_a_browser(server: tuple[str, int], chromium: str, tmp_path: Path) -> None:
    url, pid = server
    assert listening(pid) == {"0100007F"}  # 127.0.0.1, and no other interface

    from playwright.sync_api import expect

    requests: list[str] = []
    errors: list[str] = []
    with browsing(chromium) as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(60_000)
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        page.goto(f"{url}/?scale=linear")
        page.wait_for_selector(".contourlayer path")
        expect(
            page.get_by_role("heading", name="First-order and fine-tuned landscape")
        ).to_be_visible()
        assert page.locator(".stPlotlyChart").first.locator(".contourlabels text").count() > 4

        chart = ".st-key-figure .js-plotly-plot"
        for width in (1024, 640, 1440):
            fits(page, chart, width, 900)

        # A click picks the grid point below it; zoom and what is hidden stay as they are.
        found = page.locator(chart)
        found.locator(".legendtoggle").first.click()
        page.wait_for_timeout(600)
        found.evaluate("chart => Plotly.relayout(chart, {'xaxis.range': [-0.8, 0.9]})")
        found.evaluate("chart => chart.mark = 'the same'")
        found.locator(".nsewdrag").nth(1).click(position={"x": 60, "y": 15})
        page.wait_for_url(re.compile(r"[?&]at=-0\.5%2C"))
        page.wait_for_timeout(500)
        marked = "chart => chart.layout.meta.marks.points.map(k => [...chart.data[k].x])"
        assert found.evaluate(marked) == [[-0.5], [-0.5]]
        assert found.evaluate("chart => [chart.mark, ...chart.layout.xaxis.range]") == [
            "the same", -0.8, 0.9,
        ]  # fmt: skip
        expect(page.get_by_role("spinbutton", name="x")).to_have_value("-0.5")

        page.get_by_text("log", exact=True).click()
        page.wait_for_url(re.compile("scale=log"))
        page.goto(f"{url}/?run=first")
        page.wait_for_selector(".contourlayer path")
        expect(page.get_by_role("combobox", name="Run")).to_have_value("first")
        page.wait_for_timeout(500)
        page.screenshot(path=tmp_path / "page.png", full_page=True)

        # An unfinished run is followed: what is written appears without a click.
        page.goto(f"{url}/?run=begun")
        expect(page.get_by_text("55 of 60 points computed")).to_be_visible(timeout=20_000)
        done = np.full(LOSSES[10].shape, Status.OK, np.uint8)
        run = Run.open(tmp_path / "runs" / "begun")
        save_surface(run, Surface(10, X, Y, LOSSES[10], done, 0 * LOSSES[10]))
        expect(page.get_by_text("55 of 60 points computed")).to_have_count(0, timeout=20_000)
        expect(page.get_by_text("Follow the run")).to_have_count(0, timeout=20_000)

    assert not errors
    assert not [one for one in requests if not one.startswith((url, "data:", "blob:"))]
    assert (tmp_path / "page.png").stat().st_size > 50_000
    maps = Path(f"/proc/{pid}/maps").read_text()
    assert "numpy" in maps
    assert "torch" not in maps  # after a page was shown: the app starts fast and stays small
