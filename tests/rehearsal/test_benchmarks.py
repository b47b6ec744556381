"""What is to be measured on a GPU must start there at once: here each of these programs runs small, on the CPU."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu.__main__ import PARTS
from tests.rehearsal.run import ROOT

pytestmark = pytest.mark.slow


def test_the_dry_run_goes_through_every_part_and_writes_the_page(tmp_path: Path) -> None:
    page = tmp_path / "gpu.md"
    command = [sys.executable, "-m", "benchmarks.gpu", "--dry-run", "--page", str(page)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    text = page.read_text(encoding="utf-8")
    for part in PARTS:
        _, _, after = text.partition(f"## {part.title}\n")
        assert "\n| " in after.partition("\n## ")[0], f"{part.title} has no table"
    assert "did not come to its end" not in text


def test_all_parts_together_take_no_longer_than_is_promised() -> None:
    assert sum(part.seconds for part in PARTS) <= 480
