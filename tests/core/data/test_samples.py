"""The bundled samples are known without anything heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def test_naming_the_samples_imports_nothing_heavy() -> None:
    heavy = ("torch", "transformers", "datasets")
    code = f"import sys, core.data.samples; print(any(name in sys.modules for name in {heavy!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
