"""What a browser shows of Fig. 1: every paint while it plays, and where things are."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.image import imread

if TYPE_CHECKING:
    from playwright.sync_api import Page

# A resize observer runs after all that a frame may still change and just before it is painted.
WATCH = """chart => {
  window.paints = [];
  const probe = document.body.appendChild(document.createElement("div"));
  probe.style.cssText = "position: fixed; top: 0; height: 1px";
  const panel = (id) => chart.querySelectorAll(`.subplot.${id} .contourfill path`).length;
  new ResizeObserver(() => window.paints.push(
    [panel("xy"), panel("x2y2"), chart.querySelectorAll(".scatterlayer .point").length]
  )).observe(probe);
  const next = (k) => { probe.style.width = `${1 + k % 2}px`; requestAnimationFrame(() => next(k +
  1)); }; next(0);
}"""
PLACES = """chart => {
  const box = (e) => { const b = e.getBoundingClientRect(); return [b.left, b.top, b.right,
  b.bottom]; }; const all = (name) => [...chart.querySelectorAll(name)].map(box);
  return {chart: box(chart), panels: all(".nsewdrag"), bars: all(".colorbar"),
          texts: all(".infolayer text"), words: all(".annotation, .g-xtitle, .legend")};
}"""


def play(page: Page, chart: str) -> tuple[list[list[int]], list[Any]]:
    """Plays from the keyboard to the end.

    Returns:
        Of every paint the numbers of coloured areas of both panels and of points of the paths;
        and, as the pixels tell it, the coloured share of both panels in each picture of it.
    """
    figure = page.locator(chart)
    figure.evaluate(WATCH)
    panels = figure.evaluate(PLACES)["panels"]
    pictures: list[str] = []
    camera = page.context.new_cdp_session(page)

    def taken(event: dict[str, Any]) -> None:
        pictures.append(event["data"])
        camera.send("Page.screencastFrameAck", {"sessionId": event["sessionId"]})

    camera.on("Page.screencastFrame", taken)
    camera.send("Page.startScreencast", {"format": "png", "everyNthFrame": 1})
    button = page.locator(".player button")
    button.focus()
    page.keyboard.press("Space")
    button.get_by_text("Pause").wait_for()
    button.get_by_text("Play").wait_for()
    camera.send("Page.stopScreencast")
    paints = page.evaluate("window.paints")
    shares = []
    for picture in pictures:
        image = imread(BytesIO(base64.b64decode(picture)))[..., :3]
        parts = [
            np.ptp(image[int(top) : int(bottom), int(left) : int(right)], axis=2)
            for left, top, right, bottom in panels
        ]
        shares.append([float((part > 0.15).mean()) for part in parts])
    return paints, shares


def surfaces_stay(page: Page, chart: str) -> None:
    """Plays, zoomed in and with one path hidden: both surfaces are in every paint."""
    figure = page.locator(chart)
    figure.evaluate("chart => Plotly.relayout(chart, {'xaxis.range': [-0.8, 0.9]})")
    figure.locator(".legendtoggle").first.click()
    hidden = "chart => chart.data.map(t => t.visible === 'legendonly' ? t.legendgroup : '')"
    page.wait_for_timeout(600)
    dashes = "chart => [...chart.querySelectorAll('.js-line')].map(e => e.style.strokeDasharray)"
    before = [figure.evaluate(each) for each in (hidden, dashes)]
    assert before[0].count("darts-1") == 6
    paints, shares = play(page, chart)
    assert len(paints) > 20
    assert min(min(left, right) for left, right, _ in paints) > 3
    assert len({points for *_, points in paints}) >= 4  # the paths did move
    assert len(shares) >= 4
    assert np.min(shares) > 0.8
    assert [figure.evaluate(each) for each in (hidden, dashes)] == before
    assert figure.evaluate("chart => chart.layout.xaxis.range") == [-0.8, 0.9]
    slider = page.locator(".player input")
    slider.press("Home")
    page.locator(".player output").get_by_text("optimizer step 0").wait_for()
    slider.press("ArrowRight")
    page.locator(".player output").get_by_text("optimizer step 1").wait_for()


def fits(page: Page, chart: str, width: int, height: int) -> None:
    """At a size of the window: nothing is clipped, no gap is above Play, the bar is no taller."""
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_timeout(1500)
    found = page.locator(chart).evaluate(PLACES)
    left, top, right, bottom = found["chart"]
    assert len(found["panels"]) == 2
    tallest = max(box[3] - box[1] for box in found["panels"])
    assert found["bars"]
    assert max(box[3] - box[1] for box in found["bars"]) <= tallest + 3
    for box in found["texts"]:
        assert box[0] >= left - 1 and box[2] <= right + 1, (width, box)  # noqa: PT018
        assert box[1] >= top - 1 and box[3] <= bottom + 1, (width, box)  # noqa: PT018
    words = sorted(found["words"], key=lambda box: box[1])
    for one in words:  # no title over another, nor over the legend
        for other in words:
            apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] + 1
            assert one is other or apart or other[3] <= one[1] + 1, (width, one, other)
    button = page.locator(".player button").bounding_box()
    assert button is not None
    lowest = max(box[3] for box in found["texts"])
    assert 0 < button["y"] - lowest < 50
    if width == 1440:
        assert button["y"] + button["height"] <= height
