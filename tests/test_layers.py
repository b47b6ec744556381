"""The architecture is what the folders say: studio -> core -> adapters, nothing back, and a light web process."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {"core": {"studio", "gradio"}, "adapters": {"studio", "core", "gradio"}, "studio": {"tests"}}
HEAVY = ("torch", "transformers", "datasets", "peft", "trl", "bitsandbytes")


def imported_names(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_point_one_way(package: str) -> None:
    wrong = {
        str(path.relative_to(ROOT)): sorted(names)
        for path in (ROOT / package).rglob("*.py")
        if (names := imported_names(path) & FORBIDDEN[package])
    }
    assert not wrong


@pytest.mark.parametrize(
    "module", ["studio.app", "studio.__main__", "adapters.hub.transfer", "adapters.store", "core.data"]
)
def test_no_heavy_import_at_import_time(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert answer.stdout.strip() == "[]"


def test_files_stay_one_thing() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for package in FORBIDDEN
        for path in (ROOT / package).rglob("*.py")
    }
    assert not {name: count for name, count in lengths.items() if count > 450}
