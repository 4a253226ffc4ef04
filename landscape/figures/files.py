"""Figures as files: pages that work offline, and all numbers of Fig. 1 as a table or as arrays."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

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
from zarts.optimizers import record_name

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["rows_csv", "to_csv", "to_html", "to_npz", "to_page"]

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
START = 'player(document.getElementById("{0}"), () => document.getElementById("{1}"));'
CONFIG = {"displaylogo": False, "responsive": True}


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


def to_npz(record: Figure1) -> bytes:
    """All ``arrays`` of Fig. 1 as one file: no point is left out.

    Example:
        >>> import io, numpy
        >>> from landscape import compute_surface
        >>> from landscape.figures import to_npz
        >>> from zarts import Quadratic
        >>> toy = Quadratic.random()
        >>> record = compute_surface(toy.problem(), toy.center, steps=(3,), rows=3, cols=3)
        >>> sorted(numpy.load(io.BytesIO(to_npz(record))))[:3]
        ['basis', 'm3/accuracy', 'm3/error']
    """
    return packed(arrays(record))


def arrays(record: Figure1) -> dict[str, np.ndarray]:
    """All arrays of Fig. 1 as they are stored.

    Returns:
        ``scale``; of each M ``x`` (cols,), ``y`` (rows,), ``loss``, ``error``, ``accuracy`` and
        ``status`` (rows, cols); of each path ``xy`` (steps + 1, 2), ``loss``, ``target_loss`` and
        ``residual`` (steps + 1,), below ``paths/METHOD``; where they are stored, ``origin`` (d,)
        and ``basis`` (d, 2).
    """
    found: dict[str, np.ndarray] = {"scale": np.array(record.scale)}
    for surface in record.surfaces:
        for name in ("x", "y", "loss", "error", "accuracy", "status"):
            found[f"m{surface.inner_steps}/{name}"] = getattr(surface, name)
    for path in record.paths:
        for name in ("xy", "loss", "target_loss", "residual"):
            found[f"{record_name(path.method)}/{name}"] = getattr(path, name)
    for name in ("origin", "basis"):
        if (array := getattr(record, name)) is not None:
            found[name] = array
    return found


def packed(found: Mapping[str, np.ndarray]) -> bytes:
    """Arrays by name as one NPZ file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **found)
    return buffer.getvalue()


def rows_csv(rows: Sequence[Mapping[str, str | float | None]]) -> str:
    """Rows as CSV, with all columns that any of them has; what a row lacks is empty."""
    out = io.StringIO()
    titles = list(dict.fromkeys(title for row in rows for title in row))
    writer = csv.writer(out)
    writer.writerow(map(cell, titles))
    for row in rows:
        values = (row.get(title) for title in titles)
        writer.writerow("" if v is None else cell(v) if isinstance(v, str) else v for v in values)
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
    charts = _chart(bare(figure), 1)
    charts += f'<p class="caption">{escape(caption(record))}</p>'
    if record.paths:
        charts += _chart(losses(record), 2)
    origin = json.dumps(
        {"config": record.config, "provenance": record.provenance, "facts": record.facts},
        indent=2,
        ensure_ascii=False,
        sort_keys=True,
    )
    body = f"""{charts}
<h2>Surfaces</h2>{table(surface_rows(record))}
<h2>Optimizers</h2>{table(path_rows(record))}
<h2>Made by</h2><pre>{escape(command(record))}</pre>
<p>Paths: {escape(path_settings(record))}</p>
<h2>Cite</h2><pre>{escape(BIBTEX)}</pre>
<details><summary>Configuration and provenance</summary><pre>{escape(origin)}</pre></details>"""
    heads = f"Figure 1 of {record.name}", "First-order and fine-tuned landscape"
    return _document(*heads, takeaway(record, inner_steps), body)


def to_page(
    title: str,
    said: str,
    figures: Sequence[go.Figure],
    rows: Sequence[Row] = (),
    *,
    made_by: str = "",
) -> str:
    """A page that works offline, of any figures of this package: what is not Fig. 1.

    Example:
        >>> from landscape.figures import figure_2, to_page
        >>> entry = {"column": "ZARTS-MGS", "method": "zarts-mgs", "epoch": 25, "skips": 4}
        >>> to_page("Fig. 2", "Skips over the epochs.", [figure_2([entry])])[:15]
        '<!doctype html>'

    Args:
        title: Of the page.
        said: What the figures show, in a sentence.
        figures: One below the other; those with steps in their ``meta`` can be played.
        rows: The numbers behind them.
        made_by: The command.
    """
    body = "".join(_chart(figure, place) for place, figure in enumerate(figures, start=1))
    if rows:
        body += f"\n<h2>Numbers</h2>{table(rows)}"
    if made_by:
        body += f"\n<h2>Made by</h2><pre>{escape(made_by)}</pre>"
    body += f"\n<h2>Cite</h2><pre>{escape(BIBTEX)}</pre>"
    return _document(title, title, said, body)


def _chart(figure: go.Figure, place: int) -> str:
    """A figure of a page, the first with plotly itself, and what plays it if it has steps."""
    name = f"figure-{place}"
    shared = {"full_html": False, "config": CONFIG, "auto_play": False}
    chart: str = figure.to_html(include_plotlyjs=place == 1, div_id=name, **shared)
    meta = figure.layout.meta or {}
    if narrowest := meta.get("narrowest"):
        chart = f'<div class="wide"><div style="min-width: {narrowest}px">{chart}</div></div>'
    if "steps" not in meta:
        return chart
    start = START.format(f"play-{place}", name)
    return (
        f'{chart}<div id="play-{place}">{player.MARKUP}</div>'
        f"<script>{player.SCRIPT}{start}</script>"
    )


def _document(title: str, heading: str, said: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style>
</head><body>
<h1>{escape(heading)}</h1>
<p>{escape(said)}</p>
{body}
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
