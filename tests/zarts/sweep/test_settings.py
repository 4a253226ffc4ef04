"""The file of a sweep: the same configs as `python -m zarts` makes, and a clear word otherwise."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.tiny import call
from zarts.__main__ import main as search_main
from zarts.settings.config import ConfigError
from zarts.sweep.__main__ import main
from zarts.sweep.settings import Sweep, read_sweep

GOOD = """
preset = "standard"
seeds = [3, 0]
data.subset = 640
[search]
momentum = 0.8
[[experiment]]
name = "first"
method = "darts-1"
[[experiment]]
name = "wide"
search.method = "zarts-mgs"
optimizer = {sigma = 0.5}
"""


def read(tmp_path: Path, text: str, name: str | None = None) -> Sweep:
    file = tmp_path / "some.toml"
    file.write_text(text)
    return read_sweep(file, name)


def settings(sweep: Sweep, *keys: str) -> dict[str, tuple[object, ...]]:
    """Values of some settings, by experiment, of its first seed."""
    found: dict[str, tuple[object, ...]] = {}
    for search in sweep.searches:
        table = search.config.to_table()
        values = tuple(table[section][name] for section, name in (key.split(".") for key in keys))
        found.setdefault(search.experiment, values)
    return found


def test_every_search_has_the_config_it_has_alone(tmp_path: Path) -> None:
    sweep = read(tmp_path, GOOD)
    shared = ["--preset", "standard", "--set", "data.subset=640", "--set", "search.momentum=0.8"]
    own = {
        "first": ["--method", "darts-1"],
        "wide": ["--method", "zarts-mgs", "--set", "optimizer.sigma=0.5"],
    }
    for search in sweep.searches:
        flags = [*shared, *own[search.experiment], "--seed", search.name[-1]]
        alone = call(search_main, *flags, "--print-config").out
        assert search.config.to_table(whole=True) == tomllib.loads(alone)
    assert [search.name for search in sweep.searches] == [
        "some-first-seed-3", "some-first-seed-0", "some-wide-seed-3", "some-wide-seed-0",
    ]  # fmt: skip
    assert {search.folder.parent for search in sweep.searches} == {tmp_path / "runs"}
    assert read(tmp_path, GOOD, "mine").searches[0].name == "mine-first-seed-3"


def test_axes_make_every_combination(tmp_path: Path) -> None:
    text = """
