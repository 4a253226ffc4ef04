"""A module as a function of ω and α: what is done to make it one, and whether it is one.

That is found out before a search begins, since afterwards a wrong gradient looks like any other.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from zarts.bilevel.alpha import Space
from zarts.bilevel.chance import Chance
from zarts.bilevel.inner import Weights
from zarts.bilevel.rng import generator
from zarts.data.stream import Batch

Tables = Mapping[str, Tensor]
__all__ = ["ModuleNetwork", "copied", "find", "stateless", "tried"]


@dataclass(frozen=True, eq=False)
class ModuleNetwork:
    """A module as a function of (ω, α, images, chance), as ``ImageLoss`` calls it.

    Attributes:
        module: A copy of our own, without state that a call changes.
        space: What the entries of α mean.
        shapes: The shape of each tensor of α, by its name in the module.
    """

    module: nn.Module
    space: Space
    shapes: Mapping[str, torch.Size]

    def __call__(self, weights: Weights, alpha: Tensor, images: Tensor, chance: Chance) -> Tensor:
        """Logits (n, classes). What the module draws, it draws from the seed of ``chance``."""
        if torch.is_inference_mode_enabled():  # what the module keeps has to be of use later
            with torch.inference_mode(mode=False), torch.no_grad():
                return self(weights, alpha, images, chance)
        parts = self.space.split(alpha)
        given = {name: parts[name].reshape(shape) for name, shape in self.shapes.items()}
        with _drawing(chance, images.device):
            logits: Tensor = functional_call(self.module, {**weights, **given}, (images,))
        return logits


@contextmanager
def _drawing(chance: Chance, device: torch.device) -> Iterator[None]:
    """Torch's generators start from the seed of a batch, and are left as they were."""
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(cuda):
        torch.default_generator.manual_seed(chance.key)
        for each in cuda:
            with torch.cuda.device(each):
                torch.cuda.manual_seed(chance.key)
        yield


def copied(module: nn.Module) -> nn.Module:
    """A copy of a module, out of the wrappers that a copy has no use for.

    Raises:
        ValueError: If it cannot be copied.
    """
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        module = module.module
    module = getattr(module, "_orig_mod", module)  # of torch.compile
    if not isinstance(module, nn.Module):
        raise ValueError(f"got a {type(module).__name__}, expected a torch.nn.Module")
    if any(map(nn.parameter.is_lazy, module.parameters())):
        raise ValueError(f"{type(module).__name__} has lazy parameters; call it once before")
    # a tensor that was computed cannot be copied by ``deepcopy``; its value can
    computed = {
        id(value): value.detach().clone()
        for part in module.modules()
        for value in vars(part).values()
        if isinstance(value, Tensor) and not value.is_leaf
    }
    try:
        return copy.deepcopy(module, dict(computed))
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"{type(module).__name__} cannot be copied: {error}") from error


def find(module: nn.Module, names: Sequence[str]) -> dict[str, Tensor]:
    """The tensors of these names; what is a plain attribute becomes a buffer, which calls replace.

    Raises:
        ValueError: If a name is not that of a tensor of numbers, or two are of the same one.
    """
    there = {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }
    plain = {
        f"{place}.{name}".removeprefix("."): value
        for place, part in module.named_modules()
        for name, value in vars(part).items()
        if isinstance(value, Tensor)
    }
    found: dict[str, Tensor] = {}
    for name in names:
        table = there.get(name, plain.get(name))
        if table is None:
            known = [*plain, *there]
            near = difflib.get_close_matches(name, known, cutoff=0.5)
            told = (
                f"did you mean {' or '.join(map(repr, near))}?"
                if near
                else (f"its tensors are: {', '.join(known[:10])}{' …' if len(known) > 10 else ''}")
            )
            raise ValueError(f"{name!r} is no tensor of {type(module).__name__}; {told}")
        if not table.is_floating_point() or not table.numel():
            raise ValueError(
                f"{name!r} has the shape {tuple(table.shape)} and the type {table.dtype}, "
                "expected floating-point numbers"
            )
        if any(table is other for other in found.values()):
            raise ValueError(f"{name!r} is the same tensor as another of {list(found)}")
        found[name] = table
    if not found:
        raise ValueError(f"got alphas={list(names)}, expected the names of α, such as 'alphas'")
    for part in module.modules():  # wherever it is held, as calls replace all of one tensor
        for name, value in list(vars(part).items()):
            if any(value is table for table in found.values()):
                delattr(part, name)
                if hasattr(part, name):
                    raise ValueError(
                        f"{name!r} is also an attribute of the class {type(part).__name__}, which "
                        "hides it; take that out"
                    )
                part.register_buffer(name, value)
    return found


