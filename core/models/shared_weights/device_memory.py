"""One raw allocation of device memory that another process can open by a handle. The CUDA part: NOT RUN ON A GPU YET.

Memory from cudaMalloc itself, not from torch's caching allocator: its handle is 64 plain bytes, it knows nothing of
expandable segments, it does not count for set_per_process_memory_fraction, and a killed reader leaves no reference
count behind. The tests put shared memory of the CPU in its place; only the calls in this file are left out by them.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

HANDLE_BYTES = 64  # cudaIpcMemHandle_t
LAZY_PEER_ACCESS = 1  # the only flag that cudaIpcOpenMemHandle takes


class DeviceMemoryError(Exception):
    """The device, its driver or this system does not do what was asked of it; the text says which call and why."""


class DeviceMemory(Protocol):
    """Memory of one device that processes can share. It is freed with the last tensor over it."""

    def allocate(self, nbytes: int) -> tuple[Tensor, bytes]:
        """Memory as a tensor of bytes, and the handle by which another process opens it. Raises DeviceMemoryError."""

    def opened(self, handle: bytes, nbytes: int) -> Tensor:
        """The memory behind a handle, in a process other than the one that made it. Raises DeviceMemoryError."""


class CudaMemory:
    """Memory of a CUDA device, by cudaMalloc and CUDA's handles for other processes."""

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)

    def allocate(self, nbytes: int) -> tuple[Tensor, bytes]:
        pointer, handle = ctypes.c_void_p(), _Handle()
        with torch.cuda.device(self.device):
            runtime = _Runtime(self.device)
            runtime.call("cudaMalloc", ctypes.byref(pointer), ctypes.c_size_t(nbytes))
            memory = self._tensor(pointer, nbytes, lambda: runtime.call("cudaFree", pointer))
            runtime.call("cudaIpcGetMemHandle", ctypes.byref(handle), pointer)
        return memory, ctypes.string_at(ctypes.addressof(handle), HANDLE_BYTES)

    def opened(self, handle: bytes, nbytes: int) -> Tensor:
        if len(handle) != HANDLE_BYTES:
            raise DeviceMemoryError(f"a handle has {HANDLE_BYTES} bytes, and this one {len(handle)}")
        pointer, given = ctypes.c_void_p(), _Handle()
        ctypes.memmove(ctypes.addressof(given), handle, HANDLE_BYTES)
        with torch.cuda.device(self.device):
            runtime = _Runtime(self.device)
            runtime.call("cudaIpcOpenMemHandle", ctypes.byref(pointer), given, ctypes.c_uint(LAZY_PEER_ACCESS))
            return self._tensor(pointer, nbytes, lambda: runtime.call("cudaIpcCloseMemHandle", pointer))

    def _tensor(self, pointer: ctypes.c_void_p, nbytes: int, give_back: Callable[[], None]) -> Tensor:
        assert pointer.value is not None
        return torch.as_tensor(_Foreign(pointer.value, nbytes, give_back), device=self.device)


class _Handle(ctypes.Structure):
    _fields_ = (("reserved", ctypes.c_char * HANDLE_BYTES),)


class _Foreign:
    """Memory that torch did not allocate, in the form that it takes over without copying."""

    def __init__(self, pointer: int, nbytes: int, give_back: Callable[[], None]) -> None:
        self._give_back = give_back
        self.__cuda_array_interface__ = {
            "shape": (nbytes,),
            "typestr": "|u1",
            "data": (pointer, False),
            "version": 3,
        }

    def __del__(self) -> None:
        if not sys.is_finalizing():  # a process that ends gives everything back by itself
            self._give_back()


class _Runtime:
    """The very CUDA runtime that torch has loaded. Raises DeviceMemoryError where it is not found."""

    def __init__(self, device: torch.device) -> None:
        torch.zeros(1, device=device)  # so that it is loaded, and has its context
        try:
            lines = [line.split(maxsplit=5) for line in Path("/proc/self/maps").read_text().splitlines()]
            paths = [fields[5] for fields in lines if len(fields) == 6 and "libcudart" in Path(fields[5]).name]
            self._library = ctypes.CDLL(paths[0])
        except (OSError, IndexError) as error:
            raise DeviceMemoryError("torch's CUDA runtime was not found among this process's libraries") from error
        self._library.cudaGetErrorString.restype = ctypes.c_char_p

    def call(self, name: str, *arguments: Any) -> None:
        if status := getattr(self._library, name)(*arguments):
            self._library.cudaGetLastError()  # forgotten, else torch's next kernel would report it as its own
            words = self._library.cudaGetErrorString(status)
            raise DeviceMemoryError(f"{name}: {words.decode() if words else 'unknown error'} (CUDA error {status})")
