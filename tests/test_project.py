"""Facts about the project that no other test would miss: version, licence, citation, what ships."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import tomllib
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import landscape
import zarts

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("zarts", "landscape", "app")
MADE = {
    ".git", ".venv", "runs", "build", "dist", "__pycache__", ".hypothesis", ".ipynb_checkpoints",
    ".mypy_cache", ".pytest_cache", ".ruff_cache",
}  # fmt: skip


@cache
def files() -> tuple[Path, ...]:
    """Everything in the checkout that running the project did not make; links are not followed."""
    found = []
    for folder, names, leaves in os.walk(ROOT):
        names[:] = sorted(set(names) - MADE)
        links = [name for name in names if (Path(folder) / name).is_symlink()]
        found += [Path(folder) / name for name in (*links, *sorted(leaves))]
    return tuple(found)


@cache
def project() -> dict[str, object]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return dict(settings["project"])


@cache
def sources() -> tuple[tuple[Path, ast.Module], ...]:
    paths = [p for p in files() if p.suffix == ".py" and p.relative_to(ROOT).parts[0] in PACKAGES]
    return tuple((path, ast.parse(path.read_text(encoding="utf-8"))) for path in paths)


def test_the_version_is_stated_once() -> None:
    assert "version" not in project()
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|rc\d+)?", zarts.__version__)
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text("utf-8"), re.MULTILINE)
    assert cited
    assert cited[1] == zarts.__version__


def test_licence() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert text.startswith("MIT License\n")
    assert "The ZARTS toolkit authors" in text
    assert project()["license"] == "MIT"


def test_bounds_are_wide() -> None:
    assert project()["requires-python"] == ">=3.11"
    dependencies = [str(item) for item in project()["dependencies"]]  # type: ignore[attr-defined]
    assert all(">=" in item for item in dependencies)
    capped = {item for item in dependencies if "<" in item or "==" in item}
    assert len(capped) <= 1
    assert all(item.startswith("streamlit") for item in capped)


def test_citation_names_the_paper_and_its_authors_in_order() -> None:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    software, paper = text.split("preferred-citation:\n")
    for key in ("cff-version: 1.2.0", "message:", "title:", "authors:", "license: MIT"):
        assert re.search(rf"^{re.escape(key)}", software, re.MULTILINE), key
    assert re.findall(r"family-names: (\w+)", paper) == ["Wang", "Guo", "Su", "Yang", "Yan"]
    assert "arxiv.org/abs/2110.04743" in paper
    assert "year: 2022" in paper
    assert "\t" not in text
    assert all((len(line) - len(line.lstrip())) % 2 == 0 for line in text.splitlines())


def test_changelog_has_an_unreleased_section() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[(.+?)\]", text, re.MULTILINE)
    assert headings[0] == "Unreleased"
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= kinds


@pytest.mark.parametrize("package", [zarts, landscape])
def test_public_names_can_be_imported(package: object) -> None:
    for name in package.__all__:  # type: ignore[attr-defined]
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        package.nonsense  # type: ignore[attr-defined]  # noqa: B018


def calls_and_imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield f"{ast.unparse(node.func)}()", node.lineno
        elif isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def test_nothing_that_runs_what_it_reads() -> None:
    modules = "pickle|cPickle|_pickle|dill|cloudpickle|joblib|shelve|marshal"
    banned = re.compile(
        rf"({modules})(\..*)?|torch\.(load|save|jit.*)(\(\))?|(eval|exec|compile)\(\)"
    )
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path, tree in sources()
        for name, line in calls_and_imports(tree)
        if banned.fullmatch(name)
    ]
    assert not found


def test_no_path_of_one_machine() -> None:
    pattern = re.compile(rb"/(home|Users|root|work|tmp)/[\w.-]+|[A-Z]:\\\\?Users")
    found = {
        str(path.relative_to(ROOT)): match[0]
        for path in files()
        if not path.is_symlink()
        and path.relative_to(ROOT).parts[0] != "tests"  # where such paths are made up
        and (match := pattern.search(path.read_bytes()))
    }
    assert not found


def test_links_stay_inside() -> None:
    for link in (path for path in files() if path.is_symlink()):
        assert not link.readlink().is_absolute(), link
        assert link.resolve().is_relative_to(ROOT), link


@pytest.mark.parametrize("document", ["CONTRIBUTING.md", "README.md", "docs/methods.md"])
def test_named_files_are_there(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    named = re.findall(r"`((?:zarts|landscape|app|tests|docs)/[\w./]*)`", text)
    assert not [name for name in named if "NAME" not in name and not (ROOT / name).exists()]


def test_it_promises_only_the_systems_it_runs_on() -> None:
    # locks are flock's and a batch system's warning is SIGUSR1
    systems = [name for name in project()["classifiers"] if name.startswith("Operating System")]
    assert systems == ["Operating System :: POSIX"]


def test_ignored_and_not_ignored() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    wanted = {
        ".venv/pyvenv.cfg": True, "runs/quick/grid.h5": True, "zarts/__pycache__/a.pyc": True,
        "landscape/demo/quick/grid.h5": False, "zarts/data/images.npz": False,
        "tests/zarts/runs/test_a.py": False,
    }  # fmt: skip
    for name, ignored in wanted.items():
        asked = subprocess.run(
            ["git", "check-ignore", "-q", "--no-index", name], cwd=ROOT, check=False
        )
        assert (asked.returncode == 0) is ignored, name


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Names of the files in a freshly built wheel."""
    from hatchling.builders.wheel import WheelBuilder

    folder = str(tmp_path_factory.mktemp("wheel"))
    (path,) = WheelBuilder(str(ROOT)).build(directory=folder, versions=["standard"])
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def test_the_wheel_has_two_packages_and_the_app_inside_one(wheel: list[str]) -> None:
    top = {name.partition("/")[0] for name in wheel}
    assert top == {"zarts", "landscape", f"zarts-{zarts.__version__}.dist-info"}
    for name in ("zarts/py.typed", "landscape/py.typed", "landscape/_app/main.py"):
        assert name in wheel


def test_the_wheel_has_all_that_the_packages_have(wheel: list[str]) -> None:
    ours = [path.relative_to(ROOT) for path in files() if path.suffix != ".pyc"]
    expected = {path.as_posix() for path in ours if path.parts[0] in ("zarts", "landscape")}
    expected |= {f"landscape/_{path.as_posix()}" for path in ours if path.parts[0] == "app"}
    assert not expected - set(wheel)
    assert any(name.startswith("zarts/data/") and not name.endswith(".py") for name in wheel)
