"""Every notebook is committed without outputs, stays small, and runs from start to end."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_clean_and_short(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    lines = [line for cell in code for line in cell.source.splitlines() if line.strip()]
    assert len(lines) < 25, "a notebook imports, calls and draws; move the rest into the packages"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAST", "1")
    monkeypatch.setenv("ZARTS_RUNS", str(tmp_path))
    book = nbformat.read(path, as_version=4)
    NotebookClient(book, timeout=120, resources={"metadata": {"path": tmp_path}}).execute()
    shown = [output for cell in book.cells for output in cell.get("outputs", [])]
    figures = [
        output for output in shown if "application/vnd.plotly.v1+json" in output.get("data", {})
    ]
    if path.stem == "03_collapse":  # of runs that are not there, which it says
        assert len(figures) == 1
        assert "0 of 60 retrainings are there" in str(shown)
        return
    assert len(figures) == 2
    surfaces = [
        trace
        for trace in figures[0].data["application/vnd.plotly.v1+json"]["data"]
        if trace["type"] == "contour"
    ]
    assert len(surfaces) == 2
