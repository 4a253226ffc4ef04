"""How a step of a retraining compares with that of a plain training loop.

Run as ``python -m benchmarks.retrain_step``. Prints ``name value target`` per line. Both train the
same network of DARTS_V1, in turn, in one process on one thread. The plain loop has its batch at
hand and keeps nothing; ours cuts, mirrors and normalises its images, draws drop-path, and notes
loss and hits. The data are the packaged ones, three channels and 32 pixels being the copies and the
border that make them as large as CIFAR's.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from itertools import count

import torch
from torch import nn
from torch.nn import functional

from benchmarks.timing import medians, show
from zarts.bilevel.chance import Chance
from zarts.data.dataset import from_tensors
from zarts.data.loaders import load_images
from zarts.retrain.data import Loaded, load
from zarts.retrain.presets import complete
from zarts.retrain.settings import RetrainConfig
from zarts.retrain.training import Trainer
from zarts.settings.config import Table, merge
from zarts.supernet.published import NAMED

MOST = 1.1
# name, preset, changes, repetitions
CASES: tuple[tuple[str, str, Table, int], ...] = (
    ("quick", "quick", {}, 15),
    ("c10_8x16", "rdarts_code", {"data": {"batch_size": 32}, "network": {"layout": "first"}}, 5),
)


def steps(config: RetrainConfig, loaded: Loaded) -> dict[str, Callable[[], object]]:
    """A step of ours and one of a plain loop, each of a network of its own."""
    ours, other = Trainer(config, loaded), Trainer(config, loaded)
    train, network = config.training, other.network
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=train.rate(0),
        momentum=train.momentum,
        weight_decay=train.weight_decay,
    )
    (part,) = next(iter(other.feed.epoch(1)))
    drop = train.drop(1)

    def plain() -> None:
        network.train()
        optimizer.zero_grad()
        heads = network(part.images, Chance(0, drop_path=drop))
        loss = functional.cross_entropy(heads.logits, part.labels)
        if heads.auxiliary is not None:
            loss = loss + train.auxiliary * functional.cross_entropy(heads.auxiliary, part.labels)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), train.clip)
        optimizer.step()

    def endless() -> Iterator[None]:
        ours.step = ours.feed.steps
        for epoch in count(1):
            yield from ours.steps(epoch)

    running = endless()
    return {"plain": plain, "ours": lambda: next(running)}


def coloured(config: RetrainConfig) -> Loaded:
    """The packaged images with three channels and 32 pixels."""
    if config.data.name == "packaged":
        return load(config)
    found = load_images("packaged")
    images = functional.pad(found.images, (2, 2, 2, 2)).repeat(1, 3, 1, 1)
    dataset = from_tensors("copies", images, found.labels, found.classes)
    return Loaded(dataset, dataset, torch.arange(2000), torch.arange(2000, 2100))


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="one case instead of all", choices=[c[0] for c in CASES])
    only = parser.parse_args().only
    torch.set_num_threads(1)
    for name, preset, changes, repeat in CASES:
        if only not in (None, name):
            continue
        config = complete(preset, merge({"genotype": str(NAMED["DARTS_V1"])}, changes))
        took = medians(steps(config, coloured(config)), repeat)
        show(f"retrain_step_{name}_ms", 1e3 * took["ours"])
        show(f"retrain_step_{name}_plain_over_ours", took["plain"] / took["ours"], 1 / MOST)


if __name__ == "__main__":
    main()
