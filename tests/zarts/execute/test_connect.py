"""The way to a cluster: what is refused before Ray is asked, and how soon."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.zarts.execute.chores import setup, square
from zarts.execute import ClusterError, connect, run
from zarts.execute.cluster import versions


@pytest.fixture
def no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in connect.TOKENS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def line() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def refused(address: str) -> str:
    with pytest.raises(ClusterError) as caught:
        list(run(setup, square, range(3), cluster=address, workers=None))
    return str(caught.value)


@pytest.mark.parametrize("address", ["", "auto", "nowhere", "host:", ":1", "ray://host:1", "h:x"])
def test_what_is_no_address(address: str) -> None:
    assert "expected 'local' or HOST:PORT" in refused(address)


def test_ray_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'zarts\[cluster\]'"):
        list(run(setup, square, range(3), cluster="local"))


@pytest.mark.usefixtures("no_token")
@pytest.mark.parametrize("host", ["10.1.2.3", "192.0.2.1", "head.example", "[2001:db8::1]"])
def test_another_machine_without_a_token_is_refused(host: str) -> None:
    text = refused(f"{host}:6379")
    assert "no token for the cluster" in text
    assert "RAY_AUTH_TOKEN" in text


@pytest.mark.usefixtures("no_token")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_this_machine_needs_no_token(host: str) -> None:
    assert "RAY_AUTH_MODE" not in connect.variables_for(False, host)


@pytest.mark.usefixtures("no_token")
def test_a_token_is_used_wherever_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/some/where")
    assert connect.variables_for(False, "10.1.2.3")["RAY_AUTH_MODE"] == "token"
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH")
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray/auth_token").write_text("secret")
    assert connect.variables_for(False, "10.1.2.3")["RAY_AUTH_MODE"] == "token"


@pytest.mark.usefixtures("no_token")
def test_a_cluster_of_our_own_has_a_token_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = connect.variables_for(True, "")
    assert variables["RAY_AUTH_MODE"] == "token"
    assert len(variables["RAY_AUTH_TOKEN"]) == 64
    monkeypatch.setenv("RAY_AUTH_TOKEN", "theirs")
    assert "RAY_AUTH_TOKEN" not in connect.variables_for(True, "")


def test_the_environment_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONE", "before")
    with connect.environment({"ONE": "1", "TWO": "2"}):
        assert (os.environ["ONE"], os.environ["TWO"]) == ("1", "2")
    assert os.environ["ONE"] == "before"
    assert "TWO" not in os.environ


def test_nobody_answers(line: socket.socket) -> None:
    host, port = line.getsockname()
    line.close()
    with pytest.raises(ClusterError, match=f"nobody answers at {host}:{port}"):
        connect.knock(host, port, f"{host}:{port}")


@pytest.mark.parametrize("host", ["a..b", "a" * 300])
def test_what_can_be_no_name_does_not_answer(host: str) -> None:
    with pytest.raises(ClusterError, match=r"nobody answers at .* \(.*label"):
        connect.knock(host, 6379, f"{host}:6379")


def test_versions_are_found_without_torch() -> None:
    assert set(versions()) == {"Python", "torch", "zarts"}
    assert all(versions().values())
