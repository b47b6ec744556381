"""`guanaco-studio`, the console script, does what `python -m studio` does."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest

from studio.__main__ import main

pytestmark = pytest.mark.slow

NAME = "guanaco-studio"


@pytest.fixture
def script() -> EntryPoint:
    found = tuple(entry_points(group="console_scripts", name=NAME))
    if not found:
        pytest.skip("the project is not installed with its script: pip install --editable .")
    return found[0]


def test_the_script_is_the_command_line(script: EntryPoint) -> None:
    assert script.load() is main


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["--help"], 0), (["check-data", "none.jsonl"], 2), (["no-such-command"], 2), (["check-data", "bad.jsonl"], 1)],
)
def test_exit_codes_and_what_is_printed_are_the_same(
    script: EntryPoint, tmp_path: Path, arguments: list[str], code: int
) -> None:
    (tmp_path / "bad.jsonl").write_text('{"text": "### Human: Hi ### Assistant: Hello"}\n{"text": 7}\n')
    installed = [str(Path(sys.executable).parent / NAME)]
    by_script, by_module = (
        subprocess.run([*command, *arguments], cwd=tmp_path, capture_output=True, text=True)
        for command in (installed, [sys.executable, "-m", "studio"])
    )
    assert by_script.returncode == by_module.returncode == code
    assert (by_script.stdout, by_script.stderr) == (by_module.stdout, by_module.stderr)
