"""How sensitive L_M is around the α of a search: the condition number Q of ZARTS Eq. 9."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zarts.bilevel.objective import Objective
from zarts.bilevel.rng import generator
from zarts.problems.build import landscape_objective
from zarts.reproduce.entries import condition_record
from zarts.runs.runfile import Run
from zarts.runs.snapshot import read_snapshot
from zarts.settings.config import Config

__all__ = ["DIRECTIONS", "RADIUS", "Condition", "condition_number", "record_condition"]

DIRECTIONS, RADIUS = 50, 0.01  # K and ε of the released code


@dataclass(frozen=True)
class Condition:
    """What L_M does within a radius of α.

    Attributes:
        number: Q.
        loss: L_M(α), nats.
        losses: L_M(α + Δ) for each direction (K,); NaN where not finite.
    """

    number: float
    loss: float
    losses: NDArray[np.float64]


def condition_number(
    objective: Objective,
    alpha: Tensor,
    seed: int,
    *,
    directions: int = DIRECTIONS,
    radius: float = RADIUS,
) -> Condition:
    """Q = max_k |L_M(α + Δ_k) − L_M(α)| · ‖α‖ / (ε · L_M(α)), over random Δ_k of norm ε.

    α and α + Δ are judged by the same L_M, on the same batches: an L(α) without the M steps, as in
    the released code, would make Q a measure of what M steps gain, divided by ε.

    Args:
        objective: L_M.
        alpha: α (d,).
        seed: Of the directions.
        directions: K.
        radius: ε.

    Source: ZARTS Eq. 9; K and ε of its released code.
    """
    draws = torch.randn(directions, len(alpha), generator=generator(seed, "condition"))
    draws = radius * draws.to(alpha) / draws.norm(dim=1, keepdim=True)
    base, *around = objective.evaluate(torch.cat([alpha.unsqueeze(0), alpha + draws])).tolist()
    losses = np.array(around)
    change = float(np.nanmax(np.abs(losses - base))) if np.isfinite(losses).any() else np.nan
    return Condition(change * float(alpha.norm()) / (radius * base), base, losses)


def record_condition(run: Run, epoch: int) -> None:
    """Computes Q at an epoch whose ω a search kept, with the search's own M steps, and writes it.

    Raises:
        RunError: If the snapshot cannot be read, or the record not be written.
    """
    config = Config.from_table(run.config)
    snapshot = read_snapshot(run, epoch)
    rate = config.landscape.inner_learning_rate
    rate = rate if isinstance(rate, float) else snapshot.learning_rate
    steps = config.landscape.steps
    objective = landscape_objective(config, snapshot.weights, rate, snapshot.stage, epoch)
    target = objective.at(steps)
    found = condition_number(target, snapshot.alpha, config.seed, directions=DIRECTIONS)
    arrays = {
        "number": np.array(found.number),
        "loss": np.array(found.loss),
        "losses": found.losses,
    }
    run.write(condition_record(epoch), arrays, {"epoch": epoch, "steps": steps, "radius": RADIUS})
