"""Data files as they come: plain, gzipped, or as members of a zip archive. Nothing is unpacked onto the disk by name.

A bomb is refused: by what an archive says of itself before it is opened, and by what really comes out while it is read.
"""

from __future__ import annotations

import gzip
import io
import lzma
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from adapters.common.errors import UserError

MAX_DECOMPRESSED = 1 << 31
MAX_RATIO = 200  # decompressed over compressed size; text has 3 to 20, a bomb 1000 and more
ALWAYS_ALLOWED_BYTES = 1 << 24  # so much may come out of an archive of any size
MAX_MEMBERS = 1000
GZIP, ZIP = ".gz", ".zip"
OTHER_ARCHIVES = (".zip", ".gz", ".tgz", ".tar", ".bz2", ".xz", ".7z", ".rar", ".zst")


@dataclass(frozen=True)
class DataFile:
    """A file of rows: `path` itself, what is gzipped in it, or the `member` of that zip archive."""

    path: Path
    member: str | None = None

    @property
    def name(self) -> str:
        return f"{self.path.name}/{self.member}" if self.member else self.path.name

    @property
    def kind(self) -> str:
        """The ending that says how its rows are written, such as ".jsonl"."""
        return kind_of_name(self.member or self.path.name)

    @property
    def is_compressed(self) -> bool:
        return self.member is not None or self.path.suffix.lower() == GZIP

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Its bytes as they are read, compressed ones forward only. Raises UserError (see DecompressedStream)."""
        with self.path.open("rb") as file:
            if self.member is not None:
                with zipfile.ZipFile(file) as archive, self._opened(archive) as member:
                    compressed = archive.getinfo(self.member).compress_size
                    yield io.BufferedReader(DecompressedStream(member, self.name, compressed))
            elif self.is_compressed:
                with gzip.GzipFile(fileobj=file) as member:
                    size = self.path.stat().st_size
                    yield io.BufferedReader(DecompressedStream(member, self.name, size))
            else:
                yield file

    def _opened(self, archive: zipfile.ZipFile) -> zipfile.ZipExtFile:
        try:
            return archive.open(self.member or "")  # type: ignore[return-value]
        except (NotImplementedError, RuntimeError, zipfile.BadZipFile) as error:
            raise UserError(f"{self.name} cannot be unpacked: {error}.", "Pack it again, as zip or gzip.") from error

    @contextmanager
    def open_seekable(self) -> Iterator[BinaryIO]:
        """Its bytes for readers that seek (Parquet). Compressed ones go through a temporary file without a name."""
        with self.open() as file:
            if not self.is_compressed:
                yield file
                return
            with tempfile.TemporaryFile() as copy:
                shutil.copyfileobj(file, copy)
                copy.seek(0)
                yield copy


class DecompressedStream(io.RawIOBase):
    """What comes out of an archive, counted. Raises UserError when it is too much, or when the archive is damaged."""

    def __init__(self, file: BinaryIO | gzip.GzipFile | zipfile.ZipExtFile, name: str, compressed: int) -> None:
        self._file = file
        self._name = name
        self._compressed = compressed
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        try:
            data = self._file.read(len(buffer))
        except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
            raise UserError(
                f"{self._name} cannot be unpacked: {error}.", "Is the file whole? Pack it again."
            ) from error
        self._count += len(data)
        check_size(self._name, self._count, self._compressed)
        buffer[: len(data)] = data
        return len(data)


def check_size(name: str, decompressed: int, compressed: int) -> None:
    """Raises UserError where more comes out than is taken for a dataset."""
    if decompressed > MAX_DECOMPRESSED:
        raise UserError(
            f"{name} unpacks to more than {MAX_DECOMPRESSED >> 30} GiB, which is more than is unpacked here.",
            "Unpack it yourself and give the file, or give a part of it.",
        )
    if decompressed > ALWAYS_ALLOWED_BYTES and decompressed > MAX_RATIO * compressed:
        raise UserError(
            f"{name} unpacks to more than {MAX_RATIO} times its size, as no text does; it was not read on.",
            "If it really is a dataset, unpack it yourself and give the file.",
        )


def kind_of_name(name: str) -> str:
    """The ending without that of gzip: ".jsonl" for "a.JSONL.gz"; ".zip" for an archive."""
    path = PurePosixPath(name.lower())
    return PurePosixPath(path.stem).suffix if path.suffix == GZIP else path.suffix


def list_members(path: Path) -> list[str]:
    """Names of the files in a zip archive, sorted; folders and what macOS puts beside them left out.

    Raises UserError for an archive that is damaged, encrypted or a bomb, and for one that holds links or archives.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir() and not is_clutter(info.filename)]
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise UserError(f"{path.name} cannot be read as a zip archive: {error}.", "Pack it again.") from error
    if len(infos) > MAX_MEMBERS:
        raise UserError(
            f"{path.name} holds {len(infos):,} files; up to {MAX_MEMBERS:,} are read.", "Join them into fewer."
        )
    names = Counter(info.filename for info in infos)
    if twice := [name for name, count in names.items() if count > 1]:
        raise UserError(f"{path.name} holds several files called {twice[0]!r}.", "Give each a name of its own.")
    check_size(path.name, sum(info.file_size for info in infos), path.stat().st_size)
    for info in infos:
        if stat.S_ISLNK(info.external_attr >> 16):
            raise UserError(f"{path.name} holds a link, {info.filename!r}.", "Pack the file itself in its place.")
        if info.flag_bits & 1:
            raise UserError(f"{path.name} is encrypted.", "Unpack it yourself and give the files.")
        if info.filename.lower().endswith(OTHER_ARCHIVES):
            raise UserError(f"{path.name} holds another archive, {info.filename!r}.", "Pack the data files themselves.")
    return sorted(info.filename for info in infos)


def is_clutter(name: str) -> bool:
    """Hidden files and folders, and the folder in which macOS keeps what other systems have no place for."""
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts if part not in (".", ".."))
