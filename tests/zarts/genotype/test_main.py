"""The command: what it prints, and one line for what it cannot."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.tiny import call, create, tiny
from zarts.genotype.__main__ import main
from zarts.genotype.cost import NETWORKS, cost
from zarts.genotype.drawing import svg, text
from zarts.supernet.published import NAMED

V2 = NAMED["DARTS_V2"]


def test_it_shows_cells_text_and_costs(tmp_path: Path) -> None:
    file = tmp_path / "cells.svg"
    answer = call(main, "DARTS_V2", "--svg", file)
    assert answer.code == 0
    assert answer.out.splitlines() == [
        "DARTS_V2: published as DARTS_V2", "", *text(V2), "", str(V2), "",
        "network      20 cells, 36 channels, 10 classes, images of 3×32×32",
        "parameters   3,349,342, with auxiliary head 3,825,768",
        "macs         528.36 M",
        "thop_legacy  546.88 M",
    ]  # fmt: skip
    assert file.read_text(encoding="utf-8") == svg(V2, "DARTS_V2")


def test_a_run_on_imagenet_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZARTS_RUNS", str(tmp_path))
    run = create(tmp_path / "mine", tiny())
    with run.lock():
        run.write("search/epoch-0001", {}, {"genotype": str(V2)})
    answer = call(main, "mine@1", "--network", "imagenet", "--json")
    found = json.loads(answer.out)
    assert (found["genotype"], found["origin"]["epoch"]) == (str(V2), 1)
    assert found["network"] == {
        "channels": 48, "count": 14, "classes": 1000, "stem": "imagenet", "image": [3, 224, 224],
    }  # fmt: skip
    assert found["cost"] == asdict(cost(V2, **asdict(NETWORKS["imagenet"])))


def test_without_one_it_lists_what_is_published() -> None:
    lines = call(main, "--network", "8x16", "--classes", "100").out.splitlines()
    assert [line.split()[0] for line in lines] == ["network", *NAMED]
    assert "269,236 parameters" in lines[2]
    assert [each["name"] for each in json.loads(call(main, "--json").out)] == [*NAMED]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["DARTS_V3"], "no published genotype, no file and no run"),
        (["DARTS_V2", "--network", "20by36"], "--network, --classes: got network '20by36'"),
        (["DARTS_V2", "--classes", "0"], "got 0 classes"),
        (["DARTS_V2", "--svg", "none/there.svg"], "--svg none/there.svg: cannot be written"),
        (["--svg", "a.svg"], "got --svg without a genotype"),
    ],
)
def test_mistakes_are_one_line_and_code_2(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = call(main, *words)
    assert answer.code == 2
    assert message in answer.error
    assert not list(tmp_path.iterdir())


def test_it_needs_no_torch() -> None:
    code = (
        "import sys; from zarts.genotype.__main__ import main; main(['DARTS_V2']); "
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0
