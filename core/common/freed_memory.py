"""Memory that has been freed goes back to the system: glibc keeps it for the process, hundreds of MiB after a load."""

from __future__ import annotations

import ctypes


def return_freed_memory() -> None:
    """Takes some milliseconds. Does nothing where the C library is another one."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
