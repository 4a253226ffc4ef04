"""α, ω and points of other code: every form it comes in, and one line for what cannot be used."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tiny import tiny
from zarts.bilevel.alpha import LooksLikeWeights
from zarts.problems.build import make_problem
from zarts.runs.given import Given, read_alpha, read_points, read_weights
from zarts.settings.config import Config, ConfigError

CONFIG = tiny("darts-1", {"supernet": {"space": "s6"}})
NORMAL, REDUCE = torch.randn(2, 14, 7, generator=torch.Generator().manual_seed(0))
FLAT = torch.cat([NORMAL, REDUCE]).flatten()


def pt(found: object) -> Callable[[Path], object]:
    return lambda path: torch.save(found, path)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.pt", pt([NORMAL.clone().requires_grad_(), REDUCE])),
        ("a.pt", pt((NORMAL, REDUCE))),
        ("a.pt", pt({"alphas_reduce": REDUCE, "alphas_normal": NORMAL})),
        ("a.pt", pt({"first": NORMAL, "second": REDUCE})),
        ("a.pt", pt([NORMAL.tolist(), REDUCE.tolist()])),
        ("a.pt", pt(FLAT.double())),
        ("a.pth", pt(torch.stack([NORMAL, REDUCE]))),
        ("a.npy", lambda path: np.save(path, FLAT.numpy())),
        ("a.npy", lambda path: np.save(path, np.stack([NORMAL, REDUCE]))),
        ("a.npz", lambda path: np.savez(path, reduce=REDUCE, normal=NORMAL)),
        ("a.npz", lambda path: np.savez(path, NORMAL, REDUCE)),
    ],
)
def test_alpha_comes_in_many_forms(
    name: str, write: Callable[[Path], object], tmp_path: Path
) -> None:
    write(tmp_path / name)
    alpha = read_alpha(tmp_path / name, CONFIG)
    assert torch.equal(alpha, FLAT)
    assert not alpha.requires_grad


class Runs:
    """What a pickle that runs code looks like."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("ran",)


@pytest.mark.parametrize(
    ("name", "found", "message"),
    [
        ("a.pt", [NORMAL * np.nan, REDUCE], "98 of 196 numbers of α are not finite"),
        ("a.pt", torch.zeros(10), r"got (10,), space s6 expects a flat vector (196,) or the"),
        ("a.pt", [NORMAL], r"got (14, 7), space s6 expects"),
        ("a.pt", [NORMAL, REDUCE, NORMAL], r"got (14, 7), (14, 7), (14, 7), space s6"),
        ("a.pt", [torch.zeros(14, 8)] * 2, r"got (14, 8), (14, 8), space s6"),
        ("a.pt", ["normal", "reduce"], "holds str, expected tensors or arrays of numbers"),
        ("a.pt", FLAT > 0, "holds torch.bool, expected real numbers"),
        ("a.pt", Runs(), "others are not opened, as they could run code"),
        ("a.txt", FLAT, "is of type .txt, expected .npy, .npz or .pt"),
    ],
)
def test_what_is_no_alpha_gives_one_line(
    name: str, found: object, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(found, tmp_path / name)
    with pytest.raises(ConfigError, match=re.escape(message)) as error:
        read_alpha(tmp_path / name, CONFIG)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "ran").exists()


def test_weights_after_a_softmax_are_warned_of_however_they_lie(tmp_path: Path) -> None:
    soft = torch.cat([NORMAL.softmax(1), REDUCE.softmax(1)]).flatten()
    np.save(tmp_path / "a.npy", soft.numpy())
    with pytest.warns(LooksLikeWeights, match="raw logits"):
        assert torch.equal(read_alpha(tmp_path / "a.npy", CONFIG), soft)


def test_omega_is_that_of_the_network_by_name_and_shape(tmp_path: Path) -> None:
    weights = make_problem(CONFIG).objective.weights
    np.savez(tmp_path / "w.npz", **{f"weights/{name}": each for name, each in weights.items()})
    torch.save(dict(reversed(weights.items())), tmp_path / "w.pt")
    for name in ("w.npz", "w.pt"):
        found = read_weights(tmp_path / name, CONFIG)
        assert list(found) == list(weights)
        assert all(torch.equal(found[key], weights[key]) for key in weights)
    first, *_ = weights
    for change, message in (
        ({first: weights[first][:1]}, f"{first} is (1"),
        ({"head": torch.ones(1)}, "head is unknown"),
        ({first: weights[first] * np.nan}, f"{first} is not finite"),
    ):
        torch.save({**weights, **change}, tmp_path / "odd.pt")
        with pytest.raises(ConfigError, match=re.escape(message)):
            read_weights(tmp_path / "odd.pt", CONFIG)
    torch.save({first: weights[first]}, tmp_path / "few.pt")
    with pytest.raises(ConfigError, match=r"is missing; .* and \d+ more"):
        read_weights(tmp_path / "few.pt", CONFIG)


def test_an_older_torch_opens_no_file_of_its_own_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(FLAT, tmp_path / "a.pt")
    monkeypatch.setattr(torch, "__version__", type(torch.__version__)("2.9.1"))
    with pytest.raises(ConfigError, match=r"torch 2\.9\.1 could run code .*, expected 2\.10 or"):
        read_alpha(tmp_path / "a.pt", CONFIG)


def test_files_are_called_by_what_is_in_them() -> None:
    weights = {"a": torch.ones(2), "b": torch.zeros(1)}
    name = Given(FLAT, weights).source
    assert name == Given(FLAT.clone(), dict(reversed(weights.items()))).source
    assert name != Given(FLAT + 1, weights).source
    assert name != Given(FLAT, {**weights, "b": torch.ones(1)}).source


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.zeros((4, 9)), "got (4, 9), expected one array (n, 3)"),
        (np.zeros((2, 3)), "of three α or more"),
        (np.full((4, 3), np.inf), "not finite"),
    ],
)
def test_points_have_a_shape(points: np.ndarray, message: str, tmp_path: Path) -> None:
    np.save(tmp_path / "p.npy", points)
    with pytest.raises(ConfigError, match=re.escape(message)):
        read_points(tmp_path / "p.npy", 3)


def test_alpha_of_the_settings_is_where_a_search_starts() -> None:
    config = tiny("darts-1", {"supernet": {"space": "s6"}, "search": {"alpha": FLAT.tolist()}})
    assert torch.equal(make_problem(config).alpha, FLAT)
    assert Config.from_table(config.to_table()) == config
    with pytest.raises(ConfigError, match=r"search.alpha\[1\] is nan, expected a finite number"):
        tiny("darts-1", {"search": {"alpha": [1.0, float("nan")]}})
    with pytest.raises(ConfigError, match=r"search.alpha: alpha has shape \(2,\)"):
        make_problem(tiny("darts-1", {"search": {"alpha": [1.0, 2.0]}}))
