"""Where the kernels run, and where their machine code is kept."""

from __future__ import annotations

import importlib.util
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.serving.kernels import runtime


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    for function in (runtime.why_not, runtime._cache_folder):
        function.cache_clear()
    yield
    for function in (runtime.why_not, runtime._cache_folder):
        function.cache_clear()


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(runtime, "_has_avx2", lambda: True)
    missing = {
        "Linux on x86-64": (platform, "machine", lambda: "aarch64"),
        "AVX2": (runtime, "_has_avx2", lambda: False),
        "Numba is not installed": (importlib.util, "find_spec", lambda name: None),
        "tbb is not installed": (runtime, "_find_tbb", lambda: None),
    }
    for reason, (owner, name, instead) in missing.items():
        runtime.why_not.cache_clear()
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, instead)
            assert reason in runtime.why_not()


def test_changed_code_has_machine_code_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "FOLDER", tmp_path)
    (tmp_path / "kernel.py").write_text("a = 1\n")
    before = runtime._cache_folder()
    assert not runtime.are_compiled()
    (before / "kernel_1").mkdir(parents=True)
    (before / "kernel_1" / "kernel.nbi").touch()
    assert runtime.are_compiled()
    (tmp_path / "kernel.py").write_text("a = 2\n")
    runtime._cache_folder.cache_clear()
    assert runtime._cache_folder() != before
    assert not runtime.are_compiled()


@pytest.mark.skipif(bool(runtime.why_not()), reason=f"no compiled kernels: {runtime.why_not()}")
def test_more_threads_than_cores_are_as_many_as_cores() -> None:
    from numba import config, get_num_threads

    runtime.kernels()
    runtime.use_threads(10_000)
    assert get_num_threads() == config.NUMBA_NUM_THREADS
    runtime.use_threads(1)
    assert get_num_threads() == 1


THREADS_FIRST = """
import torch
from core.serving.kernels import runtime
runtime.use_threads(1)
import numba
print(numba.threading_layer(), torch.get_num_threads())
"""


@pytest.mark.slow
@pytest.mark.skipif(bool(runtime.why_not()), reason=f"no compiled kernels: {runtime.why_not()}")
def test_whoever_comes_first_gets_tbbs_pool_and_leaves_torchs_threads_alone() -> None:
    command = [sys.executable, "-c", THREADS_FIRST]
    told = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert told.stdout.split() == ["tbb", "1"], told.stderr
