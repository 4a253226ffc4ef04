"""Makes ``docs/img``: every page of the app as it is on a screen, light and dark.

Run as ``python -m docs.pictures`` from the root of the checkout, with a Chromium on the machine.
``--runs`` names the runs that are shown beside the bundled one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlencode

from benchmarks.serving import ROOT, browsing, serving
from zarts.runs.runfile import runs_root

DEMO = "quick-ec257f9a"
QUIET = "[data-testid=stApp][data-test-script-state=notRunning]"
# name of the picture: the page in the address, and what the link says
PAGES: dict[str, tuple[str, dict[str, str]]] = {
    "landscape": ("", {"run": DEMO}),
    "difference": ("", {"run": DEMO, "delta": "on", "at": "0.25,0.5"}),
    "3-d": ("", {"run": DEMO, "view": "3-D"}),
    "runs": ("runs", {}),
    "compute": ("compute", {}),
    "search": ("search", {}),
    "architecture": ("architecture", {"cells": "DARTS_V1", "cells2": "DARTS_V2"}),
    "learn": ("learn", {}),
}


def main() -> None:
    """Writes the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=runs_root(), help="default: %(default)s")
    parser.add_argument("--searches", default=DEMO, help="of the page Search, with commas")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "img")
    parser.add_argument("--width", type=int, default=1440)
    parser.add_argument("--whole", action="store_true", help="the whole page, not the first screen")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(PAGES)}; none: all")
    args = parser.parse_args()
    if unknown := sorted(set(args.names) - set(PAGES)):
        parser.error(f"got {', '.join(unknown)}; there are {', '.join(PAGES)}")
    args.out.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as home,
        serving(Path(home), args.runs.absolute()) as (url, _),
        browsing() as browser,
    ):
        for theme in ("light", "dark"):
            size = {"width": args.width, "height": 900}
            page = browser.new_page(viewport=size, color_scheme=theme)  # type: ignore[arg-type]
            for name in args.names or PAGES:
                where, query = PAGES[name]
                if name == "search":
                    query = {"runs": args.searches}
                page.goto(f"{url}/{where}?{urlencode(query)}", timeout=60_000)
                page.wait_for_selector("h1", timeout=60_000)
                page.wait_for_selector(QUIET, timeout=60_000)
                page.wait_for_timeout(3000)  # charts and tables are drawn after the script
                if args.whole:  # the page scrolls in a part of its own, so the window has to grow
                    tall = page.evaluate("document.querySelector('.stMain').scrollHeight")
                    page.set_viewport_size({"width": args.width, "height": int(tall)})
                    page.wait_for_timeout(1500)
                file = args.out / f"{name}-{theme}.png"
                page.screenshot(path=file)
                page.set_viewport_size(size)  # type: ignore[arg-type]
                sys.stdout.write(f"{file}\n")


if __name__ == "__main__":
    main()
