"""Damaged, hostile, missing and foreign files: one line each, exit code 1, no traceback."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import h5py
import numpy as np
import pytest

from landscape.figures.words import takeaway
from landscape.record import load
from landscape.verify.__main__ import main
from tests.landscape.conftest import Finished
from tests.landscape.verifying import copied, reseal, restate, say, verdict
from zarts.runs.runfile import FORMAT, ForeignFile, Run


@pytest.fixture
def run(finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    return copied(finished.run, tmp_path / "tiny", monkeypatch)


def flipped(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def replaced(file: Path) -> None:
    file.unlink()
    with h5py.File(file, "w") as foreign:
        foreign["loss"] = np.zeros((3, 3))


def rubbish(file: Path) -> None:
    body = b"rubbish" * 300
    text = f"zarts record\nformat {FORMAT}\nsha256 {hashlib.sha256(body).hexdigest()}\n"
    file.write_bytes(text.encode().ljust(512, b"\0") + body)


def linked(file: Path) -> None:
    file.rename(file.with_suffix(".moved"))
    file.symlink_to(file.with_suffix(".moved"))


def piped(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


DAMAGES = [flipped, truncated, emptied, replaced, rubbish, linked, piped]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["grid/m01", "run"])
def test_a_damaged_file_is_one_line(run: Run, name: str, damage: Callable[[Path], None]) -> None:
    damage(run.path / f"{name}.h5")
    said = verdict(run.path, points=0)
    assert (said.code, said.failed) == (1, {"seal"})
    assert said.of("seal") == ["FAIL"]
    assert said.why("seal").startswith(f"{name}.h5: ")
    assert said.of("content hash") == []
    if name == "run":
        assert said.of("all else") == ["unchecked"]
    else:  # what is not damaged is checked all the same
        assert said.of("surface M=0") == ["note"]
        assert said.of("surface M=1") == []
        assert said.of("complete") == ["ok"]  # it is there, if damaged


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_can_be_asked_for_itself(
    run: Run, damage: Callable[[Path], None], tmp_path: Path
) -> None:
    file = run.path / "grid" / "m01.h5"
    alone = tmp_path / "elsewhere.h5"
    shutil.copy(file, alone)
    damage(file)
    assert verdict(file).failed == {"seal"}
    damage(alone)
    if not alone.is_fifo():
        assert verdict(alone).failed == {"seal"}


def test_every_damaged_file_has_its_line(run: Run) -> None:
    for name in ("grid/m00", "paths/darts-1", "snapshot/epoch-0002"):
        truncated(run.path / f"{name}.h5")
    said = verdict(run.path)
    assert said.of("seal") == ["FAIL"] * 3
    assert said.of("values") == ["FAIL"]  # nothing can be computed without ω
    assert "snapshot/epoch-0002" in said.why("values")


def test_surfaces_of_one_run_have_one_grid(run: Run) -> None:
    record = run.read("grid/m01")
    arrays = {**record.arrays, "x": record.arrays["x"] * (1 + 1e-12)}  # as evenly as it must be
    run.write("grid/m01", arrays, record.attributes)
    said = verdict(run.path, points=0)
    assert said.failed == {"schema"}
    assert "is on another grid than M = 0" in said.why("schema")


@pytest.mark.parametrize("name", ["grid/m01", "paths/zarts-rs", "search/epoch-0002"])
def test_a_sealed_record_of_nothing_stops_no_other_check(run: Run, name: str) -> None:
    run.write(name, {}, {})
    said = verdict(run.path, points=0)
    assert (said.code, said.failed) == (1, {"schema"})
    assert said.of("plane") == said.of("base ω") == ["ok"]
    truncated(run.path / "run.h5")
    assert verdict(run.path).failed == {"seal"}


def test_a_sealed_omega_of_nothing_leaves_no_values(run: Run) -> None:
    run.write("snapshot/epoch-0002", {}, {"epoch": 2})
    for path in (run.path, run.path / "grid" / "m01.h5"):
        said = verdict(path)
        assert (said.code, said.failed) == (1, {"schema", "values"})
        assert "snapshot/epoch-0002, the ω under the plane, is lost" in said.why("values")


def test_random_damage_never_goes_unnoticed(run: Run) -> None:
    file, rng = run.path / "plane.h5", Random(0)
    whole = file.read_bytes()
    for _ in range(40):
        data = bytearray(whole)
        for _ in range(rng.choice((1, 3, 100))):
            data[rng.randrange(len(data))] = rng.randrange(256)
        if rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
        file.write_bytes(data)
        answer = say("-q", file)
        assert answer.code == (0 if bytes(data) == whole else 1)


def test_a_linked_folder_is_not_followed(run: Run) -> None:
    shutil.move(run.path / "grid", run.path.parent / "grid")
    (run.path / "grid").symlink_to(run.path.parent / "grid")
    assert verdict(run.path).failed == {"seal"}
    assert verdict(run.path / "grid" / "m00.h5").failed == {"seal"}


def test_names_cannot_steer_a_terminal(run: Run) -> None:
    for name in ("\x1b[2J.h5", "two\nlines.h5", b"\xff.h5".decode("utf-8", "surrogateescape")):
        (run.path / name).write_bytes(b"")
    answer = say("-q", "-k", "0", run.path)
    assert answer.code == 1
    assert "\x1b" not in answer.out
    assert sum(line.startswith("seal") for line in answer.out.splitlines()) == 3
    answer.out.encode()


def test_files_beside_the_records_are_named(run: Run) -> None:
    (run.path / "notes.txt").write_text("mine")
    said = verdict(run.path, points=0)
    assert said.code == 0
    assert said.of("other files") == ["note"]
    assert said.why("other files").startswith("notes.txt: ")


@pytest.mark.parametrize("name", ["grid/m99", "grid/m5", "grid/m002", "paths/mine", "grid/levels"])
def test_what_nobody_asked_for_fails_and_is_not_drawn(run: Run, name: str) -> None:
    """Somebody put it there, with nice numbers and a seal."""
    before = takeaway(load(run))
    record = run.read("grid/m02" if name.startswith("grid") else "paths/darts-1")
    steps = int(name[6:]) if name[6:].isdigit() else 99
    flat = {key: array / 1e6 if key == "loss" else array for key, array in record.arrays.items()}
    run.write(name, flat, {**record.attributes, "inner_steps": steps, "method": name[6:]})
    said = verdict(run.path, points=0)
    assert (said.code, said.failed) == (1, {"schema"})
    assert name in said.why("schema")
    assert takeaway(load(run)) == before


def test_the_content_hash_is_compared(run: Run) -> None:
    right = run.content_hash()
    assert verdict(run.path, "--expect", right, points=0).code == 0
    reseal(run, "search/epoch-0001", lambda arrays: arrays["losses"].fill(1.0))
    run.write("search/epoch-0001", run.read("search/epoch-0001").arrays | {"loss": np.zeros(4)},
              run.read("search/epoch-0001").attributes)  # fmt: skip
    assert verdict(run.path, points=0).code == 0  # sealed, and nothing recomputes a search
    said = verdict(run.path, "--expect", right, points=0)
    assert (said.code, said.failed) == (1, {"content hash"})


@pytest.mark.parametrize("name", ["grid/m01", "paths/zarts-mgs"])
def test_a_missing_record_is_unfinished_work(run: Run, name: str) -> None:
    (run.path / f"{name}.h5").unlink()
    said = verdict(run.path, points=0)
    assert (said.code, said.of("complete")) == (0, ["note"])
    assert name in said.why("complete")


def test_a_record_that_others_need_is_a_failure(run: Run) -> None:
    (run.path / "snapshot" / "epoch-0002.h5").unlink()
    assert verdict(run.path).failed == {"complete", "values"}
    (run.path / "plane.h5").unlink()
    said = verdict(run.path)
    assert (said.code, said.failed, said.of("values")) == (1, {"complete"}, ["unchecked"])


def test_an_unfinished_run_is_checked_for_what_it_holds(run: Run) -> None:
    def half(arrays: dict[str, Any]) -> None:
        arrays["loss"][1:], arrays["status"][1:] = np.nan, 0

    reseal(run, "grid/m02", half)
    shutil.rmtree(run.path / "paths")
    said = verdict(run.path, points=1)
    assert (said.code, said.of("complete")) == (0, ["note"])
    assert "has no paths/darts-1, paths/darts-2" in said.why("complete")
    assert said.why("complete").endswith("3 of 6 points of grid/m02")
    assert said.why("surface M=2").startswith("bit-equal: [0, ")
    for part in ("grid", "plane.h5"):
        path = run.path / part
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    said = verdict(run.path)  # a search
    assert (said.code, said.why("values")) == (0, "holds no landscape")


def test_a_folder_of_runs_has_a_table_for_each(run: Run) -> None:
    shutil.copytree(run.path, run.path.with_name("second"))
    run.path.with_name("third").symlink_to(run.path)
    flipped(run.path.with_name("second") / "grid" / "m00.h5")
    answer = say("-q", "-k", "0", run.path.parent)
    assert answer.code == 1
    heads = [line for line in answer.out.splitlines() if line.startswith(str(run.path.parent))]
    assert heads == [str(run.path.with_name(name)) for name in ("second", "third", "tiny")]
    assert answer.out.count("FAIL") == 2


def test_a_run_that_lost_its_first_file_is_told_among_the_others(run: Run) -> None:
    second = run.path.with_name("second")
    shutil.copytree(run.path, second)
    (second / "run.h5").unlink()
    answer = say("-q", "-k", "0", run.path.parent)
    assert answer.code == 1
    assert f"{second}: has records but no run.h5" in answer.out


@pytest.mark.parametrize("word", ["", "abc", "0" * 63, "G" * 64])
def test_what_is_no_hash_is_not_expected(run: Run, word: str, capsys: Any) -> None:
    with pytest.raises(SystemExit):
        main(["--expect", word, str(run.path)])
    assert f"got {word!r}, expected 64 hexadecimal digits" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["search/epoch-0001", "snapshot/epoch-0002"])
def test_a_lost_record_of_the_search_is_damage(run: Run, name: str) -> None:
    (run.path / f"{name}.h5").unlink()
    assert f"has lost {name}" in verdict(run.path, points=0).why("complete")


@pytest.mark.parametrize("name", ["search/epoch-0001", "paths/zarts-mgs", "plane", "grid/m00"])
def test_a_record_of_another_run_is_none_of_this_one(run: Run, name: str) -> None:
    """Though its seal is whole and it fits the settings in shape."""
    other = Run(run.path, run.config | {"seed": 1}, run.provenance)
    record = run.read(name)
    other.write(name, record.arrays, record.attributes)
    found = verdict(run.path, points=0)
    assert "is of a run of other settings or data" in found.why("seal")
    with pytest.raises(ForeignFile, match="put back the one of this run"):
        run.read(name)


def test_a_failure_counts_more_than_what_could_not_be_checked(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ZARTS_DATA", raising=False)
    second = run.path.with_name("second")
    shutil.copytree(run.path, second)
    for name in ("config.toml", "plane.h5", "checkpoint.h5"):
        (second / name).unlink(missing_ok=True)
    for name in ("grid", "paths", "search", "snapshot"):  # of the data set it was of
        shutil.rmtree(second / name)
    restate(Run.open(second), "config", {"data.name": "cifar10"})
    assert say("-q", "-k", "0", run.path, second).code == 2  # no CIFAR-10 here
    flipped(run.path / "grid" / "m00.h5")
    assert say("-q", "-k", "0", run.path, second).code == 1


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "is no run (no run.h5) and holds none"),
        ("nothing", "is neither a folder nor a file of a run"),
        ("tiny/grid/m07.h5", "is neither a folder nor a file of a run"),
        ("tiny/config.toml", "is neither a folder nor a file of a run"),
        ("lost.h5", "is a record, but no folder above it is a run"),
    ],
)
def test_what_is_no_run_is_a_usage_error(run: Run, tmp_path: Path, name: str, words: str) -> None:
    shutil.copy(run.path / "plane.h5", tmp_path / "lost.h5")
    (tmp_path / "empty").mkdir()
    answer = say(tmp_path / (name or "empty"))
    assert answer.code == 2
    assert words in answer.error


def test_a_run_is_named_as_elsewhere(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZARTS_RUNS", str(run.path.parent))
    assert say("-q", "-k", "0", run.name).code == 0


def test_expect_is_for_one_run(run: Run) -> None:
    assert say("--expect", "0" * 64, run.path, run.path).code == 2
    assert say("--expect", "0" * 64, run.path / "plane.h5").code == 2


@pytest.mark.parametrize("flags", [["-k", "-1"], ["-k", "x"], ["--seed", "1.5"], []])
def test_wrong_flags_are_usage_errors(flags: list[str], run: Run) -> None:
    with pytest.raises(SystemExit) as exit_:
        say(*flags, *([run.path] if flags else []))
    assert exit_.value.code == 2


def test_help_answers_without_torch() -> None:
    code = (
        "import sys; from landscape.verify.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: sys.exit(end.code or 3 * ('torch' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "exit codes: 0 all hold, 1 a check fails" in " ".join(done.stdout.split())
