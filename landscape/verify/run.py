"""All checks of one run, each as far as those before it allow."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from landscape.compute import schema
from landscape.compute.pipeline import problem_of
from landscape.geometry.problem import PlaneProblem
from landscape.geometry.walks import walk
from landscape.record import OptimizerPath, Surface, load, path_from, surface_from
from landscape.record.asked import by_hand
from landscape.verify import origin
from landscape.verify.files import content, loose_files, sealed
from landscape.verify.plane import (
    ORTHONORMAL,
    check_accuracy,
    check_orientation_of_code,
    check_plane,
    check_weights,
)
from landscape.verify.points import Answers, Question, SurfaceCheck, WalkCheck, tolerance
from landscape.verify.report import Finding, Report, Result, judged
from zarts.bilevel.search import StepError
from zarts.optimizers import METHODS
from zarts.problems.memory import check_memory
from zarts.runs.course import RESULT, left_behind, under
from zarts.runs.kinds import is_retraining, resuming_retraining
from zarts.runs.runfile import Run, RunError
from zarts.runs.runfile.record import hash_arrays
from zarts.runs.stored import check_code
from zarts.settings.config import Config, ConfigError
from zarts.supernet.protocol import NETWORKS
from zarts.supernet.spaces import TABLES

__all__ = ["VerifyOptions", "verify"]

MOST_STEPS = 10_000  # a larger M cannot be honest, and its batches would fill the memory
Begin = Callable[[str, int, int], Callable[[int, str], None]]


@dataclass(frozen=True)
class VerifyOptions:
    """What the caller wants to know.

    Attributes:
        only: Name of the one record to look at; empty: the whole run.
        points: Points per surface, and besides the start per path, to compute again.
        seed: Of their choice.
        expect: A content hash that was noted elsewhere; empty: none.
        trust_code: Import optimizers and networks of a user's own that the run names.
    """

    only: str = ""
    points: int = 3
    seed: int = 0
    expect: str = ""
    trust_code: bool = False


def verify(folder: Path, asked: VerifyOptions, begin: Begin) -> Report:
    """Makes every check that the state of the run allows.

    Args:
        folder: The run.
        asked: What to look at.
        begin: Told (phase, total, done) before points are computed; gives what is told after each.
    """
    path = str(folder / f"{asked.only}.h5" if asked.only else folder)
    try:
        run = Run.open(folder)
    except RunError:  # named with the seals
        seals = _sort(folder, asked.only, None).seals()
        return Report(path, (*seals, _unchecked("all else", "run.h5 cannot be read")))
    if is_retraining(run.config):
        return Report(path, *_of_retraining(run, asked))
    if by_hand(run.config):
        return Report(path, *_of_own_objective(run, asked))
    settings, config = origin.check_config(run)
    files = _sort(folder, asked.only, config)
    findings = [*files.seals(), *([] if asked.only else [loose_files(folder)]), settings]
    if config is None:
        return Report(path, (*findings, _unchecked("all else", "the settings cannot be used")))
    findings += files.schemas()
    content_hash = ""
    if not asked.only:
        findings.append(_completeness(run, files, config))
        if config.program.leaves_result and not (config.source or files.damaged or files.odd):
            findings.append(origin.check_program(run, config))
        if not files.damaged:
            finding, content_hash = content(run, asked.expect)
            findings.append(finding)
    findings.append(origin.check_provenance(run, config))
    here = origin.runnable(run)
    data = origin.check_data(run, Config.from_table(here.config))
    findings.append(data)
    findings += _values(run, here, files.good, asked, begin=begin, data=data.result)
    return Report(path, tuple(findings), content_hash)


def _of_retraining(run: Run, asked: VerifyOptions) -> tuple[tuple[Finding, ...], str]:
    """What can be said of a run without a landscape, and the content hash."""
    files = _sort(run.path, asked.only, None)
    findings = [*files.seals()]
    if files.damaged:
        return (*findings, _unchecked("all else", "a file is damaged")), ""
    text = f"a retraining; its numbers are not computed again; {resuming_retraining(run)}"
    findings.append(Finding("config", Result.NOTE, text))
    if asked.only:
        return tuple(findings), ""
    finding, found = content(run, asked.expect)
    return (*findings, loose_files(run.path), finding), found


def _of_own_objective(run: Run, asked: VerifyOptions) -> tuple[tuple[Finding, ...], str]:
    """What can be said of a run whose objective is functions of somebody, and the content hash."""
    files = _sort(run.path, asked.only, None)
    seals = files.seals()
    if files.damaged:
        return (*seals, _unchecked("all else", "a file is damaged")), ""
    text = "made by hand: its objective is functions of its author, which are not stored"
    findings = [*seals, Finding("config", Result.NOTE, text)]
    found = ""
    if not asked.only:
        finding, found = content(run, asked.expect)
        findings += [loose_files(run.path), finding]
    try:
        record = load(run)
    except RunError as error:
        return (*findings, Finding("schema", Result.FAIL, str(error))), found
    findings.append(Finding("schema", Result.OK, "as drawing needs it"))
    left = sum(surface.loss.size - surface.done for surface in record.surfaces)
    state = Result.NOTE if left else Result.OK
    detail = f"{left} points have no result" if left else "every point is there"
    findings.append(Finding("complete", state, detail))
    basis = run.read("plane").arrays.get("basis")
    if basis is not None:
        off = float(np.abs(basis.T @ basis - np.eye(2)).max())
        wrong = [] if off <= ORTHONORMAL else [f"directions are not orthonormal: off by {off:.1e}"]
        findings.append(judged("plane", wrong, f"orthonormal to {off:.0e}"))
    why = "its objective is not stored: only who has it can compute points again"
    return (*findings, _unchecked("values", why)), found


@dataclass
class _Files:
    """The record files of a run, sorted by what is wrong with them: name -> problems."""

    good: list[str] = field(default_factory=list)
    damaged: dict[str, str] = field(default_factory=dict)
    odd: dict[str, list[str]] = field(default_factory=dict)
    pending: list[str] = field(default_factory=list)  # points of good surfaces, for people

    def names(self) -> list[str]:
        """All that are there, in whatever state."""
        return [*self.good, *self.damaged, *self.odd]

    def seals(self) -> list[Finding]:
        """One line per damaged file, or one for all."""
        whole = f"{len(self.good) + len(self.odd)} files whole"
        bad = [Finding("seal", Result.FAIL, what) for what in self.damaged.values()]
        return bad or [Finding("seal", Result.OK, whole)]

    def schemas(self) -> list[Finding]:
        """One line per record that is not as it should be, or one for all."""
        found = [
            judged("schema", [f"{name}: {text}" for text in texts], "")
            for name, texts in self.odd.items()
        ]
        good = "names, arrays, shapes, types, axes, status, NaN"
        return found or [Finding("schema", Result.OK, good)]


def _sort(folder: Path, only: str, config: Config | None) -> _Files:
    files = _Files()
    first: Surface | None = None
    for name, record in sealed(folder, only):
        if isinstance(record, str):
            files.damaged[name] = record
        elif config is None:  # nothing to compare it with
            files.good.append(name)
        elif wrong := schema.problems(name, record, config):
            files.odd[name] = wrong
        elif not name.startswith("grid/"):
            files.good.append(name)
        elif not (surface := surface_from(record)).on_grid_of(first := first or surface):
            files.odd[name] = [f"is on another grid than M = {first.inner_steps}"]
        else:
            files.good.append(name)
            if left := surface.loss.size - surface.done:
                files.pending.append(f"{left} of {surface.loss.size} points of {name}")
    if only and only not in files.names():
        files.damaged[only] = f"{only}.h5: lies below a symbolic link, which is not followed"
    return files


def _completeness(run: Run, files: _Files, config: Config) -> Finding:
    left = left_behind(run, config) if RESULT in files.good else []
    still, gaps = schema.missing(files.names(), config, left)
    still += files.pending
    if gaps:
        return judged("complete", [f"has lost {gap}" for gap in gaps], "")
    if still:
        detail = f"not finished; has no {', '.join(still)}"
        return Finding("complete", Result.NOTE, detail)
    return Finding("complete", Result.OK, "every record and every point is there")


def _values(
    run: Run, here: Run, names: list[str], asked: VerifyOptions, *, begin: Begin, data: Result
) -> Iterator[Finding]:
    """Plane, ω, orientation and recomputed points, of what passed the checks of the files."""
    stored, config = (Config.from_table(each.config) for each in (run, here))
    tables = TABLES[config.supernet.space]
    if here is not run and any("noise" in edge for table in tables for edge in table):
        yield _unchecked("values", "their noise was drawn on a GPU, and none is here")
        return
    wanted = [name for name in names if asked.only in ("", name)]
    records = [name for name in wanted if name.startswith(("grid/", "paths/"))]
    if "plane" not in names:
        if records or asked.only == "plane":
            yield _unchecked("values", "the plane is missing or damaged")
        elif not asked.only:
            yield Finding("values", Result.NOTE, "holds no landscape")
        return
    if not records and "plane" not in wanted:
        return
    if data != Result.OK:
        yield _unchecked("values", "they need the data of the run")
        return
    snapshot = run.parse("plane", under).snapshot_record
    if snapshot not in names:
        yield Finding("values", Result.FAIL, f"{snapshot}, the ω under the plane, is lost")
        return
    network = config.supernet.network
    if network not in NETWORKS and not asked.trust_code:
        file = network.partition(":")[0]
        told = f"not computed again, which would run {file}.py; --trust-code does"
        yield Finding("values", Result.NOTE, told)
        return
    try:
        if network not in NETWORKS:
            check_code(run.provenance.get("code"), config)
        findings = [check_plane(here, config), check_weights(here, config)]
        yield from findings
        if any(finding.result == Result.FAIL for finding in findings):
            yield _unchecked("values", "they need a plane and an ω that fit the settings")
            return
        # lanes of a GPU may not do on a CPU, which need not have the same bits anyway
        setup = problem_of(here, lanes=None if here is run else 1)
        yield check_orientation_of_code(setup.plane)
        if asked.points and not asked.only and not config.source:  # a source's own settings count
            yield check_accuracy(here, config, tolerance(stored, 0))
        if records:
            reasons = tuple(origin.elsewhere(run, here))
            checks = [_check(run, name, stored, reasons, asked) for name in records]
            yield from _recomputed(setup, config, checks, begin)
            for check in checks:
                if isinstance(check, WalkCheck) and check.path.method not in METHODS:
                    yield _walked(setup, here, check.path, reasons, trusted=asked.trust_code)
    except RunError as error:
        yield Finding("values", Result.FAIL, str(error))
    except ConfigError as error:
        yield _unchecked("values", str(error))


def _check(
    run: Run, name: str, config: Config, reasons: tuple[str, ...], asked: VerifyOptions
) -> SurfaceCheck | WalkCheck:
    record = run.read(name)
    if name.startswith("grid/"):
        return SurfaceCheck(config, reasons, surface_from(record), asked.points, asked.seed)
    return WalkCheck(config, reasons, path_from(record), asked.points, asked.seed)


def _recomputed(
    setup: PlaneProblem, config: Config, checks: Sequence[SurfaceCheck | WalkCheck], begin: Begin
) -> Iterator[Finding]:
    questions = list(dict.fromkeys(each for check in checks for each in check.questions()))
    if questions:
        if max(steps for steps, _, _ in questions) > MOST_STEPS:
            yield _unchecked("values", f"M is larger than {MOST_STEPS}")
            return
        check_memory(config, ())  # points alone, no path
    before = _digest(setup)
    answers = _answers(setup, questions, begin)
    for check in checks:
        yield from check.findings(answers)
    changed = [] if _digest(setup) == before else ["evaluating it changed ω"]
    yield judged("base ω", changed, f"untouched by {len(questions)} evaluations")


def _walked(
    setup: PlaneProblem, run: Run, path: OptimizerPath, reasons: tuple[str, ...], *, trusted: bool
) -> Finding:
    """A path whose optimizer is none of this project, walked again if its code may run."""
    title, name = f"path {path.method}", path.method.partition(":")[0]
    if not trusted:
        return Finding(
            title, Result.NOTE, f"not walked again, which would run {name}.py; --trust-code does"
        )
    try:
        check_code(run.provenance.get("code"), Config.from_table(run.config))
        *_, again = walk(setup, path.method)
    except (ConfigError, StepError) as error:
        return _unchecked(title, str(error))
    if np.array_equal(again.xy, path.xy) and again.note == path.note:
        return Finding(title, Result.OK, f"bit-equal: all {len(path.xy)} points, walked again")
    if again.xy.shape != path.xy.shape:
        return Finding(
            title, Result.FAIL, f"has {len(path.xy)} points, walked again {len(again.xy)}"
        )
    detail = f"off by up to {np.abs(again.xy - path.xy).max():.1e} axis units when walked again"
    if not reasons:
        return Finding(title, Result.FAIL, f"{detail}; same code, torch and CPU wrote it")
    return Finding(title, Result.NOTE, f"{detail}; {'; '.join(reasons)}")


def _answers(setup: PlaneProblem, questions: list[Question], begin: Begin) -> Answers:
    """L_M at points of the plane, as a grid computes them."""
    cost = {question: question[0] + 2 for question in questions}  # L_val costs two steps
    tell = begin("computing again", sum(cost.values()), 0)
    answers: dict[Question, float] = {}
    for steps in sorted({steps for steps, _, _ in questions}):
        objective = setup.objective.at(steps)
        alike = [question for question in questions if question[0] == steps]
        for start in range(0, len(alike), objective.lanes):
            some = alike[start : start + objective.lanes]
            places = torch.tensor([[x, y] for _, x, y in some], dtype=torch.float64)
            losses = objective.evaluate(setup.plane.points(places)).tolist()
            answers.update(zip(some, losses, strict=True))
            tell(sum(cost[question] for question in some), "")
    return answers


def _digest(setup: PlaneProblem) -> str:
    digest = hashlib.sha256()
    weights = setup.objective.weights
    hash_arrays(digest, {name: weight.cpu().numpy() for name, weight in weights.items()})
    return digest.hexdigest()


def _unchecked(check: str, why: str) -> Finding:
    return Finding(check, Result.UNCHECKED, why)
