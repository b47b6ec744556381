"""The ways in which a file of the home may be damaged."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml


def changed(value: Any, leaf: Callable[[Any], Any]) -> Any:
    """The same JSON with other leaves."""
    if isinstance(value, dict):
        return {name: changed(inner, leaf) for name, inner in value.items()}
    if isinstance(value, list):
        return [changed(inner, leaf) for inner in value]
    return leaf(value)


def with_leaves(leaf: Callable[[Any], Any]) -> Callable[[Path], None]:
    """Rewrites a file of JSON, JSON lines or YAML; what is none of them becomes one value."""

    def damage(path: Path) -> None:
        content = path.read_bytes()
        try:
            if path.suffix == ".yaml":
                path.write_text(yaml.safe_dump(changed(yaml.safe_load(content), leaf)))
            elif path.suffix == ".jsonl":
                lines = [json.dumps(changed(json.loads(line), leaf)) for line in content.splitlines()]
                path.write_text("\n".join(lines) + "\n")
            else:
                path.write_text(json.dumps(changed(json.loads(content), leaf)))
        except ValueError:
            path.write_text(json.dumps(leaf("text")))

    return damage


def instead(make: Callable[[Path], Any]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        path.unlink()
        make(path)

    return damage


def make_folder(path: Path) -> None:
    path.mkdir()
    (path / "within").write_text("x")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a folder": instead(make_folder),
    "a pipe": instead(os.mkfifo),
    "a link to nothing": instead(lambda path: path.symlink_to("/nowhere/at/all")),
    "binary garbage": lambda path: path.write_bytes(bytes(range(255, -1, -1)) * 9),
    "empty": lambda path: path.write_bytes(b""),
    "cut off": lambda path: os.truncate(path, path.stat().st_size // 2),
    "no object": lambda path: path.write_text("null\n7\n"),
    "no fields": lambda path: path.write_text("{}"),
    "nested": lambda path: path.write_text("[" * 100_000),
    "other types": with_leaves(lambda leaf: "text" if isinstance(leaf, int | float | None) else 7),
    "huge numbers": with_leaves(lambda leaf: 10**400 if isinstance(leaf, int | float) else leaf),
    "no numbers": with_leaves(lambda leaf: math.nan if isinstance(leaf, int | float) else leaf),
}