seeds = [0]
[axes]
search.inner_steps = [0, 10]
"search.snapshots" = [[1], [1, 2]]
[[experiment]]
name = "a"
[[experiment]]
name = "b"
axes = {method = ["zarts-gld", "zarts-rs"], search = {inner_steps = [5], snapshots = [[2]]}}
"""
    keys = ("search.method", "search.inner_steps", "search.snapshots")
    assert settings(read(tmp_path, text), *keys) == {
        "a-inner_steps-0-snapshots-1": ("zarts-mgs", 0, [1]),
        "a-inner_steps-0-snapshots-1_2": ("zarts-mgs", 0, [1, 2]),
        "a-inner_steps-10-snapshots-1": ("zarts-mgs", 10, [1]),
        "a-inner_steps-10-snapshots-1_2": ("zarts-mgs", 10, [1, 2]),
        "b-inner_steps-5-snapshots-2-method-zarts-gld": ("zarts-gld", 5, [2]),
        "b-inner_steps-5-snapshots-2-method-zarts-rs": ("zarts-rs", 5, [2]),
    }


def test_the_preset_fits_the_method_of_the_experiment(tmp_path: Path) -> None:
    sweep = read(tmp_path, 'seeds = [0]\nmethod = "darts-2"\n[[experiment]]\nname = "a"\n'
                 '[[experiment]]\nname = "b"\nmethod = "zarts-rs"\n')  # fmt: skip
    assert settings(sweep, "search.method", "search.period", "search.inner_velocity") == {
        "a": ("darts-2", 1, "copy"),
        "b": ("zarts-rs", 10, "zero"),
    }


A = '[[experiment]]\nname = "a"\n'
B = '[[experiment]]\nname = "b"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "seeds is None, expected a list such as seeds = [0, 1, 2]"),
        ("seeds = []\n" + A, "seeds is []"),
        ("seeds = 3\n" + A, "seeds is 3"),
        ("seeds = [0, 1.5]\n" + A, "seeds[1] is 1.5, expected a whole number"),
        ("seeds = [true]\n" + A, "seeds[0] is True"),
        ("seeds = [-1]\n" + A, "seeds[0] is -1"),
        ('seeds = ["0"]\n' + A, "seeds[0] is '0'"),
        ("seeds = [1, 2, 1]\n" + A, "expected each seed once"),
        ("seeds = [0]\n", "begin each with a line [[experiment]]"),
        ('seeds = [0]\n[experiment]\nname = "a"', "begin each with a line [[experiment]]"),
        ("seeds = [0]\nexperiment = [3]", "experiment 1 has name None"),
        ("seeds = [0]\n[[experiment]]\nname = 3", "experiment 1 has name 3"),
        ("seeds = [0]\n" + A + A, "two experiments are called 'a'"),
        ("seeds = [0]\n" + A + B, "'a' and 'b' have the same settings"),
        ("seeds = [0]\n" + A + 'method = "darts-3"', "experiment 'a': search.method is 'darts-3'"),
        ("seeds = [0]\n" + A + "method = 3", "experiment 'a': search.method is 3"),
        ("seeds = [0]\n" + A + "search.epoch = 3", "experiment 'a': unknown setting 'search.ep"),
        ("seeds = [0]\n" + A + "nmae = 3", "'nmae' of experiment 'a'; did you mean 'name'?"),
        ("seeds = [0]\n" + A + "seed = 3", "got seed of experiment 'a'; the seeds of all"),
        ("seed = 0\n" + A, "the seeds of all are one list"),
        ("seeds = [0]\nexperiments = 1\n" + A, "did you mean 'experiment'?"),
        ("seeds = [0]\nserach.epochs = 1\n" + A, "did you mean 'search'?"),
        ('seeds = [0]\npreset = "quik"\n' + A, "unknown preset 'quik'; did you mean 'quick'?"),
        ("seeds = [0]\npreset = 3\n" + A, "preset is 3"),
        ("seeds = [0]\n" + A + "search.warmup = 3", "experiment 'a': search.warmup is 3 of 3"),
        ("seeds = [0]\naxes = 3\n" + A, "axes is 3"),
        ("seeds = [0]\naxes.search.epochs = 3\n" + A, "axis search.epochs is 3, expected a list"),
        ("seeds = [0]\naxes.search.epochs = []\n" + A, "axis search.epochs is []"),
        ("seeds = [0]\naxes.serach.epochs = [1]\n" + A, "'serach' in axes; did you mean 'search'?"),
        (
            'seeds = [0]\n[axes]\nmethod = ["zarts-rs"]\nsearch.method = ["zarts-mgs"]\n' + A,
            "axis search.method is there under two names",
        ),
        ("seeds = [0]\naxes.seed = [1]\n" + A, "got seed in axes"),
        ("seeds = [0]\naxes.search.epoch = [1]\n" + A, "'a-epoch-1': unknown setting"),
        ("seeds = [0]\naxes.search.epochs = [3, 3]\n" + A, "are called 'a-epochs-3'"),
        ("seeds = [0]\naxes.search.epochs = [3, 4]\n" + A + "search.epochs = 5",
         "search.epochs of experiment 'a' is an axis and has a value"),
        (f"seeds = [0]\naxes.search.epochs = {[*range(200)]}\n" + A
         + f"axes.search.period = {[*range(100)]}", "20,000 searches, at most 10,000 go"),
        ('seeds = [0]\n[[experiment]]\nname = "a b"', "'bad-a b-seed-0' may hold letters"),
        ('seeds = [0]\n[[experiment]]\nname = ""', "'bad--seed-0' may hold letters"),
        ('seeds = [0]\n[[experiment]]\nname = "a/b"', "'bad-a/b-seed-0' may hold letters"),
        (f'seeds = [0]\n[[experiment]]\nname = "{"a" * 80}"', "at most 80"),
        ("seeds = [0", "cannot read"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_clear_line(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(text)
    answer = call(main, file)
    assert answer.code == 2
    assert message in answer.error
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["nowhere.toml"], "nowhere.toml"),
        (["good.toml", "--workers", "0"], "got --workers 0, expected 1 or more"),
        (["good.toml", "--workers", "-2"], "got --workers -2"),
        (["good.toml", "--out", "some/where"], "'some/where-first-seed-3' may hold"),
    ],
)
def test_a_wrong_flag_is_one_clear_line(
    flags: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("good.toml").write_text(GOOD)
    answer = call(main, *flags)
    assert answer.code == 2
    assert message in answer.error


def test_a_long_name_is_no_error_before_it_is_one(tmp_path: Path) -> None:
    tail = len("-first-seed-3")
    assert len(read(tmp_path, GOOD, "n" * (80 - tail)).searches) == 4
    with pytest.raises(ConfigError, match="at most 80"):
        read(tmp_path, GOOD, "n" * (81 - tail))


def test_the_examples_can_be_read(root: Path) -> None:
    files = sorted((root / "configs").glob("sweep*.toml"))
    assert files
    counts = {file.stem: len(read_sweep(file).searches) for file in files}
    assert counts["sweep_quick"] == 15


def test_the_example_in_the_help_can_be_read(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    text = said[said.index("  preset =") : said.index("Every search is")]
    assert [*settings(read(tmp_path, text), "search.epochs", "optimizer.sigma").items()] == [
        ("mgs-inner_steps-0", (3, 0.1)),
        ("mgs-inner_steps-10", (3, 0.1)),
    ]
    assert "file system they share" in said.replace("\n" + 21 * " ", " ")


def test_help_and_mistakes_need_no_torch(root: Path) -> None:
    code = (
        "import sys; from zarts.sweep.__main__ import main\n"
        "assert main(['nowhere.toml']) == 2\n"
        "try: main(['--help'])\n"
        "except SystemExit: assert 'torch' not in sys.modules"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
