"""``--from RUN@EPOCH``: the settings of a search that begins with what another one kept."""

from __future__ import annotations

import argparse
import re

from zarts import cli
from zarts.optimizers import method_of
from zarts.runs.kinds import refuse_retraining
from zarts.runs.runfile import Run, valid_name
from zarts.settings.config import Config, ConfigError, Table, filled

__all__ = ["branched"]


def branched(args: argparse.Namespace, flags: Table) -> tuple[Config, Run, int]:
    """The settings of a branch, the run that it comes from, and the epoch.

    They are those of that run, but for what is asked for; its warm-up and its snapshots are not
    asked for again. Another method brings the loop of its own preset along.

    Args:
        args: Parsed ``cli.add_options`` and ``--from``.
        flags: Settings from the command's own flags.

    Raises:
        ConfigError: If the epoch is not kept, or the settings cannot be used with its ω.
        RunError: If there is no such run.
    """
    from zarts.runs.origin import check_network, snapshot_name
    from zarts.settings.stages import Point

    name, _, epoch = args.origin.rpartition("@")
    if not valid_name(name) or not re.fullmatch(r"\d{1,9}", epoch):
        raise ConfigError(
            f"got --from {args.origin!r}, expected RUN@EPOCH with a run in {cli.runs_root()}"
        )
    source = Run.open(cli.runs_root() / name)
    refuse_retraining(source)
    had = Config.from_table(filled(source.config))
    origin = snapshot_name(source, Point(0, int(epoch)), "choose one of these")
    table = had.to_table(whole=True)
    search = {**table["search"], "warmup": 0, "snapshots": [], "alpha": [], "origin": origin}
    kept = ("seed", "dtype", "data", "supernet", "optimizer")
    base = {**{key: table[key] for key in kept}, "search": search}
    config = cli.resolve(args, had.search.method, flags, base=base)
    if config.search.method != had.search.method:
        methods = [method_of(each.search.method) for each in (had, config)]
        loops = [method.preset("quick", False).get("search", {}) for method in methods]
        for key in {"method", *loops[0], *loops[1]} - {"warmup"}:
            del search[key]
        config = cli.resolve(args, config.search.method, flags, base=base)
    check_network(config, had, source.name)
    return config, source, int(epoch)
