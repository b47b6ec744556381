"""The documentation names what is there: the folders, the files and the commands."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from tests.module_map import ROOT, module_map

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PATH = re.compile(r"(?<![\w/.-])(?:adapters|benchmarks|core|docs|findings|studio|tests|tools)/[\w./-]*\w")
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)(?:#[\w-]+)?\)")
MODULE = re.compile(r"python -m ((?:adapters|benchmarks|core|studio|tests|tools)(?:\.\w+)*)")
IMPORT = re.compile(r"from ((?:adapters|core|studio)(?:\.\w+)*) import (\w+(?:, \w+)*)")
TARGET = re.compile(r"`make ([\w-]+)")
PAGE_IDS = [str(page.relative_to(ROOT)) for page in PAGES]


def exists(module: str) -> bool:
    path = ROOT / module.replace(".", "/")
    return path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    paths = {path for path in PATH.findall(text) if not any((at / path).exists() for at in (ROOT, page.parent))}
    links = {link for link in LINK.findall(text) if not (page.parent / link).exists()}
    modules = {module for module in MODULE.findall(text) if not exists(module)}
    targets = set(TARGET.findall(text)) - set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert not paths and not links and not modules and not targets
    for module, names in IMPORT.findall(text):
        assert not set(names.split(", ")) - set(dir(importlib.import_module(module)))


def test_the_map_of_folders_is_what_the_folders_say() -> None:
    """`python -m tests.module_map` prints it."""
    assert module_map() in (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_make_help_tells_every_target() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.+)$", text, re.MULTILINE)
    assert phony is not None
    assert set(phony[1].split()) == set(re.findall(r"^([\w-]+):.*?## .+$", text, re.MULTILINE))
