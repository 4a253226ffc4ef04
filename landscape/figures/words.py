"""What is said around Fig. 1: caption, findings in sentences and in rows, and the origin."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence

from landscape.figures.look import Scale, choose, style
from landscape.figures.partial import LEGEND, comparable, lost, stage
from landscape.measure import Ending, compare, endings, lowest, on_border, read
from landscape.record import Figure1, Surface
from landscape.record.counts import count
from zarts import __version__
from zarts.runs.runfile import JSON

__all__ = [
    "BIBTEX",
    "caption",
    "command",
    "path_rows",
    "path_settings",
    "python",
    "setting",
    "surface_rows",
    "takeaway",
]

Row = dict[str, str | float]

BIBTEX = """@inproceedings{wang2022zarts,
  title     = {{ZARTS}: On Zero-order Optimization for Neural Architecture Search},
  author    = {Wang, Xiaoxing and Guo, Wenxuan and Su, Jianlin and Yang, Xiaokang and Yan, Junchi},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {35},
  year      = {2022},
  note      = {arXiv:2110.04743},
}

@software{zarts_toolkit,
  title     = {{ZARTS} toolkit: zero-order architecture search and its landscapes},
  author    = {{The ZARTS toolkit authors}},
  version   = {VERSION},
  license   = {MIT},
}""".replace("VERSION", __version__)


def setting(record: Figure1, *names: str) -> str:
    """The value of a setting by any of its names, wherever the run keeps it; empty if nowhere.

    Facts come before the configuration, that before the provenance, outer keys before inner ones.
    How the paths were made is left out: ``path_settings`` lists it in full.
    """
    config = {key: value for key, value in record.config.items() if key != "paths"}
    queue: list[Mapping[str, JSON]] = [record.facts, config, record.provenance]
    for place in queue:
        for name in names:
            value = place.get(name)
            if isinstance(value, Mapping):
                value = value.get("name")
            if isinstance(value, str | int | float):
                return f"{value:.4g}" if isinstance(value, float) else str(value)
        queue += [value for value in place.values() if isinstance(value, Mapping)]
    return ""


def command(record: Figure1) -> str:
    """The command that made the run, ready to paste."""
    words = record.provenance.get("command", "")
    return shlex.join(map(str, words)) if isinstance(words, list) else str(words)


def caption(record: Figure1) -> str:
    """What stands under the figure: how far it is, what M steps mean here, and on what."""
    parts = [LEGEND] if any(stage(surface) for surface in record.surfaces) else []
    if "objective" not in record.config:  # one of one's own has rules of its own
        rate = setting(record, "inner_learning_rate", "inner_lr") or "?"
        parts.append(f"M steps of ω at learning rate {rate}")
    for label, names in (("space", ("space",)), ("data", ("data", "dataset")), ("seed", ("seed",))):
        if value := setting(record, *names):
            parts.append(f"{label} {value}")
    if record.surfaces:
        rows, cols = record.surfaces[-1].loss.shape
        parts.append(f"grid {rows}×{cols}")
    if images := setting(record, "val_images"):
        parts.append(f"L_val on {images} images")
    if isinstance(accuracy := record.facts.get("val_accuracy"), float):
        parts.append(f"validation accuracy of the supernet {accuracy:.1%}")
    return " · ".join(parts)


def path_settings(record: Figure1) -> str:
    """How the paths were made, in full; which methods there are is in the legend."""
    made = record.config.get("paths")
    if not isinstance(made, Mapping):
        return "not recorded"
    said = []
    for key, value in made.items():
        if isinstance(value, list) and key != "methods":
            said.append(f"{key} ({', '.join(map(str, value))})")
        elif isinstance(value, str | int | float):
            said.append(f"{key} {value}")
    if made.get("step") == "paper":
        said.append(
            "with the released values (α learning rate 3e-4) "
            f"{made.get('updates', 'a few')} DARTS steps are too short to see"
        )
    return ", ".join(said)


def python(
    folder: str,
    inner_steps: Sequence[int],
    *,
    log: bool = False,
    scale: Scale = "shared",
    quantity: str = "loss",
    difference: bool = False,
    camera: str = "",
) -> str:
    """Lines of Python that open the run in ``folder`` and draw it as it is seen."""
    chosen = "".join(
        f", {name}={value!r}"
        for name, value, usual in (
            ("log", log, False),
            ("scale", scale, "shared"),
            ("quantity", quantity, "loss"),
            ("difference", difference, False),
            ("camera", camera, ""),
        )
        if value != usual
    )
    name = "figure_3d" if camera else "figure_1"
    return f"""from pathlib import Path

from landscape import load
from landscape.figures import {name}
from zarts.runs.runfile import Run

