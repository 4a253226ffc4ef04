"""The exported page, alone in a real browser, plays and fits as the app's page does."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.serving import browsing
from landscape.figures import figure_1, to_html
from landscape.record import load
from tests.app.conftest import Make
from tests.app.watching import fits, surfaces_stay


@pytest.mark.browser
def test_the_exported_page_plays_and_fits(make: Make, chromium: str, tmp_path: Path) -> None:
    record = load(make())
    file = tmp_path / "figure.html"
    file.write_text(to_html(figure_1(record), record), encoding="utf-8")
    errors: list[str] = []
    with browsing(chromium) as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(file.as_uri())
        page.wait_for_selector("#figure-1 .contourlayer path")
        for width in (1024, 640, 1440):
            fits(page, "#figure-1", width, 900)
        surfaces_stay(page, "#figure-1")
    assert not errors
