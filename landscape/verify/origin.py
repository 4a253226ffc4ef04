"""Whether a run says where its numbers come from, and whether what it says is so here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch

from landscape.verify.report import Finding, Result, judged
from zarts.data.loaders import MissingData
from zarts.problems.parts import load_dataset
from zarts.runs.course import deviations
from zarts.runs.provenance import environments, provenance
from zarts.runs.runfile import FORMAT, JSON, Run, RunError, differences
from zarts.runs.runfile.disk import load
from zarts.settings.config import Config, ConfigError
from zarts.settings.presets import PRESETS
from zarts.settings.tables import MOST_BYTES, from_toml

__all__ = [
    "check_config",
    "check_data",
    "check_program",
    "check_provenance",
    "elsewhere",
    "runnable",
]

KINDS: dict[str, type | tuple[type, ...]] = {
    "command": list,
    "created": str,
    "data_fingerprint": str,
    "device": str,
    "git": (dict, type(None)),  # None outside a checkout
    "machine": str,
    "python": str,
    "seed": int,
    "versions": dict,
}


def check_program(run: Run, config: Config) -> Finding:
    """Whether stages and result are what the program of the search says of its records."""
    try:
        wrong = deviations(run, config.program)
    except RunError as error:
        wrong = [str(error)]
    name = config.search.program
    return judged("program", wrong, f"stages and result are what {name} says of the records")


def check_config(run: Run) -> tuple[Finding, Config | None]:
    """Whether the settings can be used, and fit the text and the name beside them."""
    try:
        config = Config.from_table(run.config)
    except (ConfigError, LookupError, TypeError, ValueError) as error:
        return Finding("config", Result.FAIL, f"{error}; written by another version?"), None
    found = differences(run.config, config.to_table())
    lacking = [text.partition(":")[0] for text in found if ": stored nothing, " in text]
    wrong = [text for text in found if ": stored nothing, " not in text]
    wrong += _text(run)
    named = re.search(r"-([0-9a-f]{8})$", run.name)
    # the commands name a run by its settings, so that they find it again
    given = named and not lacking and set(run.name.split("-")) & set(PRESETS)
    if named and given and config.hash()[:8] != named[1]:
        wrong.append(f"hash is {config.hash()[:8]}, the folder's name says {named[1]}")
    if wrong or not lacking:
        return judged("config", wrong, f"hash {config.hash()[:8]}"), config
    detail = f"has no {', '.join(lacking)} (an earlier version wrote it): taken as now by default"
    return Finding("config", Result.NOTE, detail), config


def _text(run: Run) -> Iterator[str]:
    file = run.path / "config.toml"
    if not file.exists():
        return
    try:
        if from_toml(load(file, MOST_BYTES).decode()) != run.config:
            yield "config.toml says other settings than run.h5"
    except (RunError, ValueError) as error:
        yield f"config.toml cannot be read ({error})"


def check_provenance(run: Run, config: Config) -> Finding:
    """Whether everything is said that is needed to compute the run again."""
    said = run.provenance
    wrong = [f"has no {key}" for key in KINDS if key not in said]
    wrong += [
        f"{key} is {said[key]!r}"
        for key, kind in KINDS.items()
        if key in said and not isinstance(said[key], kind)
    ]
    if not wrong:
        git = said["git"]
        wrong += [
            f"has no version of {name}"
            for name in ("zarts", "torch")
            if not _item(said["versions"], name)
        ]
        if isinstance(git, Mapping):
            if not re.fullmatch(r"[0-9a-f]{40}", str(git.get("commit"))):
                wrong.append(f"git commit is {git.get('commit')!r}")
            if not isinstance(git.get("dirty"), bool):
                wrong.append("does not say whether the checkout was dirty")
        for key, value in (("seed", config.seed), ("device", config.device)):
            if said[key] != value:
                wrong.append(f"{key} is {said[key]!r}, the settings say {value!r}")
    if wrong:
        return judged("provenance", wrong, "")
    git, torch_version = said["git"], _item(said["versions"], "torch")
    commit, dirty = _item(git, "commit"), _item(git, "dirty")
    detail = f"format {FORMAT}, {_code(commit, dirty)}, torch {torch_version}, {said['created']}"
    if dirty or commit is None:  # the code that made it is not known exactly
        return Finding("provenance", Result.NOTE, detail)
    return Finding("provenance", Result.OK, detail)


def check_data(run: Run, config: Config) -> Finding:
    """Whether the data set that is loaded here is the one of the run."""
    asked = run.provenance.get("data_fingerprint")
    try:
        dataset = load_dataset(config)
    except (MissingData, ConfigError) as error:
        return Finding("data", Result.UNCHECKED, str(error))
    found = dataset.fingerprint
    wrong = [f"{dataset.name} here is {found[:16]}, the run is of {str(asked)[:16]}"]
    good = f"{dataset.name}, fingerprint {found[:16]}"
    return judged("data", wrong if found != asked else [], good)


def runnable(run: Run) -> Run:
    """The run as it can be computed here: on the CPU where its GPU is not there."""
    if str(run.config.get("device")).startswith("cuda") and not torch.cuda.is_available():
        return replace(run, config=run.config | {"device": "cpu"})
    return run


def elsewhere(run: Run, here: Run) -> list[str]:
    """Why the last bits may differ: what wrote the run is not what computes it again.

    Empty where bit-equality is promised: same code, torch, device and kind of CPU.

    Args:
        run: As it is stored.
        here: As it is computed again.
    """
    device = str(here.config.get("device"))
    now = provenance([], device)
    reasons = ["a GPU promises no equal bits"] if device != "cpu" else []
    if run.config.get("device") != here.config.get("device"):
        reasons.append(f"device {run.config.get('device')}, here {here.config.get('device')}")
    for then in environments(run.provenance):  # it may have been continued elsewhere
        reasons += _unlike(then, now)
    return list(dict.fromkeys(reasons))


def _unlike(then: Mapping[str, JSON], now: Mapping[str, JSON]) -> Iterator[str]:
    for name in ("torch", "zarts"):
        one, other = (_item(each.get("versions"), name) for each in (then, now))
        if one != other:
            yield f"{name} {one}, here {other}"
    one, other = (_item(each.get("git"), "commit") for each in (then, now))
    changed = [_item(each.get("git"), "dirty") for each in (then, now)]
    if one != other or any(changed) or one is None:
        yield f"{_code(one, changed[0])}, here {_code(other, changed[1])}"
    for key in ("gpu", "cuda", "cudnn"):
        if then.get(key) != now.get(key):
            yield f"{key} {then.get(key)}, here {now.get(key)}"
    for key in ("machine", "cpu"):
        if key not in then or key not in now:
            yield f"the {key} is not recorded"
        elif then[key] != now[key]:
            yield f"{key} {then[key]}, here {now[key]}"


def _item(table: JSON, key: str) -> JSON:
    return table.get(key) if isinstance(table, Mapping) else None


def _code(commit: JSON, dirty: JSON) -> str:
    return (
        f"commit {str(commit)[:7]}{' with changes' if dirty else ''}" if commit else "of no commit"
    )
