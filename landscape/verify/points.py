"""Points of surfaces and paths: which ones are computed again, and what is made of the answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from landscape.record import OptimizerPath, Status, Surface
from landscape.verify.report import Finding, Result, judged
from zarts.settings.config import Config

__all__ = ["Answers", "Question", "SurfaceCheck", "WalkCheck", "tolerance"]

Question = tuple[int, float, float]  # M, x, y
Answers = Mapping[Question, float]
Index = tuple[int, int]

# Largest relative difference between two ways of computing one value (versions, CPUs, kernels).
# Measured at the quick preset: in single precision 9e-8 at M <= 1 between kernels of this project,
# and at M = 10 against double precision 1e-7 in the median and 3e-4 at most of 21 points (SGD
# multiplies rounding where a ReLU or a maximum flips); in double precision 2e-16 at any of them.
_TOLERANCE = {
    ("cpu", "float32"): (1e-5, 5e-3),
    ("cpu", "float64"): (1e-12, 1e-9),
    # Ours, not measured on a GPU yet: ten times as much, as cuDNN sums in other orders from one
    # algorithm to the next; TF32 keeps ten bits of 23.
    ("cuda", "float32"): (1e-4, 5e-2),
    ("cuda", "float64"): (1e-11, 1e-8),
    ("cuda", "tf32"): (1e-2, 2e-1),
}
START = 1e-9  # axis units: rounding of the projection


def tolerance(config: Config, steps: int) -> float:
    """Relative difference up to which L_M from elsewhere counts as the same value.

    Args:
        config: The settings of the run as it is stored, which name the device that computed it.
        steps: M.
    """
    kind = config.device.partition(":")[0]
    rounded = kind == "cuda" and config.dtype == "float32" and config.tf32 != "off"
    return _TOLERANCE[kind, "tf32" if rounded else config.dtype][steps > 1]


def _apart(one: float, other: float) -> float:
    """Relative difference; 0 for two NaN, infinite where one of the two is NaN."""
    if one == other or (np.isnan(one) and np.isnan(other)):
        return 0.0
    if not (np.isfinite(one) and np.isfinite(other)):
        return float("inf")
    return abs(one - other) / max(abs(one), abs(other))


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more


@dataclass(frozen=True)
class _Check:
    """What is the same for all checks of values.

    Attributes:
        config: The settings of the run, as it is stored.
        reasons: Why the last bits may differ; none: they may not.
    """

    config: Config
    reasons: tuple[str, ...]

    def verdict(
        self, check: str, pairs: list[tuple[str, float, float]], steps: int, *, same_bits: bool
    ) -> Finding:
        """Compares (what, stored, recomputed) of L_M; ``same_bits``: α itself is the same."""
        limit = tolerance(self.config, steps)
        gaps = [_apart(stored, again) for _, stored, again in pairs]
        far = [
            f"{what} is {stored!r}, recomputed {again!r} (tolerance {limit:g})"
            for gap, (what, stored, again) in zip(gaps, pairs, strict=True)
            if gap > limit
        ]
        names = _listed([what for what, _, _ in pairs])
        if far or not any(gaps):
            return judged(check, far, f"bit-equal: {names}")
        detail = f"equal to {max(gaps):.0e} relative (tolerance {limit:g}), not bit-equal: {names}"
        if not same_bits:
            return Finding(check, Result.OK, f"{detail} (its α is known up to rounding)")
        if not self.reasons:
            return Finding(check, Result.FAIL, f"{detail}; same code, torch and CPU wrote it")
        return Finding(check, Result.NOTE, f"{detail}; {'; '.join(self.reasons)}")


@dataclass(frozen=True)
class SurfaceCheck(_Check):
    """Some points of one surface.

    Attributes:
        surface: As it is stored.
        points: How many OK points are computed again.
        seed: Of the choice.
    """

    surface: Surface
    points: int
    seed: int

    @property
    def _title(self) -> str:
        return f"surface M={self.surface.inner_steps}"

    @cached_property
    def _chosen(self) -> list[Index]:
        rng = np.random.default_rng((self.seed, self.surface.inner_steps))
        good = [(int(r), int(c)) for r, c in np.argwhere(self.surface.status == Status.OK)]
        order = [good[n] for n in rng.permutation(len(good))]
        # one point tells the two orientations apart, if any does; the others are as drawn
        telling = next((index for index in order if self._tells(index)), None)
        if telling is not None and telling not in order[: self.points]:
            order.insert(0, telling)
        return order[: self.points]

    @cached_property
    def _diverged(self) -> Index | None:
        rng = np.random.default_rng((self.seed, self.surface.inner_steps, 1))
        found = np.argwhere(self.surface.status == Status.DIVERGED)
        if not len(found) or not self.points:
            return None
        row, col = found[rng.integers(len(found))]
        return int(row), int(col)

    def _tells(self, index: Index) -> bool:
        """Whether the transposed surface has a clearly different value there."""
        loss, (row, col) = self.surface.loss, index
        limit = 2 * tolerance(self.config, self.surface.inner_steps)
        return loss.shape[0] == loss.shape[1] and _apart(loss[row, col], loss[col, row]) > limit

    def _question(self, index: Index) -> Question:
        row, col = index
        return self.surface.inner_steps, float(self.surface.x[col]), float(self.surface.y[row])

    def questions(self) -> list[Question]:
        """What is to be computed."""
        chosen = self._chosen + ([self._diverged] if self._diverged else [])
        return [self._question(index) for index in chosen]

    def findings(self, answers: Answers) -> Iterator[Finding]:
        """What the answers say about the surface."""
        loss = self.surface.loss
        again = {index: answers[self._question(index)] for index in self._chosen}
        pairs = [(f"[{r}, {c}]", float(loss[r, c]), value) for (r, c), value in again.items()]
        if pairs:
            yield self.verdict(self._title, pairs, self.surface.inner_steps, same_bits=True)
            yield self._orientation(again)
        else:
            yield Finding(self._title, Result.NOTE, "no point was computed again")
        if self._diverged:
            row, col = self._diverged
            value = answers[self._question(self._diverged)]
            wrong = [f"[{row}, {col}] diverged, recomputed {value!r}"] if np.isfinite(value) else []
            yield judged(f"{self._title} diverged", wrong, f"[{row}, {col}] is NaN again")

    def _orientation(self, again: Mapping[Index, float]) -> Finding:
        loss, title = self.surface.loss, f"{self._title} orientation"
        if loss.shape[0] != loss.shape[1]:
            return Finding(title, Result.OK, f"(rows of y, columns of x) = {loss.shape}")
        telling = [index for index in again if self._tells(index)]
        if not telling:
            return Finding(title, Result.NOTE, "no point differs from the one across the diagonal")
        limit = tolerance(self.config, self.surface.inner_steps)
        here = {i for i in telling if _apart(loss[i], again[i]) <= limit}
        turned = [
            f"what is computed at row {row}, column {col} is stored at [{col}, {row}]"
            for row, col in telling
            if _apart(loss[col, row], again[row, col]) <= limit
        ]
        if not turned and not here:
            return Finding(title, Result.UNCHECKED, "what is computed is on neither side")
        names = _listed([f"[{row}, {col}]" for row, col in telling])
        return judged(title, turned, f"{names} not as across the diagonal")


@dataclass(frozen=True)
class WalkCheck(_Check):
    """The start and one point of one path.

    Attributes:
        path: As it is stored.
        points: How many points besides the start; at most one.
        seed: Of the choice.
    """

    path: OptimizerPath
    points: int
    seed: int

    @property
    def _inside(self) -> list[int]:
        """Points whose α is known: those in the plane."""
        return [int(n) for n in np.flatnonzero(self.path.residual[1:] == 0) + 1]

    @cached_property
    def _chosen(self) -> list[int]:
        if not self.points:
            return []
        if not self._inside:
            return [0]
        rng = np.random.default_rng((self.seed, *self.path.method.encode()))
        return [0, self._inside[rng.integers(len(self._inside))]]

    def _question(self, index: int) -> Question:
        x, y = self.path.xy[index]
        return self.config.landscape.steps, float(x), float(y)

    def questions(self) -> list[Question]:
        """What is to be computed."""
        return [self._question(index) for index in self._chosen]

    def findings(self, answers: Answers) -> Iterator[Finding]:
        """What the answers say about the path."""
        title = f"path {self.path.method}"
        if problems := list(self._problems()):
            yield judged(title, problems, "")
            return
        pairs = [
            (f"step {n}" if n else "start", float(self.path.target_loss[n]), answers[question])
            for n, question in zip(self._chosen, self.questions(), strict=True)
        ]
        if pairs:
            yield self.verdict(title, pairs, self.config.landscape.steps, same_bits=False)
        else:
            yield Finding(title, Result.NOTE, "no point was computed again")

    def _problems(self) -> Iterator[str]:
        path, paths = self.path, self.config.paths
        if not np.abs(path.xy[0] - np.array(paths.start)).max() <= START:
            yield f"starts at {path.xy[0].tolist()}, the settings say {list(paths.start)}"
        outside = path.residual
        if paths.space == "plane" and outside.any():
            yield f"leaves the plane it walks in: residual up to {outside.max():.1e}"
        if outside[0] != 0 or not ((outside >= 0) & (outside <= 1 + START)).all():
            yield "residual is no share of the way from the start"
        if path.inner_steps == self.config.landscape.steps and not np.array_equal(
            path.loss, path.target_loss, equal_nan=True
        ):
            yield "loss and target_loss differ, and are both of the same M"
