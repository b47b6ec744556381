"""One raw allocation of CUDA memory that another process can open. NOT RUN ON A GPU YET.

Memory from cudaMalloc itself, not from torch's caching allocator: its handle is 64 plain bytes, it knows nothing of
expandable segments, and a killed reader leaves no reference count behind.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import torch

HANDLE_BYTES = 64  # cudaIpcMemHandle_t
LAZY_PEER_ACCESS = 1  # the only flag that cudaIpcOpenMemHandle takes


class _Handle(ctypes.Structure):
    _fields_ = (("reserved", ctypes.c_char * HANDLE_BYTES),)


class _Foreign:
    """Memory that torch did not allocate, in the form that it takes over without copying."""

    def __init__(self, pointer: int, nbytes: int) -> None:
        self.__cuda_array_interface__ = {
            "shape": (nbytes,),
            "typestr": "|u1",
            "data": (pointer, False),
            "version": 3,
        }


def allocate(nbytes: int) -> tuple[torch.Tensor, bytes]:
    """Device memory as a tensor of bytes, and the handle by which another process opens it. Lives until the exit."""
    pointer, handle = ctypes.c_void_p(), _Handle()
    _call("cudaMalloc", ctypes.byref(pointer), ctypes.c_size_t(nbytes))
    _call("cudaIpcGetMemHandle", ctypes.byref(handle), pointer)
    return _tensor(pointer, nbytes), ctypes.string_at(ctypes.addressof(handle), HANDLE_BYTES)


def opened(written: bytes, nbytes: int) -> torch.Tensor:
    """The memory behind a handle, in a process other than the one that made it."""
    pointer, handle = ctypes.c_void_p(), _Handle()
    ctypes.memmove(ctypes.addressof(handle), written, HANDLE_BYTES)
    _call("cudaIpcOpenMemHandle", ctypes.byref(pointer), handle, ctypes.c_uint(LAZY_PEER_ACCESS))
    return _tensor(pointer, nbytes)


def _tensor(pointer: ctypes.c_void_p, nbytes: int) -> torch.Tensor:
    assert pointer.value is not None
    return torch.as_tensor(_Foreign(pointer.value, nbytes), device="cuda")


def _call(name: str, *arguments: Any) -> None:
    torch.zeros(1, device="cuda")  # so that the runtime that torch itself uses is loaded
    maps = Path("/proc/self/maps").read_text().splitlines()
    runtime = ctypes.CDLL(next(line.split()[-1] for line in maps if "libcudart" in line))
    if status := getattr(runtime, name)(*arguments):
        raise RuntimeError(f"{name} has failed with CUDA error {status}")
