"""Tables of settings: `key=value`, merging, and files of TOML that need not be honest."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from zarts.optimizers import METHODS
from zarts.retrain.settings import RetrainConfig
from zarts.settings import tables
from zarts.settings.config import Config, ConfigError, merge, parse_assignment, read_toml
from zarts.settings.tables import from_toml


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("search.epochs=3", {"search": {"epochs": 3}}),
        ("seed = 4", {"seed": 4}),
        ("landscape.scale=1e-3", {"landscape": {"scale": 1e-3}}),
        ("supernet.space=s6", {"supernet": {"space": "s6"}}),
        ('supernet.space="s6"', {"supernet": {"space": "s6"}}),
        ("search.snapshots=[1, 2]", {"search": {"snapshots": [1, 2]}}),
        ("optimizer.antithetic=false", {"optimizer": {"antithetic": False}}),
        ("data.name=a=b", {"data": {"name": "a=b"}}),
        ("data.name=", {"data": {"name": ""}}),
        ("seed=1\nsource=2", {"seed": "1\nsource=2"}),
        ("seed=" + "1" * 5000, {"seed": "1" * 5000}),
    ],
)
def test_assignments(text: str, table: dict[str, Any]) -> None:
    assert parse_assignment(text) == table


@pytest.mark.parametrize("text", ["epochs", "=3", "", "search..epochs=3", ".seed=1", "search.=1"])
def test_what_is_no_assignment(text: str) -> None:
    with pytest.raises(ConfigError, match=r"expected key=value such as search\.epochs=3"):
        parse_assignment(text)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ([{"a": {"b": {"c": 1}}}, {"a": {"b": 2}}], r"^a\.b is 2, expected a table of settings$"),
        (
            [{"a": {"b": 2}}, {"a": {"b": {"c": 1}}}],
            r"^a\.b is 2 and no table, but got a\.b\.c too$",
        ),
    ],
)
def test_merge_refuses_a_table_against_a_value(tables: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        merge(*tables)


def test_merge_goes_key_by_key_and_copies() -> None:
    first = {"search": {"epochs": 1, "warmup": 0}, "seed": 1}
    merged = merge(first, {"search": {"epochs": 2}}, {"data": {"name": "x"}})
    assert merged == {"search": {"epochs": 2, "warmup": 0}, "seed": 1, "data": {"name": "x"}}
    merged["search"]["epochs"] = 9
    assert first["search"] == {"epochs": 1, "warmup": 0}


@pytest.mark.parametrize("content", [None, b"seed = ", b"\xff\xfe", b"seed = 1\nseed = 2"])
def test_an_unreadable_file_is_named(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"cannot read the config .*mine\.toml"):
        read_toml(path)


DOTS = ".".join(30_000 * "a")


@pytest.mark.parametrize(
    "text",
    [
        "a = " + 60_000 * "[",
        "# " + (1 << 16) * "x",
        f"{DOTS} = 1",
        f"[{DOTS}]",
        f"a = {{{DOTS} = 1}}",
        f'x = {{a = """b"""", {DOTS} = 1}}',
        f"x = 'it' # '\n{DOTS} = 1",
        f'x = "a\\"" \n{DOTS} = 1',
        "a = " + 5 * "{b.c.d = " + "1" + 5 * "}",
    ],
)
def test_a_file_that_nobody_writes_is_refused_unread(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    loads = tables.tomllib.loads
    monkeypatch.setattr(tables.tomllib, "loads", lambda text: loads(text) if len(text) < 99 else 0)
    with pytest.raises(ConfigError, match=r"cannot read the config .*(deeper than 8|65,536 bytes)"):
        read_toml(file)
    with pytest.raises(ConfigError, match="nested deeper than 8"):
        parse_assignment(f"{'.'.join(9 * 'a')}=1")


def test_text_in_settings_may_hold_dots_and_brackets(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    text = "\n".join(
        [
            "# a.b.c.d.e.f.g.h.i [[[[[[[[[",
            'a = "a.b.c.d.e.f.g.h.i [[[[[[[[["',
            "b = '[[[[[[[[[\"'",
            'c = """a.b.c.d.e.f\n.g.h.i.j"[[[[[[[[["""',
            "d = [[1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5]]",
            "[e.f.g]",
            "h.i.j = {k = 1}",
        ]
    )
    file.write_text(text)
    assert read_toml(file)["e"]["f"]["g"]["h"]["i"]["j"]["k"] == 1


@pytest.mark.parametrize("file", ["/dev/zero", "/dev", "."])
def test_what_is_no_file_is_not_read(file: str) -> None:
    with pytest.raises(ConfigError, match="it is no file"):
        read_toml(Path(file))


@pytest.mark.parametrize("method", [*METHODS, "retrain"])
def test_every_printed_setting_has_a_comment(method: str) -> None:
    config: Config | RetrainConfig = RetrainConfig()
    if method != "retrain":
        search = {"method": method, "snapshots": [1, 2]}  # a list takes several lines
        rule = METHODS[method].optimizer
        assert isinstance(rule, type)
        values = {spec.name: spec.default for spec in dataclasses.fields(rule)}
        config = Config.from_table({"search": search, "optimizer": values})
    text = config.to_toml(whole=True)
    lines = text.splitlines()
    assert max(map(len, (line for line in lines if line.startswith("#")))) <= 100
    bare = [
        line
        for before, line in zip(["", *lines], lines, strict=False)
        if re.match(r"[\[\w]", line) and not re.match(r"# \S", before)
    ]
    assert not bare, "give these an entry under Attributes: in the docstring of their class"
    assert from_toml(text) == config.to_table(whole=True)
    assert "# " not in config.to_toml()  # what is stored with runs


def test_settings_without_an_entry_stay_bare() -> None:
    own = {"search": {"method": "mine:Rule"}, "optimizer": {"sigma": 0.5}}
    text = Config.from_table(own).to_toml(whole=True)
    assert "[optimizer]\nsigma = 0.5\n\n# Plane and grid.\n[landscape]\n# M of" in text
