"""What is to be measured on a GPU must start there at once: here each of these programs runs small, on the CPU."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["engine", "plan", "training"])
def test_a_dry_run_ends_well(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.gpu.{name}", "--dry-run"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip()
