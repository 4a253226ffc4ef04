"""Who imports whom, and who owns which library: read from the source.

Imports inside functions count for the directions and the owners. What a module needs to start is
the closure of its imports at the top, so a detour over a third module is found too.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("zarts", "landscape", "app")

# What a room may import besides itself: a package, or a module beside the packages.
ZARTS: dict[str, set[str]] = {
    "zarts.facade": set(),
    "zarts.text": set(),
    "zarts.guard": set(),
    "zarts.execute": set(),  # it moves work, whatever it is
    "zarts.bilevel": set(),
    "zarts.optimizers": {"zarts.bilevel"},
    "zarts.supernet": {"zarts.bilevel"},
    "zarts.data": {"zarts.bilevel"},  # and not the supernet
    "zarts.settings": {"zarts.bilevel", "zarts.optimizers", "zarts.supernet"},  # their records
    "zarts.problems": {
        "zarts.bilevel", "zarts.optimizers", "zarts.supernet", "zarts.data", "zarts.settings",
        "zarts.execute",
    },
    "zarts.runs": {
        "zarts.bilevel", "zarts.optimizers", "zarts.supernet", "zarts.settings", "zarts.problems",
    },
}  # fmt: skip
LIBRARY = set(ZARTS) - {"zarts.guard"}
ENGINE = LIBRARY | {"landscape.record"}
COMMANDS = {"zarts.branch", "zarts.cli", "zarts.guard"}
MAY_IMPORT = ZARTS | {
    "zarts.cli": {"zarts.settings", "zarts.runs", "zarts.execute", "zarts.guard", "zarts.text"},
    "zarts.branch": {"zarts.cli", "zarts.optimizers", "zarts.runs", "zarts.settings"},
    "zarts.genotype": {
        "zarts.bilevel", "zarts.supernet", "zarts.settings", "zarts.runs", "zarts.cli",
        "zarts.text",
    },
    "zarts.retrain": LIBRARY | COMMANDS | {"zarts.genotype"},
    "zarts.sweep": LIBRARY | COMMANDS | {"zarts.retrain"},
    "zarts.reproduce": LIBRARY | COMMANDS | {"zarts.genotype", "zarts.retrain", "zarts.sweep"},
    "landscape.record": {  # names and files, and what α means
        "zarts.bilevel", "zarts.optimizers", "zarts.runs", "zarts.settings", "zarts.supernet",
    },
    "landscape.measure": {"landscape.record"},
    "landscape.point": {
        "landscape.measure", "landscape.record", "zarts.bilevel", "zarts.genotype",
        "zarts.supernet",
    },
    "landscape.geometry": ENGINE,
    "landscape.learn": LIBRARY,
    "landscape.planes": {"landscape.record"},
    "landscape.figures": {
        "landscape.record", "landscape.measure", "landscape.geometry", "landscape.point",
        "zarts.optimizers", "zarts.runs", "zarts.supernet",
    },
    "landscape.convergence": {"landscape.figures", "zarts.settings"} | COMMANDS,
    "landscape.draw": {"landscape.figures", "landscape.record", "zarts.runs", "zarts.settings"}
    | COMMANDS,
    "landscape.catalogue": {"landscape.record", "zarts.runs"},
    "landscape.index": {
        "landscape.catalogue", "landscape.record", "landscape.summary", "zarts.optimizers",
        "zarts.runs", "zarts.settings", "zarts.text",
    },
    "landscape.runs": {"landscape.catalogue", "landscape.index", "zarts.runs", "zarts.text"}
    | COMMANDS,
    "landscape.compute": ENGINE | COMMANDS | {"landscape.geometry", "landscape.figures"},
    "landscape.merge": ENGINE | COMMANDS | {"landscape.compute"},
    "landscape.summary": {
        "landscape.record", "landscape.measure", "zarts.optimizers", "zarts.runs", "zarts.text",
    }
    | COMMANDS,
    "landscape.verify": ENGINE | COMMANDS | {"landscape.geometry", "landscape.compute"},
}  # fmt: skip
APP = {
    "landscape.record", "landscape.measure", "landscape.figures", "landscape.catalogue",
    "landscape.compute", "landscape.index", "landscape.learn", "landscape.planes",
    "landscape.point", "landscape.summary", "zarts.data", "zarts.genotype", "zarts.optimizers",
    "zarts.reproduce", "zarts.runs", "zarts.settings", "zarts.supernet", "zarts.text",
}  # fmt: skip
FREE = {"zarts", "zarts.__main__", "landscape"}  # the facades and the command line see everything
# Inside these rooms each module may import those before it: the order to read them in.
READ_IN_ORDER = {
    "zarts.bilevel": (
        "rng", "own", "chance", "alpha", "inner", "curvature", "feed", "chunk", "difference",
        "objective", "wrappers", "search",
    ),
    "zarts.settings": (
        "tables", "sections", "stages", "staged", "stopping", "config", "variants", "presets",
    ),
    "landscape.geometry": ("plane", "levels", "grid", "problem", "walks"),
}  # fmt: skip

OWNERS = {  # library -> the only places that may import it
    "choreographer": ("landscape.figures.pictures",),
    "h5py": ("zarts.runs.runfile",),
    "ray": ("zarts.execute",),
    "tomli_w": ("zarts.settings.config",),
    "plotly": ("landscape.figures",),
    "streamlit": ("app",),
    "torchvision": ("zarts.data",),
}


@dataclass(frozen=True)
class Import:
    """One imported module: where, and whether importing the file needs it."""

    target: str
    line: int
    at_start: bool
    typing_only: bool


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    files = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return {module_name(path): path for path in sorted(files)}


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


def is_typing_guard(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def targets(node: ast.Import | ast.ImportFrom, module: str) -> list[str]:
    """The modules a statement asks for; `from zarts import search` asks for zarts.search."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    if node.level:
        package = module if modules()[module].name == "__init__.py" else module.rpartition(".")[0]
        kept = package.split(".")[: len(package.split(".")) - node.level + 1]
        base = ".".join([*kept, *filter(None, [node.module])])
    # `from zarts import __version__` asks for a fact, not for a layer.
    inner = (f"{base}.{alias.name}" for alias in node.names if alias.name != "__version__")
    return [name if name in modules() else base for name in inner]


