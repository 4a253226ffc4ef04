"""Delete the damaged file and run the command again: for every file of a search."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tiny import create, tiny
from zarts.runs.course import search_finished
from zarts.runs.recorder import iterations_done, record_search
from zarts.runs.runfile import JSON, ForeignFile, Run, RunError
from zarts.runs.snapshot import read_snapshot

# two iterations per epoch, of them one epoch is warm-up
MGS = tiny("zarts-mgs", {"search": {"epochs": 3, "warmup": 1, "period": 2, "snapshots": [1]}})
DARTS = tiny("darts-1", {"search": {"epochs": 2}})
RECORDS = [
    "checkpoint",
    "search/epoch-0001",
    "search/epoch-0002",
    "search/epoch-0003",
    "snapshot/epoch-0001",
    "snapshot/epoch-0003",
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A search that nobody disturbed."""
    run = create(tmp_path_factory.mktemp("damage") / "whole", MGS)
    record_search(run, MGS)
    return run


@pytest.fixture
def copied(whole: Run, tmp_path: Path) -> Run:
    shutil.copytree(whole.path, tmp_path / "run")
    return Run.open(tmp_path / "run")


def delete(run: Run, *names: str) -> None:
    for name in names:
        (run.path / f"{name}.h5").unlink()


def stop_after(iterations: int) -> Callable[[], None]:
    """A check that asks the search to stop after so many iterations."""

    def stops() -> Iterator[bool]:
        yield from [False] * (iterations - 1)
        yield True

    left = stops()

    def check() -> None:
        if next(left):
            raise InterruptedError

    return check


def test_these_are_all_the_records(whole: Run) -> None:
    assert whole.names() == RECORDS
    assert search_finished(whole, MGS)


@pytest.mark.parametrize(
    "lost",
    [
        *((name,) for name in RECORDS),
        ("checkpoint", "search/epoch-0002"),
        ("search/epoch-0001", "search/epoch-0003"),
        tuple(RECORDS),
    ],
)
def test_what_is_deleted_is_computed_again(lost: tuple[str, ...], copied: Run, whole: Run) -> None:
    delete(copied, *lost)
    assert search_finished(copied, MGS) == (lost == ("checkpoint",))
    told: list[int] = []
    last = record_search(copied, MGS, report=lambda count, note: told.append(count))
    assert last.epoch == 3
    assert bool(told) == (lost != ("checkpoint",))
    assert search_finished(copied, MGS)
    assert copied.content_hash() == whole.content_hash()
    record_search(copied, MGS, report=lambda count, note: pytest.fail("asked again"))


def test_a_search_that_starts_over_says_so_and_ends_when_nothing_is_missing(copied: Run) -> None:
    assert iterations_done(copied) == 6
    delete(copied, "search/epoch-0002")
    assert iterations_done(copied) == 0
    told: list[int] = []
    record_search(copied, MGS, report=lambda count, note: told.append(count))
    assert sum(told) == 4  # the third epoch is there


@pytest.mark.parametrize(
    ("lost", "iterations"), [("search/epoch-0001", 2), ("snapshot/epoch-0001", 3)]
)
def test_a_record_lost_before_the_end_is_computed_again(
    lost: str, iterations: int, whole: Run, tmp_path: Path
) -> None:
    run = create(tmp_path / "run", MGS)
    with pytest.raises(InterruptedError):
        record_search(run, MGS, check=stop_after(iterations))
    assert iterations_done(run) == iterations
    delete(run, lost)
    assert iterations_done(run) == 0
    record_search(run, MGS)
    assert run.content_hash() == whole.content_hash()


@pytest.mark.parametrize("iterations", [1, 4])
def test_a_second_search_may_be_stopped_too(iterations: int, copied: Run, whole: Run) -> None:
    delete(copied, "search/epoch-0001", "snapshot/epoch-0003")
    with pytest.raises(InterruptedError):
        record_search(copied, MGS, check=stop_after(iterations))
    assert not search_finished(copied, MGS)
    assert iterations_done(copied) == iterations  # the old checkpoint is replaced
    record_search(copied, MGS)
    assert copied.content_hash() == whole.content_hash()


@pytest.mark.parametrize(
    ("search", "finished"),
    [
        ({"epochs": 3, "snapshots": [1, 3]}, True),
        ({"epochs": 3, "snapshots": [2]}, False),  # no ω of epoch 2
        ({"epochs": 2, "snapshots": []}, False),  # nor of 2 as the last
        ({"epochs": 4, "snapshots": []}, False),
    ],
)
def test_finished_means_all_that_is_wanted(
    search: dict[str, object], finished: bool, whole: Run
) -> None:
    assert search_finished(whole, tiny("zarts-mgs", {"search": search})) == finished


def test_a_damaged_snapshot_is_named_until_it_is_deleted(copied: Run, whole: Run) -> None:
    file = copied.path / "snapshot/epoch-0003.h5"
    file.write_bytes(damaged(file.read_bytes()))
    with pytest.raises(RunError, match=r"epoch-0003\.h5"):
        record_search(copied, MGS)
    file.unlink()
    record_search(copied, MGS)
    assert read_snapshot(copied, 3).val_loss == read_snapshot(whole, 3).val_loss


def damaged(data: bytes) -> bytes:
    return data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]


@pytest.mark.parametrize("harm", [damaged, lambda data: data[: len(data) // 2], lambda data: b""])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, harm: Callable[[bytes], bytes]) -> None:
    run = create(tmp_path / "run", DARTS)
    with pytest.raises(InterruptedError):
        record_search(run, DARTS, check=lambda: (_ for _ in ()).throw(InterruptedError))
    file = run.path / "checkpoint.h5"
    file.write_bytes(harm(file.read_bytes()))
    with pytest.raises(RunError, match=r"checkpoint\.h5"):
        record_search(run, DARTS)
    with pytest.raises(RunError, match=r"checkpoint\.h5"):
        iterations_done(run)
    delete(run, "checkpoint")
    record_search(run, DARTS)
    assert search_finished(run, DARTS)


class Stop(Exception):
    """What ends a search after its first iteration."""


def begun(folder: Path) -> Run:
    def check() -> None:
        raise Stop

    run = create(folder, DARTS)
    with pytest.raises(Stop):
        record_search(run, DARTS, check=check)
    return run


@pytest.mark.parametrize("lanes", [0, -1, 65, 10**6, True, 2.0, "4", None, [1]])
def test_a_number_of_lanes_that_nobody_chose_is_refused(tmp_path: Path, lanes: JSON) -> None:
    run = begun(tmp_path / "run")
    record = run.read("checkpoint")
    run.write("checkpoint", record.arrays, {**record.attributes, "lanes": lanes})
    with pytest.raises(ForeignFile, match=r"lanes is .*expected 1 to 64"):
        record_search(run, DARTS)


@pytest.mark.parametrize("key", ["iteration", "epochs", "alpha"])
def test_a_checkpoint_that_lacks_something_is_named(tmp_path: Path, key: str) -> None:
    run = begun(tmp_path / "run")
    record = run.read("checkpoint")
    arrays = {name: array for name, array in record.arrays.items() if name != key}
    facts = {name: value for name, value in record.attributes.items() if name != key}
    run.write("checkpoint", arrays, facts)
    with pytest.raises(ForeignFile, match="checkpoint"):
        record_search(run, DARTS)
