"""``python -m landscape.merge SHARD ...``: one run from the shares that array jobs computed."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from landscape.record import BESIDE, Status, Surface, save_surface, surface_from
from landscape.record.asked import FigureSettings
from zarts import cli
from zarts.optimizers import record_name
from zarts.runs.course import under
from zarts.runs.provenance import environments, note_environment, provenance
from zarts.runs.runfile import ForeignFile, Record, Run, RunError, differences, run_path
from zarts.settings.config import Config, ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Holes", "NotTheSame", "main", "merge"]


class NotTheSame(RunError):
    """Shards that hold different values for the same thing."""


class Holes(RuntimeError):
    """Shards that leave something out."""


def merge(shards: Sequence[Run], target: Path, command: Sequence[str], *, partial: bool) -> Run:
    """Writes the union of shards into a run; it has the ``content_hash`` of an undivided one.

    Args:
        shards: Runs of the same plan, each with a share of its points and paths, finished or not.
        target: The folder of the whole; what one that is there holds already counts as a shard.
        command: For the provenance.
        partial: Write what there is, even with holes.

    Raises:
        Holes: If points or paths are missing and ``partial`` is not set; nothing is written.
        NotTheSame: If two shards differ in plan, data set, ω or plane, or in a value both hold.
        RunError: If a shard cannot be read or the target not be written.
    """
    if os.path.lexists(target / "run.h5"):
        whole = Run.open(target)
        with whole.lock():  # before it is read, so that nothing is added to it meanwhile
            found = _union([*shards, whole], partial=partial)
            note_environment(whole, *(shard.provenance for shard in shards))
            _write(whole, found)
        return whole
    found = _union(shards, partial=partial)
    first = shards[0]
    # not what merges them, but what computed them
    facts = {key: first.provenance[key] for key in _KEPT if key in first.provenance}
    facts |= environments(first.provenance)[0]
    made = provenance(command) | facts | {"shards": [shard.name for shard in shards]}
    toml = Config.from_table(first.config).to_toml()
    run = Run.create(target, first.config, made, toml=toml)
    with run.lock():
        if run.names():
            raise RunError(f"{target}: appeared in the meantime; run the same command again")
        note_environment(run, *(shard.provenance for shard in shards))
        _write(run, found)
    return run


_KEPT = ("seed", "device", "data_fingerprint")


class _Content(NamedTuple):
    """The records of all shards: surfaces, and what is the same in all that have it."""

    same: dict[str, Record]
    surfaces: list[Surface]


def _write(run: Run, content: _Content) -> None:
    for name, record in content.same.items():
        run.write(name, record.arrays, record.attributes)
    for surface in content.surfaces:
        save_surface(run, surface)


def _union(shards: Sequence[Run], *, partial: bool) -> _Content:
    first = shards[0]
    for other in shards[1:]:
        if found := differences(other.config, first.config):
            told = [
                text.replace(": stored ", ": ").replace(", asked ", f", {first.name} has ")
                for text in found[:4]
            ]
            raise NotTheSame(
                f"{other.path}: is of another plan than {first.name} ({'; '.join(told)}); "
                "merge shards of one plan only"
            )
        data = [str(run.provenance.get("data_fingerprint", "none")) for run in (first, other)]
        if data[0] != data[1]:
            raise NotTheSame(
                f"{other.path}: its data set has fingerprint {data[1]}, that of {first.name} "
                f"{data[0]}; shards must be computed on the same images"
            )
    names = sorted({name for shard in shards for name in shard.names()} - {"checkpoint"})
    same = {name: _one(shards, name) for name in names if not name.startswith("grid/")}
    surfaces = [_surface(shards, name) for name in names if name.startswith("grid/")]
    missing = _missing(Config.from_table(first.config), same, surfaces)
    if missing and not partial:
        raise Holes(
            f"{len(shards)} shards leave out {', '.join(missing)}; finish or add the shards that "
            "have them, or merge what there is with --partial"
        )
    return _Content(same, surfaces)


def _read(shard: Run, name: str) -> Record:
    """A record that is as this project writes it, so that what is merged need not be doubted.

    Raises:
        ForeignFile: If it is not.
    """
    from landscape.compute.schema import problems

    record = shard.read(name)
    if found := problems(name, record, Config.from_table(shard.config)):
        raise ForeignFile(f"{shard.path}: {name} {found[0]}; delete that file and run it again")
    return record


def _one(shards: Iterable[Run], name: str) -> Record:
    """The record of this name, which all that have it must agree on."""
    found: tuple[Run, Record] | None = None
    for shard in shards:
        if name not in shard:
            continue
        record = _read(shard, name)
        if found is None:
            found = shard, record
        elif not _agree(found[1], record):
            raise NotTheSame(
                f"{shard.path}: {name} is not the one of {found[0].name}; shards must share one "
                "ω and one plane, and values of one kind of device"
            )
    assert found is not None
    return found[1]


def _agree(one: Record, other: Record) -> bool:
    if one.arrays.keys() != other.arrays.keys():
        return False
    if one.attributes.get("lanes") != other.attributes.get("lanes"):
        return False  # the last digits of all values
    return all(
        np.array_equal(array, other.arrays[key], equal_nan=array.dtype.kind == "f")
        for key, array in one.arrays.items()
        if not key.startswith("timing")
    )


def _surface(shards: Iterable[Run], name: str) -> Surface:
    """One surface with the points of all shards.

    Where nobody has a result, a failure is better than nothing.

    Raises:
        NotTheSame: If two shards have different values for a point.
    """
    whole: Surface | None = None
    for shard in shards:
        if name not in shard:
            continue
        part = surface_from(_read(shard, name))
        if whole is None:
            whole = part
            continue
        if not part.on_grid_of(whole):
            raise NotTheSame(f"{shard.path}: {name} has other coordinates than another shard")
        has, had = (np.isin(s.status, (Status.OK, Status.DIVERGED)) for s in (part, whole))
        alike = (part.loss == whole.loss) | (np.isnan(part.loss) & np.isnan(whole.loss))
        alike &= part.status == whole.status
        if len(odd := np.argwhere(has & had & ~alike)):
            row, col = odd[0]
            raise NotTheSame(
                f"{shard.path}: {name} has {part.loss[row, col]!r} at row {row}, column {col}, "
                f"another shard {whole.loss[row, col]!r}; values of different devices do not mix"
            )
        better = (has & ~had) | (~had & (whole.status == Status.PENDING))
        taken = {
            key: np.where(better, getattr(part, key), getattr(whole, key))
            for key in ("loss", "status", "seconds", *BESIDE)
        }
        whole = replace(whole, **taken)
    assert whole is not None
    return whole


def _missing(config: Config, same: Mapping[str, Record], surfaces: list[Surface]) -> list[str]:
    known = {surface.inner_steps: surface for surface in surfaces}
    found = []
    for steps in FigureSettings.of(config.to_table()).surface_steps:
        size = config.landscape.rows * config.landscape.cols
        holes = size - known[steps].done if steps in known else size
        if holes:
            found.append(f"{holes} of {size} points at M = {steps}")
    found += [f"path {name}" for name in config.paths.methods if record_name(name) not in same]
    if "plane" not in same:
        return [*found, "plane"]
    omega = under(same["plane"]).snapshot_record
    return found + [name for name in (omega,) if name not in same]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(
        prog="python -m landscape.merge",
        description="Puts the shards of python -m landscape.compute --shard K/N together.",
        epilog=cli.EPILOG,
    )
    parser.add_argument(
        "shards", nargs="+", type=Path, metavar="SHARD", help="folder of a shard, or its name"
    )
    parser.add_argument("--out", type=Path, help="folder of the whole (default: beside the shards)")
    parser.add_argument("--partial", action="store_true", help="merge what there is")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("-v", "--verbose", action="store_true", help="show a traceback on errors")
    args = parser.parse_args(words)
    command = ["python", "-m", "landscape.merge", *words]
    return cli.guarded(partial(_merge, args, command), verbose=args.verbose)


def _merge(args: argparse.Namespace, command: list[str]) -> int:
    shards = [Run.open(run_path(folder)) for folder in args.shards]
    target = args.out or shards[0].path.with_name(shards[0].name.partition("-shard-")[0])
    if target.exists() and any(target.samefile(shard.path) for shard in shards):
        raise ConfigError(f"{target} is one of the shards; name the whole with --out")
    try:
        run = merge(shards, target, command, partial=args.partial)
    except Holes as error:
        cli.tell(f"error: {error}", error=True)
        return 1
    result = {"schema": 1, "run": str(run.path), "content_hash": run.content_hash()}
    cli.tell(json.dumps(result) if args.json else run.path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
