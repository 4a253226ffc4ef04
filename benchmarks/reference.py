"""The plain supernet as networks are usually written: a module with a parameter of every layer."""

from __future__ import annotations

from torch import Tensor, nn

from zarts.bilevel.chance import Chance
from zarts.bilevel.inner import Weights
from zarts.supernet.plain import PlainSupernet
from zarts.supernet.skeleton import Skeleton

__all__ = ["Twin"]


class Twin(nn.Module):
    """The plain network of the sizes of another one, with its own copy of ω."""

    def __init__(self, network: Skeleton, weights: Weights) -> None:
        super().__init__()
        self.plain = PlainSupernet.like(network)
        self.apart = {
            name: nn.Parameter(weight.clone()) for name, weight in self.plain.apart(weights).items()
        }
        for name, weight in self.apart.items():
            self.register_parameter(name.replace(".", "-"), weight)

    def forward(self, alpha: Tensor, images: Tensor, chance: Chance) -> Tensor:
        """Returns the logits (n, classes)."""
        return self.plain.run(self.apart, alpha, images, chance)
