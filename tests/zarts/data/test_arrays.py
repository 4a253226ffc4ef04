"""Images of one's own as arrays: found by file and by name, the same by either, or one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.tiny import call
from zarts import Config, register_dataset
from zarts.__main__ import main
from zarts.data.arrays import receive, sent
from zarts.data.dataset import DamagedData, MissingData
from zarts.data.loaders import load_images
from zarts.problems.parts import load_dataset
from zarts.settings.config import ConfigError

X = np.random.default_rng(0).integers(0, 256, (12, 2, 6, 8), dtype=np.uint8)
Y = np.arange(12) % 3


def test_a_file_and_a_name_are_the_same_wherever_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "mine.npz", x=X, y=Y.astype(np.uint8))
    register_dataset("mine", torch.from_numpy(X), Y.tolist())
    named = load_images("mine")
    assert (named.images.shape, named.classes, named.name) == ((12, 2, 6, 8), 3, "mine")
    assert torch.equal(named.images, torch.from_numpy(X))
    assert named.labels.tolist() == Y.tolist()
    with pytest.raises(MissingData, match=r"got no file mine\.npz, .*numpy\.savez"):
        load_images("mine.npz")
    assert load_images("mine.npz", tmp_path).fingerprint == named.fingerprint
    monkeypatch.setenv("ZARTS_DATA", str(tmp_path))
    assert (
        load_images(str(tmp_path / "mine.npz")).fingerprint == load_images("mine.npz").fingerprint
    )
    np.savez(tmp_path / "grey.npz", x=X[:, 0], y=Y)
    assert load_images("grey.npz").images.shape == (12, 1, 6, 8)


def test_images_to_test_on_are_seen_as_those_of_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zarts.data.arrays._registered", {})
    monkeypatch.chdir(tmp_path)
    more = {"x_test": 255 - X[:5], "y_test": Y[:5]}
    np.savez("both.npz", x=X, y=Y, **more)
    register_dataset("both", X, Y, **more)
    train = load_images("both.npz")
    arrays = sent(["both.npz"])
    for remove in (False, True):
        for name in ("both.npz", "both"):
            test = load_images(name, part="test")
            assert torch.equal(test.images, torch.from_numpy(more["x_test"]))
            assert (test.mean, test.std, test.classes) == (train.mean, train.std, 3)
            assert load_images(name).fingerprint == train.fingerprint != test.fingerprint
        if not remove:
            Path("both.npz").unlink()
            receive(arrays)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, r"got no x_test and y_test in mine\.npz, expected images"),
        ({"x_test": X}, r"got no x_test and y_test in mine\.npz"),
        ({"x_test": X / 255, "y_test": Y}, "got x_test of float64"),
        ({"x_test": X, "y_test": Y[1:]}, "got y_test of shape"),
        ({"x_test": X, "y_test": Y + 1}, "got labels from 1 to 3, expected 0 to 2"),
        ({"x_test": X[:, :1], "y_test": Y}, r"got images of \(1, 6, 8\) in x_test, expected"),
        ({"x_test": X[:, :, 1:], "y_test": Y}, r"got images of \(2, 5, 8\) in x_test, expected"),
    ],
)
def test_images_to_test_on_that_are_none(
    change: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("mine.npz", x=X, y=Y, **change)
    with pytest.raises((MissingData, DamagedData), match=said):
        load_images("mine.npz", part="test")
    if len(change) == 1:
        with pytest.raises(ValueError, match="got one of x_test and y_test"):
            register_dataset("mine", X, Y, **change)


def test_what_is_registered_again_is_the_new_one() -> None:
    config, x = Config.from_table({"data": {"name": "mine"}}), X.copy()
    register_dataset("mine", x, Y)
    before = load_dataset(config)
    x[:] = 0  # a copy was taken
    assert int(before.images.max()) > 0
    register_dataset("mine", 255 - X, Y)
    assert torch.equal(load_dataset(config).images, 255 - before.images)


def test_a_file_that_changed_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = Config.from_table({"data": {"name": "mine.npz"}})
    found = []
    for images in (X, X[:9]):
        np.savez("mine.npz", x=images, y=Y[: len(images)])
        found.append(len(load_dataset(config).images))
    assert found == [12, 9]


def test_a_process_without_the_file_takes_what_it_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zarts.data.arrays._registered", {})
    monkeypatch.chdir(tmp_path)
    np.savez("sent.npz", x=X, y=Y)
    here, arrays = load_images("sent.npz"), sent(["packaged", "sent.npz", "none.npz"])
    Path("sent.npz").unlink()
    receive(arrays)
    assert load_images("sent.npz").fingerprint == here.fingerprint
    np.savez("sent.npz", x=X[:9], y=Y[:9])  # a file that is here comes first
    assert len(load_images("sent.npz").images) == 9


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (X / 255, Y, r"got x of float64, expected uint8: .*255 \* x"),
        (np.full((12, 6, 6), np.nan), Y, "got x of float64, expected uint8"),
        (np.zeros((12, 17, 6, 6), np.uint8), Y, r"x of shape \(12, 17, 6, 6\), .*1 to 4 channels"),
        (X.transpose(0, 2, 3, 1), Y, r"put the channels first with x\.transpose\(0, 3, 1, 2\)"),
        (X[0], Y, r"x of shape \(2, 6, 8\).*\(2,\) of whole|got y of shape \(12,\)"),
        (X[:, :, :0], Y, r"got x of shape \(12, 2, 0, 8\)"),
        (X[0, 0], Y, r"got x of shape \(6, 8\), expected \(n, c, h, w\)"),
        (X, Y[:11], r"got y of shape \(11,\) and int64, expected \(12,\)"),
        (X, Y[:, None], r"got y of shape \(12, 1\)"),
        (X, np.where(Y, Y, np.nan), "got y of shape .* and float64, .* whole numbers"),
        (X, Y.astype(str), r"<U21, .* whole numbers.*numpy\.unique"),
        (X.astype(np.uint16), Y, r"got x of uint16, .*16 bits \(x // 257\)"),
        (X, Y * 2, r"got the classes 0, 2, 4 in y, .*numpy\.unique"),
        (X, Y - 1, r"got the classes -1, 0, 1 in y"),
        (X, Y * 0, "got the classes 0 in y, .*two or more"),
        (np.full((12, 6, 6), 9, np.uint8), Y, "pixels are all equal cannot be normalised"),
    ],
)
def test_arrays_that_cannot_be_used(x: Any, y: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"mine: .*({said})"):
        register_dataset("mine", x, y)
    np.savez(tmp_path / "mine.npz", x=x, y=y)
    with pytest.raises(ConfigError, match=rf"mine\.npz: (?!mine).*({said})"):
        load_dataset(Config.from_table({"data": {"name": str(tmp_path / "mine.npz")}}))


@pytest.mark.parametrize("name", ["packaged", "a.npz", " "])
def test_names_that_would_hide_others_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="got the name"):
        register_dataset(name, X, Y)


def test_a_file_that_is_none_is_one_line_and_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("others.npz", x_train=X, y_train=Y)
    np.savez("pickled.npz", x=X, y=np.array(["a", {}], dtype=object), allow_pickle=True)
    Path("half.npz").write_bytes(Path("others.npz").read_bytes()[:500])
    np.save("one.npy", X)
    Path("one.npy").rename("one.npz")
    for name, said in {
        "none.npz": "got no file none.npz",
        "others.npz": "got the arrays x_train, y_train, expected x and y",
        "pickled.npz": "no file of plain arrays (Object arrays cannot be loaded",
        "half.npz": "no file of plain arrays",
        "one.npz": "no file of plain arrays",
        "unknown": "or give arrays this name with zarts.register_dataset",
    }.items():
        answer = call(main, "--set", f"data.name={name}", "--out", tmp_path / "run")
        assert answer.code == 2
        assert said in answer.error
    assert not (tmp_path / "run").exists()
