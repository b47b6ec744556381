"""The GPU that runs are planned for."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from adapters.common.errors import UserError
from studio.engine import gpu


@pytest.mark.parametrize("error", [subprocess.TimeoutExpired("ask", 120), subprocess.CalledProcessError(1, "ask")])
def test_a_gpu_that_does_not_answer_is_told_in_words(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*command: Any, **more: Any) -> None:
        raise error

    monkeypatch.setattr(gpu, "DRIVER", tmp_path)
    monkeypatch.setattr(subprocess, "run", fail)
    gpu.find_gpu.cache_clear()
    with pytest.raises(UserError, match="could not be asked"):
        gpu.find_gpu()
