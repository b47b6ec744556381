"""Python's garbage collector, where much is imported."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def imported_to_stay(module: str) -> Iterator[None]:
    """For the imports of a process that bring the most, among them `module`.

    torch, transformers and Gradio bring a million objects, none of which goes again. The collector rests meanwhile,
    which is a fifth of the time, and never looks through them later (`gc.freeze`).
    Where `module` has been imported already nothing is done: what else there is by then may well go.
    """
    if module in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
