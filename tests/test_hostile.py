"""Text from a run is text: no command lets it steer the terminal."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from landscape import merge, summary
from landscape.compute import __main__ as compute
from landscape.verify import __main__ as verify
from tests.hostile import TEXT, hostile_copy
from tests.test_stored import STORED
from tests.tiny import Answer, call, words
from tests.zarts.sweep.sweeps import sweep_file
from zarts import __main__ as zarts
from zarts.runs.runfile import Run
from zarts.sweep import __main__ as sweep
from zarts.text import markdown, printable


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs that say it in each place: settings and origin, one record, the name of a folder."""
    monkeypatch.setenv("ZARTS_RUNS", str(tmp_path / "runs"))
    stored = Run.open(STORED)
    hostile_copy(stored, tmp_path / "runs" / "all")
    for name in ("surface", "data"):
        shutil.copytree(STORED, tmp_path / "runs" / name)
    broken = Run.open(tmp_path / "runs" / "surface")
    record = broken.read("grid/m00")
    broken.write("grid/m00", record.arrays, {"inner_steps": TEXT})
    Run.open(tmp_path / "runs" / "data").amend({"data_fingerprint": TEXT, "command": [TEXT]})
    odd = tmp_path / "runs" / TEXT.replace("/", "\\")[:100]
    shutil.copytree(STORED, odd)
    (tmp_path / "runs" / "turned\x1b[31m").mkdir()
    return tmp_path / "runs"


def commands(runs: Path) -> dict[str, Callable[[], Answer]]:
    whole, odd = STORED, next(runs.glob("!*"))
    everything = ("all", "surface", "data", odd.name)
    swept = sweep_file(runs.parent)
    return {
        **{f"verify {n}": lambda n=n: call(verify.main, runs / n, "-k", "0") for n in everything},
        "verify -v": lambda: call(verify.main, runs, "-k", "0", "-v"),
        "verify --json": lambda: call(verify.main, runs, "-k", "0", "--json"),
        **{f"summary {n}": lambda n=n: call(summary.main, runs / n, whole) for n in everything},
        **{f"compute {n}": lambda n=n: call(compute.main, "--run", n, "-v") for n in everything},
        **{
            f"compute --out {n}": lambda n=n: call(compute.main, *words(), "--out", runs / n)
            for n in everything
        },
        **{f"merge {n}": lambda n=n: call(merge.main, whole, runs / n, "-v") for n in everything},
        **{f"zarts {n}": lambda n=n: call(zarts.main, "--out", runs / n) for n in everything},
        "sweep": lambda: call(sweep.main, swept, "--out", "all", "-v"),
    }


@pytest.mark.slow
def test_no_command_lets_a_run_steer_the_terminal(runs: Path) -> None:
    for seed in ("first-seed-0", "first-seed-3", "mgs-seed-0", "mgs-seed-3"):
        shutil.copytree(runs / "all", runs / f"all-{seed}")
    said = {}
    for name, command in commands(runs).items():
        answer = command()
        said[name] = answer.out + answer.err
        odd = [c for c in said[name].replace("\n", "") if not c.isprintable()]
        assert not odd, (name, said[name])
        assert "Traceback" in said[name] or "\nerror: forged" not in said[name], said[name]
    assert sum("http://127.0.0.1:9" in text for text in said.values()) > 5  # it was there to see


def test_text_stays_what_it_is() -> None:
    assert printable("a\x1b[1m\r\n\tb\u202ec\udc80") == "a?[1m   b?c?"
    assert printable("ω* → x̄ · 漢") == "ω* → x̄ · 漢"
    assert markdown(" *a_b* ") == r"\*a\_b\*"
    shown = markdown("![x](http://h/i) www.x.y a@b.c :red[r] :smile: $x$ <b>")
    assert not {"![", "](", "http:/", "www.", "@b", ":r", ":s", " $", " <"} & {
        shown[i : i + n] for n in (2, 4, 6) for i in range(len(shown))
    }
