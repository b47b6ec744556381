"""What the home's cache keeps of a base: where it lies, and for the weights file, who may write it and when it gets its
name."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from adapters.common.damaged_files import ensure_plain
from adapters.common.files import sync_folder

MIN_FREE_BYTES = 256 << 20  # bytes of disk that a weights file must leave for everything else
WAIT_SECONDS = 5.0  # between two signs of life while another process quantises


class CachedFile:
    """Where one file about a base lies. identity: everything that its content depends on; it is part of the name.

    There is one per base: a newer one replaces an older one.
    """

    suffix: str

    def __init__(self, cache: Path, base_id: str, identity: dict[str, Any]) -> None:
        readable = re.sub(r"[^A-Za-z0-9._-]+", "-", base_id).strip("-.")[-60:]
        self.base_id, self.identity = base_id, identity
        self.base = f"base-{readable}-{hashlib.sha256(base_id.encode()).hexdigest()[:8]}"
        version = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
        self.path = cache / f"{self.base}.{version}{self.suffix}"

    def remove_others(self) -> None:
        """Remove files of other identities (a process that maps one keeps it)."""
        for other in self.path.parent.glob(f"{self.base}.*{self.suffix}"):
            if other != self.path:
                other.unlink(missing_ok=True)


class CachedWeightsFile(CachedFile):
    """The weights file of one base."""

    suffix = ".arena"

    @contextmanager
    def locked(self, say: Callable[[str], None]) -> Iterator[None]:
        """Let one process write at a time. The lock of a killed process is free."""
        lock = FileLock(ensure_plain(self.path.with_name(f"{self.base}.lock")))
        while True:
            try:
                lock.acquire(timeout=WAIT_SECONDS)
                break
            except Timeout:
                say("waiting for another process that quantises the same base")
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def writing(self, size: int) -> Iterator[Path]:
        """A file to write about `size` bytes of weights into. It gets its name when the block ends well.

        Files of other versions are then removed. Raises OSError when it would leave too little of the disk.
        """
        free = shutil.disk_usage(self.path.parent).free
        if free < size + MIN_FREE_BYTES:
            raise OSError(f"it takes {size / 2**30:.2f} GiB and the disk has {free / 2**30:.2f} GiB left")
        unfinished = self.path.with_name(f"{self.base}.unfinished")
        try:
            yield ensure_plain(unfinished)
            unfinished.replace(ensure_plain(self.path))
        finally:
            unfinished.unlink(missing_ok=True)
        sync_folder(self.path.parent)
        self.remove_others()
