"""Tampering that is sealed again: each kind is caught by the check that is there for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from landscape.catalogue import BUNDLED
from landscape.compute.__main__ import main
from landscape.compute.pipeline import compute, open_run
from landscape.record import Status, load
from landscape.verify import origin, plane
from landscape.verify import run as checks
from tests.landscape.verifying import copied, reseal, say, verdict
from tests.tiny import call, tiny, words
from zarts.bilevel.objective import Bilevel
from zarts.runs.runfile import Run

SMALL = ["--set", "landscape.rows=3", "--set", 'paths.methods=["darts-1", "zarts-mgs"]']
SURFACES = ("surface M=0", "surface M=1", "surface M=2")
EXPECTED = [
    "seal", "other files", "config", "schema", "complete", "content hash", "provenance", "data",
    "plane", "weights", "orientation",
    "accuracy",
    *(line for title in SURFACES for line in (title, f"{title} orientation")),
    "path darts-1", "path zarts-mgs", "base ω",
]  # fmt: skip


@pytest.fixture(scope="session")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A square run, so that a transposed surface has the same shape."""
    folder = tmp_path_factory.mktemp("honest") / "tiny"
    answer = call(main, *words(), *SMALL, "--workers", "1", "--out", folder)
    assert answer.code == 0, answer.err
    return Run.open(folder)


@pytest.fixture
def run(honest: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    return copied(honest, tmp_path / "tiny", monkeypatch)


def test_an_honest_run_holds_to_the_last_bit(honest: Run) -> None:
    before = {file: file.read_bytes() for file in honest.path.rglob("*") if file.is_file()}
    said = verdict(honest.path, points=3)
    assert said.code == 0
    assert [each["check"] for each in said.findings] == EXPECTED
    for title in SURFACES:
        assert said.of(title) == ["ok"]
        assert said.why(title).startswith("bit-equal: [")
        assert said.why(title).count("[") == 3
        assert said.of(f"{title} orientation") == ["ok"]
    assert {file: file.read_bytes() for file in before} == before
    assert said.err == ""


def test_the_seed_chooses_the_points(run: Run) -> None:
    def chosen(*flags: str) -> str:
        return verdict(run.path / "grid" / "m00.h5", *flags, points=3).why("surface M=0")

    assert chosen() == chosen("--seed", "0")
    assert len({chosen("--seed", str(seed)) for seed in range(5)}) > 1


def wrong_value(arrays: dict[str, Any]) -> None:
    arrays["loss"][2, 1] *= 1.01


def transposed(arrays: dict[str, Any]) -> None:
    arrays["loss"] = arrays["loss"].T.copy()


def upside_down(arrays: dict[str, Any]) -> None:
    arrays["loss"] = arrays["loss"][::-1].copy()


def test_a_wrong_value_is_found_and_located(run: Run) -> None:
    reseal(run, "grid/m01", wrong_value)
    said = verdict(run.path)
    assert (said.code, said.failed) == (1, {"surface M=1"})
    assert said.why("surface M=1").startswith("[2, 1] is 2.")


@pytest.mark.parametrize("points", [1, 3])
@pytest.mark.parametrize("seed", ["0", "1", "2"])
def test_a_transposed_surface_is_found_whatever_the_points(
    run: Run, seed: str, points: int
) -> None:
    reseal(run, "grid/m00", transposed)
    said = verdict(run.path / "grid" / "m00.h5", "--seed", seed, points=points)
    assert (said.code, said.failed) == (1, {"surface M=0", "surface M=0 orientation"})
    assert "is stored at [" in said.why("surface M=0 orientation")


def test_a_surface_upside_down_is_not_called_transposed(run: Run) -> None:
    reseal(run, "grid/m00", upside_down)
    assert "surface M=0" in verdict(run.path / "grid" / "m00.h5").failed


def test_values_of_other_versions_are_within_a_tolerance_and_told(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nudged(arrays: dict[str, Any]) -> None:
        arrays["loss"] *= 1 + 3e-7

    reseal(run, "grid/m00", nudged)
    monkeypatch.setattr(
        origin, "provenance", lambda command, device: {"versions": {"torch": "9.9"}}
    )
    said = verdict(run.path / "grid" / "m00.h5")
    assert (said.code, said.of("surface M=0")) == (0, ["note"])
    assert "equal to 3e-07 relative (tolerance 1e-05), not bit-equal" in said.why("surface M=0")
    assert "here 9.9" in said.why("surface M=0")
    monkeypatch.setattr(origin, "elsewhere", lambda run, here: [])  # the same code, torch and CPU
    said = verdict(run.path / "grid" / "m00.h5")
    assert (said.code, said.failed) == (1, {"surface M=0"})


@pytest.mark.parametrize(("fact", "value"), [("val_accuracy", 0.999), ("val_loss", 0.5)])
def test_an_accuracy_that_is_not_that_of_omega(run: Run, fact: str, value: float) -> None:
    """Consistent in all records that name it, and sealed."""
    for name, key in (("search/epoch-0002", f"epoch/{fact}"), ("snapshot/epoch-0002", fact)):
        reseal(run, name, lambda arrays, key=key: arrays.update({key: np.array(value)}))
    record = run.read("plane")
    run.write("plane", record.arrays, {**record.attributes, fact: value})
    said = verdict(run.path, points=1)
    assert (said.code, said.failed) == (1, {"accuracy"})
    assert f"{fact} is {value}, recomputed" in said.why("accuracy")


def skewed(arrays: dict[str, Any]) -> None:
    arrays["basis"][:, 0] += 1e-9 * arrays["basis"][:, 1]


def stretched(arrays: dict[str, Any]) -> None:
    arrays["basis"] *= 1.5


def off_centre(arrays: dict[str, Any]) -> None:
    arrays["origin"][3] = np.nextafter(arrays["origin"][3], 1.0)


def rescaled(arrays: dict[str, Any]) -> None:
    arrays["scale"] = np.array(5.0001)


def faster(arrays: dict[str, Any]) -> None:
    arrays["inner_learning_rate"] = arrays["inner_learning_rate"] * 1.1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (skewed, "not orthonormal: off by 1.0e-09"),
        (stretched, "not orthonormal"),
        (off_centre, "origin is not the α of epoch 2"),
        (rescaled, "scale is 5.0001, the settings say 5.0"),
        (faster, "inner_learning_rate is"),
    ],
)
def test_a_plane_that_is_not_one(run: Run, change: Any, said: str) -> None:
    reseal(run, "plane", change)
    found = verdict(run.path)
    assert (found.code, found.failed) == (1, {"plane"})
    assert said in found.why("plane")
    assert found.of("values") == ["unchecked"]