def stateless(module: nn.Module) -> None:
    """Lets norms take the statistics of what they are given, in evaluation too."""
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._NormBase):
            part.track_running_stats = False
            part.running_mean = part.running_var = part.num_batches_tracked = None


def tried(
    given: nn.Module,
    networks: Sequence[ModuleNetwork],
    weights: Weights,
    alpha: Tensor,
    halves: Sequence[Sequence[Batch]],
) -> None:
    """Raises unless all is as it has to be.

    Args:
        given: The module of the user, which is not to change.
        networks: Our copies as functions, for L_train and L_val.
        weights: ω.
        alpha: α (d,).
        halves: Batches of D_train and of D_val, of which the first are taken.

    Raises:
        ValueError: If they are no functions of ω and α alone, or their gradients are not right.
    """
    name, draw = type(given).__name__, generator(0, "trial")

    def near(value: Tensor, share: float) -> Tensor:
        noise = torch.randn(value.shape, generator=draw).to(value)
        return value.detach() + share * (float(value.detach().abs().mean()) or 1.0) * noise

    # at other values than the module's own, where it matters whose are taken
    weights = {key: near(value, 0.1) for key, value in weights.items()}
    alpha = alpha + 0.3 * torch.randn(alpha.shape, generator=draw).to(alpha)
    before = {key: value.clone() for key, value in given.state_dict().items()}
    logits = [_pure(*each, weights, alpha) for each in zip(networks, halves, strict=True)]
    after = given.state_dict()
    if moved := [key for key, value in before.items() if not _same(value, after[key])]:
        raise ValueError(
            f"{name} is copied, but calling the copy changed {moved[0]!r} of the module itself; "
            "something in it, such as a lambda, holds on to it: make it a method"
        )
    network, batch = networks[0], halves[0][0]
    parts = network.space.split(alpha)
    for table, part in parts.items():
        others = (3 * torch.randn(part.shape, generator=draw).to(part) for _ in range(8))
        far = ({**parts, table: other} for other in others)
        if not any(_moved(network, weights, each, batch, logits[0]) for each in far):
            raise ValueError(
                f"the logits of {name} do not depend on {table!r}; in its forward it has to read "
                "the attribute of that name, not a list or what it kept before"
            )
    _differentiable(network, batch, weights, alpha)


def _same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(
        one.double(), other.double(), rtol=0.0, atol=0.0, equal_nan=True
    )


def _moved(
    network: ModuleNetwork, weights: Weights, parts: Tables, batch: Batch, logits: Tensor
) -> bool:
    """Whether these tables of α give other logits."""
    alpha = torch.cat([each.reshape(-1) for each in parts.values()])
    with torch.no_grad():
        return not torch.equal(network(weights, alpha, batch.images, batch.chance), logits)


