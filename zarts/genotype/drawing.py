"""The cells of a genotype as a drawing: characters for a terminal, and SVG. No torch in here.

Both have one layout, in which nothing can lie on anything else, whatever the cells: states stand
from left to right in the order in which they are computed, each begins a line downwards, and
each row is an edge, from the line of the state that it reads to the node that it leads to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from itertools import zip_longest
from typing import Literal

from zarts.supernet.genotype import Genotype, Inputs

__all__ = ["Marks", "changes", "dot", "svg", "text"]

_STATES = ("c_{k-2}", "c_{k-1}", "0", "1", "2", "3")
_OUTPUT = "c_{k}"
_TITLES = ("normal cell", "reduction cell")


def _reads(inputs: Inputs, concat: tuple[int, ...]) -> list[int]:
    """The last row that reads each state, −1 if none does; the row behind all: the output."""
    last = [-1] * len(_STATES)
    for row, (_, source) in enumerate(inputs):
        last[source] = row
    return [len(inputs) if state in concat else row for state, row in enumerate(last)]


def _begins(state: int) -> int:
    """The row of the second input of a node, −1 for the inputs of the cell."""
    return max(-1, 2 * state - 3)


_COLUMNS = (16, 24, 30, 34, 38, 42)  # of the states, in characters
_WIDTH = 50


def text(genotype: Genotype) -> list[str]:
    """Draws both cells side by side, in at most 100 columns.

    Example:
        >>> from zarts.supernet.published import NAMED
        >>> print(text(NAMED["DARTS_V2"])[1][:31])
        sep_conv_3x3    ├───────│────▶┐
    """
    cells = (genotype.normal, genotype.reduce)
    drawn = [
        _characters(title, cell, genotype.concat)
        for title, cell in zip(_TITLES, cells, strict=True)
    ]
    return [
        f"{left:<{_WIDTH}}{right}".rstrip() for left, right in zip_longest(*drawn, fillvalue="")
    ]


def _characters(title: str, inputs: Inputs, concat: tuple[int, ...]) -> list[str]:
    last = _reads(inputs, concat)
    head = [" "] * _WIDTH
    _put(head, 0, title.removesuffix(" cell"))
    for name, column in zip(_STATES, _COLUMNS, strict=True):
        _put(head, column - len(name) // 2, name)
    lines = [head]
    for row, (operation, source) in enumerate(inputs):
        line, node = [" "] * _WIDTH, row // 2 + 2
        _put(line, 0, operation)
        first, end = _COLUMNS[source], _COLUMNS[node]
        _put(line, first, "─" * (end - first - 1) + "▶")
        for state, column in enumerate(_COLUMNS):
            if _begins(state) < row <= last[state]:
                line[column] = "│"
        line[first] = "├" if last[source] > row else "╰"
        line[end] = "┐" if row % 2 == 0 else "┤" if last[node] > row else "┘"
        lines.append(line)
    line = [" "] * _WIDTH
    ends = [_COLUMNS[state] for state in sorted(concat)]
    _put(line, ends[0], "─" * (_COLUMNS[-1] - ends[0] + 1) + f"▶ {_OUTPUT}")
    for column in ends:
        line[column] = "┴"
    line[ends[0]] = "╰"
    lines.append(line)
    return ["".join(line).rstrip() for line in lines]


def _put(line: list[str], column: int, what: str) -> None:
    line[column : column + len(what)] = what


def dot(genotype: Genotype) -> str:
    """Both cells in the language of Graphviz, for whoever lays them out with it.

    Example:
        >>> from zarts.supernet.published import NAMED
        >>> dot(NAMED["DARTS_V2"]).splitlines()[9]
        '    normal_0 -> normal_2 [label="sep_conv_3x3"];'
    """
    lines = ["digraph genotype {", "  rankdir=LR; node [shape=box]; edge [fontsize=10];"]
    for name, inputs in (("normal", genotype.normal), ("reduce", genotype.reduce)):
        lines.append(f'  subgraph cluster_{name} {{ label="{name} cell";')
        lines += [
            f'    {name}_{state} [label="{label}"];'
            for state, label in enumerate(("c_{k-2}", "c_{k-1}", *map(str, range(4))))
        ]
        lines += [
            f'    {name}_{source} -> {name}_{place // 2 + 2} [label="{operation}"];'
            for place, (operation, source) in enumerate(inputs)
        ]
        lines.append(f'    {name}_out [label="{_OUTPUT}"];')
        lines += [f"    {name}_{state} -> {name}_out [style=dashed];" for state in genotype.concat]
        lines.append("  }")
    return "\n".join([*lines, "}", ""])


# What SVG is drawn with, in pixels.
_X = (36, 98, 226, 354, 482, 610)  # of the states
_TOP, _PITCH, _ROW = 62, 34, 26  # the first row; from node to node; from row to row of a node
_BOX, _LEFT = 96, 72  # the width of an operation, and how far its middle is left of its node
_PANEL, _HEIGHT = 658, 458
_FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
_MONO = "ui-monospace, 'SFMono-Regular', 'DejaVu Sans Mono', monospace"
_INK, _LINE = "#1f2933", "#8a97a6"
_STATE = (_LINE, "#eef2f6")  # frames, and what is within them
_FAMILIES = {  # the same, of the operations whose names begin so; their lines have the first
    "skip": ("#2e7d4f", "#e3f4e8"),
    "sep": ("#1f5fa8", "#e2edfa"),
    "dil": ("#6b3fa0", "#efe7fa"),
    "max": ("#b45309", "#fdf0dc"),
    "avg": ("#a16207", "#fbf5d5"),
    "noise": ("#5f6b7a", "#eceff3"),
}


@dataclass(frozen=True)
class Marks:
    """Edges that stand out in a drawing.

    Attributes:
        normal: Places of them among the inputs of the normal cell.
        reduce: Likewise, of the reduction cell.
        sign: What stands beside each: ``+`` or ``−``, which also chooses the colour.
    """

    normal: frozenset[int] = frozenset()
    reduce: frozenset[int] = frozenset()
    sign: Literal["+", "−"] = "+"

    def __len__(self) -> int:
        """Number of edges."""
        return len(self.normal) + len(self.reduce)


_MARKED = {"+": ("#1b7837", "#d9f0d3"), "−": ("#b2182b", "#fde0dd")}


def changes(before: Genotype, after: Genotype) -> tuple[Marks, Marks]:
    """The edges of the first that the second lacks, and those of the second that the first lacks.

    An edge is an operation from a state to a node; in which of a node's two places it stands says
    nothing.

    Example:
        >>> from zarts.supernet.published import NAMED
        >>> removed, added = changes(NAMED["DARTS_V1"], NAMED["DARTS_V2"])
        >>> sorted(removed.normal), sorted(added.normal)
        ([2, 6, 7], [2, 6, 7])
    """

    def lacking(cell: Inputs, other: Inputs) -> frozenset[int]:
        left = Counter((place // 2, edge) for place, edge in enumerate(other))
        found = set()
        for place, edge in enumerate(cell):
            if left[place // 2, edge]:
                left[place // 2, edge] -= 1
            else:
                found.add(place)
        return frozenset(found)

    def marks(one: Genotype, other: Genotype, sign: Literal["+", "−"]) -> Marks:
        return Marks(lacking(one.normal, other.normal), lacking(one.reduce, other.reduce), sign)

    return marks(before, after, "−"), marks(after, before, "+")


def svg(
    genotype: Genotype, title: str = "", *, marks: Marks | None = None, stacked: bool = False
) -> str:
    """Draws both cells as an SVG image that stands by itself.

    Example:
        >>> from zarts.supernet.published import NAMED
        >>> svg(NAMED["DARTS_V2"], "DARTS_V2")[:41]
        '<svg xmlns="http://www.w3.org/2000/svg" v'

    Args:
        genotype: The cells.
        title: What stands above them, as plain text.
        marks: Edges that stand out.
        stacked: Whether the reduction cell stands below the normal one, not beside it.
    """
    top = 40 if title else 0
    width, height = (1, 2) if stacked else (2, 1)
    width, height = width * _PANEL, height * _HEIGHT + top
    cells = (genotype.normal, genotype.reduce)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="{_FONT}" font-size="13" fill="{_INK}" role="img">',
        f"<title>{escape(title or 'cells of a genotype')}</title>",
        f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>',
    ]
    if title:
        parts.append(f'<text x="24" y="34" font-size="17" font-weight="600">{escape(title)}</text>')
    rows = (marks.normal, marks.reduce) if marks else (frozenset[int](),) * 2
    for panel, (name, inputs) in enumerate(zip(_TITLES, cells, strict=True)):
        x, y = (0, top + panel * _HEIGHT) if stacked else (panel * _PANEL, top)
        parts.append(f'<g transform="translate({x} {y})">')
        parts += [_mark(row, marks.sign) for row in sorted(rows[panel]) if marks]
        parts.append(f'<text x="{_X[-1] + 18}" y="32" text-anchor="end" {_CAPTION}>{name}</text>')
        parts += _panel(inputs, genotype.concat)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


_CAPTION = 'font-size="14" font-weight="600" fill="#52606d"'


def _y(row: int) -> float:
    """The middle of a row."""
    return _TOP + (row // 2) * (_PITCH + 2 * _ROW) + (row % 2) * _ROW + _ROW / 2


def _mark(row: int, sign: str) -> str:
    """A band below a row, with its sign at both ends, so that it is more than a colour."""
    ink, fill = _MARKED[sign]
    y, end = _y(row), _PANEL - 6
    label = f'fill="{ink}" font-size="17" font-weight="700" text-anchor="middle"'
    return (
        f'<path d="M4 {y - 13}H{end}V{y + 13}H4z" fill="{fill}"/>'
        f'<text x="13" y="{y + 6}" {label}>{sign}</text>'
        f'<text x="{end - 10}" y="{y + 6}" {label}>{sign}</text>'
    )


def _panel(inputs: Inputs, concat: tuple[int, ...]) -> Iterator[str]:
    last, bar = _reads(inputs, concat), _y(len(inputs)) - 4
    edges = list(enumerate(inputs))
    for row, (operation, source) in edges:
        colour, _ = _FAMILIES[operation.split("_")[0]]
        end = _X[row // 2 + 2] - 18
        yield _path(f"M{_X[source]} {_y(row)}H{end}", colour)
        yield f'<path d="M{end} {_y(row)}l-8 -4.5v9z" fill="{colour}"/>'
    for state, x in enumerate(_X):  # over the edges that they cross, with a white margin
        if last[state] >= 0:
            top = 40 if state < 2 else _y(2 * state - 3) + _ROW / 2
            low = bar - 8 if state in concat else _y(last[state])
            yield _path(f"M{x} {top}V{low}", "#ffffff", 7)
            yield _path(f"M{x} {top}V{low}", _LINE)
            if state in concat:
                yield f'<path d="M{x} {bar}l-4.5 -8h9z" fill="{_LINE}"/>'
    for row, (operation, source) in edges:
        colours = _FAMILIES[operation.split("_")[0]]
        x, y = _X[row // 2 + 2] - _LEFT, _y(row)
        yield f'<circle cx="{_X[source]}" cy="{y}" r="4" fill="{colours[0]}"/>'
        yield _box(x, y, _BOX, 21, colours)
        label = f'font-family="{_MONO}" font-size="12" fill="{colours[0]}"'
        yield f'<text x="{x}" y="{y + 4}" text-anchor="middle" {label}>{escape(operation)}</text>'
    for state, x in enumerate(_X):
        if state < 2:
            yield _box(x, 26, 58, 28, _STATE)
            yield _indexed(x, 31, f"k\u2212{2 - state}")
        else:
            y = _y(2 * state - 3) - _ROW / 2
            yield _box(x, y, 36, 2 * _ROW - 2, _STATE)
            yield f'<text x="{x}" y="{y + 5}" text-anchor="middle">{state - 2}</text>'
    left, right = (_X[end(concat)] for end in (min, max))
    yield _box((left + right) / 2, bar + 14, right - left + 58, 28, _STATE)
    yield _indexed((left + right) / 2, bar + 19, "k")


def _path(d: str, colour: str, width: float = 1.8) -> str:
    return f'<path d="{d}" fill="none" stroke="{colour}" stroke-width="{width}"/>'


def _box(x: float, y: float, width: float, height: float, colours: tuple[str, str]) -> str:
    """A rounded rectangle around a point, of a frame and what is within."""
    frame, fill = colours
    return (
        f'<rect x="{x - width / 2}" y="{y - height / 2}" width="{width}" height="{height}" '
        f'rx="9" fill="{fill}" stroke="{frame}"/>'
    )


def _indexed(x: float, y: float, index: str) -> str:
    return (
        f'<text x="{x}" y="{y}" text-anchor="middle" font-style="italic">c'
        f'<tspan dy="4" font-size="10">{index}</tspan></text>'
    )
