"""Shards: each a share of one plan, together the undivided run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from landscape import merge as command
from landscape.compute.__main__ import main as compute_main
from landscape.compute.jobs import Job, Points, Walk, share_of, surfaces_of, units
from landscape.compute.pipeline import compute, finished
from landscape.merge import Holes, NotTheSame, merge
from landscape.record import Status, load
from tests.landscape.conftest import Finished
from tests.tiny import create, tiny
from zarts.runs.provenance import environments
from zarts.runs.recorder import record_search
from zarts.runs.runfile import ForeignFile, Run, RunLocked
from zarts.runs.runfile.record import write_record
from zarts.settings.config import Config

COUNT = 4


def config_of(run: Run) -> Config:
    return Config.from_table(run.config)


@pytest.fixture(scope="module")
def shards(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    folder = tmp_path_factory.mktemp("shards")
    config = config_of(finished.run)
    found = []
    for rank in range(1, COUNT + 1):
        path = folder / f"whole-shard-{rank}-of-{COUNT}"
        shutil.copytree(finished.run.path, path)
        for part in ("grid", "paths"):
            shutil.rmtree(path / part)
        run = Run.open(path)
        compute(run, config, shard=(rank, COUNT))
        found.append(run)
    return found


@pytest.mark.parametrize("count", [1, 2, 4, 7])
def test_shares_are_a_fair_partition(count: int) -> None:
    config = tiny("darts-1", {"landscape": {"rows": 9, "cols": 9}})
    shares = [share_of(config, (rank, count)) for rank in range(1, count + 1)]
    pieces = [item for share in shares for item in share]
    land = config.landscape
    points = land.rows * land.cols * len(surfaces_of(config))
    assert len(pieces) == len(set(pieces)) == points + len(config.paths.methods)
    loads = [units(config, share) for share in shares]
    smallest = min(units(config, [item]) for item in pieces)
    assert max(loads) - min(loads) <= smallest  # as the longest pieces are dealt out first


def test_a_shard_does_its_share_and_no_more(shards: list[Run]) -> None:
    config = config_of(shards[0])
    for rank, run in enumerate(shards, start=1):
        done: set[Job] = {Walk(path.method) for path in load(run).paths}
        for surface in load(run).surfaces:
            done |= {
                Points(surface.inner_steps, ((int(row), int(col)),))
                for row, col in np.argwhere(surface.status == Status.OK)
            }
        assert done == share_of(config, (rank, COUNT))
        assert finished(run, config, (rank, COUNT))
        assert not finished(run, config)


def test_all_shards_are_the_undivided_run(
    finished: Finished, shards: list[Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(run.path) for run in reversed(shards)]
    assert command.main([*words, "--out", str(tmp_path / "whole"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["content_hash"] == finished.run.content_hash()
    whole = Run.open(tmp_path / "whole")
    assert whole.provenance["shards"] == [run.name for run in reversed(shards)]
    assert whole.provenance["seed"] == finished.run.provenance["seed"]


def test_holes_are_named_and_nothing_is_written(
    finished: Finished, shards: list[Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "whole"
    with pytest.raises(Holes, match=r"3 shards leave out .*; finish or add the shards"):
        merge(shards[:3], target, [], partial=False)
    words = [str(run.path) for run in shards[:3]]
    assert command.main([*words, "--out", str(target)]) == 1
    assert "--partial" in capsys.readouterr().err
    assert not target.exists()
    part = merge(shards[:3], target, [], partial=True)
    config = config_of(part)
    assert not finished_run(part, config)
    compute(part, config)  # a part is a run like any other: it can be finished
    assert part.content_hash() == finished.run.content_hash()


def test_a_whole_without_omega_has_a_hole(shards: list[Run], tmp_path: Path) -> None:
    bare = []
    for run in shards:
        shutil.copytree(run.path, tmp_path / run.name)
        shutil.rmtree(tmp_path / run.name / "snapshot")
        bare.append(Run.open(tmp_path / run.name))
    with pytest.raises(Holes, match=r"leave out snapshot/epoch-0002;"):
        merge(bare, tmp_path / "whole", [], partial=False)


def test_a_whole_names_what_computed_it_and_not_what_merged_it(
    shards: list[Run], tmp_path: Path
) -> None:
    afar = []
    for count, run in enumerate(shards):
        shutil.copytree(run.path, tmp_path / run.name)
        copy = Run.open(tmp_path / run.name)
        copy.amend({"cpu": f"abacus {count // 2}"})
        afar.append(copy)
    whole = merge(afar[:3], tmp_path / "whole", [], partial=True)
    assert [each["cpu"] for each in environments(whole.provenance)] == ["abacus 0", "abacus 1"]
    afar[3].amend({"cpu": "abacus 7"})
    merge(afar[3:], whole.path, [], partial=False)
    cpus = [each["cpu"] for each in environments(Run.open(whole.path).provenance)]
    assert cpus == ["abacus 0", "abacus 1", "abacus 7"]


def test_shards_with_other_lanes_do_not_mix(shards: list[Run], tmp_path: Path) -> None:
    shutil.copytree(shards[1].path, tmp_path / "other")
    other = Run.open(tmp_path / "other")
    record = other.read("plane")
    other.write("plane", record.arrays, {**record.attributes, "lanes": 1})
    with pytest.raises(NotTheSame, match="plane is not the one of"):
        merge([shards[0], other], tmp_path / "whole", [], partial=True)


def finished_run(run: Run, config: Config) -> bool:
    return finished(run, config)


def test_other_plans_and_values_are_refused(shards: list[Run], tmp_path: Path) -> None:
    other = create(tmp_path / "other", tiny("darts-1", {"seed": 1}))
    with pytest.raises(NotTheSame, match=r"of another plan than .*seed: 1, .* has 0\)"):
        merge([shards[0], other], tmp_path / "whole", [], partial=False)
    holder = next(run for run in shards if any(s.done for s in load(run).surfaces))
    held = next(s.inner_steps for s in load(holder).surfaces if s.done)
    for name, key in (("plane", "origin"), (f"grid/m{held:02d}", "loss")):
        changed = tmp_path / f"changed-{key}"
        shutil.copytree(holder.path, changed)
        run = Run.open(changed)
        record = run.read(name)
        run.write(name, {**record.arrays, key: record.arrays[key] + 1e-9}, record.attributes)
        with pytest.raises(NotTheSame, match=name):
            merge([holder, run], tmp_path / "whole", [], partial=True)
    assert not (tmp_path / "whole").exists()


@pytest.fixture
def searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search of this name in the runs folder."""
    monkeypatch.setenv("ZARTS_RUNS", str(tmp_path))
    config = tiny("darts-1")
    record_search(create(tmp_path / "searched", config), config)


