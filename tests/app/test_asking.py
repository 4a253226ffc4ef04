"""What a form asks for, and who may ask."""

from __future__ import annotations

import ast
import importlib
import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from landscape.compute.__main__ import main
from landscape.compute.flags import folder_of, parser, resolve
from tests.tiny import call
from zarts.settings.config import Config, merge
from zarts.settings.presets import PRESETS, complete

HERE = {"Host": "localhost:8501"}
pytestmark = pytest.mark.usefixtures("no_demo")


def test_the_command_is_what_the_form_says(asking: ModuleType, tmp_path: Path) -> None:
    for preset in PRESETS:  # a preset alone needs no other word
        wanted = asking.ask(asking.defaults(preset))
        assert wanted.words == ["-m", "landscape.compute", "--preset", preset]
        assert wanted.config == complete(preset, "darts-1")
    choices = replace(
        asking.defaults("quick"), space="s6", data="cifar10", seed="3", m="2,5", grid="5x7",
        scale="alpha", workers="2", methods="darts-1,zarts-rs",
        more="search.epochs=2\n\nsearch.momentum=0.5",
    )  # fmt: skip
    wanted = asking.ask(choices)
    assert wanted.command("--dry-run") == (
        "python -m landscape.compute --preset quick --steps 2,5 --grid 5x7 --scale alpha --seed 3 "
        "--workers 2 --set space=s6 --set data.name=cifar10 "
        """--set 'paths.methods=["darts-1","zarts-rs"]' --set search.epochs=2 """
        "--set search.momentum=0.5 --dry-run"
    )
    args = parser().parse_args(wanted.words[2:])
    assert resolve(args).config == wanted.config
    assert folder_of(args, resolve(args)) == wanted.folder
    given = call(main, *wanted.words[2:], "--print-config").out
    assert given == wanted.config.to_toml(whole=True)
    (line,) = re.findall(r"complete\('quick', 'darts-1', (.*)\)", asking.python(wanted, choices))
    assert complete("quick", "darts-1", ast.literal_eval(line)) == wanted.config
    assert asking.Choices.read(str(choices)) == choices
    with pytest.raises(ValueError, match="no choices"):
        asking.Choices.read('{"preset": "quick"}')


@pytest.mark.parametrize(
    ("preset", "given", "more"),
    [
        ("quick", {}, ""),
        ("standard", {"seed": 3, "landscape": {"more_steps": [2], "rows": 5}}, ""),
        ("paper-s2", {}, ""),
        ("quick", {"search": {"epochs": 2, "momentum": 0.5}, "paths": {"methods": []}},
         "search.epochs=2\nsearch.momentum=0.5"),
        ("quick", {"landscape": {"scale": 0.1 + 0.2}}, ""),
    ],
)  # fmt: skip
def test_a_run_fills_the_form(asking: ModuleType, preset: str, given: dict, more: str) -> None:
    config = complete(preset, "darts-1", given)
    found = asking.like(config.to_table())
    assert (found.preset, found.more) == (preset, more)
    assert asking.ask(found).config == config


def test_what_no_form_asks_for_fills_none(asking: ModuleType) -> None:
    table = complete("quick", "darts-1").to_table()
    for mine in (
        {"data": {"name": "mine.npz"}},
        {"paths": {"methods": ["mine:Evil"]}},
        {"source": "ab" * 32, "landscape": {"epoch": 1}},  # of --run
        {"search": {"origin": f"run/epoch-0001/{'a' * 16}"}},
        {"landscape": {"axes": f"pca:{'a' * 16}"}},
    ):
        Config.from_table(merge(table, mine))  # such runs there are
        assert asking.like(merge(table, mine)) is None
    for odd in ({"landscape": 3}, {"data": None}, {"search": {"epochs": "<b>"}}, {"odd": [1]}):
        assert asking.like(odd) is None


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("m", "-3", "landscape.steps is -3, expected 0 or more"),
        ("m", "ten", "got --steps 'ten', expected M such as 10, or 2,5,10"),
        ("m", "--help", "expected one argument"),
        ("m", "", "got '', expected M such as 10"),
        ("m", "2,,5", "got --steps '2,,5', expected M such as 10"),
        ("seed", "-1", "seed is -1, expected 0 or more"),
        ("workers", "0", "got --workers 0, expected 1 or more"),
        ("workers", "", "expected a whole number or auto"),
        ("grid", "1x4", "landscape.rows is 1, expected 2 or more"),
        ("grid", "1002x4", "at most 1001 points per axis"),
        ("grid", "--help", "expected ROWSxCOLS"),
        ("scale", "wide", "expected unit or alpha or a number > 0"),
        ("scale", "--json", "expected one argument"),
        ("scale", "inf", "expected a finite number"),
        ("methods", "darts-1,mine:Evil", "mine:Evil is an optimizer of your own"),
        ("more", "search.method=mine:Evil", "mine:Evil is an optimizer of your own"),
        ("more", "supernet.network=mine:Evil", "mine:Evil is a network of your own"),
        ("more", "search.epoch=3", "did you mean 'search.epochs'"),
        ("more", "--help", "expected one argument"),
        ("more", "seed=" + "1" * 3000, "expected at most 2000"),
    ],
)
def test_what_cannot_be_is_said_of_its_field(
    asking: ModuleType, field: str, value: str, told: str
) -> None:
    wanted = asking.ask(replace(asking.defaults("quick"), **{field: value}))
    assert list(wanted.problems) == [field]
    assert told in wanted.problems[field]
    assert wanted.folder is None


def test_what_does_not_go_together(asking: ModuleType) -> None:
    both = {"methods": "implicit", "more": "supernet.network=sampled"}
    wanted = asking.ask(replace(asking.defaults("quick"), **both))
    assert "needs ω at an optimum of one loss" in wanted.problems[""]
    assert "preset" in asking.ask(replace(asking.defaults("quick"), preset="odd")).problems


def test_only_this_machine_may_start(parts: None, tmp_path: Path) -> None:
    here = importlib.import_module("parts.here")
    for fine in (
        {"Host": "localhost"},
        {"Host": "[::1]:80"},
        HERE | {"Origin": "http://127.0.0.1"},
    ):
        assert here.refusal(None, fine) == ""
    assert here.refusal("127.0.0.2", HERE) == ""
    for address, headers, told in (
        ("10.0.0.7", HERE, "this browser is at 10.0.0.7"),
        (None, {"Host": "evil.example:8501"}, "opened as evil.example:8501"),
        (None, {}, "opened as nothing"),
        (None, HERE | {"Origin": "https://public.example"}, "shown by https://public.example"),
        (None, HERE | {"X-Forwarded-For": "10.0.0.7"}, "through a proxy"),
    ):
        assert told in here.refusal(address, headers)
    assert here.unwritable(tmp_path / "not" / "there") == ""
    (tmp_path / "file").write_text("")
    assert "is no folder" in here.unwritable(tmp_path / "file" / "runs")
