"""Where a search stands between two iterations: all that the next one depends on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from torch import Tensor

from zarts.bilevel.inner import Weights
from zarts.bilevel.objective import Objective
from zarts.bilevel.search import Memory, Step, search
from zarts.problems.build import make_problem
from zarts.problems.image import judged
from zarts.problems.optimizer import make_optimizer, sigma_schedule
from zarts.problems.parts import at_stage
from zarts.runs.course import Ran
from zarts.runs.runfile import Array
from zarts.runs.snapshot import Arrays
from zarts.settings.config import Config
from zarts.settings.stages import Stage

__all__ = ["State"]


class State:
    """Where a search stands, and the steps of the epoch that is not yet on disk."""

    def __init__(self, config: Config, stage: Stage, past: Ran = ()) -> None:
        self.config, self.stage, self.past = at_stage(config, stage), stage, past
        self.problem = problem = make_problem(config, stage)
        self.size = problem.feed.iterations_per_epoch
        self.objective = problem.objective
        self.alpha = problem.alpha
        self.memory: Memory = {}
        self.rows: dict[str, list[Array]] = {}

    @property
    def iteration(self) -> int:
        """Iterations done, those of the stage's offset included."""
        return self.objective.iteration

    @property
    def before(self) -> int:
        """Iterations of the stages that it follows; none that were undone by one that went back."""
        end, begins = 0, dict[int, int]()
        for stage, reached in (*self.past, (self.stage, 0)):
            begins[stage.index] = begins[stage.start.stage] if stage.offset and stage.start else end
            end = begins[stage.index] + self.size * reached
        return begins[self.stage.index]

    @property
    def epoch_ended(self) -> bool:
        """Whether the last iteration was an epoch's last."""
        return self.iteration % self.size == 0 and self.iteration > self.size * self.stage.offset

    def steps(self) -> Iterator[tuple[Step, Objective]]:
        """The rest of the stage's search."""
        return search(
            self.objective,
            make_optimizer(self.config),
            self.alpha,
            iterations=self.stage.epochs * self.size,
            seed=self.config.seed,
            start=self.iteration,
            warmup=self.stage.warmup * self.size,
            memory=self.memory,
            schedule=sigma_schedule(self.config, self.problem.feed),
        )

    def add(self, step: Step, objective: object, seconds: float) -> None:
        """Takes over a step."""
        assert isinstance(objective, type(self.objective))
        told = {**step.diagnostics, **judged(self.objective, step.candidates)}
        self.objective, self.alpha, self.memory = objective, step.alpha, step.memory
        row: dict[str, Array] = {
            "alpha": step.alpha.numpy(),
            "loss": np.array(step.loss),
            "losses": step.losses.numpy(),
            "weights": step.weights.numpy(),
            "timing_seconds": np.array(seconds),
        }
        row |= {f"diagnostics/{name}": np.array(value) for name, value in told.items()}
        for name, value in row.items():
            self.rows.setdefault(name, []).append(value)

    def begin(
        self,
        weights: Weights,
        alpha: Tensor,
        *,
        velocity: Weights | None = None,
        memory: Memory | None = None,
        iteration: int = 0,
    ) -> None:
        """Begins from an ω and an α, at an iteration with a velocity and a memory.

        Raises:
            ValueError: If they are of another network.
        """
        self.objective.space.check(alpha)
        self.objective = replace(
            self.objective,
            weights=self._placed(weights),
            velocity=self._placed(velocity) if velocity else None,
            iteration=iteration,
        )
        self.alpha, self.memory = alpha, memory or {}

    def _placed(self, stored: Weights) -> Weights:
        """ω or its velocity in the network's order, not the file's: the norm that clips is a sum.

        Raises:
            ValueError: If it is of another network.
        """
        ours = self.problem.objective.weights
        found, asked = ({name: w.shape for name, w in each.items()} for each in (stored, ours))
        if found != asked:
            raise ValueError("ω or its velocity is not that of this network")
        return {name: stored[name].to(like) for name, like in ours.items()}

    def arrays(self) -> Arrays:
        """The steps of this epoch, stacked along the first axis."""
        return {name: np.stack(rows) for name, rows in self.rows.items()}
