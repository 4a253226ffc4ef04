"""A ``torch.nn.Module`` of one's own as a bilevel problem: α and ω are among its tensors."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from zarts.bilevel.alpha import Group, Space
from zarts.bilevel.chance import Chance
from zarts.bilevel.feed import ListFeed
from zarts.bilevel.inner import SGD, Weights
from zarts.bilevel.objective import Bilevel
from zarts.bilevel.rng import key
from zarts.data.stream import Batch
from zarts.problems.image import ImageLoss

__all__ = ["ModuleNetwork", "from_module"]


@dataclass(frozen=True, eq=False)
class ModuleNetwork:
    """A module as a pure function of (ω, α, images, chance), as ``ImageLoss`` calls it.

    Attributes:
        module: Ours: no state of it is read that a call could change.
        space: What the entries of α mean.
        tables: The shape of each tensor of α, by its name in the module.
    """

    module: nn.Module
    space: Space
    tables: Mapping[str, torch.Size]

    def __call__(self, weights: Weights, alpha: Tensor, images: Tensor, chance: Chance) -> Tensor:
        """Logits (n, classes). What the module draws, it draws from the seed of ``chance``."""
        parts = self.space.split(alpha)
        given = {name: parts[name].reshape(shape) for name, shape in self.tables.items()}
        cuda = [images.device] if images.is_cuda else []
        with torch.random.fork_rng(cuda):
            torch.default_generator.manual_seed(chance.key)
            for device in cuda:
                with torch.cuda.device(device):
                    torch.cuda.manual_seed(chance.key)
            logits: Tensor = functional_call(self.module, {**weights, **given}, (images,))
        return logits


def from_module(
    module: nn.Module,
    alphas: Sequence[str],
    train: Sequence[tuple[Tensor, Tensor]],
    val: Sequence[tuple[Tensor, Tensor]],
    sgd: SGD,
    *,
    inner: SGD | None = None,
    inner_steps: int = 0,
    outer_steps: int = 1,
    operations: Sequence[str] | None = None,
) -> tuple[Bilevel[Batch], Tensor]:
    """L_M of a supernet that is a ``torch.nn.Module``, and the α that it has now.

    The module is copied and never changed. Its BatchNorm takes the statistics of each batch, since
    ω and α have to be the whole state. L_train calls it as in training, L_val as in evaluation, so
    that dropout is in the former alone; the same batch draws the same numbers for every α.

    Example:
        >>> import torch
        >>> from zarts import MGS, SGD, from_module, search
        >>> class Mixed(torch.nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.alphas = torch.nn.Parameter(torch.zeros(2))
        ...         self.line, self.last = torch.nn.Linear(4, 4), torch.nn.Linear(4, 3)
        ...     def forward(self, x):
        ...         some = self.alphas.softmax(0)
        ...         return self.last(some[0] * x + some[1] * self.line(x).relu())
        >>> batches = [(torch.randn(8, 4), torch.arange(8) % 3) for _ in range(4)]
        >>> first = Mixed()
        >>> objective, alpha = from_module(first, ["alphas"], batches[:2], batches[2:], SGD(0.1))
        >>> sorted(objective.weights), alpha
        (['last.bias', 'last.weight', 'line.bias', 'line.weight'], tensor([0., 0.]))
        >>> for step, objective in search(objective.at(10), MGS(), alpha, iterations=2, seed=0):
        ...     alpha = step.alpha
        >>> alpha.shape
        torch.Size([2])

    Args:
        module: Called with images, it gives logits (n, classes).
        alphas: Names of its tensors that are α: parameters, buffers or, as in the code of DARTS,
            plain attributes (``"alphas_normal"``, ``"cell.alpha"``). The rows of each are edges,
            its last axis are operations. All other parameters that take gradients are ω.
        train: Batches of D_train, (images, labels) on the device of the module.
        val: Batches of D_val; every image counts the same, whatever the size of its batch.
        sgd: The rule of the outer steps, and of the inner ones where there is no ``inner``.
        inner: The rule of the inner steps.
        inner_steps: M; ``objective.at(10)`` is the same with another.
        outer_steps: Training steps of ω per iteration of ``search``.
        operations: Names of the operations, in the order of the last axis; None: numbers.

    Returns:
        The problem, for ``search``, ``compute_surface`` and whatever asks an objective; and α (d,),
        the tensors of ``alphas`` one after the other, which ``objective.space.split`` takes apart.

    Raises:
        ValueError: If a name is not that of a tensor, if no ω is left, if the module does not give
            logits of the images, or not the same ones twice.
    """
    alphas = [alphas] if isinstance(alphas, str) else list(alphas)
    own = copy.deepcopy(module).train()
    tables = {name: _table(own, name) for name in alphas}
    groups = tuple(Group(name, _operations(table, operations)) for name, table in tables.items())
    space = Space(type(module).__name__, groups)
    weights = {
        name: parameter.detach().clone()
        for name, parameter in own.named_parameters()
        if parameter.requires_grad and name not in tables
    }
    if not tables or not weights:
        raise ValueError(f"got alphas={alphas}, expected names of α, beside at least one ω")
    for part in own.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.track_running_stats = False
            part.running_mean = part.running_var = part.num_batches_tracked = None
    shapes = {name: table.shape for name, table in tables.items()}
    training = ModuleNetwork(own, space, shapes)
    judging = ModuleNetwork(copy.deepcopy(own).eval(), space, shapes)
    halves = _batches("train", train), _batches("val", val)
    feed = ListFeed(*halves, sgd, inner=inner, outer_steps=outer_steps)
    objective = Bilevel(space, ImageLoss(training), ImageLoss(judging), weights, feed, inner_steps)
    alpha = torch.cat([table.detach().reshape(-1).cpu() for table in tables.values()])
    for network, (batch, *_) in zip((training, judging), halves, strict=True):
        _try(network, weights, batch, alpha)
    return objective, alpha


def _batches(name: str, pairs: Sequence[tuple[Tensor, Tensor]]) -> list[Batch]:
    """Each with a seed of its own; those of D_val count as many times as they have images."""
    mean = sum(len(labels) for _, labels in pairs) / max(len(pairs), 1)
    return [
        Batch(
            images,
            labels,
            Chance(key(0, name, index)),
            len(labels) / mean if name == "val" else 1.0,
        )
        for index, (images, labels) in enumerate(pairs)
    ]


def _table(module: nn.Module, name: str) -> Tensor:
    """The tensor of that name; a plain attribute becomes a buffer, which a call can replace."""
    home, _, last = name.rpartition(".")
    try:
        owner = module.get_submodule(home)
        table = getattr(owner, last)
    except AttributeError:
        table = None
    if not isinstance(table, Tensor):
        known = dict(module.named_parameters())
        raise ValueError(
            f"{name!r} is no tensor of {type(module).__name__}; its parameters are: "
            f"{', '.join(list(known)[:20])}{' …' if len(known) > 20 else ''}"
        )
    if last not in owner._parameters and last not in owner._buffers:
        delattr(owner, last)
        owner.register_buffer(last, table)
    return table


def _operations(table: Tensor, names: Sequence[str] | None) -> tuple[tuple[str, ...], ...]:
    """Those of each edge."""
    width = table.shape[-1] if table.ndim else 1
    if names is not None and len(names) != width:
        raise ValueError(f"got {len(names)} operations, but the last axis of α has {width} entries")
    row = tuple(names or map(str, range(width)))
    return (row,) * (table.numel() // max(width, 1))


def _try(network: ModuleNetwork, weights: Weights, batch: Batch, alpha: Tensor) -> None:
    """Raises ValueError unless the module gives logits of a batch, and the same ones again."""
    name, count = type(network.module).__name__, len(batch.labels)
    point = alpha.to(next(iter(weights.values())))
    with torch.no_grad():
        first, second = (network(weights, point, batch.images, batch.chance) for _ in range(2))
    shape = tuple(getattr(first, "shape", ()))  # it may give anything
    if len(shape) != 2 or shape[0] != count:
        found = shape or f"a {type(first).__name__}"
        raise ValueError(
            f"{name} gives {found} for {count} images, expected logits ({count}, classes); "
            "wrap it in a module that returns these alone"
        )
    if not torch.equal(first, second):
        raise ValueError(
            f"{name} gives other logits for the same images, ω and α the second time; whatever it "
            "draws must come from the generators of torch, and a call must not change its buffers"
        )
