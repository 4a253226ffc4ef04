"""A recorded search: what each record holds, and that no end of a process changes a bit of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.tiny import Crash, crash_after, create, tiny
from zarts.bilevel.inner import Diverged
from zarts.problems import parts
from zarts.problems.build import make_problem
from zarts.runs import recorder
from zarts.runs.course import last_snapshot
from zarts.runs.recorder import record_search
from zarts.runs.runfile import ForeignFile, Run
from zarts.runs.snapshot import read_snapshot
from zarts.settings.config import Config, ConfigError
from zarts.settings.stages import Point
from zarts.supernet.derivation import derive, entropy

# two iterations per epoch, of them one epoch is warm-up
MGS = tiny("zarts-mgs", {"search": {"epochs": 3, "warmup": 1, "period": 2, "snapshots": [1]}})
DARTS = tiny("darts-1", {"search": {"epochs": 2}})
EPOCHS = {"darts-1": DARTS, "zarts-mgs": MGS}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Searches that nobody disturbed."""
    runs = {}
    for method, config in EPOCHS.items():
        run = create(tmp_path_factory.mktemp("recorder") / method, config)
        record_search(run, config)
        runs[method] = run
    return runs


def run_once(path: Path, config: Config) -> Run:
    run = create(path, config)
    record_search(run, config)
    return run


def stop_after(iterations: int, run: Run, config: Config) -> None:
    """Searches until so many iterations are done."""
    done = count(1)

    def check() -> None:
        if next(done) == iterations:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        record_search(run, config, check=check)


def test_a_record_holds_every_update_of_an_epoch(finished: dict[str, Run]) -> None:
    run = finished["zarts-mgs"]
    space = make_problem(MGS).objective.space
    before = run.read("search/epoch-0001").arrays["alpha"][-1]
    for epoch in (2, 3):
        arrays = run.read(f"search/epoch-{epoch:04d}").arrays
        alpha = arrays["alpha"]
        assert alpha.shape == (2, space.dim)
        assert arrays["losses"].shape == arrays["weights"].shape == (2, 4)
        assert np.isfinite(arrays["losses"]).all()
        np.testing.assert_allclose(arrays["weights"].sum(1), 1)
        tau = 0.01  # the weights are those of the losses
        expected = np.exp(-(arrays["losses"] - arrays["losses"].min(1, keepdims=True)) / tau)
        np.testing.assert_allclose(
            arrays["weights"], expected / expected.sum(1, keepdims=True), rtol=1e-9
        )
        np.testing.assert_allclose(
            arrays["diagnostics/ess"], 1 / (arrays["weights"] ** 2).sum(1), rtol=1e-9
        )
        moved = np.linalg.norm(np.diff(np.vstack([before, alpha]), axis=0), axis=1)
        np.testing.assert_allclose(arrays["diagnostics/update_norm"], moved, rtol=1e-4)
        assert (moved > 0).all()
        assert arrays["timing_seconds"].shape == (2,)
        assert (arrays["timing_seconds"] > 0).all()
        before = alpha[-1]


def test_a_record_describes_its_epoch(finished: dict[str, Run]) -> None:
    for method, config in EPOCHS.items():
        run, problem = finished[method], make_problem(config)
        space, epochs = problem.objective.space, config.search.epochs
        for epoch in range(1, epochs + 1):
            record = run.read(f"search/epoch-{epoch:04d}")
            alpha = torch.from_numpy(record.arrays["alpha"][-1])
            facts = {
                name.removeprefix("epoch/"): float(array)
                for name, array in record.arrays.items()
                if name.startswith("epoch/")
            }
            genotype = derive(space, alpha)
            assert record.attributes == {"epoch": epoch, "genotype": str(genotype), "lanes": 4}
            assert facts["skip_share"] == pytest.approx(genotype.skip_share)
            assert facts["alpha_entropy"] == pytest.approx(entropy(space, alpha))
            assert 0 <= facts["val_accuracy"] <= 1
            assert math.isfinite(facts["val_loss"])
            half = (1 + math.cos(math.pi * (epoch - 1) / epochs)) / 2
            assert facts["learning_rate"] == pytest.approx(0.02 + 0.03 * half)
        last = read_snapshot(run, epochs)
        assert problem.validate(last.weights, last.alpha) == (last.val_loss, last.val_accuracy)
        assert (facts["val_loss"], facts["val_accuracy"]) == (last.val_loss, last.val_accuracy)
        assert facts["learning_rate"] == last.learning_rate
        assert torch.equal(last.alpha, alpha)


