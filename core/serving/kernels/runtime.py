"""Whether the kernels run here, and what Numba needs before it is asked for the first time.

Importing this loads neither torch nor Numba.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.util
import os
import platform
import re
import sys
from pathlib import Path
from typing import Any

import platformdirs

FOLDER = Path(__file__).parent
# Families whose layers are, line by line, Llama's, but for biases, a window, norms of queries and keys, and layers that
# are one already.
FAMILIES = frozenset({"llama", "mistral", "qwen2", "qwen3", "phi3"})
CPU_INFO = Path("/proc/cpuinfo")
TBB = "lib/libtbb.so.12"  # of the package tbb, below the environment's folder


@functools.cache
def why_not() -> str:
    """Why the kernels cannot run here; empty when they can."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "they are made for Linux on x86-64"
    if not _has_avx2():
        return "the processor has no AVX2"
    if importlib.util.find_spec("numba") is None:
        return "Numba is not installed"
    return "" if _find_tbb() else "the package tbb is not installed"


@functools.cache
def kernels() -> Any:
    """The module with `run_layers`, `run_head` and `multiply`. Where `are_compiled` says no, this and their first calls
    take some 25 seconds.

    Numba keeps machine code per source file and does not see when a file that it imports has changed, so the folder is
    named by the content of all of them. TBB is loaded by its path, as the loader does not look into an environment's
    lib folder; Numba's own pool of threads sleeps after each loop and takes three times as long for a step.
    """
    from numba import config

    tbb = _find_tbb()
    assert tbb is not None
    ctypes.CDLL(str(tbb), mode=ctypes.RTLD_GLOBAL)
    config.THREADING_LAYER = "tbb"
    config.CACHE_DIR = str(_cache_folder())
    from core.serving.kernels import decode

    return decode


def are_compiled() -> bool:
    """Whether their machine code is on this machine already, for this code."""
    return any(_cache_folder().glob("*/*.nbi"))


def use_threads(count: int) -> None:
    """How many threads the next calls run on, at most as many as there are cores."""
    kernels()  # without it this call would have Numba choose a pool by itself, and that is not TBB's
    from numba import config, set_num_threads

    set_num_threads(min(count, config.NUMBA_NUM_THREADS))


def _has_avx2() -> bool:
    """As the processor itself says, and the kernel below it allows."""
    flags = re.search(r"^flags\s*:(.*)$", CPU_INFO.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    return flags is not None and "avx2" in flags[1].split()


def _find_tbb() -> Path | None:
    return next((path for path in (Path(sys.prefix) / TBB, Path(sys.base_prefix) / TBB) if path.is_file()), None)


@functools.cache
def _cache_folder() -> Path:
    digest = hashlib.sha256()
    for path in sorted(FOLDER.glob("*.py")):
        digest.update(path.read_bytes())
    folder = FOLDER if os.access(FOLDER, os.W_OK) else platformdirs.user_cache_path("guanaco-studio") / "kernels"
    return folder / "__pycache__" / digest.hexdigest()[:16]
