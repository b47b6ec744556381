"""The architecture is what the folders say: studio -> core -> adapters, no circles, a light web process."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("adapters", "core", "studio")
FORBIDDEN = {
    "adapters": {"core", "studio", "tools", "tests", "gradio"},
    "core": {"studio", "tools", "tests", "gradio"},
    "studio": {"tools", "tests"},
}
HEAVY = ("torch", "transformers", "datasets", "peft", "trl", "bitsandbytes")


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}


def for_types_only(tree: ast.AST) -> set[ast.AST]:
    """What stands beneath `if TYPE_CHECKING:`, which never runs."""
    guards = (node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
    return {node for guard in guards for node in ast.walk(guard)}


@cache
def imports_of(module: str) -> frozenset[str]:
    """What a module imports, within functions too: modules of this project by their names, others by their root."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in {*ast.walk(tree)} - for_types_only(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= inner & MODULES.keys()
            if not inner <= MODULES.keys():
                names.add(node.module)
    return frozenset(name if name in MODULES else name.split(".")[0] for name in names)


def circle_in(graph: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_point_one_way(package: str) -> None:
    wrong = {
        module: sorted(found)
        for module in MODULES
        if module.split(".")[0] == package
        if (found := {name.split(".")[0] for name in imports_of(module)} & FORBIDDEN[package])
    }
    assert not wrong


def test_no_files_import_each_other_in_a_circle() -> None:
    assert not circle_in({module: set(imports_of(module)) for module in MODULES})


FOLDERS = sorted(name for name, path in MODULES.items() if path.name == "__init__.py")


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_lies_in_a_folder_does_not_import_each_other_in_a_circle(folder: str) -> None:
    """The rooms of a package, and within a room its files and the folders in it, each taken as one."""
    depth = folder.count(".") + 2
    graph: dict[str, set[str]] = {}
    for module in MODULES:
        if module.startswith(f"{folder}."):
            part = ".".join(module.split(".")[:depth])
            parts = {".".join(name.split(".")[:depth]) for name in imports_of(module) if name.startswith(f"{folder}.")}
            graph.setdefault(part, set()).update(parts - {part})
    assert not circle_in(graph)


@pytest.mark.slow
@pytest.mark.parametrize(
    "module", ["studio.app", "studio.__main__", "adapters.hub.push", "adapters.store", "core.data"]
)
def test_no_heavy_import_at_import_time(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert answer.stdout.strip() == "[]"


def test_files_stay_one_thing() -> None:
    lengths = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in MODULES.items()}
    assert not {name: count for name, count in lengths.items() if count > 450}