def _pure(
    network: ModuleNetwork, batches: Sequence[Batch], weights: Weights, alpha: Tensor
) -> Tensor:
    """Logits of the first batch; raises ValueError unless they are pure, and of all classes."""
    name, batch = type(network.module).__name__, batches[0]
    buffers = {key: value.detach().clone() for key, value in network.module.named_buffers()}
    with torch.no_grad():
        first, second = (network(weights, alpha, batch.images, batch.chance) for _ in range(2))
    count, shape = len(batch.labels), tuple(getattr(first, "shape", ()))  # it may give anything
    if len(shape) != 2 or shape[0] != count:
        raise ValueError(
            f"{name} gives {shape or f'a {type(first).__name__}'} for {count} images, expected "
            f"logits ({count}, classes); wrap it in a module that returns these alone"
        )
    for key, value in network.module.named_buffers():
        if not _same(value, buffers[key]):
            raise ValueError(
                f"{name} changes its buffer {key!r} when it is called, so its losses are no "
                "function of ω and α; take out what does so (spectral norm, a counter, an average)"
            )
    if not first.isfinite().all():
        raise ValueError(
            f"{name} gives numbers that are not finite near its ω and α; α has to be free to take "
            "any value, as logits before a softmax are"
        )
    if not torch.equal(first, second):
        raise ValueError(
            f"{name} gives other logits for the same images, ω and α the second time; what it "
            "draws must come from the generators of torch, and it must not count its calls"
        )
    for labels in (each.labels for each in batches):
        if not 0 <= int(labels.min()) <= int(labels.max()) < shape[1]:
            raise ValueError(
                f"{name} tells {shape[1]} classes apart, got labels from {int(labels.min())} to "
                f"{int(labels.max())}; they begin with 0"
            )
    logits: Tensor = first
    return logits


def _differentiable(network: ModuleNetwork, batch: Batch, weights: Weights, alpha: Tensor) -> None:
    """Compares gradients with those of a module that has these ω and α itself.

    Raises:
        ValueError: If they differ, or there are none.
    """
    leaves = {key: value.requires_grad_() for key, value in weights.items()}
    point = alpha.requires_grad_()
    with torch.enable_grad():
        loss = cross_entropy(network(leaves, point, batch.images, batch.chance), batch.labels)
        try:
            found = torch.autograd.grad(loss, [point, *leaves.values()], materialize_grads=True)
        except RuntimeError as error:
            text = str(error).partition("\n")[0]
            raise ValueError(f"{type(network.module).__name__} has no gradient: {text}") from error
    _as_its_own(network, batch, leaves, point, found)


def _as_its_own(
    network: ModuleNetwork,
    batch: Batch,
    weights: Weights,
    alpha: Tensor,
    found: Sequence[Tensor],
) -> None:
    """Raises ValueError unless a module that has ω and α itself finds these gradients too."""
    module = copied(network.module)
    parameters = dict(module.named_parameters(remove_duplicate=False))
    there = {**parameters, **dict(module.named_buffers(remove_duplicate=False))}
    parts = network.space.split(alpha.detach())
    with torch.no_grad():
        for key, value in weights.items():
            parameters[key].copy_(value)
        for key, shape in network.shapes.items():
            there[key].copy_(parts[key].reshape(shape))
    tables = [there[key].requires_grad_() for key in network.shapes]
    for each in (*tables, *parameters.values()):
        each.grad = None  # of the user's own steps
    with _drawing(batch.chance, alpha.device), torch.enable_grad():
        # backward, not grad: to the latter a checkpoint is a constant
        cross_entropy(module(batch.images), batch.labels).backward()
    own = [
        torch.zeros_like(each) if each.grad is None else each.grad
        for each in (*tables, *(parameters[key] for key in weights))
    ]
    joined = torch.cat([each.reshape(-1) for each in own[: len(tables)]]).to(alpha)
    right = [joined, *own[len(tables) :]]
    most = max(float(each.abs().max()) for each in right)  # some are zero but for rounding
    for mine, theirs in zip(found, right, strict=True):
        if not torch.allclose(mine, theirs, rtol=1e-2, atol=1e-4 * most):
            raise ValueError(
                f"the gradients of {type(module).__name__} are not right where ω and α are given "
                "from outside; switch off torch.utils.checkpoint in it, and keep no tensors "
                "between calls"
            )
