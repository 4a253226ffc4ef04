"""A genotype by name, file, run or text; and one line for what is none."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.programs import EARLY, registered, staged
from tests.tiny import create, tiny
from zarts.genotype.source import check_space, read_source
from zarts.runs.runfile import ForeignFile, Run, RunError
from zarts.settings.config import Config, ConfigError
from zarts.settings.stages import Point
from zarts.supernet.genotype import Genotype
from zarts.supernet.published import NAMED

V1, V2 = NAMED["DARTS_V1"], NAMED["DARTS_V2"]
Searched = Callable[..., Run]


@pytest.fixture
def searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Searched:
    """Writes a run named ``mine`` that has the genotypes of these epochs."""
    monkeypatch.setenv("ZARTS_RUNS", str(tmp_path / "runs"))
    registered(monkeypatch)

    def write(config: Config, *epochs: tuple[Point, Genotype]) -> Run:
        run = create(tmp_path / "runs" / "mine", config)
        with run.lock():
            for point, genotype in epochs:
                run.write(point.search_record, {}, {"genotype": str(genotype)})
        return run

    return write


def test_a_published_one_a_text_and_a_file(tmp_path: Path) -> None:
    source = read_source("DARTS_V2")
    assert (source.genotype, source.name) == (V2, "DARTS_V2")
    assert source.provenance() == {"from": "published as DARTS_V2", "published": "DARTS_V2"}
    assert read_source(f"genotype = {V1}").genotype == V1
    file = tmp_path / "my best (3).log"
    file.write_bytes(f"epoch 1 {V1}\n".encode() + b"\xff")
    source = read_source(str(file))
    assert (source.genotype, source.name) == (V1, "my-best-3")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert source.provenance() == {
        "from": f"the file {file}", "file": file.name, "sha256": digest,
    }  # fmt: skip


def test_a_run_by_name_or_folder_and_its_epochs(searched: Searched, tmp_path: Path) -> None:
    run = searched(tiny(), (Point(0, 1), V1))
    source = read_source("mine")
    assert (source.genotype, source.name, source.point) == (V1, "mine-1", Point(0, 1))
    assert source.origin == f"epoch 1, the last so far, of {run.path}"
    searched(tiny(), (Point(0, 2), V2))
    with run.lock():
        run.write("snapshot/epoch-0002", {"alpha": np.zeros(3)}, {})
    source = read_source(str(run.path))
    assert source.origin == f"epoch 2, which the search chose, of {run.path}"
    assert (source.genotype, read_source("mine@1").genotype) == (V2, V1)
    assert read_source("mine@0.1").provenance() == {
        "from": f"epoch 1 of {run.path}", "run": "mine", "stage": 0, "epoch": 1,
        "content_hash": run.content_hash(),
    }  # fmt: skip


def test_of_a_search_that_ended_early_the_epoch_it_chose(searched: Searched) -> None:
    run = searched(staged(EARLY), (Point(0, 1), V1), (Point(0, 2), V2), (Point(1, 1), V2))
    with run.lock():
        records = [Point(0, n).search_record for n in (1, 2)]
        run.write("result", {"stage": np.array(0), "epoch": np.array(1)}, {"records": records})
    assert read_source("mine").genotype == V1
    assert read_source("mine@1.1").genotype == V2
    assert read_source("mine@1.1").name == "mine-1.1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("darts_v2", "got 'darts_v2', which is no published .* did you mean DARTS_V2"),
        ("PCDARTS_cifar", "did you mean PC_DARTS_cifar"),
        ("MINE", "did you mean mine"),
        ("", "expected NAME, FILE or RUN"),
        ("elsewhere@3", "got 'elsewhere', which is no"),
        ("mine@", "got epoch '', expected RUN@EPOCH"),
        ("mine@last", "got epoch 'last', expected RUN@EPOCH or RUN@STAGE.EPOCH"),
        ("mine@7", "got epoch 7, expected a finished one, up to epoch 1$"),
        ("mine@2.1", "got epoch 1 of stage 2, expected a finished one"),
        (str(V2).replace("dil_conv_3x3", "nor_conv_3x3"), "operation 'nor_conv_3x3', expected one"),
        (str(V2).replace("dil_conv_3x3", "none"), "operation 'none', expected one of noise"),
        (str(V2).replace(", ('dil_conv_3x3', 2)", ""), "7 inputs, expected 8: two per node"),
        ("Genotype(", "the text: got 'Genotype\\('"),
    ],
)
def test_what_is_none(text: str, message: str, searched: Searched) -> None:
    searched(tiny(), (Point(0, 1), V1))
    with pytest.raises(ConfigError, match=message) as caught:
        read_source(text)
    assert "\n" not in str(caught.value)


def test_files_and_runs_without_one(
    searched: Searched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("nothing")
    with pytest.raises(ConfigError, match=r"notes\.txt: got 'nothing' \(there is no Genotype"):
        read_source(str(file))
    monkeypatch.setattr("zarts.genotype.source._MOST", 3)
    with pytest.raises(ConfigError, match="larger than 0 MiB"):
        read_source(str(file))
    with pytest.raises(RunError, match="holds no run"):
        read_source(str(tmp_path))
    run = searched(tiny())
    with pytest.raises(ConfigError, match="no finished epoch of a search"):
        read_source("mine")
    with run.lock():
        run.write("search/epoch-0001", {}, {"genotype": str(V1).replace("skip_connect", "none")})
    with pytest.raises(ForeignFile, match="operation 'none'"):
        read_source("mine")


def test_cells_of_another_space_are_named() -> None:
    check_space(NAMED["DARTS_V2"], "s6")
    with pytest.raises(
        ConfigError, match=r"skip_connect from input 0 .* space s4 offers noise, sep"
    ):
        check_space(NAMED["DARTS_V2"], "s4")
    with pytest.raises(ConfigError, match="unknown space 's9'"):
        check_space(NAMED["DARTS_V2"], "s9")
