"""What the documents show in Python runs, and asks for nothing but public names."""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

import landscape
import zarts
from tests.tiny import TINY
from zarts.settings.config import merge

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def snippets() -> list[tuple[str, str]]:
    """(document, code) of every Python block, and of every notebook as a whole."""
    documents = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    found = [(path.name, code) for path in documents for code in BLOCK.findall(path.read_text())]
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text())["cells"]
        lines = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        found.append((path.name, "\n".join(lines)))
    return found


@pytest.mark.parametrize(("name", "code"), snippets())
def test_documents_use_public_names_alone(name: str, code: str) -> None:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module:
            package = node.module.partition(".")[0]
            if package in ("zarts", "landscape"):
                assert node.module == package, f"{name} imports from {node.module}"
                public = {"zarts": zarts, "landscape": landscape}[package].__all__
                assert {alias.name for alias in node.names} <= {*public}, name


@pytest.mark.parametrize("code", BLOCK.findall((ROOT / "README.md").read_text()))
def test_the_readme_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from plotly.graph_objects import Figure

    small = zarts.preset("quick", "darts-1")
    shown: list[Any] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(zarts, "preset", lambda name, method: merge(small, TINY), raising=False)
    monkeypatch.setattr(Figure, "show", lambda figure: shown.append(figure))
    module = ModuleType("readme")  # dataclasses look up their own
    monkeypatch.setitem(sys.modules, "readme", module)
    names = vars(module)
    exec(compile(code, "README.md", "exec"), names)  # noqa: S102 - our own text
    if "toy" in names:
        away = (names["alpha"] - names["toy"].minimum(float("inf"))).norm()
        assert float(away) < 0.3 * float(names["toy"].minimum(float("inf")).norm())
    else:
        assert len(shown) == 1


@pytest.mark.parametrize("package", [zarts, landscape], ids=lambda package: package.__name__)
def test_every_public_class_and_function_has_an_example(package: ModuleType) -> None:
    public = {name: getattr(package, name) for name in package.__all__}
    kinds = (type, FunctionType)
    shown = {name: value for name, value in public.items() if isinstance(value, kinds)}
    assert {*public} - {*shown} <= {"METHODS", "SPACES", "__version__"}  # data
    texts = {name: value.__doc__ or "" for name, value in shown.items()}
    assert not [name for name, text in texts.items() if ">>>" not in text]
    private = re.compile(r"(>>>|\.\.\.) +(from|import) (zarts|landscape)\.")
    assert not [name for name, text in texts.items() if private.search(text)]
