"""Tiny run folders, made as the real ones are."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path as Folder
from types import ModuleType

import numpy as np
import pytest
from streamlit.components.v2 import manifest_scanner
from streamlit.runtime.context import ContextProxy
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

import landscape.catalogue
from landscape.record import OptimizerPath, Status, Surface, save_path, save_surface
from tests.tiny import tiny
from zarts.runs.runfile import Run
from zarts.supernet.spaces import SPACES

X = np.linspace(-1.0, 1.0, 5)
Y = np.linspace(-1.0, 1.0, 4)
COLS, ROWS = np.meshgrid(X, Y)
LOSSES = {
    0: 0.5 + (COLS - 0.5) ** 2 + 0.2 * (ROWS + 1) ** 2,
    1: 0.5 + COLS**2 + 0.1 * ROWS**2,
    10: 0.45 + 0.2 * (COLS + 0.5) ** 2 + 0.05 * ROWS**2,
}
CONFIG = {
    "space": "s3",
    "data": "fashion",
    "inner_learning_rate": 0.001,
    "paths": {"space": "plane", "weights": "frozen"},
}

Make = Callable[..., Run]


@pytest.fixture(autouse=True, scope="session")
def components_once() -> Iterator[None]:
    """AppTest has Streamlit look through all installed packages each time that a page runs."""
    found = cache(manifest_scanner.scan_component_manifests)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", found)
        yield


@pytest.fixture(autouse=True)
def main_stays() -> Iterator[None]:
    """Streamlit takes the page for the main module, which worker processes would import."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


def look(root: Folder, page: str, **query: str) -> AppTest:
    """Opens a page by its name in the address, without what is home."""
    app = AppTest.from_file(str(root / "app" / "main.py"), default_timeout=30)
    app._page_hash = calc_hash(page)  # the public way would run home first
    for key, value in query.items():
        app.query_params[key] = value
    app.run()
    assert not app.exception, app.exception
    return app


def read(element: object) -> str:
    """What is read on the page: without the escapes of Markdown."""
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", str(element.value)).replace("\u2060", "")


def said(app: AppTest) -> str:
    """All words of a page."""
    kinds = (app.title, app.markdown, app.caption, app.info, app.warning, app.error, app.code)
    return "\n".join(read(element) for kind in kinds for element in kind)


CELLS = (
    "Genotype(normal=[('skip_connect', 0), ('sep_conv_3x3', 1){0}], normal_concat=range(2, 6), "
    "reduce=[('skip_connect', 0), ('sep_conv_3x3', 1){1}], reduce_concat=range(2, 6))"
)
PAIR = ", ('skip_connect', 0), ('{}', 1)"


def cells(*operations: str) -> str:
    """The text of cells, of which each operation, at most six, is of one node."""
    filled = [PAIR.format(name) for name in (*operations, *["sep_conv_3x3"] * 6)[:6]]
    return CELLS.replace("{0}", "".join(filled[:3])).replace("{1}", "".join(filled[3:]))


@pytest.fixture
def search(tmp_path: Folder) -> Make:
    """Makes a search that is stopped after some epochs, or finished."""

    def build(name: str, method: str = "zarts-mgs", epochs: int = 2, **facts: float) -> Run:
        config = tiny(method)
        provenance = {"command": ["python", "-m", "zarts"], "created": f"2026-01-0{epochs}"}
        run = Run.create(tmp_path / "runs" / name, config.to_table(), provenance)
        dim = SPACES[config.supernet.space].dim
        for epoch in range(1, epochs + 1):
            alpha = np.random.default_rng(epoch).standard_normal((3, dim)).astype(np.float32)
            numbers = {
                "val_loss": 1 / epoch, "val_accuracy": 0.5 + 0.1 * epoch, "learning_rate": 0.01,
                "alpha_entropy": 1.0, "skip_share": epoch / 16,
            } | facts  # fmt: skip
            arrays = {f"epoch/{key}": np.array(value) for key, value in numbers.items()}
            arrays |= {"alpha": alpha, "timing_seconds": np.ones(3)}
            told = ("update_norm", *(("ess", "distinct") if method == "zarts-mgs" else ()))
            arrays |= {f"diagnostics/{key}": np.full(3, 2.0 * epoch) for key in told}
            which = cells(*["dil_conv_3x3"] * (epoch - 1))
            run.write(f"search/epoch-{epoch:04d}", arrays, {"epoch": epoch, "genotype": which})
            if epoch == config.search.epochs:
                run.write(f"snapshot/epoch-{epoch:04d}", {})
        return run

    return build


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser on this machine: a test has none, and such may not start jobs."""
    monkeypatch.setattr(ContextProxy, "ip_address", None)
    monkeypatch.setattr(ContextProxy, "headers", {"Host": "localhost:8501"})


@pytest.fixture
def no_demo(tmp_path: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder of bundled runs: what is shipped does not decide a test."""
    monkeypatch.setattr(landscape.catalogue, "BUNDLED", tmp_path / "bundled")


@pytest.fixture
def make(tmp_path: Folder) -> Make:
    """Makes a run in the folder that the app looks into; changes by keyword."""

    def build(
        name: str = "quick-1",
        *,
        losses: dict[int, np.ndarray] = LOSSES,
        status: Status = Status.OK,
        methods: tuple[str, ...] = ("darts-1", "zarts-mgs"),
        created: str = "2026-01-01T00:00:00+00:00",
        plane: bool = True,
        settings: dict[str, object] | None = None,
        axes: tuple[np.ndarray, np.ndarray] = (X, Y),
    ) -> Run:
        provenance = {
            "command": ["python", "-m", "landscape.compute", "--seed", "7"],
            "created": created,
            "seed": 7,
            "device": "cpu",
        }
        run = Run.create(
            tmp_path / "runs" / name, {**CONFIG, "name": name} | (settings or {}), provenance
        )
        if plane:
            run.write("plane", {"scale": np.array(3.2)}, {"val_accuracy": 0.8})
        for m, loss in losses.items():
            states = np.where(np.isnan(loss), Status.DIVERGED, Status.OK).astype(np.uint8)
            if status != Status.OK and m == max(losses):
                states[-1] = status
            values = np.where(states == Status.OK, loss, np.nan)
            save_surface(run, Surface(m, *axes, values, states))
        t = np.arange(4.0)
        for shift, method in enumerate(methods):
            xy = np.column_stack([-0.5 + 0.1 * t, 0.5 - (0.1 + 0.1 * shift) * t])
            m = 0 if method == "darts-1" else 10
            save_path(
                run, OptimizerPath(method, m, xy, 1 - t / 9, 0.9 - t / 20, 0 * t, 8, 3, 80, 1.5)
            )
        return run

    return build


@pytest.fixture
def parts(root: Folder) -> Iterator[None]:
    """The parts of the app, found as its server finds them."""
    sys.path.insert(0, str(root / "app"))
    yield
    sys.path.remove(str(root / "app"))


@pytest.fixture
def asking(parts: None) -> ModuleType:
    return importlib.import_module("parts.asking")
