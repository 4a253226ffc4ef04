"""A step along a gradient of α, by Adam or plain: what all gradient methods share."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

from zarts.optimizers.method import Table, zarts_loop
from zarts.optimizers.sampling import check_positive, check_types

if TYPE_CHECKING:
    from torch import Tensor

    from zarts.bilevel.search import Memory, Step
    from zarts.optimizers.method import Walk

__all__ = ["ALPHA_RATE", "RELEASED", "Rule", "check_rule", "preset", "reach", "step_along"]


# Ours: DARTS' own 3e-4 moves each logit by at most 0.11 in the 375 steps of a quick search.
# Every preset names it, so that a printed config is whole and leaves nothing to another preset.
ALPHA_RATE = {"quick": 1e-2, "standard": 3e-3, "paper": 3e-4, "paper-imagenet": 3e-4}
# The gradient methods of the released path code.
RELEASED = {"update": "sgd", "learning_rate": 3e-4, "weight_decay": 0.0}


class Rule(Protocol):
    """Hyper-parameters of a step of α; the fields of every gradient method.

    ``update`` is ``adam`` or ``sgd``; ``clip`` is the largest norm of the gradient (0: any), and
    ``weight_decay`` the factor of an L2 term that is added to it then.
    """

    @property
    def update(self) -> str: ...  # noqa: D102
    @property
    def learning_rate(self) -> float: ...  # noqa: D102
    @property
    def beta1(self) -> float: ...  # noqa: D102
    @property
    def beta2(self) -> float: ...  # noqa: D102
    @property
    def weight_decay(self) -> float: ...  # noqa: D102
    @property
    def epsilon(self) -> float: ...  # noqa: D102
    @property
    def clip(self) -> float: ...  # noqa: D102


def check_rule(rule: Rule) -> None:
    """Raises ValueError unless the hyper-parameters can be used."""
    name = type(rule).__name__
    check_types(rule)
    check_positive(rule, "learning_rate", "epsilon")
    if rule.update not in ("adam", "sgd"):
        raise ValueError(f"{name}.update is {rule.update!r}, expected 'adam' or 'sgd'")
    if not (0 <= rule.beta1 < 1 and 0 <= rule.beta2 < 1):
        raise ValueError(f"betas are ({rule.beta1}, {rule.beta2}), expected numbers in [0, 1)")
    for key in ("weight_decay", "clip"):
        if not getattr(rule, key) >= 0:
            raise ValueError(f"{name}.{key} is {getattr(rule, key)}, expected >= 0")


def preset(base: str, small: bool) -> Table:
    """Ours: the loop of ZARTS, so that a gradient of L_M and values of it differ by that alone."""
    del small
    return zarts_loop(base) | {"optimizer": {"learning_rate": ALPHA_RATE[base]}}


def reach(paths: Walk, dim: int, length: float) -> dict[str, object]:
    """Plain steps along the gradient, of learning rate 1: their length is the gradient's."""
    del paths, dim, length
    return {"update": "sgd", "learning_rate": 1.0, "weight_decay": 0.0}


def step_along(rule: Rule, alpha: Tensor, gradient: Tensor, memory: Memory) -> Step:
    """One step of α (d,) against a gradient (d,)."""
    import torch

    from zarts.bilevel.search import Step

    slope, norm = gradient, torch.linalg.vector_norm(gradient)
    if rule.clip:  # 1e-6 as in torch.nn.utils.clip_grad_norm_
        slope = gradient * torch.clamp(rule.clip / (norm + 1e-6), max=1.0)
    slope = slope + rule.weight_decay * alpha
    if rule.update == "sgd":
        change, memory = -rule.learning_rate * slope, {}
    else:
        change, memory = _adam(rule, slope, memory)
    return Step(
        alpha=alpha + change,
        loss=math.nan,
        candidates=alpha.new_empty(0, alpha.numel()),
        losses=torch.empty(0, dtype=torch.float64),
        memory=memory,
        diagnostics={
            "update_norm": float(torch.linalg.vector_norm(change)),
            "gradient_norm": float(norm),
        },
    )


def _adam(rule: Rule, slope: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
    """Kingma & Ba 2015, Alg. 1, with the bias corrections of ``torch.optim.Adam``."""
    import torch

    zero = torch.zeros_like(slope)
    count = int(memory.get("count", torch.zeros((), dtype=torch.int64))) + 1
    first = rule.beta1 * memory.get("first", zero) + (1 - rule.beta1) * slope
    second = rule.beta2 * memory.get("second", zero) + (1 - rule.beta2) * slope**2
    scale = (second / (1 - rule.beta2**count)).sqrt() + rule.epsilon
    change = -rule.learning_rate / (1 - rule.beta1**count) * first / scale
    return change, {"first": first, "second": second, "count": torch.tensor(count)}
