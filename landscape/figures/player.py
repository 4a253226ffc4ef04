"""What plays a figure in a browser: a button and a slider, their style, and a script of our own.

They are HTML, so a keyboard reaches them: Tab, then space for the button, arrows for the slider.
"""

from __future__ import annotations

from importlib.resources import files

__all__ = ["MARKUP", "MODULE", "SCRIPT", "STYLE"]

MARKUP = (
    '<div class="player" role="group" aria-label="Play the steps" hidden>'
    '<button type="button">▶ Play</button>'
    '<input type="range" min="0" value="0" aria-label="optimizer step"><output></output></div>'
)
STYLE = """
.player { display: flex; align-items: center; gap: .8rem; font: inherit; font-size: 14px; }
.player[hidden] { display: none; }
.player button { font: inherit; color: inherit; background: none; cursor: pointer; }
.player button { min-width: 6.5em; padding: .35em .8em; }
.player button { border: 1px solid #8c92a0; border-radius: .5em; }
.player input { flex: 1; min-width: 4em; accent-color: #0072B2; }
.player output { min-width: 9em; }
"""
# Defines `player(root, find)`.
SCRIPT = files("landscape.figures").joinpath("player.js").read_text(encoding="utf-8")
# The same for a component of streamlit beside the chart whose key is `figure`. Its data are the
# step and what is marked; its trigger `picked` is the point of a click, `moved` the step that was
# gone to, or null: the last one.
MODULE = (
    SCRIPT
    + """
export default ({ parentElement, data, setTriggerValue }) =>
  player(
    parentElement,
    () => document.querySelector(".st-key-figure .js-plotly-plot"),
    data ?? {},
    (point) => setTriggerValue("picked", point),
    (step) => setTriggerValue("moved", { step }),
  );
"""
)
