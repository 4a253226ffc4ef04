"""Fig. 1 as files: a page that works offline, and all numbers as a table."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from landscape.figures import player
from landscape.figures.curves import losses
from landscape.figures.words import (
    BIBTEX,
    Row,
    caption,
    command,
    path_rows,
    path_settings,
    surface_rows,
    takeaway,
)
from landscape.record import Figure1, Status

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["to_csv", "to_html"]

PAGE = """
body { font-family: sans-serif; color: #1f2430; background: #fff; }
body { max-width: 1200px; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; font-size: 14px; }
.wide { overflow-x: auto; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid #d9dce3; text-align: right; }
th:first-child, td:first-child { text-align: left; }
pre { background: #f4f5f8; padding: .8rem; overflow: auto; }
.caption { font-size: 13px; color: #5a6070; }
"""
STYLE = PAGE + player.STYLE
START = 'player(document.body, () => document.getElementById("figure-1"));'


def cell(text: str) -> str:
    """A text as a cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def to_csv(record: Figure1) -> str:
    """All surfaces and paths in long form: one line per grid point and per step of a path."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(
        ["kind", "name", "inner_steps", "index", "x", "y", "loss", "target_loss", "status", "note"]
    )
    for surface in record.surfaces:
        m = surface.inner_steps
        for row, y in enumerate(surface.y):
            for col, x in enumerate(surface.x):
                status = Status(int(surface.status[row, col])).name.lower()
                index, loss = row * len(surface.x) + col, float(surface.loss[row, col])
                writer.writerow(
                    ["surface", f"M={m}", m, index, float(x), float(y), loss, "", status, ""]
                )
    for path in record.paths:
        name, note = cell(path.method), cell(path.note or path.remark)
        for step, (x, y) in enumerate(path.xy):
            values = float(x), float(y), float(path.loss[step]), float(path.target_loss[step])
            writer.writerow(["path", name, path.inner_steps, step, *values, "", note])
    return out.getvalue()


def to_html(figure: go.Figure, record: Figure1, inner_steps: Sequence[int] | None = None) -> str:
    """A page that works offline: the playable figure with plotly inside, tables, and their origin.

    Example:
        >>> from landscape import compute_surface, figure_1, to_html
        >>> from zarts import Quadratic
        >>> toy = Quadratic.random()
        >>> record = compute_surface(toy.problem(), toy.center, steps=(0, 3), rows=3, cols=3)
        >>> to_html(figure_1(record), record)[:15]
        '<!doctype html>'

    Args:
        figure: Made of the record by ``figure_1``.
        record: What a run holds.
        inner_steps: M of the panels, if they are not first-order and exact.

    Raises:
        ValueError: If the record has no surface.
    """
    config = {"displaylogo": False, "responsive": True}
    shared = {"full_html": False, "config": config, "auto_play": False}
    charts = bare(figure).to_html(include_plotlyjs=True, div_id="figure-1", **shared)
    if narrowest := (figure.layout.meta or {}).get("narrowest"):
        charts = f'<div class="wide"><div style="min-width: {narrowest}px">{charts}</div></div>'
    charts += f"{player.MARKUP}<script>{player.SCRIPT}{START}</script>"
    charts += f'<p class="caption">{escape(caption(record))}</p>'
    if record.paths:
        charts += losses(record).to_html(include_plotlyjs=False, div_id="losses", **shared)
    origin = json.dumps(
        {"config": record.config, "provenance": record.provenance, "facts": record.facts},
        indent=2,
        ensure_ascii=False,
        sort_keys=True,
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Figure 1 of {escape(record.name)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style>
</head><body>
<h1>First-order and fine-tuned landscape</h1>
<p>{escape(takeaway(record, inner_steps))}</p>
{charts}
<h2>Surfaces</h2>{table(surface_rows(record))}
<h2>Optimizers</h2>{table(path_rows(record))}
<h2>Made by</h2><pre>{escape(command(record))}</pre>
<p>Paths: {escape(path_settings(record))}</p>
<h2>Cite</h2><pre>{escape(BIBTEX)}</pre>
<details><summary>Configuration and provenance</summary><pre>{escape(origin)}</pre></details>
</body></html>
"""


def bare(figure: go.Figure) -> go.Figure:
    """The figure without the caption inside it, which a narrow page would clip."""
    import plotly.graph_objects as go

    copy = go.Figure(figure)
    kept = [note for note in copy.layout.annotations if note.name != "caption"]
    if len(kept) < len(copy.layout.annotations):
        copy.layout.height -= copy.layout.margin.b - copy.layout.meta["below"]
        copy.layout.margin.b = copy.layout.meta["below"]
        copy.layout.annotations = kept
    return copy


def table(rows: Iterable[Row]) -> str:
    """Rows as an HTML table; numbers with four significant digits."""
    rows = list(rows)
    if not rows:
        return "<p>None yet.</p>"
    head = "".join(f"<th>{escape(name)}</th>" for name in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(text(value))}</td>" for value in row.values()) + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def text(value: str | float) -> str:
    """A cell of a table as text."""
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else "–"
    return str(value)
