"""The weights of a quantised base as one file: blocks of bytes, their table of contents, and a seal, written last.

    block, block, …      each begins at a multiple of ALIGNMENT
    contents             JSON: what lies where
    seal                 MAGIC, length of the contents, their sha256

A file that was cut off, or whose writing was interrupted, has no valid seal. The blocks themselves are not read when
the file is opened (that would cost what mapping saves): they are made durable before the file gets its name.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

ALIGNMENT = 256  # bytes; also what a GPU's copies and kernels like best
MAGIC = b"guanaco arena 1\n"
SEAL = struct.Struct("<16sQ32s")


class BrokenWeightsFile(Exception):
    """The file is not a whole weights file; it can be made again."""


@dataclass(frozen=True)
class WeightsFile:
    """An open weights file. Its bytes are mapped privately: whoever writes to them changes a copy of their own page."""

    contents: dict[str, Any]
    data: mmap.mmap

    @property
    def nbytes(self) -> int:
        return len(self.data)


class WeightsFileWriter:
    """Writes a weights file: `add` each block, then `seal`. What is not sealed is removed when the block ends.

    The path should be one that nobody reads yet; rename it when it is whole. Raises OSError, on a full disk too.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sealed = False

    def __enter__(self) -> WeightsFileWriter:
        self._file: BinaryIO = self.path.open("wb")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if not self._sealed:
            self.path.unlink(missing_ok=True)

    def add(self, block: memoryview) -> int:
        """The offset at which `block` now lies."""
        offset = self._file.tell()
        self._file.write(block)
        self._file.write(bytes(-block.nbytes % ALIGNMENT))
        return offset

    def seal(self, contents: dict[str, Any]) -> None:
        written = json.dumps(contents | {"nbytes": self._file.tell()}, sort_keys=True).encode()
        self._file.write(written)
        self._file.write(SEAL.pack(MAGIC, len(written), hashlib.sha256(written).digest()))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._sealed = True


def open_weights_file(path: Path) -> WeightsFile:
    """Map the file at `path`. Raises FileNotFoundError when there is none, BrokenWeightsFile when it is not whole."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < SEAL.size:
            raise BrokenWeightsFile(f"it has only {size} bytes")
        file.seek(size - SEAL.size)
        magic, length, digest = SEAL.unpack(file.read(SEAL.size))
        if magic != MAGIC or length > size - SEAL.size:
            raise BrokenWeightsFile("its seal is missing: it was cut off or never finished")
        file.seek(size - SEAL.size - length)
        written = file.read(length)
        if hashlib.sha256(written).digest() != digest:
            raise BrokenWeightsFile("its table of contents is damaged")
        contents = json.loads(written)
        if contents["nbytes"] != size - SEAL.size - length:
            raise BrokenWeightsFile("it has lost bytes in the middle")
        return WeightsFile(contents, mmap.mmap(file.fileno(), contents["nbytes"], access=mmap.ACCESS_COPY))
