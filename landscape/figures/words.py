"""What is said around Fig. 1: caption, findings in sentences and in rows, and the origin."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence

import numpy as np

from landscape.figures.look import choose, style
from landscape.figures.partial import LEGEND, comparable, lost, stage
from landscape.measure import Ending, compare, endings, on_border, read
from landscape.record import Figure1, Status, Surface
from zarts.runfile import JSON

__all__ = [
    "BIBTEX",
    "caption",
    "command",
    "path_rows",
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
}"""


def setting(record: Figure1, *names: str) -> str:
    """The value of a setting by any of its names, wherever the run keeps it; empty if nowhere.

    Facts come before the configuration, that before the provenance, outer keys before inner ones.
    How the paths were made is left out: ``caption`` lists it in full.
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
    parts += [
        f"M steps of ω at learning rate {setting(record, 'inner_learning_rate', 'inner_lr') or '?'}"
    ]
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
    made = record.config.get("paths")
    if isinstance(made, Mapping):
        parts.append("paths: " + ", ".join(choices(made)))
        if made.get("step") == "paper":
            parts.append(
                "with the released values (α learning rate 3e-4) "
                f"{made.get('updates', 'a few')} DARTS steps are too short to see"
            )
    return " · ".join(parts)


def choices(made: Mapping[str, JSON]) -> list[str]:
    """The settings of the paths; which methods there are is in the legend."""
    said = []
    for key, value in made.items():
        if isinstance(value, list) and key != "methods":
            said.append(f"{key} ({', '.join(map(str, value))})")
        elif isinstance(value, str | int | float):
            said.append(f"{key} {value}")
    return said


def takeaway(record: Figure1, inner_steps: Sequence[int] | None = None) -> str:
    """What this run shows on this plane, in a few sentences: only what was measured."""
    surfaces = choose(record, inner_steps)
    first, last = surfaces[0], surfaces[-1]
    said = []
    status = np.concatenate([surface.status.ravel() for surface in surfaces])
    if pending := bool((status == Status.PENDING).any()):
        done = sum(surface.done for surface in surfaces)
        said.append(f"Not finished: {done} of {status.size} points are computed.")
    if again := int(np.isin(status, (Status.FAILED, Status.OOM, Status.TIMEOUT)).sum()):
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
        said.append(
            f"Lowest loss after {target} steps of ω at the end of the paths: {ranking(ends)}."
        )
    return " ".join(said) or "Nothing to compare yet."


def change(record: Figure1, pair: tuple[int, int]) -> str:
    """How the second surface differs from the first, as a sentence."""
    first, last = choose(record, pair)
    found = compare(first, last, record.scale)
    name = f"On this plane the M = {last.inner_steps} surface"
    base = f"that of M = {first.inner_steps}"
    if not math.isfinite(found.ratio):
        slope = f"{name} cannot be compared in steepness with {base}"
    elif 0.95 < found.ratio < 1.05:
        slope = f"{name} is about as steep as {base}"
    elif found.ratio < 1:
        slope = f"{name} is {1 / found.ratio if found.ratio else math.inf:.2g}× flatter than {base}"
    else:
        slope = f"{name} is {found.ratio:.2g}× steeper than {base}"
    if not math.isfinite(found.shift):
        return f"{slope}."
    if found.shift == 0:
        return f"{slope}; both are lowest at the same grid point."
    return f"{slope}; its minimum lies {found.shift:.2f} units away ({found.length:.2g} in α)."


def border(surface: Surface) -> str:
    """The caution that goes with a minimum on the border, as a sentence."""
    return (
        f"The minimum of M = {surface.inner_steps} is at the border of the grid, "
        "so the true one may lie outside."
    )


def ranking(ends: Sequence[Ending]) -> str:
    """The two lowest and the highest end of the paths, in words."""
    words = [f"{style(end.path.method).label} ({end.target_loss:.4f})" for end in ends]
    if len(words) < 3:
        return ", then ".join(words)
    return f"{words[0]}, then {words[1]}; highest: {words[-1]}"


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
        low = reading.minimum
        row: Row = {
            "M": surface.inner_steps,
            "minimum": low.loss if low else math.nan,
            "x": low.x if low else math.nan,
            "y": low.y if low else math.nan,
            "range": reading.span,
            "sharpness": read(same).sharpness,
            "ratio": found.ratio,
            "shift": found.shift,
            "rank correlation": found.correlation,
            "without a number": lost(surface),
        }
        if any(stages):
            row["level"] = str(partial) if partial else "finished"
        rows.append(row)
    return rows


def path_rows(record: Figure1) -> list[Row]:
    """One row of the table of optimizers per path: where it ends and what it cost."""
    rows: list[Row] = []
    noted = any(path.note for path in record.paths)
    for end in endings(record):
        path = end.path
        row: Row = {"optimizer": style(path.method).label, "descends": f"M = {path.inner_steps}"}
        for surface, loss in zip(record.surfaces, end.losses, strict=True):
            row[f"loss, M = {surface.inner_steps}"] = loss
        row |= {
            "to the star": end.distance,
            "path length": end.length,
            "out of plane": end.residual,
            "evaluations": path.evaluations,
            "gradients": path.gradients,
            "steps of ω": path.weight_steps,
            "seconds": path.seconds,
        }
        if noted:
            row["note"] = path.note
        rows.append(row)
    return rows
