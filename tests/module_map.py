"""The map of the folders, one line each, from their own docstrings: `python -m tests.module_map` prints it.

docs/architecture.md holds it, and tests/test_docs.py compares.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("adapters", "core", "studio", "tools")
INDENT = 4  # columns per level


def first_line(package: Path) -> str:
    """The first line of a package's docstring. Raises ValueError where it has none."""
    docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8")))
    if not docstring:
        raise ValueError(f"{package.relative_to(ROOT)}/__init__.py says nothing of the folder.")
    return docstring.split("\n", 1)[0]


def packages(folder: Path) -> Iterator[Path]:
    """The folder and every package beneath it, in the order of their names."""
    yield folder
    for child in sorted(folder.iterdir()):
        if (child / "__init__.py").is_file():
            yield from packages(child)


def module_map() -> str:
    """Lines of "    name/    what it is", indented as the folders are."""
    found = [package for name in PACKAGES for package in packages(ROOT / name)]
    names = [" " * INDENT * len(package.relative_to(ROOT).parts) + package.name + "/" for package in found]
    width = max(len(name) for name in names) + 2
    return "".join(f"{name:<{width}}{first_line(package)}\n" for name, package in zip(names, found, strict=True))


if __name__ == "__main__":
    print(module_map(), end="")
