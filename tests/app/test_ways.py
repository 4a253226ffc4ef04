"""Ways between pages: choices of one are not those of another, and the way back leads to pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.serving import browsing, serving
from tests.app.conftest import Make, look, said


def test_ticks_follow_their_runs(root: Path, make: Make) -> None:
    for name in ("b", "a", "c"):
        make(name)
    app = look(root, "runs", ticked="a,c")
    assert app.query_params["ticked"] == "a,c"
    app.selectbox[3].set_value("run").run()
    assert app.query_params["ticked"] == "a,c"
    app.text_input(key="q").set_value("b").run()
    assert app.query_params["ticked"] == "a,c"
    assert "Ticked, but not in this selection: a, c" in said(app)


@pytest.mark.browser
def test_ways(make: Make, tmp_path: Path, chromium: str) -> None:
    make("first")
    make("second")
    with serving(tmp_path, tmp_path / "runs") as (url, _), browsing(chromium) as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(60_000)
        page.goto(f"{url}/?scale=log&m=10")
        page.wait_for_selector(".st-key-figure .contourlayer path")
        page.wait_for_url("**step=last*")

        def go(title: str, link: str) -> None:
            page.get_by_test_id("stSidebarNavLink").filter(has_text=title).click()
            page.get_by_role("heading", name=title, level=1).wait_for()
            page.wait_for_url(link)
            page.locator("[data-test-script-state=notRunning]").wait_for()

        go("Compute", "**/compute?*&m=10&*&scale=5&*&more=")
        go("Runs", "**/runs?view=Table*ticked=")
        page.go_back()
        page.wait_for_url("**/compute?preset=quick*more=")
        page.get_by_role("heading", name="Compute", level=1).wait_for()
        page.go_back()
        page.wait_for_url(re.compile(r"/\?.*scale=log"))
        page.goto(f"{url}/runs?ticked=first,second")
        page.wait_for_url("**only=off")
        for order in ("run", "newest first"):  # there and back
            page.get_by_label("Order").click()
            page.get_by_role("option", name=order, exact=True).click()
            page.wait_for_url(f"**ticked=first%2Csecond*order={order.replace(' ', '+')}*")
        page.get_by_role("link", name="Compare the first two").click()
        page.get_by_text("Settings that differ").wait_for()
        page.wait_for_url("**view=Compare*a=first*b=second*")
