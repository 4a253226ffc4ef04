"""What stands side by side in Fig. 1, for both renderers: surface, levels, words of each panel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from landscape.figures import look
from landscape.figures.look import Levels, Scale
from landscape.figures.partial import comparable
from landscape.figures.quantity import Quantity
from landscape.figures.quantity import quantity as quantity_of
from landscape.figures.scale import levels as levels_of
from landscape.record import Figure1, Status, Surface

__all__ = ["Panel", "panels", "signed", "taken"]

BANDS = 8  # about how many levels of a difference are on each side of zero


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        surface: What is drawn, with the shown quantity where the loss is.
        levels: Its contour levels.
        title: What it is.
        lines: What is said below that, line by line.
    """

    surface: Surface
    levels: Levels
    title: str
    lines: list[str]


def panels(
    record: Figure1,
    inner_steps: Sequence[int] | None = None,
    *,
    log: bool = False,
    levels: int | Sequence[float] = 22,
    zmax: float | None = None,
    scale: Scale = "shared",
    quantity: str = "loss",
    difference: bool = False,
) -> list[Panel]:
    """The panels from left to right, by the arguments of ``figure_1``; the difference is the last.

    Raises:
        ValueError: If the record has no surface, or not the asked one, or levels are none, or the
            run does not store the quantity, or there are not two surfaces to take apart.
    """
    chosen, of = look.choose(record, inner_steps), quantity_of(quantity, record)
    if difference and len(chosen) < 2:
        raise ValueError(f"a difference needs two M, asked for {chosen[0].inner_steps} alone")
    surfaces = [of.shown(surface) for surface in chosen]
    each = look.scales(surfaces, log, levels, zmax, scale, quantity=of)
    found = [
        Panel(
            surface,
            own,
            f"M = {surface.inner_steps}" if difference else look.panel_title(surface, record),
            look.subtitle(surface, own, scale),
        )
        for surface, own in zip(surfaces, each, strict=True)
    ]
    if not difference:
        return found
    title = f"Δ: M = {surfaces[-1].inner_steps} minus M = {surfaces[0].inner_steps}"
    return [*found, signed(surfaces[0], surfaces[-1], of, title)]


def taken(first: Surface, last: Surface) -> Surface:
    """The second surface minus the first, where both are finite, as a surface of its own.

    Of unfinished surfaces on the finest level that both have finished.

    Raises:
        ValueError: If they are on different grids.
    """
    if not first.on_grid_of(last):
        raise ValueError("the surfaces have different grids; a difference needs one plane and grid")
    before, after = comparable((first, last))
    status = np.where(after.status == Status.OK, before.status, after.status)
    return Surface(last.inner_steps, after.x, after.y, after.loss - before.loss, status)


def signed(first: Surface, last: Surface, of: Quantity, title: str) -> Panel:
    """The panel of a difference: blue where the second one is better, zero in the middle."""
    found, quantity = taken(first, last), of.difference
    size = replace(found, loss=np.abs(found.loss))
    one_side = replace(levels_of([size], count=BANDS), over=False)
    own = replace(one_side, start=-one_side.stop, quantity=quantity)
    finite = found.loss[np.isfinite(found.loss)]
    lines = look.subtitle(found, own)
    if finite.size:
        below = int((finite < 0).sum())
        share = "all" if below == finite.size else f"{below} of {finite.size}"
        lines.append(f"below 0 at {share} points" if below else "nowhere below 0")
    if beyond := int((np.abs(finite) > own.stop).sum()):
        lines.append(f"{beyond} beyond ±{own.label(own.stop)}")
    if found.loss.shape != last.loss.shape:
        lines.append(f"on {found.loss.shape[0]}×{found.loss.shape[1]} points, done in both")
    return Panel(found, own, title, lines)