def test_a_plane_of_other_directions_gives_other_values(run: Run) -> None:
    def rotated(arrays: dict[str, Any]) -> None:
        arrays["basis"] = arrays["basis"][:, ::-1].copy()

    reseal(run, "plane", rotated)
    found = verdict(run.path, points=3)
    assert found.of("plane") == ["ok"]
    assert set(SURFACES) < found.failed


SNAPSHOT = "snapshot/epoch-0002"


def test_another_omega_gives_other_values(run: Run) -> None:
    def changed(arrays: dict[str, Any]) -> None:
        arrays["weights/head.bias"] += 0.5 * np.arange(len(arrays["weights/head.bias"]), dtype="f4")

    reseal(run, SNAPSHOT, changed)
    said = verdict(run.path, points=3)
    assert said.failed == {"accuracy", *SURFACES, "path darts-1", "path zarts-mgs"}
    assert said.of("surface M=0 orientation") == ["unchecked"]


def test_an_omega_of_another_network_is_named(run: Run) -> None:
    def narrowed(arrays: dict[str, Any]) -> None:
        arrays["weights/head.weight"] = arrays["weights/head.weight"][:, 1:].copy()
        arrays["weights/extra"] = arrays.pop("weights/head.bias")

    reseal(run, SNAPSHOT, narrowed)
    said = verdict(run.path)
    assert (said.failed, said.of("values")) == ({"weights"}, ["unchecked"])
    for part in ("head.bias is missing", "extra is unknown"):
        assert part in said.why("weights")


def test_a_snapshot_that_is_not_its_epochs(run: Run) -> None:
    def better(arrays: dict[str, Any]) -> None:
        arrays["val_accuracy"] = np.array(0.99)

    reseal(run, SNAPSHOT, better)
    said = verdict(run.path)
    assert said.failed == {"plane"}
    assert "val_accuracy is not that of search epoch 2" in said.why("plane")


def moved(arrays: dict[str, Any]) -> None:
    arrays["xy"] += 0.01


def praised(arrays: dict[str, Any]) -> None:
    arrays["target_loss"] *= 0.9
    arrays.pop("moments", None)  # the schema compares means with losses
    arrays["loss"] *= 0.9


def praised_at_the_end(arrays: dict[str, Any]) -> None:
    arrays["target_loss"][1] *= 0.9
    arrays.pop("moments", None)  # the schema compares means with losses
    arrays["loss"][1] *= 0.9


def astray(arrays: dict[str, Any]) -> None:
    arrays["residual"][1] = 0.1


def two_faced(arrays: dict[str, Any]) -> None:
    arrays["loss"][1] += 1e-6


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (moved, "starts at"),
        (praised, "start is"),
        (praised_at_the_end, "step 1 is"),
        (astray, "leaves the plane"),
        (two_faced, "loss and target_loss differ"),
    ],
)
def test_a_path_that_was_not_walked(run: Run, change: Any, said: str) -> None:
    reseal(run, "paths/zarts-mgs", change)
    found = verdict(run.path / "paths" / "zarts-mgs.h5")
    assert (found.code, found.failed) == (1, {"path zarts-mgs"})
    assert said in found.why("path zarts-mgs")


def test_a_point_that_did_not_diverge(run: Run) -> None:
    def given_up(arrays: dict[str, Any]) -> None:
        arrays["loss"][1, 0], arrays["status"][1, 0] = np.nan, Status.DIVERGED

    reseal(run, "grid/m02", given_up)
    said = verdict(run.path / "grid" / "m02.h5")
    assert (said.code, said.failed) == (1, {"surface M=2 diverged"})
    assert "[1, 0] diverged, recomputed 2." in said.why("surface M=2 diverged")


def test_what_diverged_diverges_again(tmp_path: Path) -> None:
    config = tiny("darts-1", {"search": {"epochs": 1, "inner_clip": 0.0}},
                  {"landscape": {"inner_learning_rate": 1e30, "steps": 1}},
                  {"paths": {"methods": ["darts-1"]}})  # fmt: skip
    made = open_run(config, tmp_path / "run", ["test"])
    compute(made, config)
    assert (load(made).surfaces[1].status == Status.DIVERGED).all()
    said = verdict(made.path)
    assert (said.code, said.of("surface M=1 diverged")) == (0, ["ok"])
    assert said.of("surface M=1") == ["note"]  # no point has a value


def test_an_evaluation_that_moves_omega_is_caught(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Bilevel.evaluate

    def moving(self: Bilevel[Any], alphas: Tensor) -> Tensor:
        losses = original(self, alphas)
        next(iter(self.weights.values())).mul_(1 + 1e-6)
        return losses

    monkeypatch.setattr(Bilevel, "evaluate", moving)
    assert "base ω" in verdict(run.path, points=1).failed


def test_grid_code_that_exchanges_rows_is_caught(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    original = plane.fill

    def flipped(*arguments: Any) -> Iterator[Any]:
        for surface in original(*arguments):
            yield replace(surface, loss=surface.loss[::-1])

    monkeypatch.setattr(plane, "fill", flipped)
    assert verdict(run.path, points=0).failed == {"orientation"}


def test_no_points_asked_none_computed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_answers", lambda setup, questions, begin: dict(questions))
    said = verdict(run.path, points=0)
    assert said.code == 0
    assert said.of("surface M=0") == said.of("path darts-1") == ["note"]


def test_progress_is_told_on_stderr(run: Run) -> None:
    answer = say("-k", "1", run.path)
    assert "computing again: " in answer.err
    assert "computing again" not in answer.out
    assert answer.out.startswith(f"{run.path}\ncheck ")
    assert say("-q", "-k", "1", run.path).err == ""


@pytest.mark.slow  # ten seconds: it is of the quick preset
def test_the_bundled_run_holds() -> None:
    said = verdict(next(BUNDLED.iterdir()), points=1)
    assert said.code == 0, said.findings
    assert said.of("complete") == ["ok"]