record = load(Run.open(Path({folder!r})))
{name}(record, {list(inner_steps)}{chosen}).show()"""


def takeaway(record: Figure1, inner_steps: Sequence[int] | None = None) -> str:
    """What this run shows on this plane, in a few sentences: only what was measured."""
    surfaces = choose(record, inner_steps)
    first, last = surfaces[0], surfaces[-1]
    said = []
    counted, pending = count(record.surfaces), count(surfaces).pending
    if counted.pending:
        said.append(f"Not finished: {counted.computed} of {counted.points} points are computed.")
    if again := counted.failed:
        points = "1 point" if again == 1 else f"{again} points"
        said.append(f"{points} failed or took too long; the same command tries again.")
    if first.inner_steps != last.inner_steps and not pending:
        said.append(change(record, (first.inner_steps, last.inner_steps)))
    if not pending:
        said += [border(surface) for surface in surfaces if on_border(surface)]
    ends = sorted(
        (end for end in endings(record) if math.isfinite(end.target_loss)),
        key=lambda end: end.target_loss,
    )
    if ends:
        target = record.surfaces[-1].inner_steps
        what = f"Loss after {target} inner steps, end of a path minus its start"
        said.append(f"{what}: {ranking(ends)}.")
    return " ".join(said) or "Nothing to compare yet."


def change(record: Figure1, pair: tuple[int, int]) -> str:
    """How the second surface differs from the first, as a sentence."""
    first, last = choose(record, pair)
    if constant := [surface for surface in (first, last) if read(surface).constant]:
        names = " and ".join(f"M = {surface.inner_steps}" for surface in constant)
        return f"On this plane the loss is constant at {names}."
    found = compare(first, last, record.scale)
    name = f"On this plane the sharpness (mean slope) of the M = {last.inner_steps} surface"
    base = f"that of M = {first.inner_steps}"
    if math.isfinite(found.ratio):
        said = f"{name} is {found.ratio:.2g} times {base}"
    else:
        said = f"{name} cannot be compared with {base}"
    if not math.isfinite(found.shift):
        return f"{said}."
    if found.shift == 0:
        return f"{said}; both are lowest at the same grid point."
    return f"{said}; the minimum lies {found.shift:.2f} units away ({found.length:.2g} in α)."


def border(surface: Surface) -> str:
    """The caution that goes with a minimum on the border, as a sentence."""
    return (
        f"The minimum of M = {surface.inner_steps} is at the border of the grid, "
        "so the true one may lie outside."
    )


def ranking(ends: Sequence[Ending]) -> str:
    """The two lowest and the highest end of the paths, in words."""
    words = [f"{style(end.path.method).label} {_signed(gain(end))}" for end in ends]
    if len(words) < 3:
        return ", ".join(words)
    return f"lowest {words[0]}, {words[1]}; highest {words[-1]}"


def gain(end: Ending) -> tuple[float, float]:
    """Loss at the end of a path minus that at its start, and the standard error of the difference.

    The error is over the images of L_val, which are the same at both; NaN for a path that was
    stored without it.
    """
    return end.path.change or (end.target_loss - float(end.path.target_loss[0]), math.nan)


def _signed(gained: tuple[float, float]) -> str:
    change, error = gained
    known = f" ± {error:.3f}" if math.isfinite(error) else ""
    return f"{change:+z.3f}{known}".replace("-", "−")


def surface_rows(record: Figure1) -> list[Row]:
    """One row of the reading table per surface; changes are relative to the first one.

    Minimum and range are over all computed points. What needs neighbours or compares is taken on
    the finest level that all surfaces have finished.
    """
    rows: list[Row] = []
    stages = [stage(surface) for surface in record.surfaces]
    even = comparable(record.surfaces)
    for surface, same, partial in zip(record.surfaces, even, stages, strict=True):
        reading = read(surface)
        found = compare(even[0], same, record.scale)
        low, where = reading.minimum, lowest(surface)
        row: Row = {
            "M": surface.inner_steps,
            "minimum": low.loss if low else math.nan,
            "x": where.x if where else math.nan,
            "y": where.y if where else math.nan,
            "range": reading.span,
            "sharpness": read(same).sharpness,
            "ratio": found.ratio,
            "shift": found.shift,
            "rank correlation": found.correlation,
            "missing": lost(surface),
        }
        if any(stages):
            row["level"] = str(partial) if partial else "finished"
        rows.append(row)
    return rows


def path_rows(record: Figure1) -> list[Row]:
    """One row of the table of optimizers per path: where it ends and what it cost."""
    rows: list[Row] = []
    noted = any(path.note or path.remark for path in record.paths)
    for end in endings(record):
        path = end.path
        row: Row = {"optimizer": style(path.method).label, "optimizes": f"M = {path.inner_steps}"}
        for surface, loss in zip(record.surfaces, end.losses, strict=True):
            row[f"loss, M = {surface.inner_steps}"] = loss
        change, error = gain(end)
        row |= {
            "change": change,
            "standard error": error,
            "distance to minimum": end.distance,
            "path length": end.length,
            "out of plane": end.residual,
            "evaluations": path.evaluations,
            "gradients": path.gradients,
            "steps of ω": path.weight_steps,
            "seconds": path.seconds,
        }
        if noted:
            row["note"] = path.note or path.remark
        rows.append(row)
    return rows