@pytest.mark.parametrize(
    ("method", "losses", "extra"),
    [
        ("darts-1", 0, {"gradient_norm"}),
        ("darts-2", 0, {"gradient_norm"}),
        ("zarts-rs", 8, {"gradient_norm", "dropped"}),
        ("zarts-gld", 11, {"radius", "dropped"}),
        ("zarts-mgs", 4, {"ess", "cv", "dropped"}),
    ],
)
def test_every_method_is_recorded(
    tmp_path: Path, method: str, losses: int, extra: set[str]
) -> None:
    run = run_once(tmp_path / "run", tiny(method, {"search": {"epochs": 1, "period": 2}}))
    arrays = run.read("search/epoch-0001").arrays
    assert arrays["losses"].shape == (2, losses)
    assert arrays["loss"].shape == (2,)
    assert np.isfinite(arrays["loss"]).all() == (method == "zarts-gld")
    found = {name.removeprefix("diagnostics/") for name in arrays if name.startswith("diag")}
    assert found == {"update_norm", *extra}
    if method == "zarts-gld":  # the incumbent is never worse than what replaced it
        assert (arrays["diagnostics/update_norm"] > 0).any() == (
            (arrays["losses"].min(1) < arrays["loss"]).any()
        )


def test_the_warm_up_trains_omega_and_leaves_alpha(finished: dict[str, Run]) -> None:
    problem = make_problem(MGS)
    arrays = finished["zarts-mgs"].read("search/epoch-0001").arrays
    np.testing.assert_array_equal(arrays["alpha"], np.stack([problem.alpha.numpy()] * 2))
    assert arrays["losses"].shape == (2, 0)
    assert (arrays["diagnostics/update_norm"] == 0).all()
    trained = read_snapshot(finished["zarts-mgs"], 1).weights
    start = problem.objective.weights
    assert all(not torch.equal(trained[name], start[name]) for name in start)


def test_omega_is_kept_at_the_chosen_epochs_and_the_last(
    finished: dict[str, Run], tmp_path: Path
) -> None:
    kept = [name for name in finished["zarts-mgs"].names() if name.startswith("snapshot/")]
    assert kept == ["snapshot/epoch-0001", "snapshot/epoch-0003"]
    assert last_snapshot(finished["zarts-mgs"]) == Point(0, 3)
    assert last_snapshot(create(tmp_path / "none", DARTS)) is None
    assert [n for n in finished["darts-1"].names() if n.startswith("snapshot/")] == [
        "snapshot/epoch-0002"
    ]
    early, late = (read_snapshot(finished["zarts-mgs"], epoch) for epoch in (1, 3))
    assert early.epoch == 1
    assert any(not torch.equal(early.weights[n], late.weights[n]) for n in late.weights)


def test_a_finished_search_is_not_run_again_and_gives_its_last_snapshot(
    finished: dict[str, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("asked again")

    monkeypatch.setattr("zarts.runs.state.make_problem", never)
    again = record_search(finished["darts-1"], DARTS, report=never)
    stored = read_snapshot(finished["darts-1"], 2)
    assert again.epoch == stored.epoch == 2
    assert torch.equal(again.alpha, stored.alpha)
    assert again.learning_rate == stored.learning_rate


@pytest.mark.parametrize("method", EPOCHS)
def test_crash_after_crash_between_writes_changes_nothing(
    method: str, finished: dict[str, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checkpoints after every iteration, so the crashes fall into the middle of epochs too."""
    config, run = EPOCHS[method], create(tmp_path / "run", EPOCHS[method])
    for crashes in count():
        try:
            # one, two, three, four writes and then a kill, and again
            with crash_after(1 + crashes % 4, monkeypatch):
                record_search(Run.open(run.path), config, flush_seconds=0)
        except Crash:
            continue
        break
    assert run.content_hash() == finished[method].content_hash()
    assert crashes >= 4


@pytest.mark.parametrize("method", EPOCHS)
def test_a_search_may_stop_after_every_iteration(
    method: str, finished: dict[str, Run], tmp_path: Path
) -> None:
    config, run = EPOCHS[method], create(tmp_path / "run", EPOCHS[method])

    def stop() -> None:
        raise InterruptedError

    told: list[int] = []
    for sitting in range({"darts-1": 8, "zarts-mgs": 6}[method]):
        with pytest.raises(InterruptedError):
            record_search(run, config, check=stop, report=lambda number, note: told.append(number))
        assert told == [1] * (sitting + 1)  # every sitting does one iteration and tells it
        assert run.read("checkpoint").attributes["iteration"] == sitting + 1
    record_search(run, config, check=stop)  # and the last one found all done
    assert run.content_hash() == finished[method].content_hash()


def test_a_resumed_search_clips_by_the_same_norm(tmp_path: Path) -> None:
    """The norm is a sum over ω, so ω must come back in the order it had, also to the last bit."""
    config = tiny("darts-1", {"search": {"clip": 0.1, "epochs": 2}, "supernet": {"space": "s1"}})
    whole, run = (create(tmp_path / name, config) for name in ("whole", "run"))
    record_search(whole, config)

    def stop() -> None:
        raise InterruptedError

    for _ in range(3):
        with pytest.raises(InterruptedError):
            record_search(run, config, check=stop)
    problem = make_problem(config)
    restored = recorder.restore(run, config)
    assert restored is not None
    assert list(restored.objective.weights) == list(problem.objective.weights)
    assert list(restored.objective.velocity or {}) == list(problem.objective.weights)
    record_search(run, config)
    assert run.content_hash() == whole.content_hash()


@pytest.mark.parametrize("lost", [(), ("search/epoch-0001",)], ids=["goes on", "starts over"])
def test_a_search_goes_on_with_the_lanes_it_began_with(
    lost: Sequence[str], finished: dict[str, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where another number would be chosen today: the last digits stay what they were."""
    run = create(tmp_path / "run", MGS)
    stop_after(3, run, MGS)
    assert run.read("checkpoint").attributes["lanes"] == 4
    for name in lost:
        (run.path / f"{name}.h5").unlink()
    monkeypatch.setattr(parts, "_CPU_LANES", 8)
    assert make_problem(MGS).objective.lanes == 8
    record_search(Run.open(run.path), MGS)
    assert run.content_hash() == finished["zarts-mgs"].content_hash()


def test_in_the_middle_of_an_epoch_there_is_a_checkpoint_and_no_record(tmp_path: Path) -> None:
    run = create(tmp_path / "run", DARTS)
    stop_after(2, run, DARTS)
    assert run.names() == ["checkpoint"]
    assert run.read("checkpoint").arrays["rows/alpha"].shape[0] == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays, facts: facts.update(epochs=10**9),
        lambda arrays, facts: facts.update(epochs=-1),
        lambda arrays, facts: facts.pop("iteration"),
        lambda arrays, facts: arrays.update(alpha=np.zeros(3, "f4")),
        lambda arrays, facts: arrays.pop("weights/head.bias"),
        lambda arrays, facts: [arrays.pop(n) for n in list(arrays) if n.startswith("weights/")],
        lambda arrays, facts: arrays.pop("velocity/head.bias"),
        lambda arrays, facts: arrays.update({"weights/head.bias": np.zeros((2, 2), "f4")}),
    ],
)
def test_a_checkpoint_of_another_form_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any], dict[str, Any]], object]
) -> None:
    run = create(tmp_path / "run", DARTS)
    stop_after(1, run, DARTS)
    record = run.read("checkpoint")
    arrays, facts = dict(record.arrays), dict(record.attributes)
    change(arrays, facts)
    run.write("checkpoint", arrays, facts)
    with pytest.raises(ForeignFile, match="checkpoint"):
        record_search(run, DARTS)


