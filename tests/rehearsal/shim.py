"""Compiles shim.cpp against the torch that is installed, once, and loads it. A process does so before it imports torch,
which asks for CUDA's hooks only once."""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from importlib.metadata import version
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".cpp")
COMPILER = "g++"


@cache
def find_obstacle() -> str:
    """Why nothing can be rehearsed here; "" where it can."""
    if not shutil.which(COMPILER):
        return f"the GPU rehearsal needs {COMPILER}, which is not installed"
    if not (_torch() / "include" / "ATen" / "Context.h").is_file():
        return "the GPU rehearsal needs torch's C++ headers, which this build of torch does not have"
    try:
        compiled()
    except subprocess.CalledProcessError as error:
        return f"the GPU rehearsal's shim cannot be compiled against torch {version('torch')}: {error.stderr[-400:]}"
    return ""


@cache
def compiled() -> Path:
    """The shared library: kept by what it is made from, 15 s of work the first time."""
    made_from = hashlib.sha256(SOURCE.read_bytes() + version("torch").encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"guanaco-rehearsal-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    library, torch = folder / f"shim-{made_from}.so", _torch()
    if not library.exists():
        part = library.with_suffix(f".{os.getpid()}.part")
        command = [COMPILER, "-shared", "-fPIC", "-std=c++20", "-O0", f"-I{torch / 'include'}", str(SOURCE)]
        command += ["-o", str(part), f"-L{torch / 'lib'}", "-ltorch_cpu", "-lc10", f"-Wl,-rpath,{torch / 'lib'}"]
        subprocess.run(command, check=True, capture_output=True, text=True)
        part.rename(library)
    return library


def load() -> None:
    """From here on autograd takes fake tensors on a CUDA device for granted."""
    assert "torch" not in sys.modules, "the shim is loaded before torch, or torch has asked for CUDA's hooks already"
    library = ctypes.CDLL(str(compiled()), ctypes.RTLD_GLOBAL)
    import torch
    import torch._dynamo  # notes what torch was built with, so before it is told otherwise

    library.set_guard()
    # An operator that has a kernel of its own on CUDA, and that a CPU build composes of others there.
    kernels = torch.library.Library("aten", "IMPL")
    kernels.impl("silu_backward", lambda *args: NotImplemented, "CUDA")
    globals()["_kept"] = kernels


def _torch() -> Path:
    spec = importlib.util.find_spec("torch")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent
