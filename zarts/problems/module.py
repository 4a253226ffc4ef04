"""A ``torch.nn.Module`` of one's own as a bilevel problem: α and ω are among its tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from zarts.bilevel.alpha import Group, Space
from zarts.bilevel.chance import Chance
from zarts.bilevel.feed import ListFeed
from zarts.bilevel.inner import SGD
from zarts.bilevel.objective import Bilevel
from zarts.bilevel.rng import key
from zarts.data.stream import Batch
from zarts.problems.image import ImageLoss
from zarts.problems.module_network import ModuleNetwork, copied, find, stateless, tried

__all__ = ["ModuleFeed", "from_module"]

Operations = Sequence[str] | Mapping[str, Sequence[str]]
Pairs = Iterable[tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class ModuleFeed(ListFeed[Batch]):
    """Batches from two lists, each with a seed of its own whenever it is used again.

    Attributes:
        seed: Of all that is drawn.
    """

    seed: int = 0

    def inner_batches(self, iteration: int, steps: int) -> Sequence[Batch]:
        """As of ``ListFeed``; all candidates of an iteration see the same draws."""
        first = iteration * self.outer_steps
        return [
            replace(batch, chance=Chance(key(self.seed, "train", first + place)))
            for place, batch in enumerate(super().inner_batches(iteration, steps))
        ]

    def val_batches(self, iteration: int) -> Sequence[Batch]:
        """All of them; those of another iteration draw other numbers."""
        return [
            replace(batch, chance=Chance(key(self.seed, "val", iteration, place)))
            for place, batch in enumerate(self.val)
        ]


def from_module(
    module: nn.Module,
    alphas: Sequence[str],
    train: Pairs,
    val: Pairs,
    sgd: SGD,
    *,
    inner: SGD | None = None,
    inner_steps: int = 0,
    outer_steps: int = 1,
    operations: Operations | None = None,
    seed: int = 0,
    draws: int = 1,
) -> tuple[Bilevel[Batch], Tensor]:
    """L_M of a supernet that is a ``torch.nn.Module``, and the α that it has now.

    The module is copied and never changed. ω and α are the whole state of the copy: BatchNorm takes
    the statistics of the batch, in L_train and in L_val. Dropout is in L_train alone. Modules with
    other state (averages of weights, spectral norm, counters) and ``torch.utils.checkpoint`` are
    refused; some passes over a batch of each half are made to find out.

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
        >>> net = Mixed()
        >>> objective, alpha = from_module(net, ["alphas"], batches[:2], batches[2:], SGD(0.1))
        >>> sorted(objective.weights), alpha
        (['last.bias', 'last.weight', 'line.bias', 'line.weight'], tensor([0., 0.]))
        >>> for step, objective in search(objective.at(10), MGS(), alpha, iterations=2, seed=0):
        ...     alpha = step.alpha
        >>> back = net.load_state_dict(objective.weights, strict=False)
        >>> objective.space.split(alpha)["alphas"].shape  # by edges and operations
        torch.Size([1, 2])

    Args:
        module: Called with images (n, ...), it gives logits (n, classes) and nothing else.
        alphas: Names of its tensors that are α: parameters, buffers or, as in the code of DARTS,
            plain attributes (``"alphas_normal"``, ``"cell.alpha"``). The rows of each are edges,
            its last axis are operations. All other parameters that take gradients are ω, which is
            trained; so name every α there is.
        train: Batches of D_train, pairs (images, labels) on the device of the module; they are
            taken one after the other, again and again, by outer and inner steps alike.
        val: Batches of D_val. Each candidate is scored on all of them; every image counts the same.
        sgd: The rule of the outer steps, and of the inner ones where there is no ``inner``. Its
            momentum, weight decay and clip are those of DARTS unless they are given.
        inner: The rule of the inner steps.
        inner_steps: M; ``objective.at(10)`` is the same with another.
        outer_steps: Training steps of ω per iteration of ``search``.
        operations: Names of the operations, in the order of the last axis, of all tensors or by the
            name of each; None: numbers.
        seed: Of what the module draws. Candidates of an iteration see the same draws.
        draws: How often it draws for a value of L_val, which is the mean over these, at least 1.

    Returns:
        The problem, for ``search``, ``compute_surface`` and whatever asks an objective; and α (d,),
        the tensors of ``alphas`` one after the other, which ``objective.space.split`` takes apart.

    Raises:
        ValueError: If a name is not that of a tensor, if a batch is none, or if the module cannot
            be taken as a function of ω and α; says why.
    """
    own, names = copied(module), [alphas] if isinstance(alphas, str) else list(alphas)
    own.train()
    tables = find(own, names)
    known = {id(table) for table in tables.values()}
    weights = {
        name: parameter.detach().clone()
        for name, parameter in own.named_parameters()
        if parameter.requires_grad and id(parameter) not in known
    }
    if not weights:
        raise ValueError(f"no parameter of {type(module).__name__} but α takes gradients: no ω")
    if draws < 1:
        raise ValueError(f"got draws={draws}, expected 1 or more")
    odd = set(operations) - set(tables) if isinstance(operations, Mapping) else set()
    if odd or isinstance(operations, str):
        told = f"of {', '.join(map(repr, odd))}" if odd else f"{operations!r}"
        raise ValueError(f"got operations {told}, expected a list, or one by the name of each α")
    rules: dict[str, object] = {"sgd": sgd, "inner": inner or sgd}
    for name, rule in rules.items():
        if not isinstance(rule, SGD):
            got = f"{type(rule).__module__}.{type(rule).__name__}"
            raise ValueError(f"{name} is a {got}, expected zarts.SGD(learning_rate)")
    space = Space(
        type(own).__name__,
        tuple(Group(name, _edges(name, table, operations)) for name, table in tables.items()),
    )
    stateless(own)
    shapes = {name: table.shape for name, table in tables.items()}
    some = next(iter(weights.values()))
    halves = _batches("train", train, some), _batches("val", val, some)
    feed = ModuleFeed(*halves, sgd, inner=inner, outer_steps=outer_steps, seed=seed)
    alpha = torch.cat([table.detach().to(some.dtype).reshape(-1) for table in tables.values()])
    training = ModuleNetwork(own, space, shapes)
    judging = ModuleNetwork(copied(own).eval(), space, shapes)
    tried(module, (training, judging), weights, alpha, halves)
    losses = ImageLoss(training), ImageLoss(judging, draws)
    return Bilevel(space, *losses, weights, feed, inner_steps), alpha.cpu()


def _edges(name: str, table: Tensor, given: Operations | None) -> tuple[tuple[str, ...], ...]:
    """The operations of each edge of a tensor of α."""
    width = table.shape[-1] if table.ndim else 1
    names = given.get(name) if isinstance(given, Mapping) else given
    if names is not None and len(names) != width:
        raise ValueError(
            f"got {len(names)} operations for {name!r}, whose last axis has {width} entries; "
            "give a mapping from the name of each tensor to its operations where they differ"
        )
    return (tuple(names or map(str, range(width))),) * (table.numel() // width)


def _batches(name: str, pairs: Iterable[Any], some: Tensor) -> list[Batch]:
    """Checked; those of D_val count as many times as they have images."""
    expected = (
        f"expected pairs (images (n, ...) of {some.dtype} on {some.device}, as ω is, and labels "
        "(n,) of integers), such as list(loader)"
    )
    found = []
    for place, pair in enumerate(pairs):
        fits = isinstance(pair, tuple | list) and len(pair) == 2
        if not fits or not all(isinstance(each, Tensor) for each in pair):
            raise ValueError(f"{name}[{place}] is a {type(pair).__name__}, {expected}")
        images, labels = pair
        whole = not (labels.is_floating_point() or labels.is_complex() or labels.ndim != 1)
        if (
            not (whole and len(labels) and images.shape[:1] == labels.shape)
            or (images.dtype, images.device) != (some.dtype, some.device)
            or labels.device != some.device
        ):
            told = [f"{tuple(x.shape)} of {x.dtype} on {x.device}" for x in (images, labels)]
            raise ValueError(f"{name}[{place}] is {' and '.join(told)}, {expected}")
        found.append(Batch(images, labels.long(), Chance(0)))
    if not found:
        raise ValueError(f"{name} has no batch, {expected}")
    mean = sum(len(batch.labels) for batch in found) / len(found)
    if name == "train":
        return found
    return [replace(batch, weight=len(batch.labels) / mean) for batch in found]