@pytest.mark.parametrize("lost", ["memory/second", "memory/count", "velocity/", "weights/"])
def test_every_part_of_the_checkpoint_matters(
    lost: str, finished: dict[str, Run], tmp_path: Path
) -> None:
    """The comparison of hashes can fail: without Adam's moments, or ω's momentum, it does."""
    run = create(tmp_path / "run", DARTS)
    stop_after(3, run, DARTS)
    record = run.read("checkpoint")
    arrays = {
        name: np.zeros_like(array) if name.startswith(lost) else array
        for name, array in record.arrays.items()
    }
    assert any(name.startswith(lost) for name in arrays)
    run.write("checkpoint", arrays, record.attributes)
    record_search(run, DARTS)
    assert run.content_hash() != finished["darts-1"].content_hash()


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, str]] = []
    record_search(
        create(tmp_path / "run", DARTS), DARTS, report=lambda n, note: told.append((n, note))
    )
    assert sum(count for count, _ in told) == 8
    notes = [note for _, note in told if note]
    assert [note.split(":")[0] for note in notes] == ["epoch 1", "epoch 2"]


# with batches of 64 there is one step only: ω is finite, but the loss over D_val is not
@pytest.mark.parametrize(("rate", "size"), [(1e10, 16), (1e20, 16), (1e20, 64), (1e38, 64)])
def test_a_search_that_diverges_leaves_no_number(tmp_path: Path, rate: float, size: int) -> None:
    config = tiny(
        "darts-1",
        {"search": {"epochs": 1, "learning_rate": rate, "clip": 0.0}},
        {"data": {"batch_size": size}},
    )
    run = create(tmp_path / "run", config)
    with pytest.raises(Diverged, match="lower the learning rate"):
        record_search(run, config)
    for name in run.names():
        for key, array in run.read(name).arrays.items():
            assert np.isfinite(array).all(), key
    assert last_snapshot(run) is None


def test_a_search_goes_on_with_its_own_images_only(tmp_path: Path) -> None:
    fingerprint = parts.load_dataset(DARTS).fingerprint
    for name, said in (("same", fingerprint), ("other", "0" * 64)):
        facts = {"data_fingerprint": said}
        run = Run.create(tmp_path / name, DARTS.to_table(), facts)
        if name == "same":
            record_search(run, DARTS)
            continue
        with pytest.raises(ConfigError, match="install the same data, or begin a new run"):
            record_search(run, DARTS)
        assert not run.names()
