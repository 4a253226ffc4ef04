"""Every page in every state that runs can be in: none shows a traceback, each says what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from landscape.record import Status
from tests.app.conftest import LOSSES, Make, look, said
from zarts.runs.runfile import Run

pytestmark = pytest.mark.usefixtures("no_demo")
PAGES = ("", "runs", "compute", "search", "architecture", "learn")
STATES: dict[str, Callable[[Makers], object]] = {}
# What a page has to say: the next command, or what is wrong. Every page has its title anyway.
SAYS = {
    ("none", ""): "python -m landscape.compute",
    ("none", "runs"): "python -m landscape.compute",
    ("none", "architecture"): "DARTS_V1",
    ("none", "compute"): "python -m landscape.compute",
    ("none", "search"): "python -m landscape.compute",
    ("stopped", ""): "To go on with it:",
    ("running", ""): "Not finished",
    ("damaged", ""): "python -m landscape.verify",
    ("newer", ""): "upgrade zarts",
    ("newer", "runs"): "upgrade zarts",
    ("search", ""): "python -m landscape.compute --run",
    ("constant", ""): "constant",
    ("all NaN", ""): "cannot be compared",
    ("read only", "compute"): "ZARTS_READONLY",
    ("outside", ""): "no surface is there yet",
}


@dataclass(frozen=True)
class Makers:
    """What a state is made with."""

    run: Make
    search: Make
    runs: Path
    patch: pytest.MonkeyPatch
    stack: ExitStack


def state(build: Callable[[Makers], object]) -> Callable[[Makers], object]:
    """Names a state by its function, ``_`` for a space."""
    STATES[build.__name__.replace("_", " ")] = build
    return build


@state
def none(make: Makers) -> None:
    del make


@state
def one(make: Makers) -> Run:
    return make.run()


@state
def stopped(make: Makers) -> Run:
    return make.run(status=Status.PENDING)


@state
def running(make: Makers) -> None:
    run = make.run(status=Status.PENDING)
    make.stack.enter_context(run.lock())


@state
def damaged(make: Makers) -> None:
    (make.run().path / "grid" / "m10.h5").write_bytes(b"nothing")


@state
def newer(make: Makers) -> None:
    file = make.run().path / "run.h5"
    file.write_bytes(file.read_bytes().replace(b"format 1", b"format 9", 1))


@state
def search(make: Makers) -> Run:
    return make.search("found")


@state
def constant(make: Makers) -> Run:
    return make.run(losses={m: np.full_like(loss, 0.5) for m, loss in LOSSES.items()})


@state
def all_NaN(make: Makers) -> Run:
    return make.run(losses={m: np.full_like(loss, np.nan) for m, loss in LOSSES.items()})


@state
def large(make: Makers) -> Run:
    axis = np.linspace(-1, 1, 401)
    cols, rows = np.meshgrid(axis, axis)
    return make.run(losses={0: cols**2 + rows, 10: cols**2 + rows**2}, axes=(axis, axis))


@state
def non_ASCII(make: Makers) -> Path:
    run = make.run()
    return run.path.rename(run.path.with_name("läuft-形"))


@state
def read_only(make: Makers) -> Run:
    make.patch.setenv("ZARTS_READONLY", "1")
    return make.run()


@state
def outside(make: Makers) -> None:
    """A part of the run is a link out of its folder."""
    part = make.run().path / "grid"
    part.rename(make.runs.parent / "elsewhere")
    part.symlink_to(make.runs.parent / "elsewhere")


@pytest.fixture
def makers(
    make: Make, search: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Makers]:
    with ExitStack() as stack:
        yield Makers(make, search, tmp_path / "runs", monkeypatch, stack)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("name", STATES)
def test_page_in_state(name: str, page: str, makers: Makers, root: Path) -> None:
    STATES[name](makers)
    app = look(root, page)
    assert app.title or app.get("skeleton")
    assert SAYS.get((name, page), "") in said(app)