@pytest.mark.usefixtures("searched")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--shard", "1/2"], "--shard needs --run NAME"),
        (["--run", "searched", "--shard", "0/4"], "got --shard 0/4, expected K/N"),
        (["--run", "searched", "--shard", "5/4"], "got --shard 5/4, expected K/N"),
        (["--run", "searched", "--shard", "x"], "got --shard x, expected K/N"),
        (["--run", "searched", "--shard", "auto"], "--shard auto reads SLURM_ARRAY_TASK_ID"),
        (["--run", "searched", "--timeout", "0"], "got --timeout 0"),
        (["--run", "searched", "--workers", "0"], "got --workers 0"),
    ],
)
def test_mistakes_are_one_clear_line(
    words: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("ID", "MIN", "MAX", "COUNT"):
        monkeypatch.delenv(f"SLURM_ARRAY_TASK_{name}", raising=False)
    assert compute_main([*words, "--grid", "2x2"]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.usefixtures("searched")
def test_array_jobs_count_from_their_first_task(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--run", "searched", "--steps", "1", "--grid", "2x2", "--workers", "1", "--quiet"]
    words += ["--set", "paths.methods=[]", "--set", "landscape.val_batches=1"]
    names = []
    for task in (0, 1):
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", str(task))
        monkeypatch.setenv("SLURM_ARRAY_TASK_MIN", "0")
        monkeypatch.setenv("SLURM_ARRAY_TASK_MAX", "1")
        monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "2")
        assert compute_main([*words, "--shard", "auto"]) == 0
        names.append(capsys.readouterr().out.strip())
    assert [name[-len("-shard-1-of-2") :] for name in names] == ["-shard-1-of-2", "-shard-2-of-2"]
    assert command.main(names) == 0
    whole = load(Run.open(Path(capsys.readouterr().out.strip())))
    assert [surface.done for surface in whole.surfaces] == [4, 4]


@pytest.mark.usefixtures("searched")
@pytest.mark.parametrize(
    ("said", "message"),
    [
        (("3", "3", "7", "2"), "got task 3 of 2 from 3 to 7; give K/N of the array"),  # 3,7 again
        (("7", "1", "3", "3"), "got task 7 of 3 from 1 to 3"),
        (("1", "x", "3", "3"), "SLURM_ARRAY_TASK_MIN=x"),
    ],
)
def test_a_part_of_an_array_is_no_array(
    said: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, text in zip(("ID", "MIN", "MAX", "COUNT"), said, strict=True):
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", text)
    assert compute_main(["--run", "searched", "--grid", "2x2", "--shard", "auto"]) == 2
    assert message in capsys.readouterr().err


def test_what_the_whole_holds_already_stays(
    finished: Finished, shards: list[Run], tmp_path: Path
) -> None:
    target = tmp_path / "whole"
    done = []
    for run in shards[:-1]:
        part = merge([run], target, [], partial=True)
        done.append(sum(surface.done for surface in load(part).surfaces))
        merge([run], target, [], partial=True)  # again: nothing is lost, nothing is new
    assert done == sorted(set(done))
    whole = merge([shards[-1]], target, [], partial=False)
    assert whole.content_hash() == finished.run.content_hash()


def test_a_whole_that_is_being_written_waits(shards: list[Run], tmp_path: Path) -> None:
    whole = merge(shards[:1], tmp_path / "whole", [], partial=True)
    with whole.lock(), pytest.raises(RunLocked):
        merge(shards[1:2], whole.path, [], partial=True)


def test_a_shard_by_another_name_is_no_target(
    shards: list[Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = shards[0].content_hash()
    linked = tmp_path / "linked"
    linked.symlink_to(shards[0].path)
    words = [str(shards[0].path), str(shards[1].path), "--partial", "--out", str(linked)]
    assert command.main(words) == 2
    assert "is one of the shards" in capsys.readouterr().err
    assert shards[0].content_hash() == before


def copied(run: Run, folder: Path) -> Run:
    shutil.copytree(run.path, folder)
    return Run.open(folder)


def test_other_images_are_refused(shards: list[Run], tmp_path: Path) -> None:
    run = copied(shards[0], tmp_path / "other-data")
    facts = {"config": run.config, "provenance": {**run.provenance, "data_fingerprint": "0" * 64}}
    write_record(run.path / "run.h5", {}, facts)
    with pytest.raises(NotTheSame, match="shards must be computed on the same images"):
        merge([Run.open(run.path), shards[1]], tmp_path / "whole", [], partial=True)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("status", np.uint8(77), r"status has \[77\]"),
        ("timing_seconds", np.float64(-1), "no duration"),
        ("x", None, "has no array x"),
    ],
)
def test_records_that_nobody_writes_are_refused(
    shards: list[Run], tmp_path: Path, key: str, value: np.generic | None, message: str
) -> None:
    run = copied(shards[0], tmp_path / "odd")
    name = next(name for name in run.names() if name.startswith("grid/"))
    record = run.read(name)
    arrays = dict(record.arrays)
    if value is None:
        del arrays[key]
    else:
        arrays[key] = np.full_like(arrays[key], value)
    run.write(name, arrays, record.attributes)
    with pytest.raises(ForeignFile, match=message):
        merge([run, shards[1]], tmp_path / "whole", [], partial=True)
    assert not (tmp_path / "whole").exists()
