"""What somebody brings in files: α, ω and points of other code, read without running any of it."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zarts.problems.build import make_problem
from zarts.problems.parts import parts_of
from zarts.runs.snapshot import Snapshot
from zarts.runs.stored import digest_of
from zarts.settings.config import Config, ConfigError
from zarts.supernet.spaces import SPACES

__all__ = ["GIVEN", "Given", "content_of", "read_alpha", "read_points", "read_weights"]

SAFE = "2.10"  # the first torch whose loader of tensors alone is known to run nothing else
GIVEN = "(files)"  # where the name of a run stands otherwise; no run can have this one


def read_alpha(path: Path, config: Config) -> Tensor:
    """α (d,) from a file: a flat vector, or one (edges, operations) table per cell type.

    Args:
        path: ``.npy``, ``.npz`` or ``.pt``. Tables are in a list, a tuple, a stack, or under any
            names; normal cell first, unless the names say which is which.
        config: What the numbers are to mean, and their precision.

    Raises:
        ConfigError: If it cannot be read, or is no α of this space.

    Warns:
        LooksLikeWeights: If it is probably what a softmax made of α.
    """
    found, space = _load(path), SPACES[config.supernet.space]
    names = [group.name for group in space.groups]
    shapes = [(group.edges, group.width) for group in space.groups]
    expected = f"a flat vector ({space.dim},) or the tables " + ", ".join(
        f"{name} {shape}" for name, shape in zip(names, shapes, strict=True)
    )
    parts = _parts(found, names)
    tables = [_tensor(path, part) for part in parts]
    if len(tables) == 1 and tables[0].shape == (space.dim,):
        tables = list(space.split(tables[0]).values())
    if [tuple(table.shape) for table in tables] != shapes:
        got = ", ".join(str(tuple(table.shape)) for table in tables) or "nothing"
        raise ConfigError(
            f"{path}: got {got}, space {space.name} expects {expected}; choose another space "
            "with --set space=NAME, or another file"
        )
    alpha = space.join(dict(zip(names, tables, strict=True))).to(getattr(torch, config.dtype))
    if not alpha.isfinite().all():
        count = int((~alpha.isfinite()).sum())
        raise ConfigError(f"{path}: {count} of {space.dim} numbers of α are not finite")
    return alpha


def read_points(path: Path, dim: int) -> Tensor:
    """Points (n, d), float64, from a file with one array.

    Raises:
        ConfigError: If it cannot be read or has another shape.
    """
    parts = _parts(_load(path), ())
    points = _tensor(path, parts[0]) if len(parts) == 1 else torch.empty(0)
    if points.ndim != 2 or points.shape[1] != dim or len(points) < 3:
        got = tuple(points.shape) if len(parts) == 1 else f"{len(parts)} arrays"
        raise ConfigError(f"{path}: got {got}, expected one array (n, {dim}) of three α or more")
    if not points.isfinite().all():
        raise ConfigError(f"{path}: has numbers that are not finite")
    return points


def read_weights(path: Path, config: Config) -> dict[str, Tensor]:
    """ω by name from a ``.pt`` or ``.npz`` file.

    Args:
        path: The file; a prefix ``weights/`` of the names, as in run files, is left out.
        config: Of the network.

    Raises:
        ConfigError: If it cannot be read, or is not the ω of this network.
    """
    found = _load(path)
    if not isinstance(found, Mapping):
        raise ConfigError(f"{path}: holds {type(found).__name__}, expected tensors of ω by name")
    shapes, prefix = parts_of(config)[1].shapes(), "weights/"
    named = {str(name).removeprefix(prefix): part for name, part in found.items()}
    wrong = [f"{name} is missing" for name in shapes if name not in named]
    wrong += [f"{name} is unknown" for name in named if name not in shapes]
    weights: dict[str, Tensor] = {}
    for name in shapes if not wrong else ():
        weights[name] = _tensor(path, named[name]).to(getattr(torch, config.dtype))
        if tuple(weights[name].shape) != tuple(shapes[name]):
            got = tuple(weights[name].shape)
            wrong.append(f"{name} is {got}, expected {tuple(shapes[name])}")
        elif not weights[name].isfinite().all():
            wrong.append(f"{name} is not finite")
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise ConfigError(f"{path}: is not the ω of this network: {'; '.join(wrong[:3])}{more}")
    return weights


@dataclass(frozen=True, eq=False)
class Given:
    """α and ω of one's own, in place of a search.

    Attributes:
        alpha: α (d,).
        weights: ω by name.
    """

    alpha: Tensor
    weights: dict[str, Tensor]

    @property
    def source(self) -> str:
        """What the settings call it: by its content alone, whatever the files are called."""
        arrays = {f"weights/{name}": weight.numpy() for name, weight in self.weights.items()}
        digest = digest_of({**arrays, "alpha": self.alpha.numpy()})
        return f"{GIVEN}/epoch-0001/{digest[:16]}"

    def snapshot(self, config: Config) -> Snapshot:
        """As if it were the last epoch of a search with these settings."""
        problem = make_problem(config)
        like = next(iter(problem.objective.weights.values()))
        weights = {name: weight.to(like) for name, weight in self.weights.items()}
        loss, accuracy = problem.validate(weights, self.alpha.to(like), config.search.epochs - 1)
        if not np.isfinite(loss):
            raise ConfigError("the loss over D_val of these α and ω is not finite")
        rate = problem.feed.outer(config.search.epochs - 1).learning_rate
        return Snapshot(self.weights, self.alpha, 1, rate, loss, accuracy)


def content_of(arrays: Mapping[str, Any], source: str) -> str:
    """Digest of a snapshot, of which only α and ω were given where they come from files."""
    if source.startswith(f"{GIVEN}/"):
        given = ("alpha", "weights/")
        arrays = {name: array for name, array in arrays.items() if name.startswith(given)}
    return digest_of(arrays)


def _load(path: Path) -> object:
    """What a file holds.

    Raises:
        ConfigError: If it is of another kind, or cannot be read.
    """
    try:
        if path.suffix == ".npy":
            return np.load(path, allow_pickle=False)
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                return dict(file)
        if path.suffix in (".pt", ".pth"):
            if torch.__version__ < SAFE:
                raise ConfigError(
                    f"{path}: torch {torch.__version__} could run code of such a file, expected "
                    f"{SAFE} or newer; upgrade it, or save the arrays as .npz"
                )
            return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"{path}: cannot be read ({reason})") from error
    except (pickle.UnpicklingError, RuntimeError) as error:
        raise ConfigError(
            f"{path}: is no file of tensors, arrays, lists and dictionaries alone; "
            "others are not opened, as they could run code"
        ) from error
    raise ConfigError(f"{path}: is of type {path.suffix or 'none'}, expected .npy, .npz or .pt")


def _parts(found: object, names: Sequence[str]) -> list[object]:
    """The arrays in what was loaded, in the order of these names where they have them."""
    if isinstance(found, Mapping):
        by_name = [[key for key in found if name in str(key).lower()] for name in names]
        if len(found) == len(names) and all(len(keys) == 1 for keys in by_name):
            return [found[key] for (key,) in by_name]
        return list(found.values())
    if isinstance(found, list | tuple):
        return list(found)
    if isinstance(found, Tensor | np.ndarray) and found.ndim == 3:
        return list(found)
    return [found]


def _tensor(path: Path, part: object) -> Tensor:
    try:
        tensor = torch.as_tensor(part)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"{path}: holds {type(part).__name__}, expected tensors or arrays of numbers"
        ) from error
    if tensor.is_complex() or tensor.dtype == torch.bool:
        raise ConfigError(f"{path}: holds {tensor.dtype}, expected real numbers")
    return tensor.detach().double()