@cache
def imports(module: str) -> tuple[Import, ...]:
    def walk(node: ast.AST, at_start: bool, typing_only: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for target in targets(node, module):
                yield Import(target, node.lineno, at_start and not typing_only, typing_only)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            at_start = False
        for child in ast.iter_child_nodes(node):
            guarded = is_typing_guard(node) and child in getattr(node, "body", [])
            yield from walk(child, at_start, typing_only or guarded)

    return tuple(walk(tree(module), at_start=True, typing_only=False))


def inside(module: str, place: str) -> bool:
    return module == place or module.startswith(f"{place}.")


def part(module: str) -> str:
    return ".".join(module.split(".")[:2])


def where(module: str, line: int) -> str:
    return f"{modules()[module].relative_to(ROOT)}:{line}"


def offences(
    places: tuple[str, ...], wrong: tuple[str, ...], *, typing_counts: bool = True
) -> list[str]:
    """Imports of anything inside ``wrong`` by a module inside ``places``."""
    return [
        f"{where(module, item.line)} imports {item.target}"
        for module in modules()
        if any(inside(module, place) for place in places)
        for item in imports(module)
        if any(inside(item.target, name) for name in wrong)
        and (typing_counts or not item.typing_only)
    ]


def needs_at_start(module: str) -> set[str]:
    """All modules that importing ``module`` imports: its own, of this project and of others."""
    found: set[str] = set()
    queue = [module]
    while queue:
        current = queue.pop()
        if current in found:
            continue
        found.add(current)
        if "." in current:
            queue.append(current.rpartition(".")[0])
        if current in modules():
            queue += [item.target for item in imports(current) if item.at_start]
    return found


def test_the_scan_sees_the_packages() -> None:
    assert {
        "zarts.bilevel.objective",
        "zarts.optimizers.mgs",
        "landscape.figures",
        "app.main",
    } <= set(modules())
    assert "torch" in needs_at_start("zarts.bilevel.objective")
    assert any(item.target == "zarts.bilevel.alpha" for item in imports("zarts.bilevel.objective"))


def test_packages_import_one_way() -> None:
    assert not offences(("zarts",), ("landscape", "app"))
    assert not offences(("landscape",), ("app",))
    assert not offences(PACKAGES, ("tests", "benchmarks", "notebooks"))


def test_layers_inside_the_packages() -> None:
    ours = [name for name in modules() if part(name) not in FREE]
    unknown = {part(name) for name in ours if not inside(name, "app")} - set(MAY_IMPORT)
    assert not unknown, f"give these a place in MAY_IMPORT: {sorted(unknown)}"
    gone = set(MAY_IMPORT) - {part(name) for name in ours}
    assert not gone, f"these are no more, take them out of MAY_IMPORT: {sorted(gone)}"
    wrong = [
        f"{where(module, item.line)} imports {item.target}"
        for module in ours
        for item in imports(module)
        if item.target.partition(".")[0] in {"zarts", "landscape"}
        and part(item.target) not in {part(module), *MAY_IMPORT.get(part(module), APP)}
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("room", READ_IN_ORDER)
def test_modules_of_a_room_import_those_before_them(room: str) -> None:
    order = [f"{room}.{name}" for name in READ_IN_ORDER[room]]
    assert set(order) == {name for name in modules() if inside(name, room)} - {room}
    for place, module in enumerate(order):
        assert not offences((module,), tuple(order[place + 1 :]))


def test_the_table_has_no_cycle() -> None:
    done: set[str] = set()
    while ready := {name for name in MAY_IMPORT if name not in done and MAY_IMPORT[name] <= done}:
        done |= ready
    assert done == set(MAY_IMPORT)


@pytest.mark.parametrize("library", OWNERS)
def test_single_owner(library: str) -> None:
    found = offences(PACKAGES, (library,), typing_counts=False)
    allowed = offences(OWNERS[library], (library,), typing_counts=False)
    assert allowed, f"{library} has no owner any more; is it still a dependency?"
    assert not set(found) - set(allowed)


def calls(module: str) -> Iterator[tuple[str, int]]:
    """Dotted text and line of everything that is called."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node.lineno


def callers(pattern: str, allowed: tuple[str, ...]) -> list[str]:
    """Calls whose last name matches ``pattern``, outside of the allowed modules."""
    return [
        f"{where(module, line)} calls {name}"
        for module in modules()
        if not any(inside(module, place) for place in allowed)
        for name, line in calls(module)
        if re.search(rf"(^|\.)({pattern})$", name)
    ]


def test_one_softmax_of_alpha() -> None:
    # MGS takes a softmax too: of minus the losses over τ, its importance weights, never of α.
    allowed = ("zarts.bilevel.alpha", "zarts.optimizers.mgs")
    assert not callers(r"softmax|log_softmax|gumbel_softmax|Softmax|LogSoftmax", allowed)
    assert callers("softmax", ()), "nobody calls softmax: this test looks amiss"


def test_weights_move_in_one_place() -> None:
    # Retraining a finished network is ordinary training and may use torch's own optimizers; a copy
    # of a user's module is asked for its gradients.
    assert not callers(
        r"backward|load_state_dict", ("zarts.retrain", "zarts.problems.module_network")
    )
    searching = tuple(package for package in modules() if not inside(package, "zarts.retrain"))
    assert not offences(searching, ("torch.optim",))
    assert not callers(r"optim\.\w+", ("zarts.retrain",))
    # `descend` takes the gradients with respect to ω, the others those with respect to α; a module
    # of one's own is tried with both.
    known = (
        "zarts.bilevel.inner", "zarts.bilevel.objective", "zarts.bilevel.difference",
        "zarts.optimizers.implicit", "zarts.bilevel.curvature", "zarts.problems.module_network",
    )  # fmt: skip
    assert not callers(r"autograd\.grad", known)
    assert callers(r"autograd\.grad", ()), "nobody takes a gradient: this test looks amiss"
    assert not callers(r"sgd\.update|\w*sgd\w*\.update", ("zarts.bilevel.inner",))


def test_no_module_of_odds_and_ends() -> None:
    names = {"util", "utils", "common", "helper", "helpers", "misc"}
    assert not [module for module in modules() if names & set(module.strip("_").split("."))]


def test_files_are_short() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for folder in (*PACKAGES, "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 350
    }
    assert not long
