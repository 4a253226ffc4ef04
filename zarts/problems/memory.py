"""What memory a training step takes, from a dry pass, and how many processes that lets work."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from zarts.bilevel.chance import Chance
from zarts.bilevel.inner import single_thread
from zarts.execute import default_workers
from zarts.optimizers import GradientCost, gradient_cost
from zarts.problems.optimizer import build_optimizer, loaded, make_optimizer
from zarts.problems.parts import gpus_of, lanes_for, load_dataset, network_of
from zarts.settings.config import Config, ConfigError
from zarts.settings.stages import Stage
from zarts.supernet.protocol import Network

__all__ = [
    "BASE_BYTES",
    "available",
    "bytes_kept",
    "check_memory",
    "memory_needed",
    "processes_that_fit",
    "workers_by_default",
    "workers_that_fit",
]

LARGE = {"cifar": 16, "imagenet": 128}  # sides of images from which on smaller ones are measured
MANY = 16  # channels likewise
BASE_BYTES = 700 << 20  # measured: a process that has imported torch, and a small data set


def memory_needed(
    config: Config,
    classes: int,
    image: tuple[int, int, int],
    methods: Sequence[str] | None = None,
) -> int:
    """Peak bytes of one training step, from passes over a few images.

    What autograd keeps for the backward pass, plus ω five times (ω, its copy, gradient, velocity,
    update).

    Args:
        config: Settings.
        classes: Of the data set.
        image: (channels, height, width).
        methods: Paths of a landscape that run besides the search; none: its points alone, without
            a search; None: a search alone, which never sees the batches of L_val of a landscape.
    """
    return _need(config, classes, image, methods).peak


@dataclass(frozen=True)
class _Need:
    """The memory of a step, the setting that decides it, and how it grows with that.

    Attributes:
        peak: Bytes.
        setting: Key of the setting.
        value: Its value.
        each: Bytes per image, where it is a number of images; else 0.
    """

    peak: int
    setting: str
    value: int
    each: float


def _need(
    config: Config, classes: int, image: tuple[int, int, int], methods: Sequence[str] | None
) -> _Need:
    needs = [_stage_need(config, classes, image, methods, stage) for stage in config.program.stages]
    return max(needs, key=lambda need: need.peak)


def _stage_need(
    config: Config,
    classes: int,
    image: tuple[int, int, int],
    methods: Sequence[str] | None,
    stage: Stage,
) -> _Need:
    network, lanes = network_of(config, classes, image[0], stage), lanes_for(config, *image[1:])
    search = config.search
    sizes = {"data.batch_size": config.data.batch_size}
    sizes["search.inner_batch_size"] = search.inner_batch_size
    if methods is not None:
        sizes["landscape.val_batch_size"] = config.landscape.val_batch_size
    largest = max(sizes, key=lambda key: sizes[key])
    size = sizes[largest]
    dtype: torch.dtype = getattr(torch, config.dtype)
    kept = _kept(config, classes, (size, *image), stage)
    own = _numbers(network) * dtype.itemsize
    # a gradient keeps L_val's forward pass of every draw
    more = max(search.draws, config.landscape.draws if methods else 1) - 1
    passes = [1, *(cost.passes for cost in _gradients(config, methods))]
    if stage.needs and methods != ():  # a backward pass beside its forward one
        passes.append(3)
    steps = max(passes) + (more if len(passes) > 1 else 0)
    # side by side there are inner steps only, and L_val without a backward pass; the peak there was
    # 1.4 to 2 times what is kept, for the copies that lay lanes side by side and by what is freed
    inner = (3 if lanes > 1 else 2) * lanes * kept * search.inner_batch_size // (2 * size)
    alone, beside = steps * kept + 5 * own, inner + 5 * lanes * own
    if 5 * own > steps * kept:
        return _Need(max(alone, beside), "supernet.channels", config.supernet.channels, 0)
    if beside <= alone:
        return _Need(alone, largest, size, steps * kept / size)
    if lanes > 1:
        return _Need(beside, "supernet.lanes", lanes, 0)
    inner_size = search.inner_batch_size
    return _Need(beside, "search.inner_batch_size", inner_size, inner / inner_size)


def _gradients(config: Config, methods: Sequence[str] | None) -> Iterator[GradientCost]:
    """What the gradients of a search and of some paths cost, where they take any."""
    if methods == ():
        return
    target = config.landscape.steps
    moving = [(build_optimizer(name, {}), loaded(name).own_steps(target)) for name in methods or ()]
    moving.append((make_optimizer(config), config.search.inner_steps))
    yield from (gradient_cost(each, steps) for each, steps in moving if each.gradients)


def _kept(config: Config, classes: int, shape: tuple[int, ...], stage: Stage) -> int:
    """Bytes that autograd keeps of a forward pass over images of a shape (n, c, h, w).

    Found from two and from three images, which are small ones in place of large, in a network of
    few channels in place of many: what is kept of ω grows as ω, all else as pixels and channels.
    """
    size, channels, *sides = shape
    net, dtype = config.supernet, getattr(torch, config.dtype)
    small = [_halved(side, LARGE[net.stem]) for side in sides]
    few = min(net.channels, MANY)

    def network(channels_within: int, stack_below: int = 0) -> Network:
        changed = replace(net, channels=channels_within, stack_below=stack_below)
        return network_of(replace(config, supernet=changed), classes, channels, stage)

    grown = _numbers(network(net.channels)) / _numbers(network(few))
    if grown == 1:  # also of a class of one's own that has its own channels
        few = net.channels
    units = size * math.prod(sides) / math.prod(small) * net.channels / few

    def of(count: int) -> int:
        # in proportion, so that edges are stacked where those of the whole step are
        built = network(few, max(1, int(net.stack_below * count / units)))
        weights = {
            name: torch.zeros(size, dtype=dtype, requires_grad=True)
            for name, size in built.shapes().items()
        }
        alpha = getattr(built, "heaviest", lambda: torch.zeros(built.space.dim))().to(dtype)
        images = torch.zeros(count, channels, *small, dtype=dtype)
        with single_thread():
            return bytes_kept(lambda: built(weights, alpha, images, Chance(0)))

    two, three = of(2), of(3)
    return round((3 * two - 2 * three) * grown + (three - two) * units)


def _halved(side: int, most: int) -> int:
    while side > most:  # cells halve it too, so most of what is rounded up is the same
        side = -(-side // 2)
    return side


def _numbers(network: Network) -> int:
    """How many numbers ω has."""
    return sum(map(math.prod, network.shapes().values()))


def bytes_kept(forward: Callable[[], object]) -> int:
    """Bytes that autograd keeps for the backward pass of what is computed."""
    kept: dict[int, int] = {}
    alive: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes()
        alive.append(tensor)  # a freed storage could lend its address to the next
        return tensor

    unpack: Callable[[Tensor], Tensor] = lambda tensor: tensor  # noqa: E731 - the hook's shape
    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        forward()
    return sum(kept.values())


def check_memory(config: Config, methods: Sequence[str] | None = None) -> int:
    """Peak bytes of one training step in one process.

    Args:
        config: Settings.
        methods: Paths of a landscape that run besides the search; None: a search alone.

    Raises:
        ConfigError: If that is more than this device has; the setting that decides is named.
    """
    need, image, there = *_memory(config, methods), available(config.device)
    if (over := need.peak + BASE_BYTES - there) > 0:
        fitting = need.value - math.ceil(over / need.each) if need.each else 0
        fit = f" ({fitting} images would fit)" if fitting > 1 else ""
        shape = "×".join(map(str, image))
        rest = [key for key in ("supernet.channels", "supernet.cells") if key != need.setting]
        raise ConfigError(
            f"one training step over images of {shape} needs about {need.peak / 2**30:.1f} GiB, "
            f"{config.device} has {there / 2**30:.1f} GiB; what decides is {need.setting} = "
            f"{need.value}: lower it{fit}, or {' or '.join(rest)}"
        )
    return need.peak


def processes_that_fit(memory: int, device: str, first: int | None = None) -> int:
    """How many processes the memory of all devices of a kind holds.

    Args:
        memory: Peak bytes of a training step in each.
        device: Of the settings.
        first: Peak of one of them on each device; None: as of the others.
    """
    room = available(device) - (memory if first is None else first) - BASE_BYTES
    each = max(0, 1 + int(room // (memory + BASE_BYTES)))
    return each * max(1, len(gpus_of(device)))


def workers_that_fit(config: Config, methods: Sequence[str] | None = None) -> int:
    """How many processes the memory holds, one per device on the costliest of ``methods``."""
    plain = _memory(config, None if methods is None else ())[0].peak
    return processes_that_fit(plain, config.device, _memory(config, methods)[0].peak)


def workers_by_default(config: Config, methods: Sequence[str] | None = None) -> int:
    """One process per core, or per GPU, as far as memory goes; at least one."""
    useful = len(gpus_of(config.device)) or default_workers(config.device)
    return max(1, min(useful, workers_that_fit(config, methods)))


def _memory(config: Config, methods: Sequence[str] | None) -> tuple[_Need, tuple[int, int, int]]:
    """The memory of a step, and the shape of an image."""
    dataset = load_dataset(config)
    channels, height, width = dataset.images.shape[1:]
    image = (channels, height, width)
    return _need(config, dataset.classes, image, methods), image


def available(device: str) -> int:
    """Bytes that a device has for this process."""
    if torch.device(device).type == "cuda":
        return int(torch.cuda.mem_get_info(device)[1])
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([physical, *_limits_of_groups()])


def _limits_of_groups(root: Path = Path("/")) -> Iterator[int]:
    """Bytes that containers and batch systems let this process have (Linux control groups)."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # another system
        return
    for line in lines:
        _, kinds, path = line.split(":", 2)
        if kinds and "memory" not in kinds.split(","):
            continue
        base = root / ("sys/fs/cgroup/memory" if kinds else "sys/fs/cgroup")
        name = "memory.limit_in_bytes" if kinds else "memory.max"  # of version 1, of version 2
        inner = base / path.strip("/")
        # a container may see its own group as the root, whatever its path is outside
        for group in {base, inner, *inner.parents}:
            with suppress(OSError, ValueError):  # "max" is no number
                if group.is_relative_to(base):
                    yield int((group / name).read_text())
