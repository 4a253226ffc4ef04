"""Text from a run is text on the page: nothing is loaded, linked or drawn because of it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from benchmarks.serving import browsing, serving
from tests.hostile import TEXT, hostile_copy
from tests.test_stored import STORED
from zarts.runs.runfile import Run

# What a text could become; the page itself has none of these, but for links to its headings.
MADE = (
    ".stMain img, .stSidebar img, .stMain a[href]:not([href^='#']), "
    ".stSidebar a[href]:not([data-testid=stSidebarNavLink]), iframe, .katex, "
    ".stMarkdownColoredText, em, object, embed"
)
OPEN = ("Reproduce", "Export", "What this picture can and cannot tell")


@pytest.mark.browser
def test_nothing_comes_of_the_text_of_a_run(chromium: str, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    stored = Run.open(STORED)
    hostile_copy(stored, runs / "drawn")
    record = stored.read("grid/m00")
    hostile_copy(stored, runs / "damaged").write("grid/m00", record.arrays, {"inner_steps": TEXT})
    hostile_copy(stored, runs / "stopped").path.joinpath("paths", "darts-1.h5").unlink()
    odd = runs / TEXT.replace("/", "\\")[:100]
    odd.mkdir()
    (odd / "run.h5").touch()
    addresses, seen = [], {}
    with serving(tmp_path, runs) as (url, _), browsing(chromium) as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(60_000)
        page.on("request", lambda request: addresses.append(request.url))
        landscapes = ["drawn", "damaged", "stopped", odd.name, f"{TEXT}&m={TEXT}&scale={TEXT}"]
        links = {name: f"?run={quote(name, safe='&=')}" for name in landscapes}
        links |= {
            "table": "runs?only=on",
            "pair": "runs?view=Compare&a=drawn&b=quick-ec257f9a",
            "cells": "architecture?cells=drawn",
            "form": f"compute?more={quote(TEXT)}",
            "epochs": f"search?runs=drawn&show={quote(TEXT)}",
        }
        for name, link in links.items():
            page.goto(f"{url}/{link}")
            page.wait_for_selector("h1")
            page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
            for label in OPEN:
                if (button := page.get_by_text(label)).count():
                    button.click()
                    page.wait_for_timeout(300)
                    seen[name, label] = page.locator(MADE).count()
                    page.keyboard.press("Escape")
            page.wait_for_timeout(1000)
            seen[name, ""] = page.locator(MADE).count()
            said = page.inner_text(".stApp").replace("\u2060", "")
            # it was there to be read; what is in a field or a table is not in the text
            assert name not in landscapes or "127.0.0.1:9" in said, name
    own = {"table": 1, "form": 1}  # an emphasis and a mark of error, which are the page's
    assert not {key: count for key, count in seen.items() if count != own.get(key[0], 0)}
    assert len(seen) > 5 + len(OPEN)
    assert not [one for one in addresses if not one.startswith((url, "data:", "blob:"))]
